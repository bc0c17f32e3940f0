"""torch: one FFT of the whole image with torch.fft (MKL or pocketfft on the CPU, cuFFT on CUDA).

Requires torch. Real transforms for real data, at the shortest length that transforms quickly, and along no axis on
which the kernel has length 1; the kernel's transform and the 1/N of the inverse are done in the plan.
"""

from __future__ import annotations

from typing import Any

from convbench.backends._fft import circular_sizes, good_size
from convbench.backends._torch import TorchBackend, TorchPlan
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.stages import CROP, FORWARD_FFT, INVERSE_FFT, KERNEL_TRANSFORM, MULTIPLY


class TorchFft(TorchBackend):
    name = "torch-fft"
    family = "fft"
    rounding = "fft"
    convention = Convention(flips=True, offset="0", boundary="wrap")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _FftPlan(problem, kernel)


class _FftPlan(TorchPlan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        fft = self.torch.fft
        transformed = [axis for axis, k in enumerate(problem.kernel_shape) if k > 1]
        sizes = [good_size(circular_sizes(problem)[axis]) for axis in transformed]
        self.where = {"s": sizes, "dim": [axis + 2 for axis in transformed], "norm": "forward"}
        self.forward, self.inverse = (fft.fftn, fft.ifftn) if problem.is_complex else (fft.rfftn, fft.irfftn)
        self.kernel = self.tensor(kernel)
        if transformed:
            with KERNEL_TRANSFORM:
                self.kernel = self.forward(self.kernel, **self.where)
        self.crop = (..., *problem.output_slices)

    def convolve(self, data: Any) -> Any:
        if not self.where["s"]:
            return data * self.kernel
        with FORWARD_FFT:  # torch pads within
            spectrum = self.forward(data, **{**self.where, "norm": "backward"})
        with MULTIPLY:
            spectrum *= self.kernel
        with INVERSE_FFT:
            found = self.inverse(spectrum, **self.where)
        with CROP:
            return found[self.crop].contiguous()
