"""Asking for a cache line before it is needed; shared by kernels, since no result depends on it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic


def prefetch(array: Any, index: Any) -> None:
    """Ask for the cache line of the index-th element, rows counted through; a hint, no more.

    Parameters
    ----------
    array : ndarray, C-contiguous
        Of numbers.
    index : int
        Of the element, as if the array were flat. It need not exist.
    """


def _generate_prefetch(context: Any, array: Any, index: Any) -> Any:
    """Return the signature and the LLVM code of `prefetch`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, flag = ir.PointerType(ir.IntType(8)), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(function, [pointer, *(ir.Constant(flag, n) for n in (1, 3, 1))])
        return context.get_dummy_value()

    return types.void(array, index), generate


if not config.DISABLE_JIT:
    prefetch = intrinsic(_generate_prefetch)
