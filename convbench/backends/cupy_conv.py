"""CuPy: convolve2d, fftconvolve and oaconvolve of cupyx.scipy.signal, and convolve of cupyx.scipy.ndimage.

Requires cupy. They follow SciPy's functions; the kernel is transformed again on every call. A call on a geometry that
is new compiles, so a plan makes one.
"""

from __future__ import annotations

from typing import Any

from convbench.backends._cupy import CupyBackend, CupyPlan
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class CupyDirect(CupyBackend):
    name = "cupy-direct"
    family = "direct"
    rounding = "direct"
    convention = Convention(flips=True)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        from cupyx.scipy import signal

        if problem.ndim == 2:
            return _ready(_SignalPlan(problem, kernel, signal.convolve2d))
        return _ready(_SignalPlan(problem, kernel, signal.convolve, method="direct"))


class CupyFft(CupyBackend):
    name = "cupy-fft"
    family = "fft"
    rounding = "fft"
    convention = Convention(flips=True)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        from cupyx.scipy import signal

        return _ready(_SignalPlan(problem, kernel, signal.fftconvolve))


class CupyOa(CupyFft):
    name = "cupy-oa"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        from cupyx.scipy import signal

        return _ready(_SignalPlan(problem, kernel, signal.oaconvolve))


class CupyNdimage(CupyBackend):
    name = "cupy-ndimage"
    family = "direct"
    rounding = "direct"
    convention = Convention(flips=True, offset="k//2")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _ready(_NdimagePlan(problem, kernel))


class _SignalPlan(CupyPlan):
    """The whole convolution is cropped by hand: CuPy's own crops differ from SciPy's where the kernel is the longer
    one."""

    def __init__(self, problem: Problem, kernel: Array, function: Any, **options: Any) -> None:
        super().__init__(problem, kernel)
        self.function, self.options = function, options
        longer = any(k > n for n, k in zip(problem.image_shape, problem.kernel_shape, strict=True))
        self.mode = "full" if longer else problem.mode
        self.crop = problem.output_slices if longer else ...

    def execute(self, data: Any) -> Any:
        return self.function(data, self.kernel, mode=self.mode, **self.options)[self.crop]


class _NdimagePlan(CupyPlan):
    """As scipy.ndimage: always the image's size; `origin` moves the output to where the mode starts."""

    def __init__(self, problem: Problem, kernel: Array) -> None:
        from cupyx.scipy import ndimage

        super().__init__(problem, kernel)
        self.ndimage = ndimage
        starts = zip(problem.output_start, problem.kernel_shape, strict=True)
        self.origin = tuple(start - k // 2 for start, k in starts)
        self.crop = tuple(map(slice, problem.output_shape))

    def execute(self, data: Any) -> Any:
        if self.problem.mode == "full":
            padded = self.cupy.zeros(self.problem.output_shape, data.dtype)
            padded[tuple(map(slice, data.shape))] = data
            data = padded
        return self.ndimage.convolve(data, self.kernel, mode="constant", origin=self.origin)[self.crop]


def _ready(plan: CupyPlan) -> Plan:
    """The plan, its device code compiled: on zeros of the device, for to draw an image takes longer than to plan."""
    plan.execute(plan.cupy.zeros(plan.problem.image_shape, plan.problem.dtype))
    plan.wait()
    return plan
