"""The machine's measured peaks: arithmetic and memory bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from convbench.errors import ArgumentError


def ceilings(threads: int = 1, seconds: float = 0.4) -> dict[str, float]:
    """The machine's measured peaks with that many threads; takes a few seconds.

    fma_float32, fma_float64: GFLOP/s, two for each fused multiply-add; the better of matrix multiplication through
    numpy and a loop of FMAs on registers (numba, left out where it is not installed). copy: GB/s (10^9), bytes read
    plus bytes written, on arrays several times the last cache. seconds: spent on each measurement.
    Raises ArgumentError unless threads is a positive int.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        from convbench.machine import cores

        raise ArgumentError(f"threads must be a positive int, got {threads!r}; this process may use {cores()}")
    found = {}
    for dtype in ("float32", "float64"):
        found[f"fma_{dtype}"] = max(_gemm_rate(dtype, threads, seconds), _fma_rate(dtype, threads, seconds))
    found["copy"] = _copy_rate(threads, seconds)
    return found


def _best(call: Callable[[], Any], seconds: float) -> float:
    """The shortest time of a call, in seconds: a peak is what the machine can do when nothing is in the way."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        stop = time.perf_counter()
        best = min(best, stop - start)
        if stop > end:
            return best


def _best_together(work: Callable[[int], Any], threads: int, seconds: float) -> float:
    """_best of calling work(0) ... work(threads - 1) at the same time; work must release the interpreter lock."""
    if threads == 1:
        return _best(lambda: work(0), seconds)
    with ThreadPoolExecutor(threads) as pool:
        return _best(lambda: list(pool.map(work, range(threads))), seconds)


def _gemm_rate(dtype: str, threads: int, seconds: float, n: int = 1024) -> float:
    import threadpoolctl

    a = np.ones((n, n), dtype)
    out = np.empty_like(a)
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        return 2 * n**3 / _best(lambda: np.dot(a, a, out=out), seconds) / 1e9


def _fma_loop(values: Any, factor: Any, term: Any, repeats: int) -> None:
    # Six in a row hide the load and the store; the processor overlaps the rows of neighbouring elements.
    for _ in range(repeats):
        for i in range(values.shape[0]):
            v = values[i]
            v = v * factor + term
            v = v * factor + term
            v = v * factor + term
            v = v * factor + term
            v = v * factor + term
            values[i] = v * factor + term


def _fma_rate(dtype: str, threads: int, seconds: float, n: int = 1024, repeats: int = 5000) -> float:
    try:
        import numba
    except ImportError:
        return 0.0
    loop = numba.njit(fastmath={"contract"}, nogil=True)(_fma_loop)
    data = [np.ones(n, dtype) for _ in range(threads)]  # a fixed point of v·0.75 + 0.25, so that no value grows
    factor, term = np.dtype(dtype).type(0.75), np.dtype(dtype).type(0.25)
    loop(data[0], factor, term, 1)
    best = _best_together(lambda t: loop(data[t], factor, term, repeats), threads, seconds)
    return 12 * n * repeats * threads / best / 1e9


def _copy_rate(threads: int, seconds: float) -> float:
    import psutil

    size = min(2**28, psutil.virtual_memory().available // 8) // threads * threads
    source = np.ones(size, np.uint8).reshape(threads, -1)
    target = np.empty_like(source)
    best = _best_together(lambda t: np.copyto(target[t], source[t]), threads, seconds)
    return float(2 * size / best / 1e9)
