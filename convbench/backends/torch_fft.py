"""torch.fft: whole image, real transforms for real data, the kernel's transform in the plan.

Requires torch (MKL or pocketfft on the host, cuFFT on CUDA devices).
"""

from __future__ import annotations

from typing import Any

from convbench.backends._fft import circular_sizes, good_size
from convbench.backends._torch import TorchBackend, TorchPlan
from convbench.backends.base import Plan
from convbench.problem import Array, Problem


class TorchFft(TorchBackend):
    name = "torch-fft"
    family = "fft"
    rounding = "fft"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


class _Plan(TorchPlan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        fft = self.torch.fft
        self.forward, self.inverse = (fft.fftn, fft.ifftn) if problem.is_complex else (fft.rfftn, fft.irfftn)
        # An axis along which the kernel is a single sample needs no transform.
        axes = [a for a, k in enumerate(problem.kernel_shape) if k > 1] or [problem.ndim - 1]
        sizes = circular_sizes(problem)
        self.where = {"s": [good_size(sizes[a]) for a in axes], "dim": axes}
        self.transform = self.forward(self.tensor(kernel), **self.where)
        self.crop = problem.output_slices

    def compute(self, data: Any) -> Any:
        product = self.forward(data, **self.where).mul_(self.transform)
        return self.inverse(product, **self.where)[self.crop].contiguous()
