"""DUCC: one FFT of the whole image with ducc0.fft.

Requires ducc0. Real transforms for real data, at the shortest length that transforms quickly, and along no axis on
which the kernel has length 1; the kernel's transform and the 1/N of the inverse are done in the plan, which keeps the
arrays that it works in.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from convbench.backends._fft import circular_sizes, good_size
from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.stages import CROP, FORWARD_FFT, INVERSE_FFT, KERNEL_TRANSFORM, MULTIPLY, PAD


class Ducc0Fft(Backend):
    name = "ducc0-fft"
    family = "fft"
    library = "ducc0"
    module = "ducc0"
    extra = "peers"
    rounding = "fft"
    convention = Convention(flips=True, offset="0", boundary="wrap")
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _FftPlan(problem, kernel)


class _FftPlan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        import ducc0.fft as fft

        super().__init__(problem)
        self.axes = [axis for axis, k in enumerate(problem.kernel_shape) if k > 1]
        least = zip(circular_sizes(problem), problem.kernel_shape, strict=True)
        sizes = [good_size(n) if k > 1 else n for n, k in least]
        how: dict[str, Any] = {"axes": self.axes, "nthreads": problem.threads}
        self.forward, self.inverse = partial(fft.r2c, **how), partial(fft.c2c, forward=False, **how)
        if problem.is_complex:
            self.forward = partial(fft.c2c, **how)
        elif self.axes:
            how |= {"lastsize": sizes[self.axes[-1]], "allow_overwriting_input": True}
            self.inverse = partial(fft.c2r, forward=False, **how)
        self.kernel = kernel
        self.inside = tuple(map(slice, problem.image_shape))
        if self.axes:
            self.padded, self.found = (np.zeros(sizes, problem.dtype) for _ in range(2))
            self.spectrum = self.forward(self.padded)
            zeros = [(0, size - k if k > 1 else 0) for size, k in zip(sizes, kernel.shape, strict=True)]
            with KERNEL_TRANSFORM:
                self.kernel = self.forward(np.pad(kernel, zeros), inorm=2)  # 2: divide by the number of samples

    def execute(self, data: Array) -> Array:
        if not self.axes:
            return data * self.kernel
        with PAD:
            self.padded[self.inside] = data
        with FORWARD_FFT:
            self.forward(self.padded, out=self.spectrum)
        with MULTIPLY:
            self.spectrum *= self.kernel
        with INVERSE_FFT:
            self.inverse(self.spectrum, out=self.found)
        with CROP:
            return self.found[self.problem.output_slices].copy()
