"""Compiles kernels by numba, to machine code that needs numba no longer. Imports numba."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import njit as numba_njit
from numba._dynfunc import make_function
from numba.core import cgutils
from numba.core import types as numba_types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import typeof_impl
from numba.np.arrayobj import populate_array

from talkcli.kernels import code
from talkcli.kernels.functions import Deferred, Function, Helper
from talkcli.kernels.signatures import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Their stubs hide some options and types.
njit: Any = numba_njit
types: Any = numba_types

#: What makes compiling shorter: kernels allocate nothing, so that numba need not count references.
_LEAN: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
#: Passes for closures, ``with``, array expressions and functions that are inlined before typing.
_UNUSED_PASSES = frozenset(
    ("WithLifting", "InlineClosureLikes", "RewriteDynamicRaises", "MakeFunctionToJitFunction",
     "InlineInlinables", "FindLiterallyCalls", "LiteralUnroll", "InlineOverloads",
     "NopythonRewrites", "DumpParforDiagnostics")
)  # fmt: skip
_WORD, _BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
#: numba's numbers in the block of a call, in struct's letters.
_LETTERS = {"int64": "q", "float64": "d", "float32": "f4x"}


class _Library(JITCodeLibrary):
    """Code that is kept as what LLVM reads: nobody calls it here.

    It is optimised as numba does it, three times over. Once would do, since kernels have no
    reference counts, and save a tenth of the time, but mattes then add in another order.
    """

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class _HelperLibrary(_Library):
    """The code of a helper: made short, but optimised only as a part of kernels.

    Done for each helper as well, this and machine code were a tenth of the time of all.
    """

    def _optimize_final_module(self) -> None:
        """Left to the kernel."""


class _Compiler(Compiler):
    """Compiles a function for other kernels to call, and for an entry of our own."""

    def define_pipelines(self) -> list[Any]:
        """The passes of numba, less those for what kernels do not contain."""
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            passes = [step for step in pipeline.passes if step[0].__name__ not in _UNUSED_PASSES]
            pipeline.passes = passes
            pipeline.finalize()
        return pipelines

    def _compile_core(self) -> Any:
        state = self.state
        kind = _HelperLibrary if state.flags.forceinline else _Library
        state.library = kind(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        result = super()._compile_core()
        about, parts = result.fndesc, (result.library,)
        if not state.flags.forceinline:
            _add_entry(state.targetctx, result)
        # numba knows functions by the address of their entry; this one's leads nowhere.
        entry = make_function(
            about.lookup_module(), about.qualname, "", 0, result.environment, parts
        )
        state.targetctx.insert_user_function(entry, about, parts)
        return result._replace(entry_point=entry)


def fill_tables() -> None:
    """Have numba learn what has been defined since it last did; at first, all there is."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


def _dispatcher(function: Function) -> Any:
    """Numba's object for a function, made once."""
    if function.dispatcher is None:
        options = {**function.options, **_LEAN, "pipeline_class": _Compiler}
        options["forceinline"] = isinstance(function, Helper)
        function.dispatcher = njit(**options)(function.py_func)
    return function.dispatcher


@typeof_impl.register(Function)
def _type_of_function(function: Function, _context: Any) -> Any:
    return types.Dispatcher(_dispatcher(function))


@typeof_impl.register(Deferred)
def _type_of_deferred(operation: Deferred, _context: Any) -> Any:
    meant = getattr(import_module(operation.module), operation.name)
    fill_tables()
    return cpu_target.typing_context.resolve_value_type(meant)


def callable_of(kernel: Function) -> Any:
    """The kernel as numba itself would run it, for any arguments; not kept on disk."""
    if kernel.plain is None:
        kernel.plain = njit(nogil=True, **kernel.options)(kernel.py_func)
    return kernel.plain


def compile_kernel(kernel: Function, signature: str) -> code.Stored:
    """Compile a kernel for a signature.

    Args:
        kernel: the kernel.
        signature: as :mod:`talkcli.kernels.signatures` writes it.

    Raises:
        numba.core.errors.NumbaError: it cannot be compiled for these types.
    """
    arguments = parse(signature)
    dispatcher = _dispatcher(kernel)
    with global_compiler_lock:
        dispatcher.compile(arguments)
        compiled = dispatcher.overloads[arguments]
        library = compiled.library
        library._ensure_finalized()
    leaves = _leaves(arguments)
    arrays = [leaf for leaf in leaves if isinstance(leaf, types.Array)]
    dtypes = sorted({str(array.dtype) for array in arrays})
    letters = ["q" if isinstance(leaf, types.Array) else _LETTERS[str(leaf)] for leaf in leaves]
    binary = library.codegen._tm.emit_object(library._final_module)
    returns = compiled.signature.return_type is not types.none
    return code.Stored(_symbol(compiled), tuple(dtypes), "".join(letters), returns, binary)


def _symbol(compiled: Any) -> str:
    return f"talkcli.{compiled.fndesc.llvm_func_name}"


def _leaves(kinds: Sequence[Any]) -> list[Any]:
    """The types in a block: those in tuples as well, and without None."""
    leaves: list[Any] = []
    for kind in kinds:
        if isinstance(kind, types.BaseTuple):
            leaves += _leaves(tuple(kind))
        elif kind is not types.none:
            leaves.append(kind)
    return leaves


def _add_entry(context: Any, compiled: Any) -> None:
    """Add the function that takes a block, compares its arrays and calls the kernel."""
    about = compiled.fndesc
    module = context.create_module("entry")
    callee = ir.Function(
        module, context.call_conv.get_function_type(about.restype, about.argtypes),
        about.llvm_func_name,
    )  # fmt: skip
    kind = ir.FunctionType(_WORD, [_BYTES, _BYTES])
    function = ir.Function(module, kind, _symbol(compiled))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    block = _Block(context, builder, function.args[0], _leaves(about.argtypes))
    values = [block.take(argument) for argument in about.argtypes]
    with builder.if_then(builder.not_(block.fits), likely=False):
        builder.ret(_WORD(code.OTHER))
    status, result = context.call_conv.call_function(
        builder, callee, about.restype, about.argtypes, values, attrs=("noinline",)
    )
    with builder.if_then(status.is_error, likely=False):
        builder.ret(_WORD(code.FAILED))
    if about.restype is not types.none:
        number = context.cast(builder, result, about.restype, types.int64)
        builder.store(number, builder.bitcast(function.args[1], _WORD.as_pointer()))
    builder.ret(_WORD(code.DONE))
    compiled.library.add_ir_module(module)


class _Block:
    """Emits code that takes a kernel's arguments out of the block of a call.

    Args:
        context: numba's target.
        builder: where the code goes.
        start: address of the block.
        leaves: types of all values in it.

    Attributes:
        fits: whether all arrays so far are of their types.
    """

    def __init__(self, context: Any, builder: Any, start: Any, leaves: Sequence[Any]) -> None:
        self._context, self._builder = context, builder
        self._words = builder.bitcast(start, _WORD.as_pointer())
        arrays = [leaf for leaf in leaves if isinstance(leaf, types.Array)]
        dtypes = sorted({str(array.dtype) for array in arrays})
        self._dtypes = {name: self._word(number) for number, name in enumerate(dtypes)}
        self._next = len(dtypes)
        self.fits = cgutils.true_bit

    def take(self, kind: Any) -> Any:
        """The value of the next argument, of numba's type ``kind``."""
        if isinstance(kind, types.BaseTuple):
            parts = [self.take(part) for part in kind]
            return self._context.make_tuple(self._builder, kind, parts)
        if kind is types.none:
            return self._context.get_dummy_value()
        word = self._word(self._next)
        self._next += 1
        if isinstance(kind, types.Array):
            return self._array(kind, word)
        if kind is types.float32:
            return self._builder.bitcast(self._builder.trunc(word, ir.IntType(32)), ir.FloatType())
        return self._builder.bitcast(word, self._context.get_value_type(kind))

    def _array(self, kind: Any, address: Any) -> Any:
        """Numba's structure of an array, from numpy's at an address."""
        builder, integer = self._builder, ir.IntType(32)
        count = self._read(address, code.DIMENSIONS_COUNT, integer)
        flags = builder.and_(self._read(address, code.FLAGS, integer), integer(code.USUAL_FLAGS))
        dtype = self._read(address, code.DTYPE, _WORD)
        for same in (
            builder.icmp_signed("==", count, integer(kind.ndim)),
            builder.icmp_signed("==", flags, integer(code.USUAL_FLAGS)),
            builder.icmp_signed("==", dtype, self._dtypes[str(kind.dtype)]),
        ):
            self.fits = builder.and_(self.fits, same)
        # An array of fewer dimensions has fewer sizes to read; its own words stand in for them.
        safe = builder.select(self.fits, self._read(address, code.DIMENSIONS, _WORD), address)
        shape = [self._read(safe, 8 * axis, _WORD) for axis in range(kind.ndim)]
        item = self._context.get_abi_sizeof(self._context.get_data_type(kind.dtype))
        strides = [_WORD(item)]
        for size in shape[:0:-1]:
            strides.insert(0, builder.mul(size, strides[0]))
        data = self._context.get_data_type(kind.dtype).as_pointer()
        array = self._context.make_array(kind)(self._context, builder)
        populate_array(
            array,
            data=builder.inttoptr(self._read(address, code.DATA, _WORD), data),
            shape=shape,
            strides=strides,
            itemsize=_WORD(item),
            meminfo=None,
        )
        return array._getvalue()

    def _word(self, number: int) -> Any:
        return self._builder.load(self._builder.gep(self._words, [_WORD(number)]))

    def _read(self, address: Any, offset: int, kind: Any) -> Any:
        place = self._builder.add(address, _WORD(offset))
        return self._builder.load(self._builder.inttoptr(place, kind.as_pointer()))
