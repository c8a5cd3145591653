"""Names of the vector operations of :mod:`talkcli.kernels.vectors`, for kernels to import."""

from __future__ import annotations

from talkcli.kernels.functions import Deferred

LANES = 16

_HOME = "talkcli.kernels.vectors"
splat = Deferred(_HOME, "splat")
lane_numbers = Deferred(_HOME, "lane_numbers")
pair_columns = Deferred(_HOME, "pair_columns")
pair_rows = Deferred(_HOME, "pair_rows")
select = Deferred(_HOME, "select")
minimum = Deferred(_HOME, "minimum")
maximum = Deferred(_HOME, "maximum")
square_root = Deferred(_HOME, "square_root")
absolute = Deferred(_HOME, "absolute")
largest = Deferred(_HOME, "largest")
total = Deferred(_HOME, "total")
split_exponent = Deferred(_HOME, "split_exponent")
