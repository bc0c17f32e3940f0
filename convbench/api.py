"""convolve: one call, for those who only want the result."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from convbench.backends import FAMILIES, Backend, get_backend, list_backends
from convbench.errors import ArgumentError, UnsupportedError
from convbench.machine import cores
from convbench.problem import Array, Mode, Problem, as_data, dtype_name

# The rule for backend="auto", in products per output sample, from one core of a desktop-class processor; `convbench
# recommend` measures instead.
DIRECT_AT_ONCE = 7 * 7  # up to here the direct sum beats even two separable passes
DIRECT_TERMS = {1: 128, 2: 15 * 15}  # axes -> up to here the direct sum beats the FFT
LARGEST_RANK_TEST = 256  # the rank of a larger kernel costs more to find out than the FFT costs to run


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
    backend: a name (`convbench list`), or "auto": the direct sum for few terms, separable passes for a kernel of low
    rank, the FFT otherwise; where that one is missing or cannot do it, the next that can.
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
    """The name that backend="auto" tries first: few terms, low rank, or neither."""
    from convbench.separate import separable_rank, worthwhile

    if problem.terms <= DIRECT_AT_ONCE:
        return "numba-direct"
    small = min(kernel.shape) <= LARGEST_RANK_TEST
    if problem.ndim == 2 and small and worthwhile(separable_rank(kernel), kernel.shape):
        return "numba-separable"
    return "numba-direct" if problem.terms <= DIRECT_TERMS[problem.ndim] else "pyfftw-overlap"


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
    few = math.prod(problem.kernel_shape) <= DIRECT_TERMS[problem.ndim]
    families = list(FAMILIES) if few else ["fft", *(f for f in FAMILIES if f != "fft")]
    if first:
        yield first
        families.sort(key=lambda family: family != first.family)
    yield from sorted((b for b in known if b is not first), key=lambda b: families.index(b.family))
