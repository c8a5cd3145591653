"""Explicit 16-lane float vectors for numba, made of LLVM vector types.

numba gives the loop vectoriser little to work with: the same blending loop written as
``for lane in range(16)`` ran 8 times slower than with these values. LLVM splits a 16-lane operation
into what the machine has (one AVX-512, two AVX2, four NEON or SSE instructions), so nothing here
is tied to one processor.

Inside kernels, a ``Vector`` has ``+ - * /``, unary minus and comparisons, and can be combined with
scalars (also literals, which are rounded to float32, not promoted to float64). A comparison gives a
``Mask`` with ``& |``. Loads and stores take a flat float32 array and an element index.

This module needs numba, which takes half a second to load, so it is imported only when a kernel is
compiled; kernels import its names from :mod:`talkcli.kernels.simd`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import lower_builtin, models, register_model, type_callable

from talkcli.kernels.functions import FASTMATH
from talkcli.kernels.simd import LANES

_F32, _I32 = ir.FloatType(), ir.IntType(32)
_VECTOR_IR = ir.VectorType(_F32, LANES)
_MASK_IR = ir.VectorType(ir.IntType(1), LANES)
_INTS_IR = ir.VectorType(_I32, LANES)
_FLAGS = tuple(sorted(FASTMATH))


def intrinsic(define: Callable[..., Any]) -> Callable[..., Any]:
    """Define an intrinsic with the arguments of ``define`` except for the typing context."""
    return numba_intrinsic(prefer_literal=True)(define)


class Vector(types.Type):
    """Sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name=f"f32x{LANES}")


class Mask(types.Type):
    """Sixteen truth values."""

    def __init__(self) -> None:
        super().__init__(name=f"i1x{LANES}")


vector, mask = Vector(), Mask()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _VECTOR_IR)


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: Any) -> None:
        super().__init__(manager, fe_type, _MASK_IR)


def _splat(builder: Any, scalar: Any) -> Any:
    """A vector with the same value in every lane."""
    single = builder.insert_element(ir.Constant(_VECTOR_IR, ir.Undefined), scalar, _I32(0))
    zeros = ir.Constant(_INTS_IR, [0] * LANES)
    return builder.shuffle_vector(single, single, zeros)


def _widen(context: Any, builder: Any, value: Any, ty: Any) -> Any:
    """The LLVM vector for an operand, which may be a scalar of any number type."""
    if isinstance(ty, Vector):
        return value
    return _splat(builder, context.cast(builder, value, ty, types.float32))


def _is_operand_pair(left: Any, right: Any) -> bool:
    kinds = [isinstance(t, (Vector, types.Number)) for t in (left, right)]
    return all(kinds) and (isinstance(left, Vector) or isinstance(right, Vector))


def _define_binary(op: Callable[..., Any], emit: Callable[..., Any], result: Any) -> None:
    """Teach numba ``op`` between vectors, and between a vector and a number on either side."""

    def typer(_context: Any) -> Callable[..., Any]:
        return lambda left, right: result if _is_operand_pair(left, right) else None

    type_callable(op)(typer)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (_widen(context, builder, v, t) for v, t in zip(args, sig.args, strict=True))
        return emit(builder, left, right)

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *pair)(lower)


def _compare(sign: str) -> Callable[..., Any]:
    return lambda b, left, right: b.fcmp_ordered(sign, left, right, flags=("nsz",))


_define_binary(operator.add, lambda b, x, y: b.fadd(x, y, flags=_FLAGS), vector)
_define_binary(operator.sub, lambda b, x, y: b.fsub(x, y, flags=_FLAGS), vector)
_define_binary(operator.mul, lambda b, x, y: b.fmul(x, y, flags=_FLAGS), vector)
_define_binary(operator.truediv, lambda b, x, y: b.fdiv(x, y, flags=_FLAGS), vector)
for _op, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
):
    _define_binary(_op, _compare(_sign), mask)


@type_callable(operator.neg)
def _type_neg(_context: Any) -> Callable[..., Any]:
    return lambda value: vector if isinstance(value, Vector) else None


@lower_builtin(operator.neg, Vector)
def _lower_neg(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
    return builder.fneg(args[0], flags=_FLAGS)


def _define_mask_operator(op: Callable[..., Any], name: str) -> None:
    def typer(_context: Any) -> Callable[..., Any]:
        return lambda a, b: mask if isinstance(a, Mask) and isinstance(b, Mask) else None

    type_callable(op)(typer)

    @lower_builtin(op, Mask, Mask)
    def lower(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return getattr(builder, name)(*args)


_define_mask_operator(operator.and_, "and_")
_define_mask_operator(operator.or_, "or_")


@intrinsic
def splat(_tyctx: Any, scalar: Any) -> Any:
    """The same number in every lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _widen(context, builder, args[0], sig.args[0])

    return vector(scalar), emit


@intrinsic
def lane_numbers(_tyctx: Any) -> Any:
    """0, 1, … 15."""
    return vector(), lambda c, b, s, a: ir.Constant(_VECTOR_IR, [float(i) for i in range(LANES)])


@intrinsic
def block_columns(_tyctx: Any) -> Any:
    """0, 1, 2, 3, 0, 1, …: the columns of a block of four rows."""
    values = [float(i % 4) for i in range(LANES)]
    return vector(), lambda c, b, s, a: ir.Constant(_VECTOR_IR, values)


@intrinsic
def block_rows(_tyctx: Any) -> Any:
    """0, 0, 0, 0, 1, 1, …: the rows of a block of four rows."""
    values = [float(i // 4) for i in range(LANES)]
    return vector(), lambda c, b, s, a: ir.Constant(_VECTOR_IR, values)


@intrinsic
def select(_tyctx: Any, condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` where ``condition`` holds, else ``no``; either may be a scalar."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        chosen = (_widen(context, builder, args[i], sig.args[i]) for i in (1, 2))
        return builder.select(args[0], *chosen)

    return vector(condition, yes, no), emit


def _define_extremum(sign: str) -> Callable[..., Any]:
    """Minimum or maximum as compare and select, one instruction; of NaN and x it gives x."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        left, right = (_widen(context, builder, v, t) for v, t in zip(args, sig.args, strict=True))
        return builder.select(_compare(sign)(builder, left, right), left, right)

    return emit


@intrinsic
def minimum(_tyctx: Any, left: Any, right: Any) -> Any:
    """The smaller value, lane by lane."""
    return vector(left, right), _define_extremum("<")


@intrinsic
def maximum(_tyctx: Any, left: Any, right: Any) -> Any:
    """The larger value, lane by lane."""
    return vector(left, right), _define_extremum(">")


def _unary(name: str) -> Callable[..., Any]:
    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR_IR, [_VECTOR_IR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
        return builder.call(function, args, fastmath=_FLAGS)

    return emit


@intrinsic
def square_root(_tyctx: Any, value: Any) -> Any:
    """The square root, lane by lane."""
    return vector(value), _unary("sqrt")


@intrinsic
def absolute(_tyctx: Any, value: Any) -> Any:
    """The absolute value, lane by lane."""
    return vector(value), _unary("fabs")


@intrinsic
def largest(_tyctx: Any, value: Any) -> Any:
    """The largest of the sixteen lanes."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_F32, [_VECTOR_IR])
        name = f"llvm.vector.reduce.fmax.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, args, fastmath=("nnan", "nsz"))

    return types.float32(value), emit


@intrinsic
def total(_tyctx: Any, value: Any) -> Any:
    """The sum of the sixteen lanes."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_F32, [_F32, _VECTOR_IR])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [_F32(0.0), args[0]], fastmath=("reassoc", "nsz"))

    return types.float32(value), emit


@intrinsic
def pack(_tyctx: Any, low: Any, high: Any) -> Any:
    """Two numbers of 16 bits, rounded towards zero, as the bits of one int32 per lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first, second = (builder.fptosi(value, _INTS_IR) for value in args)
        bits = builder.shl(second, ir.Constant(_INTS_IR, [16] * LANES))
        return builder.bitcast(builder.or_(first, bits), _VECTOR_IR)

    return vector(low, high), emit


@intrinsic
def split_exponent(_tyctx: Any, value: Any) -> Any:
    """``(e, m)`` with value = m·2^e and 1 ≤ m < 2, for positive normal numbers."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], _INTS_IR)

        def constant(number: int) -> Any:
            return ir.Constant(_INTS_IR, [number] * LANES)

        shifted = builder.lshr(bits, constant(23))
        exponent = builder.sitofp(builder.sub(shifted, constant(127)), _VECTOR_IR)
        mantissa = builder.or_(builder.and_(bits, constant(0x7FFFFF)), constant(0x3F800000))
        pair = (exponent, builder.bitcast(mantissa, _VECTOR_IR))
        return context.make_tuple(builder, sig.return_type, pair)

    return types.UniTuple(vector, 2)(value), emit
