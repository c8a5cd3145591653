"""Names of the operations of :mod:`talkcli.kernels.vector_memory`, for kernels to import."""

from __future__ import annotations

from talkcli.kernels.functions import Deferred

_HOME = "talkcli.kernels.vector_memory"
load = Deferred(_HOME, "load")
store = Deferred(_HOME, "store")
load_block = Deferred(_HOME, "load_block")
store_block = Deferred(_HOME, "store_block")
unpack = Deferred(_HOME, "unpack")
load_columns = Deferred(_HOME, "load_columns")
store_columns = Deferred(_HOME, "store_columns")
store_columns_where = Deferred(_HOME, "store_columns_where")
store_transposed = Deferred(_HOME, "store_transposed")
load_transposed = Deferred(_HOME, "load_transposed")
column_sums = Deferred(_HOME, "column_sums")
store_first = Deferred(_HOME, "store_first")
store_integers = Deferred(_HOME, "store_integers")
prefetch = Deferred(_HOME, "prefetch")
prefetch_for_writing = Deferred(_HOME, "prefetch_for_writing")
take_ticket = Deferred(_HOME, "take_ticket")
