"""Loops that measure ceilings: multiply-adds that live in registers, and copies; imports numba.

They hold no interpreter lock, and a call of them lasts long enough that the call itself costs nothing.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit
from numba.core import cgutils
from numba.extending import intrinsic

from convbench.backends._numba_tile import VECTOR, copy

# Independent sums: more than the multiply-adds that are under way at once (2 to 4 a cycle, each some 4 cycles long),
# and few enough to stay in the registers, of which AVX2 has 16.
SUMS = 12 if VECTOR == 32 else 16
UNROLLED = 4


@intrinsic
def _multiply_adds(_context, rounds, start):
    """SUMS vectors v, UNROLLED times a round v·0.75 + 0.25, which nears 1; returns their sum, so that none is left out.

    They start at different numbers that depend on `start`: LLVM would compute equal ones once, known ones never.
    """

    def codegen(context, b, signature, arguments):
        rounds, start = arguments
        bits = signature.args[1].bitwidth
        lanes = 8 * VECTOR // bits
        vector = ir.VectorType(start.type, lanes)
        factor, term, total = (ir.Constant(vector, [value] * lanes) for value in (0.75, 0.25, 0.0))
        kind = ir.FunctionType(vector, [vector] * 3)
        # fmuladd, not fma: a processor without such an instruction would call a slow function.
        fma = cgutils.get_or_insert_function(b.module, kind, f"llvm.fmuladd.v{lanes}f{bits}")
        sums = [cgutils.alloca_once(b, vector) for _ in range(SUMS)]
        for i, place in enumerate(sums):
            b.store(b.insert_element(ir.Constant(vector, [i + 2.0] * lanes), start, ir.IntType(32)(0)), place)
        with cgutils.for_range(b, rounds):
            values = [b.load(place) for place in sums]
            for _ in range(UNROLLED):
                values = [b.call(fma, [value, factor, term]) for value in values]
            for value, place in zip(values, sums, strict=True):
                b.store(value, place)
        for place in sums:
            total = b.fadd(total, b.load(place))
        result = ir.Constant(start.type, 0.0)
        for lane in range(lanes):
            result = b.fadd(result, b.extract_element(total, ir.IntType(32)(lane)))
        return result

    return start(rounds, start), codegen


@njit(nogil=True)
def multiply_adds(rounds, start):
    """Rounds of `operations(dtype)` each, in the dtype of start; returns a number of no interest."""
    return _multiply_adds(rounds, start)


def operations(dtype: str) -> int:
    """Floating-point operations in a round of multiply_adds, two for each multiply-add."""
    return 2 * UNROLLED * SUMS * (VECTOR // np.dtype(dtype).itemsize)


@njit(nogil=True)
def copies(target, source, times):
    """Copy an array into another of its size, so many times."""
    for _ in range(times):
        copy(target.ctypes.data, source.ctypes.data, source.nbytes)
