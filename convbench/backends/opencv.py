"""OpenCV: filter2D (one kernel), and sepFilter2D (a row, then a column).

Requires opencv-python-headless, or another distribution of cv2. Both correlate, so the kernel is flipped in the plan,
and always return the image's size: the anchor moves the output to where the mode starts, `valid` is cropped, `full`
gets k-1 zeros after the image first. From 50 kernel samples on (float32 on x86: 130) filter2D transforms blocks of the
image in double precision, and the kernel too, in every call, on one thread. Otherwise threads share an image of
1024x1024 samples or more (OpenCV 5; 4.10 uses one). cv2.setNumThreads holds for the process: a call that finds another
number than its problem's sets that, and leaves it so.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan, Rounding, distribution_version
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.separate import Pass, worthwhile_passes
from convbench.stages import CONVOLVE, PAD

_KINDS = ("python-headless", "python", "contrib-python-headless", "contrib-python")
_SSE3 = 4  # cv2 has no name for it in Python
_BLOCK = 64  # samples: the rows of OpenCV's buffer are a multiple of it apart
_WAY = 4096  # bytes of a way of the level 1 cache: rows a multiple of it apart share its sets
_LEVEL_1 = 12 * _WAY
_SHARED = 1 << 20  # samples from which on the threads of OpenCV 5 work, on tiles of their own


class _Opencv(Backend):
    library = "opencv-python-headless"
    module = "cv2"
    extra = "peers"
    convention = Convention(flips=False)
    ndims = (2,)
    dtypes = ("float32", "float64")
    threaded = True

    def version(self) -> str | None:
        return next((found for kind in _KINDS if (found := distribution_version(f"opencv-{kind}"))), None)


class OpencvFilter2d(_Opencv):
    name = "opencv-filter2d"
    family = "framework"
    rounding = "direct"

    def rounding_of(self, problem: Problem) -> Rounding:
        import cv2

        single = problem.dtype == "float32" and cv2.checkHardwareSupport(_SSE3)
        return "fft" if math.prod(problem.kernel_shape) >= (130 if single else 50) else "direct"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _FilterPlan(problem, kernel)


class OpencvSepFilter2d(_Opencv):
    name = "opencv-sepfilter2d"
    family = "separable"
    rounding = "separable"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _SeparablePlan(problem, worthwhile_passes(kernel))


class _OpencvPlan(Plan):
    """Threads, zeros and crop; subclasses correlate an image with zeros around it."""

    def __init__(self, problem: Problem) -> None:
        import cv2

        super().__init__(problem)
        self.cv2 = cv2
        starts = zip(problem.kernel_shape, problem.output_start, strict=True)
        self.options = {
            "anchor": tuple(k - 1 - start for k, start in starts)[::-1],  # x, y
            "borderType": cv2.BORDER_CONSTANT,
        }
        sizes = zip(problem.image_shape, problem.output_shape, strict=True)
        self.below, self.right = (max(0, out - n) for n, out in sizes)
        self.crop = tuple(map(slice, problem.output_shape))

    def load(self, image: Array) -> Array:
        return np.ascontiguousarray(image)

    def execute(self, data: Array) -> Array:
        cv2 = self.cv2
        if cv2.getNumThreads() != self.problem.threads:
            cv2.setNumThreads(self.problem.threads)
        if self.below or self.right:
            with PAD:
                data = cv2.copyMakeBorder(data, 0, self.below, 0, self.right, cv2.BORDER_CONSTANT)
        with CONVOLVE:
            return self.correlate(data)[self.crop]

    def correlate(self, data: Array) -> Any:
        raise NotImplementedError


class _FilterPlan(_OpencvPlan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.kernel = np.ascontiguousarray(np.flip(kernel))

    def correlate(self, data: Array) -> Any:
        return self.cv2.filter2D(data, -1, self.kernel, **self.options)


class _SeparablePlan(_OpencvPlan):
    def __init__(self, problem: Problem, terms: list[Pass]) -> None:
        super().__init__(problem)
        self.terms = [(row[None, ::-1].copy(), column[None, ::-1].copy()) for column, row in terms]
        self.right += self._spread()

    def _spread(self) -> int:
        """Columns of zeros to put after the image where the rows of OpenCV's buffer would share few cache sets.

        One thread keeps k filtered rows there; where they stay in the cache it is up to three times quicker.
        """
        rows, width = (max(sizes) for sizes in zip(self.problem.image_shape, self.problem.output_shape, strict=True))
        if self.problem.threads > 1 and rows * width >= _SHARED:
            return 0
        size = math.ceil(width / _BLOCK) * _BLOCK
        stride = math.gcd(size * np.dtype(self.problem.dtype).itemsize, _WAY)
        return size + 1 - width if self.problem.kernel_shape[0] * stride > _LEVEL_1 else 0

    def correlate(self, data: Array) -> Any:
        terms = (self.cv2.sepFilter2D(data, -1, row, column, **self.options) for row, column in self.terms)
        return functools.reduce(operator.iadd, terms)
