"""numba: a direct sum over register tiles, 1-D and 2-D.

Requires numba, no compiler. One compilation (about a second a precision, then cached on disk) serves every kernel
size and mode. Borders come from zeros around a block of the image that is copied into the cache, so the image as a
whole is never padded. Threads are Python threads: the compiled loops hold no lock, one thread starts none, and a
problem of some 50 microseconds or less stays on one.
"""

from __future__ import annotations

import math

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class NumbaDirect(Backend):
    name = "numba-direct"
    family = "direct"
    library = "numba"
    module = "numba"
    rounding = "direct"
    convention = Convention(flips=True)
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return DirectPlan(problem, real_if_real(kernel))


class DirectPlan(Plan):
    """Also the plan of a separable kernel that is a single row or column."""

    def __init__(self, problem: Problem, kernel: Array) -> None:
        from convbench.backends import _numba_kernels as kernels

        super().__init__(problem)
        self.kernels = kernels
        step = 2 if problem.is_complex else 1  # a complex row is a row of (re, im) pairs
        k1, k2 = np.atleast_2d(kernel).shape
        pad_rows, pad_columns = ((0, 0), *problem.padding)[-2:]
        self.taps = (kernels.weights(kernel), k1, k2, step, (pad_rows[0], pad_columns[0] * step))
        self.threads = kernels.useful_threads(problem.threads, math.prod(problem.output_shape) * self._products(k1, k2))
        self.block, self.blocks = kernels.blocking(self._rows(self._output()), k1, self.threads)
        self._run(self.load(np.zeros((1,) * problem.ndim, problem.dtype)), 0)  # compiles

    def _products(self, k1: int, k2: int) -> int:
        return k1 * k2

    def _output(self) -> Array:
        return np.empty(self.problem.output_shape, self.problem.dtype)

    def _rows(self, out: Array) -> Array:
        return np.atleast_2d(out).view(self.problem.real_dtype)

    def _run(self, data: Array, blocks: int) -> Array:
        out = self._output()
        arguments = (data, *self.taps, self._rows(out), self.block)
        self.kernels.run(self.kernels.direct, arguments, blocks, self.threads)
        return out

    def load(self, image: Array) -> Array:
        return self.kernels.real_rows(image)

    def execute(self, data: Array) -> Array:
        return self._run(data, self.blocks)


def real_if_real(kernel: Array) -> Array:
    """A complex kernel without an imaginary part as a real one: half the work."""
    return kernel.real if np.iscomplexobj(kernel) and not kernel.imag.any() else kernel
