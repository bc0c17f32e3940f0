"""convolve: one call, for those who only want the result."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from convbench import cost
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
    backend: a name (`convbench list`), or "auto": direct sum, separable passes for a kernel of low rank, or FFT, as a
    small cost model expects of this machine's ceilings (see cost.py; nothing is timed); where that one is missing or
    cannot do it, the next that can.
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


def choose(problem: Problem, kernel: Array) -> str:
    """The name that backend="auto" tries first: the least predicted time of a convolution that is done once.

    A kernel's rank is work to find out: it is, only where passes of rank 1 would pay for it.
    """
    direct, fft, once = _seconds(problem)
    if once < min(direct, fft):
        from convbench.separate import separable_rank, worthwhile

        rank = separable_rank(kernel)
        if worthwhile(rank, kernel.shape) and (rank == 1 or cost.separable_seconds(problem, rank) < min(direct, fft)):
            return "numba-separable"
    return "numba-direct" if direct <= fft else "pyfftw-overlap"


@functools.lru_cache(maxsize=1024)
def _seconds(problem: Problem) -> tuple[float, float, float]:
    """Direct, FFT, and separable passes of rank 1, where such a kernel can be told from others at little cost."""
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
    direct, fft, _ = _seconds(problem)
    families = list(FAMILIES) if direct <= fft else ["fft", *(f for f in FAMILIES if f != "fft")]
    if first:
        yield first
        families.sort(key=lambda family: family != first.family)
    yield from sorted((b for b in known if b is not first), key=lambda b: families.index(b.family))
