"""What `track` found: a row for each cell, in words and as JSON."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

from convbench.problem import Problem
from convbench.tracking.commits import Commit
from convbench.tracking.verdicts import Calibration

Verdict = Literal["slower", "faster", "same", "cannot tell", "wrong", "no longer runs", "n/a"]
ORDER: tuple[Verdict, ...] = ("wrong", "no longer runs", "slower", "faster", "cannot tell", "same", "n/a")
BAD: tuple[Verdict, ...] = ("wrong", "no longer runs", "slower")
COLUMNS = ("cell", "A, ms", "B, ms", "B / A", "99 % interval", "verdict", "rounds")


@dataclass(frozen=True)
class Row:
    """A cell: seconds of A and B, ratio B / A with its interval, and the verdict; reason where there is none."""

    layout: str
    backend: str
    problem: Problem
    verdict: Verdict
    reason: str = ""
    base_seconds: float | None = None
    new_seconds: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0

    @property
    def name(self) -> str:
        p = self.problem
        words = [self.layout, self.backend, f"n = {p.image_shape[-1]}", f"k = {p.kernel_shape[-1]}", p.dtype]
        words += [p.device] if p.device != "cpu" else []
        words += [f"{p.threads} threads"] if p.threads > 1 else []
        return ", ".join(words)

    def cells(self) -> list[str]:
        """The row as text, in the order of COLUMNS."""

        def milliseconds(seconds: float | None) -> str:
            return "" if seconds is None else f"{seconds * 1e3:.4g}"

        ratio = "" if self.ratio is None else f"{self.ratio:.3f}"
        interval = "" if self.low is None or self.high is None else f"{self.low:.3f} to {self.high:.3f}"
        times = [milliseconds(self.base_seconds), milliseconds(self.new_seconds)]
        return [self.name, *times, ratio, interval, self.reason or self.verdict, str(self.rounds or "")]

    def as_dict(self) -> dict[str, Any]:
        p = self.problem
        where: dict[str, Any] = {
            "layout": self.layout,
            "backend": self.backend,
            "dtype": p.dtype,
            "mode": p.mode,
            "device": p.device,
        }
        where |= {"image": p.image_shape[-1], "kernel": p.kernel_shape[-1], "threads": p.threads}
        names = ("verdict", "reason", "base_seconds", "new_seconds", "ratio", "low", "high", "rounds")
        return where | {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Tracked:
    """Two commits, cell by cell. notes: what the user should know. measured: rounds measured now, not known before."""

    base: Commit
    new: Commit
    rows: list[Row]
    margin: float
    calibration: Calibration
    notes: list[str]
    measured: int
    journal: str

    def count(self, verdict: Verdict) -> int:
        return sum(row.verdict == verdict for row in self.rows)

    def exit_status(self, strict: bool = False) -> int:
        """0: all is well. 1: something is slower, wrong or no longer runs. 3: strict, and something cannot be told."""
        if any(self.count(verdict) for verdict in BAD):
            return 1
        return 3 if strict and self.count("cannot tell") else 0

    def table(self) -> list[list[str]]:
        """What was compared or is wrong, the worst first."""

        def gravity(row: Row) -> tuple[int, float]:
            return ORDER.index(row.verdict), -abs(math.log(row.ratio or 1))

        return [row.cells() for row in sorted(self.rows, key=gravity) if row.verdict != "n/a"]

    def not_compared(self) -> list[str]:
        """A line for every reason why cells are n/a."""
        reasons = Counter((row.backend, row.reason) for row in self.rows if row.verdict == "n/a")
        return [f"{backend}: {_cells(count)} {reason}" for (backend, reason), count in reasons.items()]

    def summary(self) -> str:
        """One sentence."""
        counts = ", ".join(f"{self.count(verdict)} {verdict}" for verdict in ORDER if self.count(verdict))
        sigma = self.calibration.sigma
        scatter = "" if math.isnan(sigma) else f"; a process differs from the next by {sigma:.1%}"
        return f"B ({self.new.label}) against A ({self.base.label}): {counts} of {_cells(len(self.rows))}{scatter}"

    def as_dict(self) -> dict[str, Any]:
        calibration = {name: None if math.isnan(value) else value for name, value in asdict(self.calibration).items()}
        return {
            "base": self.base.about(),
            "new": self.new.about(),
            "margin": self.margin,
            "counts": {verdict: self.count(verdict) for verdict in ORDER},
            "calibration": calibration,
            "notes": self.notes,
            "measured": self.measured,
            "cells": [row.as_dict() for row in self.rows],
        }


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"
