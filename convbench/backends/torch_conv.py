"""torch: conv1d and conv2d of torch.nn.functional, whole (one kernel) or separable (a row, then a column).

Requires torch. The operations correlate, so the kernel is flipped in the plan; complex dtypes are torch's own and do
not conjugate. On the CPU the image goes through the operation in strips: torch copies what it works on 16-fold
(float32) or kernel-size-fold (float64), and only that of a strip stays in the cache: up to 40 times quicker than one
call. On CUDA it is one call, with TF32 off.
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
        pairs = [[row[None, :], column[:, None]] for column, row in worthwhile_passes(kernel)]
        # A kernel of one sample is a factor 1, unless the whole kernel is one sample.
        return _ConvPlan(problem, [[k for k in pair if k.size > 1] or pair[:1] for pair in pairs])


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
        self.operation, self.pad = functional.conv1d if problem.ndim == 1 else functional.conv2d, functional.pad
        self.kernel, self.in_strips = plan.tensor(np.flip(kernel)), not plan.on_cuda
        # An axis on which this kernel has length 1 and the problem's has not is left to the term's other kernel.
        self.zeros = [z if k > 1 else (0, 0) for z, k in zip(problem.padding, kernel.shape, strict=True)]
        unfolds = problem.real_dtype == np.float64  # oneDNN has float32 only
        self.bytes = kernel.nbytes if unfolds else 0

    def _step(self, rows: int, width: int) -> int:
        """Output rows (1-D: samples) of a strip; at least as many as it shares with its neighbours."""
        if not self.in_strips:
            return rows
        step = max(1, _STRIP // width, 2 * (self.kernel.shape[2] - 1))
        return min(step, max(1, _UNFOLDED // (self.bytes * width))) if self.bytes else step

    def __call__(self, data: Any) -> Any:
        k, n, (before, after) = self.kernel.shape[2], data.shape[2], self.zeros[0]
        rows = n + before + after - k + 1
        step, out = self._step(rows, data[0, 0, 0].numel()), None
        for first in range(0, rows, step):
            last = min(first + step, rows)
            start, stop = max(0, first - before), min(n, last + k - 1 - before)
            zeros = [(start - (first - before), last + k - 1 - before - stop), *self.zeros[1:]]
            found = self._strip(data[:, :, start:stop], zeros)
            if step >= rows:
                return found
            out = found.new_empty((1, 1, rows, *found.shape[3:])) if out is None else out
            out[:, :, first:last] = found
        return out

    def _strip(self, data: Any, zeros: list[tuple[int, int]]) -> Any:
        if all(before == after for before, after in zeros):
            return self.operation(data, self.kernel, padding=[before for before, _ in zeros])
        return self.operation(self.pad(data, [z for pair in reversed(zeros) for z in pair]), self.kernel)
