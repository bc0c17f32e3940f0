"""numba: row and column passes over register tiles, 2-D, for kernels that are a sum of few outer products.

Requires numba, no compiler. Each pass sums rows into a few hundred rows that stay in the cache, and those down the
columns into the output; further passes (rank > 1) add to it. Compiled and threaded as numba-direct is.
"""

from __future__ import annotations

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.backends.numba_direct import DirectPlan, NumbaPlan, real_if_real
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import Pass, worthwhile_passes


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
    def __init__(self, problem: Problem, passes: list[Pass]) -> None:
        super().__init__(problem, len(passes) * sum(problem.kernel_shape))
        self.passes = [tuple(map(self.kernels.weights, one)) for one in passes]
        self.loops = self.kernels.separable(*problem.kernel_shape, self.step)
        nothing = self.load(np.zeros((1, 1), problem.dtype))
        self.loops(nothing, *self.passes[0], self.spec, self.output()[1][:0], 0, 0, 0, 0, 0)  # compiles

    def execute(self, data: Array) -> Array:
        out, rows = self.output()
        for number, (column, row) in enumerate(self.passes):
            arguments = (data, column, row, self.spec, rows, int(number > 0))
            self.kernels.run(self.loops, arguments, self.areas, self.threads)
        return out
