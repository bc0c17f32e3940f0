"""The compiled loops of numba-direct and numba-separable; imported by their make_plan only, as it imports numba.

Everything rests on `tile`: the correlation sums of a few rows by a few vectors of outputs, held in registers while all
taps go by. Every vector of input that is loaded serves all rows of the tile, so that loads do not hold up the
multiply-adds. Tiles read the image in place; along its borders smaller ones do, that take zeros for what lies outside.
Complex data are rows of (re, im) pairs: a real kernel just steps by 2, a complex one sums A = Σ re(w) x
and B = Σ im(w) x side by side, and A + iB at the end.

Images are 2-D, real and C-contiguous here; `spec` is k1, k2, and the zeros above and to the left; `area` is the part
of the output to make: top, bottom, left, right.
"""

# The compiled functions have no annotations, since numba itself finds their types when they are called.
# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit

from convbench.backends._numba_cache import cached, inlined
from convbench.backends._numba_tile import CHUNK, VECTOR, WIDE1, WIDE4, clear, copy, cycles, reach, tile
from convbench.problem import Array
from convbench.stages import TILES

Area = tuple[int, int, int, int]

_UNIT = 128
"""Columns that every tile's width divides."""
_SPAN = 384 << 10
"""Bytes of input under a row of tiles: the next row finds most of them in the second-level cache of 1 MiB."""


def _wide(tall: int) -> tuple[int, int]:
    """Vectors across in a tile of so many rows: in the interior, and at the borders."""
    return (WIDE4, max(2, WIDE4 // 2)) if tall > 2 else (WIDE1, WIDE1)


@functools.cache
def _tiles(tall: int, depth: int, like_k2: int, step: int, clocked: int = 0) -> Any:
    """Compiled loops over tiles of so many rows, for this many kernel rows (0: any) and columns.

    clocked: they add the processor's ticks of the interior and of the border to `ticks`, otherwise ().
    """
    looped, rest = int(like_k2 >= CHUNK), like_k2 % CHUNK
    full, small = ((tall, width, depth, looped, rest, step) for width in _wide(tall))

    def tiles(w, k1, k2, x, x_row, x_top, x_left, x_rows, x_columns, rows, columns, out, top, left, add, ticks):
        """out[top:, left:] (+)= correlation of x with w: rows by columns of it.

        x: the address of the sample at x_top, x_left of an image of x_rows by x_columns, or where it would be.
        """
        size = w.itemsize
        lanes = VECTOR // size
        out_row = out.shape[1]
        planes = w.ndim if tall > 1 else 1
        wide, narrow = full[1] // planes * lanes, small[1] // planes * lanes
        start, zero = np.intp(out.ctypes.data) + (top * out_row + left) * size, np.intp(0)
        # Outputs from begin to end, in whole tiles, read nothing beyond the image's row.
        begin = (max(-x_left, 0) + narrow - 1) // narrow * narrow
        end = min(x_columns - x_left - reach(tall, k2, step, size), columns)
        for i in range(0, rows, tall):
            source, target, j = x + i * x_row * size, start + i * out_row * size, zero
            inside = x_top + i >= 0 and x_top + i + tall - 1 + k1 <= x_rows and i + tall <= rows
            stop = min(begin, columns) if inside else columns
            for _ in range(2):
                if clocked:
                    begun = cycles()
                while j < stop:
                    bounds = (
                        -x_top - i,
                        x_rows - x_top - i,
                        -x_left - j,
                        x_columns - x_left - j,
                        rows - i,
                        columns - j,
                    )
                    tile(small, w, source, x_row, k1, k2, target, out_row, add, bounds)
                    source, target, j = source + narrow * size, target + narrow * size, j + narrow
                if clocked:
                    between = cycles()
                if inside:
                    while j + wide <= end:
                        tile(full, w, source, x_row, k1, k2, target, out_row, add, ())
                        source, target, j = source + wide * size, target + wide * size, j + wide
                stop = columns
                if clocked:
                    ticks[0] += cycles() - between
                    ticks[1] += between - begun

    return inlined(tiles, "tiles", tall, depth, like_k2, step, clocked)


def _tall(k1: int, k2: int, rows: int, itemsize: int) -> int:
    """Rows of a tile: the more share a vector of input the better, but where kernel rows are few, few can.

    Measured best of 1 to 8: 4 for looped chunks, 3 where all columns are written out and share the registers, 1 for
    chunks of a single kernel row.
    """
    if rows == 1 or (k1 == 1 and k2 >= CHUNK // 2):
        return 1
    return min(k1 + 1, 4 if k2 >= CHUNK or itemsize == 8 else 3)


def _like(k2: int) -> int:
    """The least number of columns that is compiled as k2 is."""
    return k2 if k2 < CHUNK else CHUNK + k2 % CHUNK


def direct(k1: int, k2: int, rows: int, step: int, itemsize: int, clocked: bool = False) -> Callable[..., None]:
    """The compiled direct sum for so many output rows of so large numbers: f(image, weights, spec, out, *area).

    clocked: f(image, weights, spec, out, ticks, *area); to ticks, int64 (3,), the processor's ticks of the interior, of
    the border and of all are added.
    """
    return _direct(_tall(k1, k2, rows, itemsize), k1 if k1 <= 3 else 0, _like(k2), step, clocked)


@functools.cache
def _direct(tall: int, depth: int, like_k2: int, step: int, clocked: bool) -> Callable[..., None]:
    tiles = _tiles(tall, depth, like_k2, step, int(clocked))

    def loops(image, w, spec, out, first, last, start, stop):
        over(image, w, spec, out, (), first, last, start, stop)

    def clocked_loops(image, w, spec, out, ticks, first, last, start, stop):
        began = cycles()
        over(image, w, spec, out, ticks, first, last, start, stop)
        ticks[2] += cycles() - began

    def over(image, w, spec, out, ticks, first, last, start, stop):
        k1, k2, above, before = spec[0], spec[1], spec[2], spec[3]
        size, x_row = image.itemsize, image.shape[1]
        width = max(1, _SPAN // size // (k1 + tall - 1) // _UNIT) * _UNIT
        for j in range(start, stop, width):
            top, left = first - above, j - before
            x = np.intp(image.ctypes.data) + (top * x_row + left) * size
            columns = min(width, stop - j)
            tiles(w, k1, k2, x, x_row, top, left, image.shape[0], x_row, last - first, columns, out, first, j, 0, ticks)

    over = inlined(over, "over", tall, depth, like_k2, step, int(clocked))
    if clocked:
        return cached(clocked_loops, "direct_clocked", tall, depth, like_k2, step)
    return cached(loops, "direct", tall, depth, like_k2, step)


_BETWEEN = 640 << 10
"""Bytes of row sums that are kept until the columns are summed: most of the second-level cache (1 MiB)."""


@njit(nogil=True)
def _pitch(columns, size):
    """Samples from row to row of a buffer: an odd number of cache lines, and a tile's reach more than the columns.

    Rows a multiple of 4096 bytes apart would compete for the same few places in the first-level cache.
    """
    line = 64 // size
    return ((columns + reach(4, 1, 1, size) + _UNIT - 1) // line + 1 | 1) * line


def separable(k1: int, k2: int, step: int) -> Callable[..., None]:
    """The compiled passes: f(image, column, row, spec, out, add, ticks, *area); add: 0 overwrites out.

    ticks: int64 (3,), to which the processor's ticks of the row pass, of the column pass and of all are added.
    """
    return _separable(4 if k1 > 2 else 2, _like(k2), step)


@functools.cache
def _separable(tall: int, like_k2: int, step: int) -> Callable[..., None]:
    across, down = _tiles(1, 1, like_k2, step), _tiles(tall, 0, 1, step)

    def loops(image, column, row, spec, out, add, ticks, first, last, start, stop):
        began = cycles()
        k1, k2, above, before = spec[0], spec[1], spec[2], spec[3]
        size, x_row = image.itemsize, image.shape[1]
        height = max(1, min(last - first, max(64, (k1 + 3) // 4 * 4)))
        width = max(1, min(stop - start, _BETWEEN // size // (height + k1 - 1) // _UNIT * _UNIT))
        pitch = _pitch(width, size)
        between = np.empty((height + k1 - 1, pitch), image.dtype)
        data = np.intp(between.ctypes.data)
        for left in range(start, stop, width):
            columns = min(width, stop - left)
            for top in range(first, last, height):
                rows = min(height, last - top)
                have = k1 - 1 if top > first else 0
                for i in range(have):
                    copy(data + i * pitch * size, data + (height + i) * pitch * size, pitch * size)
                # Row sums of the rows that the image has, zeros for the others.
                wanted, at = rows + k1 - 1 - have, top - above + have
                begin = min(max(0, -at), wanted)
                end = max(min(wanted, image.shape[0] - at), begin)
                clear(data + have * pitch * size, begin * pitch * size)
                clear(data + (have + end) * pitch * size, (wanted - end) * pitch * size)
                x = np.intp(image.ctypes.data) + ((at + begin) * x_row + left - before) * size
                before_rows = cycles()
                across(row, 1, k2, x, x_row, at + begin, left - before, image.shape[0], x_row, end - begin, columns,
                       between, have + begin, 0, 0, ())  # fmt: skip
                between_passes = cycles()
                for j in range(0, columns, _UNIT):
                    part = min(_UNIT, columns - j)
                    down(column, k1, 1, data + j * size, pitch, 0, 0, height + k1 - 1, pitch - j, rows, part,
                         out, top, left + j, add, ())  # fmt: skip
                ticks[0] += between_passes - before_rows
                ticks[1] += cycles() - between_passes
        ticks[2] += cycles() - began

    return cached(loops, "separable", tall, like_k2, step)


def weights(taps: Array) -> Array:
    """The kernel as `tile` reads it: flipped, row by row; complex as (re, im) pairs."""
    flipped = np.ascontiguousarray(taps[..., ::-1] if taps.ndim == 1 else taps[::-1, ::-1]).ravel()
    return flipped.view(flipped.real.dtype).reshape(-1, 2) if np.iscomplexobj(flipped) else flipped


def real_rows(image: Array) -> Array:
    """A 2-D real view (complex as pairs along the row), marked read-only so that all images have one numba type."""
    rows = np.ascontiguousarray(np.atleast_2d(image)).view(image.real.dtype)
    rows.flags.writeable = False
    return rows


def areas(rows: int, columns: int, threads: int) -> list[Area]:
    """An output cut into areas, several for every thread, so that one that is held up does less; one for one thread."""
    if threads == 1:
        return [(0, rows, 0, columns)]
    if rows == 1:
        return [(0, 1, start, stop) for start, stop in _cuts(columns, 2 * threads, 4096)]
    return [(start, stop, 0, columns) for start, stop in _cuts(rows, 4 * threads, 16)]


def _cuts(length: int, most: int, unit: int) -> list[tuple[int, int]]:
    """Up to `most` parts of whole units, the last one shorter."""
    part = -(-length // (most * unit)) * unit
    return [(start, min(start + part, length)) for start in range(0, length, part)]


def useful_threads(threads: int, products: int) -> int:
    """One where the sums take less than about 40 us: handing work to a second thread takes 25 us."""
    return threads if products >= 4_000_000 else 1


def run(loops: Callable[..., None], arguments: Sequence[Any], areas: list[Area], threads: int) -> None:
    """loops(*arguments, *area) for all areas, in as many threads; the loops hold no GIL."""
    if len(areas) == 1:
        loops(*arguments, *areas[0])
        return
    left = iter(areas)

    def work() -> None:
        for area in left:  # whoever is free takes the next
            with TILES:
                loops(*arguments, *area)

    others = [_pool(threads).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads - 1, thread_name_prefix="convbench-numba")
    return _pools[threads]
