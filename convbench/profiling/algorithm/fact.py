"""What is found out about an algorithm, and the case that it is found out of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from convbench.backends.base import Plan
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

_SLOW = 1.0
"""Seconds of an execution beside which compiling is little."""


@dataclass(frozen=True)
class Fact:
    """One finding on what really ran. source: how it is known, e.g. "machine code"; details: lines to be unfolded."""

    what: str
    value: str
    source: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what}: {self.value} ({self.source})"


@dataclass(frozen=True, eq=False)
class Case:
    """A subject's plan that has executed already; seconds: of one execution, roughly."""

    subject: Subject
    plan: Plan
    data: Any
    seconds: float

    @classmethod
    def of(cls, subject: Subject) -> Case:
        plan = subject.plan()
        data = plan.load(subject.image)
        taken = _SLOW
        for _ in range(2):  # the first may compile
            start = time.perf_counter()
            plan.execute(data)
            plan.wait()
            taken = time.perf_counter() - start
            if taken >= _SLOW:
                break
        return cls(subject, plan, data, taken)

    def execute(self, seconds: float = 0.0, most: int = 1_000_000) -> int:
        """Execute for about so long, once at least; returns how often."""
        count = min(max(1, round(seconds / self.seconds)), most)
        for _ in range(count):
            self.plan.execute(self.data)
        self.plan.wait()
        return count


@dataclass(frozen=True)
class Look:
    """A way to find something out. what: the part of the profile that is missing if it fails."""

    what: str
    find: Callable[[Case], Iterable[Fact | Missing]]

    def __call__(self, case: Case) -> list[Fact | Missing]:
        """Never raises: a library that fails here, however it does, costs this part only."""
        try:
            return list(self.find(case))
        except Exception as error:
            return [Missing(self.what, reason(error))]


def reason(error: Exception) -> str:
    """An exception in one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
