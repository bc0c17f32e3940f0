"""Which tile is quickest for overlap-save.

The cost is counted in floating-point operations of a real transform by rows. Over 66 problems of 64x64 to 256x256, k
= 3 to 101, float32 and float64, the choice took at most 5 % longer than one transform of all. Before tiles were
weighed by the memory they live in, it was compared with 26 other tiles of larger images: 3 % slower than the best in
the mean.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

from convbench.backends._fft import circular_sizes, good_size, slowness
from convbench.problem import Problem, Shape

_CALLS = 2e5  # what a tile costs in calls, about 7 us
_ROW = 1e3  # what a row costs besides
_ONE_PASS = 0.7  # what a column of these lengths costs, as FFTW does it without going through memory twice
_ONE_PASS_LENGTHS = (8, 16, 32, 64, 128)
CACHED = 1 << 17  # samples of a tile, where one of its sizes is free
# How much slower a tile of up to so many bytes is: in L2, in L3, in memory.
_BEYOND = ((3 << 20, 1.0), (16 << 20, 1.3), (math.inf, 2.0))
_SCRATCH = 48 << 20  # bytes, all threads together


@functools.lru_cache(maxsize=1024)
def best_tile(problem: Problem, rows: int) -> Shape | None:
    """Tile for a thread's share of *rows* output rows (1-D: samples); None where one transform of all is quicker."""
    if math.prod(problem.kernel_shape) == 1:
        return None  # nothing to transform
    whole = circular_sizes(problem)
    share = (rows, *problem.output_shape[1:])
    itemsize = np.dtype(problem.dtype).itemsize
    most = _SCRATCH // (3 * itemsize * problem.threads)
    tiles = [tile for tile in _tiles(problem, share, whole) if math.prod(tile) <= most]
    best = min(tiles, key=lambda tile: _cost(problem, tile, share, whole), default=None)
    if best is None or all(t >= n for t, n in zip(best, whole, strict=True)):
        return None
    at_once = tuple(good_size(n) if k > 1 else n for n, k in zip(whole, problem.kernel_shape, strict=True))
    all_at_once = _cost(problem, at_once, problem.output_shape, whole)
    return best if problem.threads * _cost(problem, best, share, whole) < all_at_once else None


def _tiles(problem: Problem, share: Shape, whole: Shape) -> Iterator[Shape]:
    """Tiles that divide the share evenly, and lengths 2^i and 3 * 2^i; never longer than needed."""
    lengths = []
    for size, k, needed in zip(share, problem.kernel_shape, whole, strict=True):
        even = {good_size(-(-size // parts) + k - 1) for parts in range(1, 17)}
        round_ones = {odd << i for i in range(3, 16) for odd in (1, 3)}
        most = good_size(needed)
        lengths.append(sorted({most} | {t for t in even | round_ones if k + 7 <= t < most}))
    if problem.ndim == 1:
        yield from ((length,) for length in lengths[0])
    elif problem.kernel_shape[0] == 1:
        yield from ((max(1, min(share[0], CACHED // width)), width) for width in lengths[1])
    elif problem.kernel_shape[1] == 1:
        yield from ((height, max(2, min(whole[1] + 1, CACHED // height) & ~1)) for height in lengths[0])
    else:
        yield from ((height, width) for height in lengths[0] for width in lengths[1])


def _cost(problem: Problem, tile: Shape, share: Shape, whole: Shape) -> float:
    (width, taps, size), needed = (tile[-1], problem.kernel_shape[-1], share[-1]), whole[-1]
    across = 1 if width >= needed else math.ceil(size / (width - taps + 1))
    row = 2.5 * width * math.log2(width) * slowness(width) + _ROW if taps > 1 else _ROW
    if problem.ndim == 1:
        return across * (2 * row + _CALLS * width / CACHED)
    height, shared = tile[0], problem.kernel_shape[0] - 1
    columns = 5 * width * height * math.log2(height) * slowness(height) if shared else 0.0
    columns *= _ONE_PASS if height in _ONE_PASS_LENGTHS else 1
    slower = next(f for most, f in _BEYOND if math.prod(tile) * np.dtype(problem.dtype).itemsize <= most)
    if height >= whole[0]:
        return slower * across * (2 * height * row + columns + _CALLS)
    step = height - shared
    return slower * across * (math.ceil(share[0] / step) * (2 * step * row + columns + _CALLS) + shared * row)
