"""Scaling: the same backend on more threads, larger images or larger kernels, and how its time grows beside theory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from convbench.analysis.noise import LEAST_ERROR, UNCALIBRATED, Noise
from convbench.analysis.roofline import ceiling, counted_as, least_bytes, textbook
from convbench.ceilings import Ceilings, Place
from convbench.cell import Progress, certify, gated
from convbench.cuda.clock import Hot
from convbench.judge import Judge
from convbench.measure import Rule, Timing, relative_noise, sample
from convbench.profiling.growth import Amdahl, Power, amdahl, power
from convbench.profiling.implemented import implemented
from convbench.profiling.ladder import Axis as Axis
from convbench.profiling.ladder import ladder
from convbench.profiling.missing import Missing
from convbench.profiling.scaling_words import SYMBOLS, verdict
from convbench.profiling.subject import Subject
from convbench.separate import separable_rank

Measured = dict[int, Timing | str]
"""By value: the time of an execution, or why there is none."""
Measure = Callable[[Mapping[int, Subject], Progress], Measured]
RULE = Rule(warmup=0.01, seconds=0.3, hard_seconds=0.8, noise=0.005, patience=12, most=40)
BUDGET = 0.2
"""Seconds that one execution may take: with RULE, seven sizes are gated and timed in some ten."""


@dataclass(frozen=True)
class Point:
    """One size: seconds of an execution, the median with its 99 % interval, and its standard error in logarithms.

    share: of the roofline. operations: by the textbook, and as implemented. What is not known is None.
    """

    value: int
    median: float
    low: float
    high: float
    error: float
    share: float | None = None
    operations: float | None = None
    operations_done: float | None = None


@dataclass(frozen=True)
class Scaling:
    """points: by value, ascending; left_out: why others are not among them.

    grown: the power of the value that fits the times. theory, implemented: the exponent that fits the operations over
    the same range, by the textbook and as implemented; -1 for threads. amdahl: of threads.
    """

    axis: Axis
    family: str
    label: str
    points: tuple[Point, ...]
    left_out: dict[int, str]
    grown: Power | None
    theory: float | None
    implemented: float | None
    amdahl: Amdahl | None
    verdict: str = ""

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.axis]


def scaling(
    subject: Subject,
    axis: Axis,
    *,
    ceilings: Mapping[Place, Ceilings] | None = None,
    measure: Measure | None = None,
    noise: Noise = UNCALIBRATED,
    progress: Progress | None = None,
) -> Scaling | Missing:
    """Gate and time the backend along an axis, all sizes side by side, and fit how its time grows.

    threads: up to the number of cores. image: longest sides from a fourth to twice the subject's; kernel: the same, no
    shorter than 3. ceilings: by number of threads, or device. measure: how sizes are timed, by default here.
    noise: of this machine; a time counts as at least so uncertain.
    """
    wanted = ladder(subject, axis)
    if isinstance(wanted, str):
        return Missing(f"scaling with {axis}", wanted)
    found = (measure or side_by_side)(wanted, progress or (lambda done, total, text: None))
    timed = {value: timing for value, timing in sorted(found.items()) if isinstance(timing, Timing)}
    left_out = {value: why for value, why in sorted(found.items()) if isinstance(why, str)}
    if not timed:
        why = "; ".join(f"{SYMBOLS[axis]} = {value}: {reason}" for value, reason in left_out.items())
        return Missing(f"scaling with {axis}", f"no size could be timed: {why}")
    points = tuple(_point(wanted[value], value, timing, ceilings or {}, noise) for value, timing in timed.items())
    fitted = _fitted(subject, axis, points, left_out)
    return replace(fitted, verdict=verdict(fitted, noise))


def _fitted(subject: Subject, axis: Axis, points: tuple[Point, ...], left_out: dict[int, str]) -> Scaling:
    values, times, errors = [p.value for p in points], [p.median for p in points], [p.error for p in points]
    grown = power(values, times, errors)
    if axis == "threads":
        return Scaling(
            axis,
            subject.backend.family,
            subject.label,
            points,
            left_out,
            grown,
            -1.0,
            None,
            amdahl(values, times, errors),
        )
    theory = _exponent(values, [p.operations for p in points], errors)
    done = _exponent(values, [p.operations_done for p in points], errors)
    return Scaling(axis, subject.backend.family, subject.label, points, left_out, grown, theory, done, None)


def _exponent(values: Sequence[int], counts: Sequence[float | None], errors: Sequence[float]) -> float | None:
    """What fits the operations as `power` fits the times, with the same weights."""
    known = [count for count in counts if count]
    fit = power(values, known, errors) if len(known) == len(values) else None
    return fit.exponent if fit else None


def _point(subject: Subject, value: int, timing: Timing, ceilings: Mapping[Place, Ceilings], noise: Noise) -> Point:
    problem, backend = subject.problem, subject.backend
    error = math.hypot(max(relative_noise(list(timing.samples)), LEAST_ERROR), noise.excess)
    point = Point(value, timing.median, timing.low, timing.high, error)
    method = counted_as(backend.family, backend.name)
    if method is None:
        return point
    operations = textbook(method, problem, separable_rank(subject.kernel) if method == "separable" else 1)
    known = ceilings.get(problem.threads if problem.device == "cpu" else problem.device, {})
    least = least_bytes(problem)
    roof = ceiling(method, operations / least, least, problem.dtype, known)
    share = operations / timing.median / 1e9 / roof if roof else None
    return replace(point, share=share, operations=operations, operations_done=_done(subject))


def _done(subject: Subject) -> float | None:
    try:
        work = implemented(subject)
    except Exception:  # it only explains
        return None
    return work.operations if work else None


# -- measuring ---------------------------------------------------------------------------------------------------


def side_by_side(
    subjects: Mapping[int, Subject], tell: Progress, budget: float = BUDGET, rule: Rule = RULE
) -> Measured:
    """Gate each subject, then time those that are right, interleaved in random order.

    budget: seconds that one execution may take; what takes longer is left out.
    """
    found: Measured = {}
    calls: dict[int, Callable[[], object]] = {}
    total = 2 * len(subjects)

    def fail(value: int, error: Exception) -> None:
        found[value] = f"raised {type(error).__name__}: {error}"

    for number, (value, one) in enumerate(subjects.items()):
        tell(number, total, f"gate {one.label}")
        try:
            made = _gated(one, budget)
        except Exception as error:  # one size that fails, e.g. for want of memory, must not cost the others
            fail(value, error)
            continue
        if isinstance(made, str):
            found[value] = made
        else:
            calls[value] = made
    tell(len(subjects), total, "time them side by side")
    found |= sample(calls, rule, failed=fail)
    tell(total, total, "done")
    return found


def _gated(subject: Subject, budget: float) -> Callable[[], object] | str:
    """What to time, or why not."""
    backend, problem, kernel = subject.backend, subject.problem, subject.kernel
    judge = Judge(problem, kernel, subject.image, zero_mean=False)
    cell, plan = gated(backend, problem, kernel, budget, certify, judge)
    if plan is None:
        return cell.reason or cell.status
    call = plan.timed(plan.load(subject.image))
    if not isinstance(call, Hot):
        call = _Warm(call)
    if (once := call.seconds(1)) > budget:
        return f"over the time budget: {once:.2g} s an execution, budget {budget:g} s"
    return call


class _Warm:
    """Timed after a call that is not: the other sizes have put this one's data out of the caches."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def __call__(self) -> object:
        return self.call()

    def seconds(self, number: int) -> float:
        call, repeats = self.call, range(number)
        call()
        start = time.perf_counter()
        for _ in repeats:
            call()
        return time.perf_counter() - start
