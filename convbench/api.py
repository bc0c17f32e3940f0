"""convolve: one call, for those who only want the result."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from convbench import cost, recommendation
from convbench.analysis.chooser_quick import Decider
from convbench.analysis.recommend import Chooser
from convbench.backends import FAMILIES, Backend, get_backend, list_backends
from convbench.errors import ArgumentError, UnsupportedError
from convbench.machine import cores
from convbench.problem import Array, Mode, Problem, as_data, dtype_name


def convolve(
    image: npt.ArrayLike,
    kernel: npt.ArrayLike,
    mode: Mode = "full",
    backend: str | Backend = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> Array:
    """The convolution of an image (or a signal) with a kernel, the kernel flipped, borders zero.

    image, kernel: the same number of axes, 1 or 2; real or complex. mode: full (n+k-1), same (n, from (k-1)//2 of
    full) or valid (n-k+1). The result has numpy's common dtype of the two: float32 with float32 stays float32,
    integers count as float64 (float32 up to 16 bits). threads: the most to use; None means all the cores this
    process may use; a backend that runs on one thread uses one.
    backend: a name (`convbench list`), or "auto": the one expected to be quickest for a single convolution, planning
    included, by the measurements kept for this user (see recommendation.py) where there are some, else by a small cost
    model of direct sum, separable passes and FFT (see cost.py); nothing is timed. Separable passes are for kernels of
    low rank. Where that backend is missing or cannot do it, the next that can.
    Raises ArgumentError for arguments that do not fit, UnsupportedError where no backend can do it.
    """
    image, kernel = as_data("image", image), as_data("kernel", kernel)
    dtype = dtype_name(np.result_type(image.dtype, kernel.dtype))
    problem = Problem(image.shape, kernel.shape, dtype, mode, device, cores() if threads is None else threads)
    image, kernel = image.astype(dtype, copy=False), kernel.astype(dtype, copy=False)
    reasons = []
    for candidate in _candidates(backend, problem, kernel):
        fitted = problem if candidate.threaded else dataclasses.replace(problem, threads=1)
        try:
            return candidate.plan(fitted, kernel)(image)
        except UnsupportedError as reason:
            reasons.append(f"{candidate.name}: {reason}")
    raise UnsupportedError(f"no backend can do this convolution: {'; '.join(reasons)}. `convbench list` shows them")


LIGHT = frozenset({"numba", "pyFFTW", "scipy", "numpy", "opencv-python-headless", "ducc0"})
"""Libraries that "auto" may use: they start no process and load in about the time that numba takes.

A framework is never loaded because it is expected to be a little quicker: ask for it by name.
"""


def choose(problem: Problem, kernel: Array, expect: Callable[[Problem], Expected] | None = None) -> str:
    """The name that backend="auto" tries first: the least expected time of a convolution that is done once.

    expect: `expected` by default; `by_cost_model` leaves measurements out of it.
    A kernel's rank is work to find out: it is, only where passes of rank 1 would pay for it.
    """
    best, best_seconds, passes, once = (expect or expected)(problem)
    if once < best_seconds:
        from convbench.separate import separable_rank, worthwhile

        rank = separable_rank(kernel)
        if worthwhile(rank, kernel.shape) and (rank == 1 or _of_rank(problem, once, rank) < best_seconds):
            return passes
    return best


class Expected(NamedTuple):
    """The best backend for any kernel, and the best for kernels of rank 1; seconds with planning, and with finding the
    rank out: infinite where such kernels cannot be told from others at little cost, or gain nothing."""

    backend: str
    seconds: float
    passes: str
    passes_seconds: float


def expected(problem: Problem, decider: Decider | None = None) -> Expected:
    """By measurements where they have such a problem, else by the cost model.

    decider: what was measured; by default what was kept for this user, see `deciding`.
    """
    decider = decider or _decider()
    separable = problem.ndim == 2 and 1 not in problem.kernel_shape
    if decider is not None:
        image, kernel = problem.image_shape, problem.kernel_shape
        layout = "image" if separable else "rows" if problem.ndim == 2 else "signal"
        if problem.ndim == 1:
            image, kernel = (1, *image), (1, *kernel)
        best, passes = decider.quickest(
            layout, problem.dtype, problem.device, problem.threads, image, kernel, problem.mode
        )
        if best.backend:
            once = passes.seconds + cost.rank_seconds(problem) if separable else math.inf
            return Expected(best.backend, best.seconds, passes.backend, once)
    return by_cost_model(problem)


def by_cost_model(problem: Problem) -> Expected:
    """Of convbench's own backends, by the ceilings."""
    direct, fft, once = _seconds(problem)
    name = "numba-direct" if direct <= fft else "pyfftw-overlap"
    return Expected(name, min(direct, fft), "numba-separable", once)


def _of_rank(problem: Problem, once: float, rank: int) -> float:
    """Seconds for passes of that rank; the cost model says by how much more than for rank 1."""
    return once * cost.separable_seconds(problem, rank) / cost.separable_seconds(problem)


def deciding(chooser: Chooser) -> Decider:
    """A table's answers among the backends that are light and installed."""
    return Decider(chooser, {b.name for b in list_backends() if b.library in LIGHT and b.available()})


@functools.cache
def _decider() -> Decider | None:
    """This user's table of this machine, read once a process."""
    chooser = recommendation.remembered()
    return deciding(chooser) if chooser else None


@functools.lru_cache(maxsize=1024)
def _seconds(problem: Problem) -> tuple[float, float, float]:
    """By the cost model: direct, FFT, and separable passes of rank 1, where such kernels can be told from others."""
    separable = problem.ndim == 2 and 1 not in problem.kernel_shape
    passes = cost.separable_seconds(problem) if separable else math.inf
    return cost.direct_seconds(problem), cost.fft_seconds(problem), passes


def _candidates(backend: str | Backend, problem: Problem, kernel: Array) -> Iterator[Backend]:
    """What was asked for; for "auto" the choice, then all others: its family, then FFTs, then in fixed order."""
    if isinstance(backend, Backend):
        yield backend
        return
    if not isinstance(backend, str):
        raise ArgumentError(
            f"backend must be a name, 'auto' or a Backend, got {backend!r}; `convbench list` shows them"
        )
    if backend != "auto":
        yield get_backend(backend)
        return
    name, known = choose(problem, kernel), list_backends()
    first = next((b for b in known if b.name == name), None)
    if first:
        yield first
    direct, fft, _ = _seconds(problem)
    families = list(FAMILIES) if direct <= fft else ["fft", *(f for f in FAMILIES if f != "fft")]
    if first:
        families.sort(key=lambda family: family != first.family)
    yield from sorted((b for b in known if b is not first), key=lambda b: families.index(b.family))
