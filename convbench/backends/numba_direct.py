"""numba: a direct sum over register tiles, 1-D and 2-D.

Requires numba, no compiler. Compiled once (about a second) for every kernel width below 16 and every remainder above,
then kept on disk. The image is read in place, along its borders through masks, and nothing is copied. Threads are
Python threads: the compiled loops hold no lock, one thread starts none, and a problem of some 50 microseconds or less
stays on one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.stages import BORDER, COMPILE, INTERIOR, PACK

if TYPE_CHECKING:
    from convbench.backends._numba_kernels import Area


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

    stages: ClassVar[tuple[str, str]]
    """What clocks within the compiled loops tell apart."""

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

    def clocked(self, data: Array) -> dict[str, Callable[[], object]]:
        from convbench.backends._numba_tile import HAS_CYCLES

        if not HAS_CYCLES:
            return {}
        return {stage: _Within(self, data, number) for number, stage in enumerate(self.stages)}

    def once_clocked(self, data: Array, rows: Array, area: Area, ticks: Array) -> None:
        """This area of an execution; to ticks, int64 (3,), those of its stages and of all are added."""
        raise NotImplementedError

    def output(self) -> tuple[Array, Array]:
        """A new output, and its real rows."""
        rows = np.empty(self.real_shape, self.real_dtype)
        out = rows.view(self.problem.dtype) if self.step == 2 else rows
        return (out[0] if self.problem.ndim == 1 else out), rows


class DirectPlan(NumbaPlan):
    """Also the plan of a separable kernel that is a single row or column."""

    stages = (INTERIOR, BORDER)

    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem, kernel.size)
        with PACK:
            self.weights = self.kernels.weights(kernel)
        k1, k2 = (1, *kernel.shape)[-2:]
        with COMPILE:
            self._compiled_for = (k1, k2, self.real_shape[0], self.step, self.real_dtype.itemsize)
            self.loops = self.kernels.direct(*self._compiled_for)
            nothing = self.load(np.zeros((1,) * problem.ndim, problem.dtype))
            self.loops(nothing, self.weights, self.spec, self.output()[1][:0], 0, 0, 0, 0)

    def execute(self, data: Array) -> Array:
        out, rows = self.output()
        self.kernels.run(self.loops, (data, self.weights, self.spec, rows), self.areas, self.threads)
        return out

    def once_clocked(self, data: Array, rows: Array, area: Area, ticks: Array) -> None:
        self._clocked_loops(data, self.weights, self.spec, rows, ticks, *area)

    @functools.cached_property
    def _clocked_loops(self) -> Callable[..., None]:
        """Another compilation, as the clocks take two per cent of a quick execution."""
        return self.kernels.direct(*self._compiled_for, clocked=True)


class _Within:
    """A stage of an execution, by the processor's ticks within its loops; areas go one by one, as threads that add to
    the same ticks would lose some."""

    def __init__(self, plan: NumbaPlan, data: Array, number: int) -> None:
        self.plan, self.data, self.number = plan, data, number

    def __call__(self) -> None:
        self.seconds(1)

    def seconds(self, number: int) -> float:
        ticks = np.zeros(3, np.int64)
        begin = time.perf_counter()
        for _ in range(number):
            self._once(ticks)
        taken = time.perf_counter() - begin
        return taken / self.plan.threads * float(ticks[self.number] / max(1, ticks[2]))

    def _once(self, ticks: Array) -> None:
        _, rows = self.plan.output()  # gone before the next, as that of an execution
        for area in self.plan.areas:
            self.plan.once_clocked(self.data, rows, area, ticks)


def real_if_real(kernel: Array) -> Array:
    """A complex kernel without an imaginary part as a real one: half the work."""
    return kernel.real if np.iscomplexobj(kernel) and not kernel.imag.any() else kernel
