"""numba: a direct sum over register tiles, 1-D and 2-D.

Requires numba, no compiler. Compiled once (about a second) for every kernel width below 16 and every remainder above,
then kept on disk. The image is read in place, along its borders through masks, and nothing is copied. Threads are
Python threads: the compiled loops hold no lock, one thread starts none, and a problem of some 50 microseconds or less
stays on one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.stages import BORDER, COMPILE, INTERIOR, PACK


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


class NumbaPlan(Plan):
    """What the plans of numba's backends share: images as real rows, the geometry, the areas that threads take."""

    def __init__(self, problem: Problem, products: int) -> None:
        """products: multiply-adds per output sample."""
        from convbench.backends import _numba_kernels as kernels

        super().__init__(problem)
        self.kernels = kernels
        self.step = 2 if problem.is_complex else 1  # a complex row is a row of (re, im) pairs
        rows, columns = (1, *problem.output_shape)[-2:]
        above, before = ((0, 0), *problem.padding)[-2:]
        k1, k2 = (1, *problem.kernel_shape)[-2:]
        self.real_shape, self.real_dtype = (rows, columns * self.step), problem.real_dtype
        self.spec = np.array([k1, k2, above[0], before[0] * self.step])
        self.threads = kernels.useful_threads(problem.threads, rows * columns * products)
        self.areas = kernels.areas(*self.real_shape, self.threads)

    def load(self, image: Array) -> Array:
        return self.kernels.real_rows(image)

    def output(self) -> tuple[Array, Array]:
        """A new output, and its real rows."""
        rows = np.empty(self.real_shape, self.real_dtype)
        out = rows.view(self.problem.dtype) if self.step == 2 else rows
        return (out[0] if self.problem.ndim == 1 else out), rows


class DirectPlan(NumbaPlan):
    """Also the plan of a separable kernel that is a single row or column."""

    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem, kernel.size)
        with PACK:
            self.weights = self.kernels.weights(kernel)
        k1, k2 = (1, *kernel.shape)[-2:]
        with COMPILE:
            self.loops = self.kernels.direct(k1, k2, self.real_shape[0], self.step, self.real_dtype.itemsize)
            nothing = self.load(np.zeros((1,) * problem.ndim, problem.dtype))
            self.loops(nothing, self.weights, self.spec, self.output()[1][:0], 0, 0, 0, 0)

    def execute(self, data: Array) -> Array:
        out, rows = self.output()
        self.kernels.run(self.loops, (data, self.weights, self.spec, rows), self.areas, self.threads)
        return out

    def apart(self, data: Array) -> dict[str, Callable[[], object]]:
        _, rows = self.output()
        arguments = (data, self.weights, self.spec, rows)
        interior, border = self.kernels.interior_and_border(
            data.shape, self.weights, self.spec, rows, self.step, self.threads
        )
        return {
            stage: partial(self.kernels.run, self.loops, arguments, areas, self.threads)
            for stage, areas in ((INTERIOR, interior), (BORDER, border))
            if areas
        }


def real_if_real(kernel: Array) -> Array:
    """A complex kernel without an imaginary part as a real one: half the work."""
    return kernel.real if np.iscomplexobj(kernel) and not kernel.imag.any() else kernel
