"""Which tile is quickest for overlap-save, and where each tile lies.

The cost is counted in floating-point operations of a real transform along rows. It picks a tile 4 % slower than the
best of 26 in the mean (23 % at worst) over 28 problems of 512x512 to 4096x4096, k = 5 to 127, float32 and float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from convbench.backends._fft_size import circular_sizes, good_size, slowness
from convbench.problem import Problem, Shape

_TILE = 1.5e5  # the calls that a tile takes, about 6 us
_CODELETS = (8, 16, 32, 64, 128)  # column lengths that FFTW does in one pass, and what they then cost
_ONE_PASS = 0.7
_SCRATCH = 48 << 20  # bytes, all threads together
_CACHED = 1 << 16  # samples of a tile whose size along some axis does not matter


def best_tile(problem: Problem, rows: int) -> Shape | None:
    """Tile for *rows* output rows (samples in 1-D) a thread, or None where one transform of everything is quicker."""
    whole = tuple(map(good_size, circular_sizes(problem)))
    itemsize = np.dtype(problem.dtype).itemsize
    fits = [
        tile
        for tile in _candidates(problem, rows, whole)
        if 3 * itemsize * math.prod(tile) * problem.threads <= _SCRATCH and any(t < w for t, w in zip(tile, whole, strict=True))
    ]
    size = (rows, *problem.output_shape[1:])
    best = min(fits, key=lambda tile: _cost(problem, tile, whole, size), default=None)
    if best is None or problem.threads * _cost(problem, best, whole, size) > _cost(problem, whole, whole, problem.output_shape):
        return None
    return best


def _candidates(problem: Problem, rows: int, whole: Shape) -> Iterator[Shape]:
    """Tiles that divide the output evenly, and powers of two."""
    k, size = problem.kernel_shape, (rows, *problem.output_shape[1:])
    lengths = []
    for axis, (n, taps) in enumerate(zip(size, k, strict=True)):
        even = {good_size(-(-n // parts) + taps - 1) for parts in range(1, 65)} if taps > 1 else set()
        powers = {1 << i for i in range(3, 16)}
        lengths.append(sorted(t for t in even | powers if taps + 7 <= t < whole[axis]) + [whole[axis]])
    if problem.ndim == 1:
        yield from ((t,) for t in lengths[0])
    elif k[0] == 1:  # rows only: as many as fit in the cache
        yield from ((max(1, min(rows, _CACHED // t)), t) for t in lengths[1])
    elif k[1] == 1:
        yield from ((t, max(2, min(whole[1] + whole[1] % 2, _CACHED // t // 2 * 2))) for t in lengths[0])
    else:
        yield from ((a, b) for a in lengths[0] for b in lengths[1])


def _cost(problem: Problem, tile: Shape, whole: Shape, size: Shape) -> float:
    """Of size[0] output rows."""
    k = problem.kernel_shape
    steps = [t - taps + 1 for t, taps in zip(tile, k, strict=True)]
    across = 1 if tile[-1] >= whole[-1] else math.ceil(size[-1] / steps[-1])
    transform = 2.5 * tile[-1] * math.log2(tile[-1]) * slowness(tile[-1]) if k[-1] > 1 else 0
    if problem.ndim == 1:
        return across * (2 * transform + _TILE * tile[0] / _CACHED)
    down = math.ceil(size[0] / steps[0])
    columns = 5 * tile[1] * tile[0] * math.log2(tile[0]) * slowness(tile[0]) if k[0] > 1 else 0
    columns *= _ONE_PASS if tile[0] in _CODELETS else 1
    return across * (down * (2 * steps[0] * transform + columns + _TILE) + (k[0] - 1) * transform)
