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
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

from convbench.problem import Array, Shape

CHUNK = 32
"""Rows and columns of a kernel that are summed at once, at most."""
LANES = 32
"""Threads side by side: a warp."""
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
def direct(k1: int, k2: int, dtype: str, add: bool = False, threads: int = 8, outputs: int | None = None) -> Tiled:
    """Correlation with kernels of this shape. dtype: of the sums; add: to what is in the output.

    threads: rows of threads; outputs: of a thread, by default as many as registers allow.
    """
    size = np.dtype(dtype).itemsize
    outputs = outputs or (16 if size == 4 else 8 if size == 8 else 4)
    rows, columns = (-(-k // -(-k // CHUNK)) for k in (k1, k2))  # equal parts, none longer than CHUNK
    while size * ((threads * outputs + rows - 1) * (LANES + columns - 1) + rows * columns) > SHARED:
        threads //= 2
    tall, wide = threads * outputs + rows - 1, LANES + columns - 1
    numbers = range(outputs)
    source = f"""
    def kernel(image, taps, out, top, left):
        tile = cuda.shared.array(({tall}, {wide}), number)
        weights = cuda.shared.array(({columns}, {rows}), number)
        across, down = cuda.threadIdx.x, cuda.threadIdx.y
        first, at = cuda.blockIdx.y * {threads * outputs}, cuda.blockIdx.x * {LANES}
        n1, n2 = image.shape
        base = down * {outputs}
{_lines(8, (f"s{o} = number(0)" for o in numbers))}
        for part1 in range(taps.shape[0]):
            for part2 in range(taps.shape[1]):
                y0, x0 = first - top + part1 * {rows}, at - left + part2 * {columns}
                for r in range(down, {tall}, {threads}):
                    y = y0 + r
                    for c in range(across, {wide}, {LANES}):
                        x = x0 + c
                        inside = y >= 0 and y < n1 and x >= 0 and x < n2
                        tile[r, c] = {_read(dtype)} if inside else number(0)
                for t in range(down * {LANES} + across, {rows * columns}, {LANES * threads}):
                    weights[t // {rows}, t % {rows}] = taps[part1, part2, t // {rows}, t % {rows}]
                cuda.syncthreads()
                for j in range({columns}):
{_lines(20, (f"w{i} = weights[j, {i}]" for i in range(rows)))}
{_lines(20, _column(outputs, rows))}
                cuda.syncthreads()
        x, y = at + across, first + base
        if x < out.shape[1]:
{_lines(12, (line for o in numbers for line in _store(o, add)))}
    """
    return Tiled(_compiled(source, dtype), (LANES, threads), (threads * outputs, LANES), (rows, columns))


def _read(dtype: str) -> str:
    """A sample of the image in the dtype of the sums, which is another for float16 only."""
    return "image[y, x]" if dtype.startswith("complex") else "number(image[y, x])"


def _column(outputs: int, rows: int) -> Iterable[str]:
    """One column of the kernel: every sample that it meets, read once, goes into all sums that it belongs to."""
    for r in range(outputs + rows - 1):
        yield f"v = tile[base + {r}, across + j]"
        yield from (f"s{o} += v * w{r - o}" for o in range(outputs) if 0 <= r - o < rows)


def _store(o: int, add: bool) -> Iterable[str]:
    yield f"if y + {o} < out.shape[0]:"
    yield f"    out[y + {o}, x] = s{o}" + (f" + out[y + {o}, x]" if add else "")


@functools.lru_cache(maxsize=256)
def separable(k1: int, k2: int, dtype: str, threads: int = 8, outputs: int = 8, wide: int = 64) -> Tiled | None:
    """Both passes of a separable kernel, of any number of terms; None where a tile with its border does not fit.

    threads: rows of threads; outputs: of a thread at a time; wide: output columns of a
    block, a multiple of outputs.
    Rows are filtered by threads that lie below each other, columns by threads side by side: neither reads a bank of
    shared memory twice at a time, the rows having odd lengths.
    """
    size, broad, between = np.dtype(dtype).itemsize, (wide + k2 - 1) | 1, wide | 1
    fits = [t for t in (threads * outputs, threads * outputs // 2) if size * (t + k1 - 1) * (broad + between) <= SHARED]
    if not fits or max(k1, k2) > CHUNK:
        return None
    tall = fits[0]
    high = tall + k1 - 1
    numbers = range(outputs)
    source = f"""
    def kernel(image, column, row, out, top, left):
        tile = cuda.shared.array(({high}, {broad}), number)
        filtered = cuda.shared.array(({high}, {between}), number)
        lane, group = cuda.threadIdx.x, cuda.threadIdx.y
        first, at = cuda.blockIdx.y * {tall}, cuda.blockIdx.x * {wide}
        n1, n2 = image.shape
        for r in range(group, {high}, {threads}):
            y = first - top + r
            for c in range(lane, {wide + k2 - 1}, {LANES}):
                x = at - left + c
                inside = y >= 0 and y < n1 and x >= 0 and x < n2
                tile[r, c] = {_read(dtype)} if inside else number(0)
        for term in range(row.shape[0]):
            cuda.syncthreads()
            for r in range(lane, {high}, {LANES}):
                for c in range(group * {outputs}, {wide}, {threads * outputs}):
{_lines(20, (f"s{o} = number(0)" for o in numbers))}
{_lines(20, _along("tile[r, c + {}]", "row[term, {}]", outputs, k2))}
{_lines(20, (f"filtered[r, c + {o}] = s{o}" for o in numbers))}
            cuda.syncthreads()
            for c in range(lane, {wide}, {LANES}):
                x = at + c
                for r in range(group * {outputs}, {tall}, {threads * outputs}):
                    y = first + r
{_lines(20, (f"s{o} = number(0)" for o in numbers))}
{_lines(20, _along("filtered[r + {}, c]", "column[term, {}]", outputs, k1))}
                    if x < out.shape[1]:
{_lines(24, (line for o in numbers for line in _add(o)))}
    """
    return Tiled(_compiled(source, dtype), (LANES, threads), (tall, wide), (k1, k2))


def _along(sample: str, tap: str, outputs: int, k: int) -> Iterable[str]:
    """A pass: neighbouring outputs of a thread share the samples they read."""
    yield from (f"w{i} = {tap.format(i)}" for i in range(k))
    for r in range(outputs + k - 1):
        yield f"v = {sample.format(r)}"
        yield from (f"s{o} += v * w{r - o}" for o in range(outputs) if 0 <= r - o < k)


def _add(o: int) -> Iterable[str]:
    yield f"if y + {o} < out.shape[0]:"
    yield "    if term == 0:"
    yield f"        out[y + {o}, x] = s{o}"
    yield "    else:"
    yield f"        out[y + {o}, x] += s{o}"


_SUMS = 16
ROUND_OPERATIONS = 2 * _SUMS
"""Of a thread, in a round of multiply_adds."""


@functools.cache
def multiply_adds(dtype: str) -> Any:
    """A kernel (out, start, rounds) of nothing but multiply-adds on registers, v·0.75 + 0.25, which nears 1."""
    numbers = range(_SUMS)
    source = f"""
    def kernel(out, start, rounds):
{_lines(8, (f"s{i} = start * number({i} + 1) + number(cuda.threadIdx.x)" for i in numbers))}
        for _ in range(rounds):
{_lines(12, (f"s{i} = s{i} * number(0.75) + number(0.25)" for i in numbers))}
        out[cuda.grid(1)] = {" + ".join(f"s{i}" for i in numbers)}
    """
    return _compiled(source, dtype)


def _lines(indent: int, lines: Iterable[str]) -> str:
    return textwrap.indent("\n".join(lines), " " * indent)


def _compiled(source: str, dtype: str) -> Any:
    space = {"cuda": cuda, "number": getattr(np, dtype)}
    exec(compile(textwrap.dedent(source), f"<convbench {dtype}>", "exec"), space)
    return cuda.jit(space["kernel"])
