"""Where the time goes: the stages of a phase beside the phase as a whole, and the rest that no stage explains."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from convbench.analysis.noise import log_ratio
from convbench.backends.base import Plan
from convbench.measure import Rule, Timing, sample
from convbench.profiling.spans import Span, spans
from convbench.profiling.subject import Subject
from convbench.stages import EXECUTE, LOAD, PLAN, STORE, Rounds, recording

How = Literal["marked", "clocked within", "one call"]
RULE = Rule(seconds=1.0, hard_seconds=4.0, noise=0.005, patience=20)
REPEATS, REPEAT_SECONDS = 5, 0.5
"""Plans, loads and stores are repeated so often, or until they have taken so long."""
MARK_SECONDS, MARKS_SHARE = 3e-6, 0.003
"""What a mark takes between work that fills the cache (docs/profiling.md), and of an execution all may take."""
WHOLE, MARKED = "whole", "marked"
NONE = (0.0, 0.0)


@dataclass(frozen=True)
class StageTime:
    """A stage of a phase: seconds per plan or execution, and how often it runs in one.

    Of several threads that work at once, seconds are their sum over the number of threads. how: marked in the backend;
    clocked within compiled code, where marks cannot tell it apart; or all is one call of the library.
    """

    name: str
    seconds: float
    calls: float
    how: How


@dataclass(frozen=True)
class Phase:
    """plan, load, execute or store: seconds of the whole, unmarked, and of its stages.

    threads: how many worked on it. marks: the ratio of marked to unmarked time with its 95 % interval, None where that
    was not measured.
    """

    name: str
    seconds: float
    stages: tuple[StageTime, ...]
    threads: int = 1
    marks: tuple[float, float, float] | None = None

    @property
    def rest(self) -> float:
        """Seconds that no stage explains; negative where the stages took longer than the whole."""
        return self.seconds - sum(stage.seconds for stage in self.stages)

    def share(self, seconds: float) -> float:
        """Of the whole."""
        return seconds / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Account:
    """The phases in order, the timing of the unmarked execution, and the spans of one turn of each for a time line."""

    phases: tuple[Phase, ...]
    execute: Timing
    spans: tuple[Span, ...]


def account(
    subject: Subject, rule: Rule = RULE, library: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Account:
    """Plan, load, execute and store with marks; the execution also without, and with clocks within, interleaved.

    library: a context in which a library's own steps are marked too.
    """
    planned = [_planned(subject)[1] for _ in _repeats()]
    plan, last = _planned(subject)
    data, loaded = _repeated(LOAD, plan, lambda: plan.load(subject.image))
    execute, timing, executed = _execute(plan, data, rule, library)
    result = plan.execute(data)
    plan.wait()
    _, stored = _repeated(STORE, plan, lambda: plan.store(result))
    phases = (_phase(planned), _phase(loaded), execute, _phase(stored))
    return Account(phases, timing, (*last, *loaded[-1], *executed, *stored[-1]))


def first_plan(subject: Subject) -> Phase:
    """The first plan of this process, with marks: loading the library is part of it."""
    return replace(_phase([_planned(subject)[1]]), name="first plan")


def _planned(subject: Subject) -> tuple[Plan, list[Span]]:
    with recording() as events, PLAN:
        plan = subject.plan()
    return plan, spans(events)


def _execute(
    plan: Plan, data: Any, rule: Rule, library: Callable[[], AbstractContextManager[None]]
) -> tuple[Phase, Timing, list[Span]]:
    """The phase, the unmarked timing, and the spans of one execution."""
    marked = Marked(plan, data, library)
    clocked = plan.clocked(data)
    calls: dict[str, Callable[[], object]] = {WHOLE: plan.timed(data), MARKED: marked, **clocked}
    timings = sample(calls, rule)
    whole = timings[WHOLE]
    last = marked.one()
    if clocked:
        stages = [StageTime(name, _beside(timings[name].samples, whole), 1.0, "clocked within") for name in clocked]
    else:
        kept = marked.turns[-len(timings[MARKED].samples) :]  # without the warm-up
        stages = [
            replace(stage, seconds=_beside([turn.get(stage.name, NONE)[0] for turn in kept], whole))
            for stage in _medians(kept)
            if stage.name != EXECUTE.name
        ]
    if not stages:
        stages = [StageTime("convolve", whole.median, 1.0, "one call")]
    ratio, error = log_ratio(
        timings[MARKED].samples, [len(timings[MARKED].samples)], whole.samples, [len(whole.samples)]
    )
    marks = (math.exp(ratio), math.exp(ratio - 1.96 * error), math.exp(ratio + 1.96 * error))
    return Phase(EXECUTE.name, whole.median, tuple(stages), len({span.thread for span in last}), marks), whole, last


def _beside(samples: Sequence[float], whole: Timing) -> float:
    """Seconds of a stage, from its ratio to the whole in each round of sampling: a slow moment falls on both."""
    return whole.median * float(np.median([a / b for a, b in zip(samples, whole.samples, strict=False)]))


@dataclass
class Marked:
    """Executions with marks on, with a clock of its own so that switching them on is not part of the time.

    turns: of every sample, the stages' seconds per execution and how often they ran. rounds: how many of a loop are
    marked, all where that takes next to nothing.
    """

    plan: Plan
    data: Any
    library: Callable[[], AbstractContextManager[None]]
    turns: list[dict[str, tuple[float, float]]] = field(default_factory=list)
    rounds: float = math.inf

    def __post_init__(self) -> None:
        self.plan.execute(self.data)  # the first takes longer
        found = self.one()
        if len(found) * MARK_SECONDS > MARKS_SHARE * found[-1].seconds:
            self.rounds = Rounds.MARKED

    def __call__(self) -> object:
        return self.plan.execute(self.data)

    def seconds(self, number: int) -> float:
        execute, data = self.plan.execute, self.data
        with self.library(), recording(self.wait, self.rounds) as events:
            begin = time.perf_counter()
            for _ in range(number):
                with EXECUTE:
                    execute(data)
            taken = time.perf_counter() - begin
        self.turns.append(_turn(spans(events), number))
        return taken

    def one(self) -> list[Span]:
        """The spans of one execution, with every round of its loops; the execution itself is the last."""
        with self.library(), recording(self.wait, math.inf) as events, EXECUTE:
            self.plan.execute(self.data)
        return spans(events)

    @property
    def wait(self) -> Callable[[], None] | None:
        return self.plan.wait if self.plan.stream is not None else None


def _turn(found: Sequence[Span], number: int) -> dict[str, tuple[float, float]]:
    """Own seconds and count of each stage per execution, seconds over the threads that took part."""
    seconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    threads = max(1, len({span.thread for span in found}))
    for span in found:
        seconds[span.name] += span.weight * span.own / threads
        calls[span.name] += span.weight
    return {name: (seconds[name] / number, calls[name] / number) for name in seconds}


def _medians(turns: Sequence[dict[str, tuple[float, float]]]) -> list[StageTime]:
    """The stages of all turns, in the order in which they first ended."""
    names = dict.fromkeys(name for turn in turns for name in turn)
    found = []
    for name in names:
        seconds, calls = zip(*(turn.get(name, NONE) for turn in turns), strict=True)
        found.append(StageTime(name, float(np.median(seconds)), float(np.median(calls)), "marked"))
    return found


def _phase(turns: Sequence[Sequence[Span]]) -> Phase:
    """A phase that was repeated: its last span is the whole."""
    whole = turns[-1][-1].name
    stages = [stage for stage in _medians([_turn(turn, 1) for turn in turns]) if stage.name != whole]
    return Phase(whole, float(np.median([turn[-1].seconds for turn in turns])), tuple(stages))


def _repeated(stage: Any, plan: Plan, call: Callable[[], Any]) -> tuple[Any, list[list[Span]]]:
    """A call in a phase, repeated; its last result and the spans of each time."""
    found: list[list[Span]] = []
    result = None
    for _ in _repeats():
        with recording() as events, stage:
            result = call()
            plan.wait()
        found.append(spans(events))
    return result, found


def _repeats() -> Iterator[int]:
    end = time.perf_counter() + REPEAT_SECONDS
    for number in range(REPEATS):
        if number > 1 and time.perf_counter() > end:
            return
        yield number
