"""numba: row and column passes over register tiles, 2-D, for kernels that are a sum of few outer products.

Requires numba, no compiler. Each pass sums rows into a few hundred rows that stay in the cache, and those down the
columns into the output; further passes (rank > 1) add to it. Compiled and threaded as numba-direct is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.backends.numba_direct import DirectPlan, NumbaPlan, real_if_real
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import Pass, worthwhile_passes
from convbench.stages import COLUMN_PASS, COMPILE, PACK, ROW_PASS

if TYPE_CHECKING:
    from convbench.backends._numba_kernels import Area


class NumbaSeparable(Backend):
    name = "numba-separable"
    family = "separable"
    library = "numba"
    module = "numba"
    rounding = "separable"
    convention = Convention(flips=True)
    ndims = (2,)
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        kernel = real_if_real(kernel)
        if 1 in kernel.shape:
            return DirectPlan(problem, kernel)  # the one pass there is
        return _Plan(problem, worthwhile_passes(kernel))


class _Plan(NumbaPlan):
    stages = (ROW_PASS, COLUMN_PASS)

    def __init__(self, problem: Problem, passes: list[Pass]) -> None:
        super().__init__(problem, len(passes) * sum(problem.kernel_shape))
        with PACK:
            self.passes = [tuple(map(self.kernels.weights, one)) for one in passes]
        with COMPILE:
            self.loops = self.kernels.separable(*problem.kernel_shape, self.step)
            nothing = self.load(np.zeros((1, 1), problem.dtype))
            self.loops(nothing, *self.passes[0], self.spec, self.output()[1][:0], 0, np.zeros(3, np.int64), 0, 0, 0, 0)

    def execute(self, data: Array) -> Array:
        out, rows = self.output()
        self._run(data, rows, self.areas, np.zeros(3, np.int64))
        return out

    def once_clocked(self, data: Array, rows: Array, area: Area, ticks: Array) -> None:
        self._run(data, rows, [area], ticks)

    def _run(self, data: Array, rows: Array, areas: list[Area], ticks: Array) -> None:
        for number, (column, row) in enumerate(self.passes):
            arguments = (data, column, row, self.spec, rows, int(number > 0), ticks)
            self.kernels.run(self.loops, arguments, areas, self.threads)
