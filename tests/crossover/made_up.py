"""Made-up backends with known laws of time, and a measure that draws noisy samples from them: the truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.cell import Cell
from convbench.crossover.lengths import largest_prime
from convbench.measure import Timing
from convbench.problem import Array, Problem

Law = Callable[[Problem], float]


class Made(Backend):
    library = module = "numpy"
    rounding = "direct"

    def __init__(self, name: str, family: Any, reason: str | None = None) -> None:
        self.name, self.family, self.reason = name, family, reason  # type: ignore[misc]

    def unsupported(self, problem: Problem) -> str | None:
        return self.reason

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        raise AssertionError("made-up backends are not run")


def direct(scale: float = 1.0, power: float = 2.0) -> Law:
    """Grows with the kernel's area, on top of what every pixel costs."""
    return lambda p: scale * p.image_shape[-1] ** 2 * (p.kernel_shape[-1] ** power + 3) * 1e-11


def fft(like: float, scale: float = 1.0, step: float = 0.0, slope: float = 0.02) -> Law:
    """As fast as direct() is at k = like, and hardly slower with k; by `step` where n+k-1 has a large prime factor."""

    def law(p: Problem) -> float:
        n, k = p.image_shape[-1], p.kernel_shape[-1]
        rough = largest_prime(n + k - 1) > 13
        return scale * n**2 * (like**2 + 3) * (k / like) ** slope * (1 + step * rough) * 1e-11

    return law


@dataclass
class World:
    """laws: name -> (family, law). scatter: of samples, lognormal. offset: of whole rounds; both relative.

    A sample in twenty is half as long again. budget: what takes longer is skipped. failing: names that are wrong.
    """

    laws: Mapping[str, tuple[str, Law]]
    seed: int = 0
    scatter: float = 0.02
    offset: float = 0.01
    samples: int = 15
    budget: float = np.inf
    failing: tuple[str, ...] = ()
    timed: set[tuple[str, Problem]] = field(default_factory=set)
    calls: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    @property
    def backends(self) -> list[Backend]:
        return [Made(name, family) for name, (family, _) in self.laws.items()]

    def __call__(self, problem: Problem, backends: Sequence[Backend]) -> list[Cell]:
        self.calls.append((problem.kernel_shape[-1], tuple(b.name for b in backends)))
        return [self.cell(problem, backend) for backend in backends]

    def cell(self, problem: Problem, backend: Backend) -> Cell:
        if backend.name in self.failing:
            return Cell(backend.name, backend.family, problem, "failed", "gate: planted")
        seconds = self.laws[backend.name][1](problem)
        if seconds > self.budget:
            return Cell(backend.name, backend.family, problem, "skipped", f"over the time budget: {seconds:.2g} s")
        self.timed.add((backend.name, problem))
        logs = self.rng.normal(self.rng.normal(0, self.offset), self.scatter, self.samples)
        slow = np.where(self.rng.random(self.samples) < 0.05, 1.5, 1.0)
        samples = tuple((seconds * slow * np.exp(logs)).tolist())
        return Cell(backend.name, backend.family, problem, "ok", execute=Timing(samples, 1, "made up"))

    def best(self, family: str, problem: Problem) -> float:
        """The true time of the family's quickest."""
        return min(law(problem) for f, law in self.laws.values() if f == family)


def usual(like: float = 17.4, step: float = 0.0) -> dict[str, tuple[str, Law]]:
    """Ten backends of two families, spread as real ones are; the best of each meet at k = like."""
    return {
        "direct-1": ("direct", direct()),
        "direct-2": ("direct", direct(25.0)),
        "direct-3": ("direct", direct(60.0)),
        "fft-1": ("fft", fft(like, 1.0, step)),
        "fft-2": ("fft", fft(like, 1.15, step)),
        "fft-3": ("fft", fft(like, 1.35, step)),
        "fft-4": ("fft", fft(like, 1.7, step)),
        "fft-5": ("fft", fft(like, 2.2, step)),
        "fft-6": ("fft", fft(like, 2.6, step)),
        "fft-7": ("fft", fft(like, 4.0, step)),
    }
