"""scipy.signal: the direct sum, one FFT (fftconvolve) and overlap-add (oaconvolve).

Requires scipy. All three convolve with convbench's modes as they are; the kernel is transformed again on every call,
for there is no plan to keep it in. The FFT ones take threads from scipy.fft.set_workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class ScipyDirect(Backend):
    name = "scipy-direct"
    family = "direct"
    library = "scipy"
    module = "scipy"
    rounding = "direct"
    convention = Convention(flips=True)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        import scipy.signal as signal

        if problem.ndim == 2:
            return _Plan(problem, kernel, signal.convolve2d)
        return _Plan(problem, kernel, signal.convolve, method="direct")


class ScipyFft(Backend):
    name = "scipy-fft"
    family = "fft"
    library = "scipy"
    module = "scipy"
    rounding = "fft"
    convention = Convention(flips=True)
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        import scipy.signal as signal

        return _Plan(problem, kernel, signal.fftconvolve)


class ScipyOa(ScipyFft):
    name = "scipy-oa"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        import scipy.signal as signal

        return _Plan(problem, kernel, signal.oaconvolve)


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array, function: Callable[..., Array], **options: Any) -> None:
        import scipy.fft

        super().__init__(problem)
        self.kernel, self.function, self.options = kernel, function, options
        self.workers = scipy.fft.set_workers

    def execute(self, data: Array) -> Array:
        with self.workers(self.problem.threads):
            return self.function(data, self.kernel, mode=self.problem.mode, **self.options)
