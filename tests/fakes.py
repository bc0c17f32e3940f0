"""Small backends for tests of what lies above the backends: one right, one wrong, one not installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.kernel = kernel

    def execute(self, data: Any) -> Any:
        full = signal.convolve(data, self.kernel, method="direct")
        return np.ascontiguousarray(full[self.problem.output_slices], dtype=self.problem.dtype)


class Right(Backend):
    name, family, library, module, rounding = "right", "direct", "numpy", "numpy", "direct"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


class Threaded(Right):
    name, family, rounding = "right-threaded", "fft", "fft"
    threaded = True
    seen: list[int]

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        type(self).seen = [*getattr(type(self), "seen", []), problem.threads]
        return _Plan(problem, kernel)


class Wrong(Right):
    name, family = "wrong", "framework"
    convention = Convention(flips=False)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, np.flip(kernel))


class Absent(Right):
    name, family, library, module = "absent", "framework", "no-such-library", "no_such_module"


def use(monkeypatch: pytest.MonkeyPatch, *backends: Backend) -> None:
    """Make these the only backends."""
    table = {backend.name: backend for backend in backends}
    monkeypatch.setattr("convbench.backends._registry", lambda: table)
