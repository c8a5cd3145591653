"""How much a stream holds on to, without a look at the names that it gives to what it holds."""

from __future__ import annotations

from collections import deque

import numpy as np


def held_bytes(thing: object) -> int:
    """Bytes of the arrays and numbers that an object holds, however deep.

    What the object only refers to (iterators, functions, modules) does not count.
    """
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, bool | int | float | np.generic):
        return 8
    if isinstance(thing, list | tuple | deque):
        return sum(map(held_bytes, thing))
    if isinstance(thing, dict):
        return sum(map(held_bytes, thing.values()))
    return sum(map(held_bytes, getattr(thing, "__dict__", {}).values()))
