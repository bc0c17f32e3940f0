"""The machine's measured peaks, arithmetic, caches, memory and FFT; and the file that keeps them with its results.

The file lies beside asv's results and ends in .jsonl, though it is one object, because asv reads every .json there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from convbench import machine
from convbench.cuda.cards import cards_in
from convbench.errors import ArgumentError, StorageError
from convbench.evidence import now
from convbench.files import atomic_write

FILE = "ceilings.jsonl"
Ceilings = dict[str, float]
Place = int | str
"""Where ceilings hold: on so many threads of the processor, or on a device, e.g. "cuda:0"."""

# Where the system does not tell: as in `machine.caches`, and small enough to be true nearly everywhere.
_USUAL_CACHES = {2: (512 << 10, 1), 3: (8 << 20, 1 << 20)}
# Real transforms: a batch of rows, and an image; both lie in a second- or third-level cache.
_TRANSFORMS = (((32, 1024), (1,)), ((512, 512), (0, 1)))


def ceilings(threads: int = 1, seconds: float = 0.15) -> Ceilings:
    """The machine's measured peaks with that many threads at once, together; takes some 5 s, later calls less.

    fma_float32, fma_float64: GFLOP/s, two for each fused multiply-add; the better of matrix multiplication through
    numpy and a loop of FMAs on registers (numba, left out where it is not installed).
    copy_l2, copy_l3, copy: GB/s (10^9), bytes read plus bytes written, on arrays that fill half of the cache, and on
    arrays beyond all caches; l2_bytes, l3_bytes: what the caches of so many cores hold. Left out where there is none.
    fft_float32, fft_float64: GFLOP/s, 2.5 N log2 N for a real transform of N samples; FFTW through pyfftw at good
    sizes, left out where it is not installed.
    seconds: spent on each measurement. Raises ArgumentError unless threads is a positive int.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ArgumentError(f"threads must be a positive int, got {threads!r}; this process may use {machine.cores()}")
    dtypes = ("float32", "float64")
    found = {f"fma_{d}": max(_gemm_rate(d, threads, seconds), _fma_rate(d, threads, seconds)) for d in dtypes}
    found |= _copy_rates(threads, seconds)
    return found | {f"fft_{d}": rate for d in dtypes if (rate := _fft_rate(d, threads, seconds))}


def unit(name: str) -> str:
    """The unit of a ceiling."""
    return "bytes" if name.endswith("bytes") else "GB/s" if name.startswith("copy") else "GFLOP/s"


# -- measuring ---------------------------------------------------------------------------------------------------


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


def _fma_rate(dtype: str, threads: int, seconds: float, rounds: int = 50_000) -> float:
    try:
        from convbench.loops import multiply_adds, operations
    except ModuleNotFoundError:  # no numba
        return 0.0
    start = np.dtype(dtype).type(1)
    best = _best_together(lambda _: multiply_adds(rounds, start), threads, seconds)
    return operations(dtype) * rounds * threads / best / 1e9


def _copy_rates(threads: int, seconds: float) -> Ceilings:
    import psutil

    found: Ceilings = {}
    inner = beyond = 0
    for level, (size, sharing) in sorted((machine.caches() or _USUAL_CACHES).items()):
        together = min(threads, sharing)
        if level > 3 or size // together // 2 <= inner:  # what fits in the cache before says nothing of this one
            continue
        inner, beyond = size // together, size * -(-threads // sharing)
        found[f"l{level}_bytes"] = float(beyond)
        found[f"copy_l{level}"] = _copy_rate(size // together // 4, threads, seconds)
    least = min(max(2**27, 2 * beyond), psutil.virtual_memory().available // 8)
    return {**found, "copy": _copy_rate(least // threads, threads, seconds)}


def _copy_rate(size: int, threads: int, seconds: float) -> float:
    """Each thread copies so many bytes, over and over."""
    try:
        from convbench.loops import copies
    except ModuleNotFoundError:  # no numba: the interpreter repeats them, which costs a tenth of the rate in L2
        copies = _copies
    arrays = [(np.empty(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]
    times = max(1, 2**29 // size)
    best = _best_together(lambda t: copies(*arrays[t], times), threads, seconds)
    return 2 * size * times * threads / best / 1e9


def _copies(target: Any, source: Any, times: int) -> None:
    for _ in range(times):
        np.copyto(target, source)


def _fft_rate(dtype: str, threads: int, seconds: float) -> float:
    try:
        import pyfftw
    except ModuleNotFoundError:
        return 0.0

    rates = []
    for shape, axes in _TRANSFORMS:
        half = (*shape[:-1], shape[-1] // 2 + 1)
        plans = [
            pyfftw.FFTW(
                pyfftw.zeros_aligned(shape, dtype),
                pyfftw.zeros_aligned(half, np.result_type(dtype, np.complex64)),
                axes,
                flags=("FFTW_MEASURE",),
            )
            for _ in range(threads)
        ]
        work = 2.5 * math.prod(shape) * math.log2(math.prod(shape[axis] for axis in axes))
        times = math.ceil(1e8 / work)

        def transform(t: int, plans: list[Any] = plans, times: int = times) -> None:
            for _ in range(times):
                plans[t].execute()

        rates.append(work * times * threads / _best_together(transform, threads, seconds) / 1e9)
    return max(rates)


# -- the file ----------------------------------------------------------------------------------------------------


def read_ceilings(path: Path, machine_name: str) -> dict[Place, Ceilings]:
    """The ceilings that a file keeps, by number of threads or device; {} where there is no file.

    Raises ValueError with what is wrong where it does not hold ceilings of this machine, OSError where it cannot be
    read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        owner = content["machine"]
        peaks = {place: {str(k): float(v) for k, v in c.items()} for place, c in content["ceilings"].items()}
        found: dict[Place, Ceilings] = {p if p.startswith("cuda:") else int(p): c for p, c in peaks.items()}
        if not all(math.isfinite(v) and v > 0 for c in found.values() for v in c.values()):
            raise ValueError("not all of them are positive numbers")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"holds no ceilings ({type(error).__name__}: {str(error)[:80]})") from error
    if owner != machine_name:
        raise ValueError(f"holds the ceilings of another machine, {str(owner)[:40]!r}")
    return found


def read_cards(path: Path) -> dict[str, str]:
    """The card that each device's ceilings are of; {} where none is told, or the file cannot be read."""
    try:
        return cards_in(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def store_ceilings(
    folder: Path, machine_name: str, measured: Mapping[Place, Ceilings], cards: Mapping[str, str] | None = None
) -> str:
    """Keep what was measured in the machine's folder of results, beside what is there for other threads and devices.

    cards: of the devices among them, by device.
    A file that cannot be read, or is of another machine, is put aside: returns what became of it, mostly ''.
    Raises StorageError where the file cannot be written.
    """
    path, told = folder / FILE, ""
    known: dict[Place, Ceilings] = {}
    try:
        known = read_ceilings(path, machine_name)
    except ValueError as error:
        aside = path.with_name(f"{FILE}.aside")
        try:
            path.replace(aside)
        except OSError as fault:
            raise StorageError(f"{path} {error}, and cannot be put aside: {fault.strerror}; remove it") from error
        told = f"{path.name} {error}; it was put aside as {aside.name}"
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}; make it readable or remove it") from error
    rounded = {n: {k: round(v, 2) for k, v in c.items()} for n, c in measured.items()}
    content = {
        "machine": machine_name,
        "measured_at": now(),
        "versions": machine.versions(),
        "cards": {**read_cards(path), **(cards or {})},
        "ceilings": {str(n): c for n, c in sorted({**known, **rounded}.items(), key=lambda item: _order(item[0]))},
    }
    atomic_write(path, json.dumps(content) + "\n")
    return told


def _order(place: Place) -> tuple[bool, int, str]:
    """Threads by number, then devices."""
    return (False, place, "") if isinstance(place, int) else (True, 0, place)
