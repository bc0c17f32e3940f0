"""scipy.signal: direct sums, the FFT, and overlap-add.

Requires scipy. All three take the kernel anew on every call: there is nothing to plan. The direct sums run on one
thread; the transforms honour scipy.fft's workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from convbench.backends.base import Backend, Plan
from convbench.problem import Array, Problem


class ScipyDirect(Backend):
    name = "scipy-direct"
    family = "direct"
    library = "scipy"
    module = "scipy"
    rounding = "direct"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Direct(problem, kernel)


class _Direct(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        from scipy import signal

        self.kernel = kernel
        self.convolve: Callable[..., Array] = signal.convolve2d if problem.ndim == 2 else signal.convolve
        self.options = {} if problem.ndim == 2 else {"method": "direct"}

    def execute(self, data: Array) -> Array:
        return self.convolve(data, self.kernel, self.problem.mode, **self.options)


class _Transform(Backend):
    """What fftconvolve and oaconvolve have in common."""

    family = "fft"
    library = "scipy"
    module = "scipy"
    rounding = "fft"
    threaded = True
    function: ClassVar[str]

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        from scipy import signal

        return _Fft(problem, kernel, getattr(signal, self.function))


class ScipyFft(_Transform):
    name = "scipy-fft"
    function = "fftconvolve"


class ScipyOa(_Transform):
    name = "scipy-oa"
    function = "oaconvolve"


class _Fft(Plan):
    def __init__(self, problem: Problem, kernel: Array, convolve: Any) -> None:
        super().__init__(problem)
        from scipy import fft

        self.kernel, self.convolve, self.set_workers = kernel, convolve, fft.set_workers

    def execute(self, data: Array) -> Array:
        with self.set_workers(self.problem.threads):
            return self.convolve(data, self.kernel, self.problem.mode)
