"""torch: conv1d and conv2d, and two conv2d passes for separable kernels.

Requires torch. The operations are cross-correlations without a flip: the kernel is flipped in the plan. Their own
padding is symmetric; an even kernel in mode same needs one zero less behind, which an explicit pad supplies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbench.backends._torch import TorchBackend, TorchPlan
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import worthwhile_passes

Padding = tuple[tuple[int, int], ...]


class TorchConv(TorchBackend):
    name = "torch"
    family = "framework"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _ConvPlan(problem, kernel)


class TorchSeparable(TorchConv):
    name = "torch-separable"
    family = "separable"
    rounding = "separable"
    ndims = (2,)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _SeparablePlan(problem, kernel)


class _ConvPlan(TorchPlan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.correlate = self.torch.nn.functional.conv1d if problem.ndim == 1 else self.torch.nn.functional.conv2d
        self.weight = self.weights(kernel)
        self.padding = problem.padding

    def weights(self, kernel: Array) -> Any:
        """The flipped kernel as (1, 1, *kernel.shape)."""
        return self.tensor(np.flip(kernel).astype(self.problem.dtype))[None, None]

    def correlated(self, data: Any, weight: Any, padding: Padding) -> Any:
        if all(before == after for before, after in padding):
            return self.correlate(data, weight, padding=tuple(before for before, _ in padding))
        ends = [end for pair in reversed(padding) for end in pair]
        return self.correlate(self.torch.nn.functional.pad(data, ends), weight)

    def compute(self, data: Any) -> Any:
        return self.correlated(data[None, None], self.weight, self.padding)[0, 0]


class _SeparablePlan(_ConvPlan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem, kernel)
        self.passes = [
            (self.weights(column[:, None]), self.weights(row[None, :])) for column, row in worthwhile_passes(kernel)
        ]

    def compute(self, data: Any) -> Any:
        rows, columns = self.padding
        data = data[None, None]
        return sum(
            self.correlated(self.correlated(data, row, ((0, 0), columns)), column, (rows, (0, 0)))
            for column, row in self.passes
        )[0, 0]
