"""The device code of the numba-cuda backends; imported by their plans only, as it imports numba.

A block of threads computes a tile of the output from a tile of the image in shared memory. In a column of the tile a
thread makes several outputs, one below the other: a sample that it reads from shared memory serves all of them, so that
there are several multiply-adds for each read. The sums, and the taps of a kernel column, are in registers; therefore
the code is generated, unrolled for the kernel's number of rows. Kernels larger than CHUNK are summed part by part.

Taps lie in shared memory too, all threads reading the same one at a time: constant memory, as CUDA C++ has it, can be
filled by numba only when code is compiled, once for every kernel.
"""

# The kernels have no annotations, since numba itself finds their types when they are called.
# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

from convbench.backends import _numba_cuda_code as code
from convbench.backends._numba_cuda_code import LANES, indented, simulated
from convbench.problem import Array, Shape

CHUNK = 32
"""Rows and columns of a kernel that are summed at once, at most."""
SHARED = 48 << 10
"""Bytes of shared memory that every device gives a block."""


@dataclass(frozen=True)
class Tiled:
    """A kernel of the device and the tiles it works in. tile: output rows and columns of a block."""

    kernel: Any
    block: tuple[int, int]
    tile: Shape
    chunk: Shape

    def grid(self, output: Shape) -> tuple[int, int]:
        return -(-output[1] // self.tile[1]), -(-output[0] // self.tile[0])

    def chunks(self, taps: Array) -> Array:
        """The taps as the kernel reads them: parts down, parts across, columns of a part, rows of a part; zeros
        added."""
        rows, columns = self.chunk
        down, across = -(-taps.shape[0] // rows), -(-taps.shape[1] // columns)
        padded = np.zeros((down * rows, across * columns), taps.dtype if taps.dtype != np.float16 else np.float32)
        padded[: taps.shape[0], : taps.shape[1]] = taps
        parts = padded.reshape(down, rows, across, columns).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(parts)


@functools.lru_cache(maxsize=256)
def direct(k1: int, k2: int, dtype: str, add: bool = False, threads: int = 0, outputs: int = 0) -> Tiled:
    """Correlation with kernels of this shape. dtype: of the sums; add: to what is in the output.

    threads: rows of threads; outputs: of a thread. By default 16 to 32 registers of sums: what is read from shared
    memory then serves enough of them, and several blocks fit into a multiprocessor.
    Called with (image, taps, out, n1, n2, m1, m2, top, left): flat arrays, of n1 x n2 and m1 x m2 samples.
    """
    size = np.dtype(dtype).itemsize
    high, broad = (-(-k // CHUNK) for k in (k1, k2))
    rows, columns = -(-k1 // high), -(-k2 // broad)  # equal parts, none longer than CHUNK
    outputs = outputs or (16 if size == 4 and rows > 15 else 128 // size)
    threads = threads or 512 // size // outputs
    while size * ((threads * outputs + rows - 1) * (LANES + columns - 1) + rows * columns) > SHARED:
        threads //= 2
    tall, wide, every = threads * outputs + rows - 1, LANES + columns - 1, threads * LANES
    source = f"""
    def kernel(image, taps, out, n1, n2, m1, m2, top, left):
        tile = cuda.shared.array({tall * wide}, number)
        weights = cuda.shared.array({rows * columns}, number)
        across, down = cuda.threadIdx.x, cuda.threadIdx.y
        thread = down * {LANES} + across
        first, at = cuda.blockIdx.y * {threads * outputs}, cuda.blockIdx.x * {LANES}
        base = down * {outputs * wide} + across
{indented(8, code.zeros(outputs, dtype))}
        for part in range({high * broad}):
            y0, x0 = first - top + part // {broad} * {rows}, at - left + part % {broad} * {columns}
{indented(12, code.tile_read(LANES, threads, tall, wide, wide, dtype))}
            t = part * {rows * columns} + thread
{indented(12, code.taps_read(rows * columns, every))}
            cuda.syncthreads()
            for j in range({columns}):
{indented(16, (f"w{i} = weights[index(j * {rows} + {i})]" for i in range(rows)))}
                spot = base + j
{indented(16, code.products(f"tile[index(spot + {{}} * {wide})]", outputs, rows, dtype))}
            cuda.syncthreads()
        x, y = short(at + across), short(first + down * {outputs})
        place = unsigned(long(y) * m2 + x)
        if first + {threads * outputs} <= m1 and at + {LANES} <= m2:
{indented(12, code.stored(outputs, dtype, "always" if add else "never", checked=False))}
        elif x < m2:
{indented(12, code.stored(outputs, dtype, "always" if add else "never", checked=True))}
    """
    return Tiled(_compiled(source, dtype), (LANES, threads), (threads * outputs, LANES), (rows, columns))


@functools.lru_cache(maxsize=256)
def separable(k1: int, k2: int, dtype: str, threads: int = 8, outputs: int = 8, wide: int = 64) -> Tiled | None:
    """Both passes of a separable kernel, of any number of terms; None where a tile with its border does not fit.

    threads: rows of threads; outputs: of a thread at a time; wide: output columns of a block, a multiple of outputs.
    Rows are filtered by threads that lie below each other, columns by threads side by side: neither reads a bank of
    shared memory twice at a time, the rows having odd lengths. A tile has as many rows as two warps or one filter.
    Called with (image, column, row, out, n1, n2, m1, m2, top, left, terms); column and row are the taps of all terms.
    """
    size, broad, between = np.dtype(dtype).itemsize, (wide + k2 - 1) | 1, wide | 1
    rows = [(warps * LANES - k1 + 1) // outputs * outputs for warps in (2, 1)]
    fits = [tall for tall in rows if tall > 0 and size * (tall + k1 - 1) * (broad + between) <= SHARED]
    if not fits or max(k1, k2) > CHUNK:
        return None
    tall, high = fits[0], fits[0] + k1 - 1
    source = f"""
    def kernel(image, column, row, out, n1, n2, m1, m2, top, left, terms):
        tile = cuda.shared.array({high * broad}, number)
        filtered = cuda.shared.array({high * between}, number)
        across, down = cuda.threadIdx.x, cuda.threadIdx.y
        thread = down * {LANES} + across
        first, at = cuda.blockIdx.y * {tall}, cuda.blockIdx.x * {wide}
        y0, x0 = first - top, at - left
{indented(8, code.tile_read(LANES, threads, high, wide + k2 - 1, broad, dtype))}
        for term in range(terms):
            cuda.syncthreads()
{indented(12, (f"w{i} = row[index(term * {k2} + {i})]" for i in range(k2)))}
            for r in range(across, {high}, {LANES}):
                for c in range(down * {outputs}, {wide}, {threads * outputs}):
                    spot = r * {broad} + c
{indented(20, code.zeros(outputs, dtype))}
{indented(20, code.products("tile[index(spot + {})]", outputs, k2, dtype))}
                    spot = r * {between} + c
{indented(20, (f"filtered[index(spot + {o})] = {code.total(o, dtype)}" for o in range(outputs)))}
            cuda.syncthreads()
{indented(12, (f"w{i} = column[index(term * {k1} + {i})]" for i in range(k1)))}
            for c in range(across, {wide}, {LANES}):
                x = short(at + c)
                for r in range(down * {outputs}, {tall}, {threads * outputs}):
                    y, spot = short(first + r), r * {between} + c
                    place = unsigned(long(y) * m2 + x)
{indented(20, code.zeros(outputs, dtype))}
{indented(20, code.products(f"filtered[index(spot + {{}} * {between})]", outputs, k1, dtype))}
                    if x < m2:
{indented(24, code.stored(outputs, dtype, "term > 0", checked=True))}
    """
    return Tiled(_compiled(source, dtype), (LANES, threads), (tall, wide), (k1, k2))


_SUMS = 16
ROUND_OPERATIONS = 2 * _SUMS
"""Of a thread, in a round of multiply_adds."""


@functools.cache
def multiply_adds(dtype: str) -> Any:
    """A kernel (out, start, rounds) of nothing but multiply-adds on registers, v·0.75 + 0.25, which nears 1."""
    numbers = range(_SUMS)
    source = f"""
    def kernel(out, start, rounds):
{indented(8, (f"s{i} = start * number({i} + 1) + number(cuda.threadIdx.x)" for i in numbers))}
        for _ in range(rounds):
{indented(12, (f"s{i} = s{i} * number(0.75) + number(0.25)" for i in numbers))}
        out[cuda.grid(1)] = {" + ".join(f"s{i}" for i in numbers)}
    """
    return _compiled(source, dtype)


def _compiled(source: str, dtype: str) -> Any:
    space = {
        "cuda": cuda,
        "number": getattr(np, dtype),
        "part_of_number": np.dtype(dtype).type(0).real.dtype.type,
        "short": np.int32,
        "long": np.int64,
        "unsigned": _simulated_unsigned if simulated() else np.uint32,
        "index": np.uint64,
    }
    exec(compile(textwrap.dedent(source), f"<convbench {dtype}>", "exec"), space)
    return cuda.jit(space["kernel"])


def _simulated_unsigned(value: Any) -> Any:
    """As a device converts to 32 bits without a sign; NumPy refuses what does not fit."""
    return np.uint32(int(value) % (1 << 32))
