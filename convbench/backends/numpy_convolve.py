"""numpy: np.convolve, 1-D, direct.

Requires numpy. np.convolve swaps its arguments when the kernel is the longer one, and its 'same' then has the
kernel's length: full convolution and a crop is used for that case.
"""

from __future__ import annotations

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class NumpyConvolve(Backend):
    name = "numpy"
    family = "direct"
    library = "numpy"
    module = "numpy"
    rounding = "direct"
    convention = Convention(flips=True, swaps=True)
    ndims = (1,)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.kernel = kernel
        whole = problem.mode == "same" and problem.kernel_shape > problem.image_shape
        self.mode = "full" if whole else problem.mode
        self.crop = problem.output_slices if whole else (slice(None),)

    def execute(self, data: Array) -> Array:
        return np.convolve(data, self.kernel, self.mode)[self.crop]
