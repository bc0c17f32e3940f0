"""Backends for tests: a right one in plain NumPy, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.problem import Array, Problem

Compute = Callable[[Problem, Array, Array], Array]


def direct(problem: Problem, image: Array, kernel: Array, work: str | None = None, reverse: bool = False) -> Array:
    """Direct convolution, one shifted copy of the image per kernel sample; in the problem's dtype unless *work*."""
    full = np.zeros(problem.full_shape, work or problem.dtype)
    order = list(np.ndindex(kernel.shape))
    for at in reversed(order) if reverse else order:
        window = tuple(slice(d, d + n) for d, n in zip(at, image.shape, strict=True))
        full[window] += image.astype(full.dtype) * full.dtype.type(kernel[at])
    return full[problem.output_slices].astype(problem.dtype)


def fourier(problem: Problem, image: Array, kernel: Array) -> Array:
    """Convolution through NumPy's FFT in double precision, as an FFT method in the problem's dtype would do at best."""
    axes = tuple(range(problem.ndim))
    product = np.fft.fftn(image, problem.full_shape, axes) * np.fft.fftn(kernel, problem.full_shape, axes)
    full = np.fft.ifftn(product, axes=axes)
    return (full if problem.is_complex else full.real)[problem.output_slices].astype(problem.dtype)


class Spoiled(Backend):
    """A backend that computes with a given function of (problem, image, kernel)."""

    name = "spoiled"
    family = "direct"
    library = "numpy"
    module = "numpy"
    rounding = "direct"

    def __init__(self, compute: Compute, rounding: str = "direct") -> None:
        self.compute = compute
        self.rounding = rounding  # type: ignore[misc]

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel, self.compute)


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array, compute: Compute) -> None:
        super().__init__(problem)
        self.kernel, self.compute = kernel, compute

    def execute(self, data: Array) -> Array:
        return self.compute(self.problem, data, self.kernel)
