"""What a convolution will cost, from the machine's ceilings: enough to choose a backend without timing anything.

A prediction is the arithmetic at a share of its ceiling plus the memory traffic at the copy rate plus fixed costs. The
shares and fixed costs are those of convbench's own backends, measured over the grid of tools/peers.py on Zen 5; the
ceilings are this machine's, if `convbench machine --ceilings` or a run has measured them, else a desktop core's.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path

from convbench.errors import StorageError
from convbench.files import atomic_write, cache_folder
from convbench.problem import Problem

DESKTOP = {
    "fma_float32": 100.0,
    "fma_float64": 50.0,
    "copy_l3": 40.0,
    "copy": 20.0,
    "fft_float32": 15.0,
    "fft_float64": 8.0,
}
"""One core at some 4 GHz with AVX2: GFLOP/s and GB/s."""

# Share of the ceiling: direct sums of images and of signals, separable passes, transforms by tiles.
_DIRECT, _SIGNAL, _PASSES, _FFT = 0.85, 0.5, 0.65, 0.85
# Seconds: a call of compiled loops; planning passes, with finding the kernel's rank, and for each of its samples;
# planning transforms; and how much dearer the kernel's own transform makes a convolution that is done once.
_CALL, _RANK, _RANK_SAMPLE, _PLAN, _KERNEL = 15e-6, 60e-6, 1e-8, 150e-6, 1.3
_L3 = 24 << 20  # bytes of image and output that a last-level cache is taken to hold


def ceilings_file() -> Path:
    """Where this user's copy of the machine's ceilings is."""
    from convbench.machine import machine_name

    return cache_folder() / f"ceilings-{machine_name()}.json"


def remember(ceilings: dict[str, float]) -> None:
    """Keep the ceilings of one thread for this user; a folder that cannot be written only costs better guesses."""
    with contextlib.suppress(StorageError):
        atomic_write(ceilings_file(), json.dumps({name: ceilings[name] for name in DESKTOP if name in ceilings}) + "\n")
    known_ceilings.cache_clear()


@functools.cache
def known_ceilings() -> dict[str, float]:
    """Of one thread, by name as convbench.ceilings measures them; DESKTOP's for those that are not known."""
    try:
        found = json.loads(ceilings_file().read_text())
        return DESKTOP | {name: float(found[name]) for name in DESKTOP if 0 < float(found.get(name, 0)) < math.inf}
    except (OSError, ValueError, TypeError, AttributeError, KeyError):  # missing or damaged: it only helps
        return DESKTOP


def estimates(problem: Problem, once: bool = False, ceilings: Mapping[str, float] | None = None) -> dict[str, float]:
    """Seconds of convbench's own backends by name, separable passes of rank 1; planning included where done once.

    ceilings: another machine's; what they lack is DESKTOP's.
    """
    known = None if ceilings is None else DESKTOP | dict(ceilings)
    found = {
        "numba-direct": direct_seconds(problem, known),
        "numba-separable": separable_seconds(problem, 1, known, once),
        "pyfftw-overlap": fft_seconds(problem, known, once),
    }
    if problem.ndim == 1:
        del found["numba-separable"]
    return found


def direct_seconds(problem: Problem, ceilings: Mapping[str, float] | None = None) -> float:
    """numba-direct; what it plans is a call."""
    share = _DIRECT if problem.ndim == 2 else _SIGNAL
    return _CALL + _sums(problem, problem.terms, ceilings) / share + _traffic(problem, ceilings)


def separable_seconds(
    problem: Problem, rank: int = 1, ceilings: Mapping[str, float] | None = None, once: bool = True
) -> float:
    """numba-separable; once: with finding the rank out."""
    passes = _sums(problem, sum(problem.kernel_shape), ceilings) / _PASSES + 2 * _traffic(problem, ceilings)
    return (rank_seconds(problem) if once else _CALL) + rank * passes


def rank_seconds(problem: Problem) -> float:
    """To find out a kernel's rank."""
    return _RANK + _RANK_SAMPLE * problem.terms


def fft_seconds(problem: Problem, ceilings: Mapping[str, float] | None = None, once: bool = True) -> float:
    """pyfftw-overlap; 2.5 N log2 N operations for each of two real transforms of N samples."""
    known = known_ceilings() if ceilings is None else ceilings
    samples = math.prod(n + k // 2 for n, k in zip(problem.image_shape, problem.kernel_shape, strict=True))
    work = 5.0 * samples * math.log2(samples + 1) * (2 if problem.is_complex else 1)
    rate = 1e9 * known[f"fft_{problem.real_dtype.name}"] * _FFT * problem.threads
    plan, kernel = (_PLAN, _KERNEL) if once else (_CALL, 1.0)
    return plan + kernel * work / rate + 2 * _traffic(problem, ceilings)


def _sums(problem: Problem, terms: int, ceilings: Mapping[str, float] | None) -> float:
    known = known_ceilings() if ceilings is None else ceilings
    operations = 2.0 * terms * math.prod(problem.output_shape) * (4 if problem.is_complex else 1)
    return operations / (1e9 * known[f"fma_{problem.real_dtype.name}"] * problem.threads)


def _traffic(problem: Problem, ceilings: Mapping[str, float] | None) -> float:
    known = known_ceilings() if ceilings is None else ceilings
    size = math.prod(problem.image_shape) + math.prod(problem.output_shape)
    moved = size * problem.real_dtype.itemsize * (2 if problem.is_complex else 1)
    return moved / (1e9 * known["copy_l3" if moved <= _L3 else "copy"])
