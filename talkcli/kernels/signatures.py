"""Signatures of kernels as text, which the list of needed kernels is made of.

``float32[2]`` is a C-contiguous array of two dimensions, ``(int64, none)`` a tuple.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from numba import types as numba_types

#: Its stubs hide most of what it holds.
types: Any = numba_types


def spell(arguments: Sequence[Any]) -> str:
    """The text for numba's types of a kernel's arguments.

    Raises:
        ValueError: a type that no kernel should be called with: an array that is not contiguous
            or cannot be written to, or anything that is neither number, array nor tuple of these.
    """
    return "(" + ", ".join(_spell(argument) for argument in arguments) + ",)"


def _spell(kind: Any) -> str:
    if isinstance(kind, types.BaseTuple):
        return spell(tuple(kind))
    if isinstance(kind, (types.Number, types.Boolean)) or kind is types.none:
        return str(kind)
    if isinstance(kind, types.Array) and kind.layout == "C" and kind.mutable and kind.aligned:
        return f"{kind.dtype}[{kind.ndim}]"
    raise ValueError(f"no kernel should be called with {kind}")


def parse(text: str) -> tuple[Any, ...]:
    """Numba's types for what :func:`spell` wrote.

    Raises:
        ValueError: it did not write this.
    """
    parsed = _parse(ast.parse(text, mode="eval").body)
    if not isinstance(parsed, types.BaseTuple):
        raise ValueError(f"not a list of arguments: {text}")
    return tuple(parsed)


def _parse(node: ast.expr) -> Any:
    if isinstance(node, ast.Tuple):
        return types.BaseTuple.from_types([_parse(part) for part in node.elts])
    if isinstance(node, ast.Name):
        return types.boolean if node.id == "bool" else getattr(types, node.id)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return types.Array(_parse(node.value), node.slice.value, "C")
    raise ValueError(f"not a type of an argument: {ast.unparse(node)}")
