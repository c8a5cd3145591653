"""Names of the vector operations of :mod:`talkcli.kernels.vectors`, for kernels to import."""

from __future__ import annotations

from talkcli.kernels.functions import Deferred

LANES = 16

_HOME = "talkcli.kernels.vectors"
splat = Deferred(_HOME, "splat")
lane_numbers = Deferred(_HOME, "lane_numbers")
block_columns = Deferred(_HOME, "block_columns")
block_rows = Deferred(_HOME, "block_rows")
select = Deferred(_HOME, "select")
minimum = Deferred(_HOME, "minimum")
maximum = Deferred(_HOME, "maximum")
square_root = Deferred(_HOME, "square_root")
absolute = Deferred(_HOME, "absolute")
largest = Deferred(_HOME, "largest")
total = Deferred(_HOME, "total")
pack = Deferred(_HOME, "pack")
split_exponent = Deferred(_HOME, "split_exponent")
