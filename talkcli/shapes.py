"""Names of array shapes in annotations, ``Float[np.ndarray, "478 3"]``: those of jaxtyping.

Annotations are text, which only type checkers and the tests read. Importing jaxtyping takes
0.05 s, so a command does without: where nothing has imported it, the names are empty stand-ins.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = ["Bool", "Float", "Float32", "Float64", "Int", "Int32", "Integer", "Real", "UInt8"]

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Integer, Real, UInt8
else:

    class _Shape:
        """Takes any shape and checks none."""

        def __class_getitem__(cls, item: object) -> type:
            return cls

    Bool = Float = Float32 = Float64 = Int = Int32 = Integer = Real = UInt8 = _Shape
