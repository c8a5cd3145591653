"""Vector loads, stores and shuffles over flat arrays, prefetch, and the atomic counter.

All of them take a one-dimensional array and an *element* index, and need no alignment. As for
:mod:`talkcli.kernels.vectors`, kernels import their names from :mod:`talkcli.kernels.memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from talkcli.kernels.simd import LANES
from talkcli.kernels.vectors import intrinsic, vector

_F32, _I32 = ir.FloatType(), ir.IntType(32)
#: All arrays here hold four-byte numbers; LLVM may assume no more than that.
_ALIGN = 4


def _floats(count: int) -> Any:
    return ir.VectorType(_F32, count)


def _pointer(context: Any, builder: Any, array: tuple[Any, Any], index: tuple[Any, Any]) -> Any:
    """Address of an element; ``array`` and ``index`` are (numba type, LLVM value)."""
    struct = context.make_array(array[0])(context, builder, array[1])
    offset = context.cast(builder, index[1], index[0], types.intp)
    return builder.gep(struct.data, [offset])


def _address(context: Any, builder: Any, sig: Any, args: Any, which: int = 1) -> Any:
    return _pointer(context, builder, (sig.args[0], args[0]), (sig.args[which], args[which]))


def _load(builder: Any, pointer: Any, count: int) -> Any:
    return builder.load(builder.bitcast(pointer, _floats(count).as_pointer()), align=_ALIGN)


def _store(builder: Any, pointer: Any, value: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=_ALIGN)


def _shuffle(builder: Any, left: Any, right: Any, lanes: Sequence[int]) -> Any:
    order = ir.Constant(ir.VectorType(_I32, len(lanes)), list(lanes))
    return builder.shuffle_vector(left, right, order)


def _concatenate(builder: Any, parts: Sequence[Any]) -> Any:
    """Concatenate several vectors of equal length."""
    joined = parts[0]
    width = parts[0].type.count
    for part in parts[1:]:
        done = joined.type.count
        lanes = list(range(width)) + [0] * (done - width)
        widened = _shuffle(builder, part, part, lanes) if done > width else part
        joined = _shuffle(builder, joined, widened, range(done + width))
    return joined


@intrinsic
def load(_tyctx: Any, array: Any, index: Any) -> Any:
    """Load sixteen consecutive numbers."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _address(context, builder, sig, args), LANES)

    return vector(array, index), emit


@intrinsic
def store(_tyctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen consecutive numbers."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _store(builder, _address(context, builder, sig, args), args[2])
        return context.get_dummy_value()

    return types.void(array, index, value), emit


@intrinsic
def load_block(_tyctx: Any, array: Any, index: Any, step: Any) -> Any:
    """Load four times four consecutive numbers; each four begins ``step`` after the last."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = [_load(builder, place, 4) for place in _block(context, builder, sig, args)]
        return _concatenate(builder, parts)

    return vector(array, index, step), emit


@intrinsic
def store_block(_tyctx: Any, array: Any, index: Any, step: Any, value: Any) -> Any:
    """The inverse of :func:`load_block`."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        for row, place in enumerate(_block(context, builder, sig, args)):
            _store(builder, place, _shuffle(builder, args[3], args[3], range(4 * row, 4 * row + 4)))
        return context.get_dummy_value()

    return types.void(array, index, step, value), emit


def _block(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Where the four rows of a block begin."""
    step = context.cast(builder, args[2], sig.args[2], types.intp)
    places = [_address(context, builder, sig, args)]
    for _ in range(3):
        places.append(builder.gep(places[-1], [step]))
    return places


@intrinsic
def unpack(_tyctx: Any, array: Any, index: Any) -> Any:
    """The two numbers that :func:`talkcli.kernels.simd.pack` put into one element."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = builder.bitcast(_address(context, builder, sig, args), _I32.as_pointer())
        bits = builder.load(pointer, align=_ALIGN)
        parts = (builder.and_(bits, _I32(0xFFFF)), builder.lshr(bits, _I32(16)))
        widened = [builder.zext(part, ir.IntType(64)) for part in parts]
        return context.make_tuple(builder, sig.return_type, widened)

    return types.UniTuple(types.int64, 2)(array, index), emit


@intrinsic
def load_columns(_tyctx: Any, array: Any, index: Any, columns: Any) -> Any:
    """Load sixteen rows of a row-major ``[N, columns]`` table as one vector per column."""
    width = columns.literal_value
    result = types.UniTuple(vector, width)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _address(context, builder, sig, args)
        block = _load(builder, pointer, LANES * width)
        out = [
            _shuffle(builder, block, block, range(column, LANES * width, width))
            for column in range(width)
        ]
        return context.make_tuple(builder, result, out)

    return result(array, types.intp, columns), emit


def _store_rows(builder: Any, pointer: Any, columns: Sequence[Any]) -> None:
    """Interleave column vectors into sixteen rows and write them."""
    block = _concatenate(builder, columns)
    lanes = [c * LANES + r for r in range(LANES) for c in range(len(columns))]
    _store(builder, pointer, _shuffle(builder, block, block, lanes))


@intrinsic
def store_columns(_tyctx: Any, array: Any, index: Any, columns: Any) -> Any:
    """The inverse of :func:`load_columns`: a tuple of vectors becomes sixteen rows."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[2])
        _store_rows(builder, _address(context, builder, sig, args), parts)
        return context.get_dummy_value()

    return types.void(array, index, columns), emit


@intrinsic
def store_columns_where(_tyctx: Any, array: Any, index: Any, columns: Any, condition: Any) -> Any:
    """Like :func:`store_columns`, with zeros in the rows where ``condition`` is false."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[2])
        zero = ir.Constant(_floats(LANES), [0.0] * LANES)
        kept = [builder.select(args[3], part, zero) for part in parts]
        _store_rows(builder, _address(context, builder, sig, args), kept)
        return context.get_dummy_value()

    return types.void(array, index, columns, condition), emit


def _exchange(builder: Any, a: Any, b: Any, step: int) -> tuple[Any, Any]:
    """One butterfly of a 16×16 transposition: swap the lanes of ``a`` and ``b`` that differ."""
    low = [lane if not lane & step else LANES + lane - step for lane in range(LANES)]
    high = [lane + step if not lane & step else LANES + lane for lane in range(LANES)]
    return _shuffle(builder, a, b, low), _shuffle(builder, a, b, high)


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    for step in (1, 2, 4, 8):
        for i in range(LANES):
            if not i & step:
                rows[i], rows[i + step] = _exchange(builder, rows[i], rows[i + step], step)
    return rows


@intrinsic
def store_transposed(_tyctx: Any, array: Any, index: Any, columns: Any) -> Any:
    """Write sixteen vectors, the columns of a 16×16 block, row after row (64 bytes each)."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = _transpose(builder, cgutils.unpack_tuple(builder, args[2]))
        start = _address(context, builder, sig, args)
        for i, row in enumerate(rows):
            _store(builder, builder.gep(start, [ir.IntType(64)(i * LANES)]), row)
        return context.get_dummy_value()

    return types.void(array, index, columns), emit


@intrinsic
def load_transposed(_tyctx: Any, array: Any, index: Any) -> Any:
    """The inverse of :func:`store_transposed`: load sixteen rows as sixteen columns."""
    result = types.UniTuple(vector, LANES)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = _address(context, builder, sig, args)
        rows = [
            _load(builder, builder.gep(start, [ir.IntType(64)(i * LANES)]), LANES)
            for i in range(LANES)
        ]
        return context.make_tuple(builder, result, _transpose(builder, rows))

    return result(array, index), emit


@intrinsic
def column_sums(_tyctx: Any, columns: Any) -> Any:
    """Sums of 4, 8 or 16 vectors; lane k holds the sum of vector k.

    Sixteen take thirty shuffles and fifteen additions in all, whereas sixteen separate reductions
    would take four of each, sixteen times.
    """
    count = len(columns)

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        sums = cgutils.unpack_tuple(builder, args[0])
        step = count // 2
        while step:
            halves = (_exchange(builder, sums[i], sums[i + step], step) for i in range(step))
            sums = [builder.fadd(low, high, flags=("nsz",)) for low, high in halves]
            step //= 2
        total = sums[0]
        for step in (4, 8):
            if step >= count:
                moved = _shuffle(builder, total, total, [lane ^ step for lane in range(LANES)])
                total = builder.fadd(total, moved, flags=("nsz",))
        return total

    return vector(columns), emit


@intrinsic
def store_first(_tyctx: Any, array: Any, index: Any, value: Any, count: Any) -> Any:
    """Write the first ``count`` (a literal) lanes."""
    lanes = range(count.literal_value)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        part = _shuffle(builder, args[2], args[2], lanes)
        _store(builder, _address(context, builder, sig, args), part)
        return context.get_dummy_value()

    return types.void(array, types.intp, value, count), emit


@intrinsic
def store_integers(_tyctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write sixteen int32: the lanes rounded towards zero, which must fit."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        numbers = builder.fptosi(args[2], ir.VectorType(_I32, LANES))
        _store(builder, _address(context, builder, sig, args), numbers)
        return context.get_dummy_value()

    return types.void(array, index, value), emit


def _emit_prefetch(for_writing: int) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _I32, _I32, _I32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        place = builder.bitcast(_address(context, builder, sig, args), byte)
        builder.call(function, [place, _I32(for_writing), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return emit


@intrinsic
def prefetch(_tyctx: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of an element that is soon to be read."""
    return types.void(array, index), _emit_prefetch(0)


@intrinsic
def prefetch_for_writing(_tyctx: Any, array: Any, index: Any) -> Any:
    """Prefetch the cache line of an element that is soon to be written."""
    return types.void(array, index), _emit_prefetch(1)


@intrinsic
def take_ticket(_tyctx: Any, counter: Any) -> Any:
    """Atomically add one to ``counter[0]`` (int64) and return its previous value."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _pointer(context, builder, (sig.args[0], args[0]), (types.intp, ir.IntType(64)(0)))
        return builder.atomic_rmw("add", place, ir.IntType(64)(1), "monotonic")

    return types.int64(counter), emit
