"""scipy.ndimage: the direct sum (convolve; in 1-D too, it beats convolve1d), and row and column passes (convolve1d).

Requires scipy. Both sum in double precision, whatever the dtype, and always return the image's size: `origin` moves
the output to where the mode starts, `valid` is cropped, `full` gets k-1 zeros after the image first.
"""

from __future__ import annotations

import functools
import operator

import numpy as np

from convbench.backends._memory import spread
from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import Pass, worthwhile_passes


class Ndimage(Backend):
    name = "ndimage"
    family = "direct"
    library = "scipy"
    module = "scipy"
    rounding = "direct"
    convention = Convention(flips=True, offset="k//2")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _DirectPlan(problem, kernel)


class NdimageSeparable(Backend):
    name = "ndimage-separable"
    family = "separable"
    library = "scipy"
    module = "scipy"
    rounding = "separable"
    convention = Convention(flips=True, offset="k//2")
    ndims = (2,)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _SeparablePlan(problem, kernel, worthwhile_passes(kernel))


class _DirectPlan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        from scipy import ndimage

        super().__init__(problem)
        self.kernel, self.ndimage = kernel, ndimage
        # ndimage's own start is k//2, so that its range of origins reaches from full (0) to valid (k-1)
        starts = zip(problem.output_start, problem.kernel_shape, strict=True)
        self.origin = tuple(start - k // 2 for start, k in starts)
        self.crop = tuple(map(slice, problem.output_shape))

    def _sized(self, data: Array) -> Array:
        """The image, no smaller than the output."""
        if self.problem.mode != "full":
            return data
        padded = np.zeros(self.problem.output_shape, data.dtype)
        padded[tuple(map(slice, data.shape))] = data
        return padded

    def execute(self, data: Array) -> Array:
        data = self._sized(data)
        found = self.ndimage.convolve(data, self.kernel, output=data.dtype, mode="constant", origin=self.origin)
        return found[self.crop]  # type: ignore[no-any-return]


class _SeparablePlan(_DirectPlan):
    def __init__(self, problem: Problem, kernel: Array, terms: list[Pass]) -> None:
        super().__init__(problem, kernel)
        # A pass of one sample is a factor 1, unless the whole kernel is one sample.
        pairs = [[(1, row), (0, column)] for column, row in terms]
        self.terms = [[one for one in pair if len(one[1]) > 1] or pair[:1] for pair in pairs]

    def execute(self, data: Array) -> Array:
        data = self._sized(data)
        found: Array = functools.reduce(operator.iadd, (self._passes(data, passes) for passes in self.terms))
        return found[self.crop]

    def _passes(self, data: Array, passes: list[tuple[int, Array]]) -> Array:
        for axis, taps in passes:
            output = spread(data.shape, data.dtype)
            options = {"axis": axis, "mode": "constant", "origin": self.origin[axis]}
            self.ndimage.convolve1d(data, taps, output=output, **options)
            data = output
        return data
