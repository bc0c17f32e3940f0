"""Two profiles side by side: how much longer the one takes, whether noise can explain it, and which stages do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convbench.analysis.noise import Noise, log_ratio
from convbench.measure import Rule, sample
from convbench.profiling.accounting import RULE
from convbench.profiling.profile import Profile
from convbench.profiling.subject import Subject
from convbench.report import words

NEARLY_ALL = 0.9


@dataclass(frozen=True)
class StageDifference:
    """Seconds of a stage of an execution in either profile, 0 where it has no such stage."""

    name: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        return self.b - self.a


@dataclass(frozen=True)
class Versus:
    """ratio: time b over time a, sampled side by side, with its 95 % interval. limit: up to this ratio, or down to its
    inverse, it is a tie. stages: of the executions, the rest last, the largest difference first.
    """

    a: str
    b: str
    ratio: float
    low: float
    high: float
    limit: float
    stages: tuple[StageDifference, ...]

    @property
    def tied(self) -> bool:
        return 1 / self.limit <= self.ratio <= self.limit

    @property
    def sentence(self) -> str:
        """Who is faster and what makes the difference."""
        if self.tied:
            return (
                f"{self.a} and {self.b} cannot be told apart here: ratio {words.digits(self.ratio)}, and noise alone "
                f"reaches {words.digits(self.limit)}."
            )
        a, b, sign = (self.a, self.b, 1) if self.ratio > 1 else (self.b, self.a, -1)
        times = words.digits(max(self.ratio, 1 / self.ratio))
        total = sign * sum(stage.difference for stage in self.stages)
        parts = [s for s in self.stages if sign * s.difference > 0]
        told, part = [], 0.0
        for stage in parts[:3]:
            part += sign * stage.difference
            told.append(f"{stage.name} ({words.seconds(abs(stage.difference))} more)")
            if part >= NEARLY_ALL * total:
                break
        where = f"; the difference comes from {', '.join(told)}" if told else ""
        return f"{a} is {times} times as fast as {b}{where}."


def versus(a: Profile, b: Profile, noise: Noise, rule: Rule = RULE) -> Versus:
    """Sample both executions side by side, and set their stages beside each other.

    Both profiles need their stages. Raises what the backends raise.
    """
    plans = [profile.subject.plan() for profile in (a, b)]
    calls = {i: plan.timed(plan.load(p.subject.image)) for i, (plan, p) in enumerate(zip(plans, (a, b), strict=True))}
    timings = sample(calls, rule)
    first, second = timings[0].samples, timings[1].samples
    ratio, error = log_ratio(second, [len(second)], first, [len(first)])
    return Versus(
        _name(a.subject, b.subject),
        _name(b.subject, a.subject),
        math.exp(ratio),
        math.exp(ratio - 1.96 * error),
        math.exp(ratio + 1.96 * error),
        math.exp(noise.limit(error)),
        _stages(a, b),
    )


def _name(subject: Subject, other: Subject) -> str:
    """The backend, and where that is the same what is not: 'numba-direct, kernel 3 x 3'."""
    name, problem = subject.backend.name, subject.problem
    if name != other.backend.name:
        return name
    shapes = {"image": problem.image_shape, "kernel": problem.kernel_shape}
    others = {"image": other.problem.image_shape, "kernel": other.problem.kernel_shape}
    told = [f"{what} {' x '.join(map(str, shape))}" for what, shape in shapes.items() if shape != others[what]]
    return ", ".join([name, *told])


def _stages(a: Profile, b: Profile) -> tuple[StageDifference, ...]:
    found: dict[str, list[float]] = {}
    rests = [0.0, 0.0]
    for i, profile in enumerate((a, b)):
        if profile.account is None:
            continue
        execute = next(phase for phase in profile.account.phases if phase.name == "execute")
        rests[i] = execute.rest
        for stage in execute.stages:
            found.setdefault(stage.name, [0.0, 0.0])[i] += stage.seconds
    stages = [StageDifference(name, *seconds) for name, seconds in found.items()]
    return (*sorted(stages, key=lambda s: -abs(s.difference)), StageDifference("rest", *rests))
