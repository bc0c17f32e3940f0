"""scipy.ndimage: convolve, and convolve1d once per axis for separable kernels.

Requires scipy. Sums in double precision whatever the dtype, on one thread. Its `origin` moves the output to any start
within the full convolution, origin = start - k // 2, so that `valid` is a crop and `full` needs zeros at the end only.
"""

from __future__ import annotations

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import worthwhile_passes


class Ndimage(Backend):
    name = "ndimage"
    family = "direct"
    library = "scipy"
    module = "scipy"
    rounding = "direct"
    convention = Convention(flips=True, offset="k//2")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


class NdimageSeparable(Ndimage):
    name = "ndimage-separable"
    family = "separable"
    rounding = "separable"
    ndims = (2,)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _SeparablePlan(problem, kernel)


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        from scipy import ndimage

        self.ndimage, self.kernel = ndimage, kernel
        self.origin = tuple(s - k // 2 for s, k in zip(problem.output_start, problem.kernel_shape, strict=True))
        self.padding = [(0, k - 1) for k in problem.kernel_shape] if problem.mode == "full" else None
        self.crop = tuple(slice(n) for n in problem.output_shape)

    def execute(self, data: Array) -> Array:
        if self.padding:
            data = np.pad(data, self.padding)
        return self.filtered(data)[self.crop]

    def filtered(self, data: Array) -> Array:
        return self.ndimage.convolve(data, self.kernel, output=data.dtype, mode="constant", origin=self.origin)


class _SeparablePlan(_Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem, kernel)
        self.passes = worthwhile_passes(kernel)

    def filtered(self, data: Array) -> Array:
        return sum(self.one_pass(data, factors) for factors in self.passes)  # type: ignore[return-value]

    def one_pass(self, data: Array, factors: tuple[Array, Array]) -> Array:
        for axis, taps in enumerate(factors):
            if taps.size > 1 or taps[0] != 1:
                data = self.ndimage.convolve1d(
                    data, taps, axis=axis, output=data.dtype, mode="constant", origin=self.origin[axis]
                )
        return data
