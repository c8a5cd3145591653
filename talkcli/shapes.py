"""jaxtyping's names for array shapes in annotations, such as ``Float[np.ndarray, "478 3"]``.

Annotations are text, which only type checkers and the tests read. Importing jaxtyping takes
0.05 s, so commands do without it: unless something has imported it, the names are placeholders.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = ["Bool", "Float", "Float32", "Float64", "Int", "Int32", "Integer", "Real", "UInt8"]

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Integer, Real, UInt8
else:

    class _Shape:
        """Accepts any shape and checks nothing."""

        def __class_getitem__(cls, item: object) -> type:
            return cls

    Bool = Float = Float32 = Float64 = Int = Int32 = Integer = Real = UInt8 = _Shape
