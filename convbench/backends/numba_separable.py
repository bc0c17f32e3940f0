"""numba: row and column passes over register tiles, 2-D, for kernels that are a sum of few outer products.

Requires numba, no compiler. Each pass sums padded rows into a few rows that stay in the cache, and those down the
columns into the output; further passes (rank > 1) add to it. Threads are Python threads, as in numba-direct.
"""

from __future__ import annotations

from convbench.backends.base import Backend, Plan
from convbench.backends.numba_direct import DirectPlan, real_if_real
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
        return _Plan(problem, kernel, worthwhile_passes(kernel))


class _Plan(DirectPlan):
    def __init__(self, problem: Problem, kernel: Array, passes: list[Pass]) -> None:
        from convbench.backends import _numba_kernels as kernels

        self.passes = [(kernels.weights(column[:, None]), kernels.weights(row)) for column, row in passes]
        super().__init__(problem, kernel)

    def _products(self, k1: int, k2: int) -> int:
        return len(self.passes) * (k1 + k2)

    def _run(self, data: Array, blocks: int) -> Array:
        out = self._output()
        _, _, _, step, pad = self.taps
        for number, (column, row) in enumerate(self.passes):
            arguments = (data, column, row, step, pad, self._rows(out), int(number > 0), self.block)
            self.kernels.run(self.kernels.separable, arguments, blocks, self.threads)
        return out
