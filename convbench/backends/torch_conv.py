"""torch: conv1d and conv2d of torch.nn.functional, whole (one kernel) or separable (a row, then a column).

Requires torch. The operations correlate, so the kernel is flipped in the plan; complex dtypes are torch's own and do
not conjugate. On the CPU the image goes through the operation in strips: torch copies what it works on 16-fold (float32)
or kernel-size-fold (float64), and only that of a strip stays in the cache: up to 30 times quicker than one call. On
CUDA it is one call, with TF32 off.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbench.backends._torch import TorchBackend, TorchPlan
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import worthwhile_passes

_STRIP = 1 << 14  # samples of a strip
_UNFOLDED = 1 << 23  # bytes that a strip may take while torch works on it


class TorchConv(TorchBackend):
    name = "torch"
    family = "framework"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _ConvPlan(problem, [[kernel]])


class TorchSeparable(TorchBackend):
    name = "torch-separable"
    family = "separable"
    rounding = "separable"
    convention = Convention(flips=False, offset="k//2")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        terms = worthwhile_passes(kernel)
        if problem.ndim == 1:
            return _ConvPlan(problem, [[row] for _, row in terms])
        return _ConvPlan(problem, [[row[None, :], column[:, None]] for column, row in terms])


class _ConvPlan(TorchPlan):
    """Terms to add up, each some kernels to apply one after another."""

    def __init__(self, problem: Problem, terms: list[list[Array]]) -> None:
        super().__init__(problem)
        self.terms = [[_Conv(self, kernel) for kernel in kernels] for kernels in terms]

    def convolve(self, data: Any) -> Any:
        found, *more = (self._apply(data, convs) for convs in self.terms)
        for term in more:
            found += term
        return found

    def _apply(self, data: Any, convs: list[_Conv]) -> Any:
        for conv in convs:
            data = conv(data)
        return data


class _Conv:
    """One kernel on an image of any size, in the problem's mode."""

    def __init__(self, plan: TorchPlan, kernel: Array) -> None:
        functional, problem = plan.torch.nn.functional, plan.problem
        self.empty, self.pad = plan.torch.empty, functional.pad
        self.operation = functional.conv1d if problem.ndim == 1 else functional.conv2d
        self.kernel, self.in_strips = plan.tensor(np.flip(kernel)), not plan.on_cuda
        # An axis on which this kernel has length 1 is left to the term's other kernel.
        self.zeros = [p if k > 1 else (0, 0) for p, k in zip(problem.padding, kernel.shape, strict=True)]
        self.sides = [z for pair in reversed(self.zeros[1:]) for z in pair]
        # What torch takes in the meantime: oneDNN (float32) spreads a sample over 16 channels, the others unfold it.
        double = problem.real_dtype.itemsize == 8
        self.widened = kernel.size * kernel.itemsize if double else 1

    def __call__(self, data: Any) -> Any:
        k, n = self.kernel.shape[2], data.shape[2]
        before, after = self.zeros[0]
        ...
