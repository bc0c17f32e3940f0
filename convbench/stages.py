"""Marks in the backends: which stage of the work is running now.

    with PAD:
        ...

Unless somebody records, a mark calls into C twice and does nothing. Stages have the field's names, the same everywhere.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

_nothing: Callable[..., Any] = "".format
"""Takes anything, returns what is false, and is written in C: a function of Python would take three times as long."""


class Stage:
    """A context manager around the code of one stage; stages may nest, and be entered in several threads at once.

    weight: for how many runs of the stage a marked one stands.
    """

    __slots__ = ("name", "weight")
    __enter__: ClassVar[Callable[..., Any]] = _nothing
    __exit__: ClassVar[Callable[..., Any]] = _nothing

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name, self.weight = name, weight


Event = tuple[int, Stage | None, int]
"""Thread, the stage that begins or None where the latest of this thread ends, nanoseconds of time.perf_counter_ns."""


class Silent:
    """Stands where a stage is not to be marked."""

    __slots__ = ()
    __enter__: ClassVar[Callable[..., Any]] = _nothing
    __exit__: ClassVar[Callable[..., Any]] = _nothing


Mark = Stage | Silent


class Rounds:
    """The stages of a loop with many rounds, of which a few are marked each time and stand for all.

    Marks are a fiftieth to a tenth of the time of a tile that lies in the cache. Belongs to one thread.
    """

    MARKED = 2
    most: ClassVar[float] = 0
    """How many rounds of a loop are marked; 0 while nobody records."""

    def __init__(self, *stages: Stage) -> None:
        self.stages, self.silent = stages, (Silent(),) * len(stages)
        self.chosen = 0.0

    def of(self, count: int) -> Iterable[tuple[Mark, ...]]:
        """For each of the rounds of a loop its stages, in the order in which they were given."""
        if Rounds.most == 0:
            return itertools.repeat(self.silent, count)
        if Rounds.most >= count:
            return itertools.repeat(self.stages, count)
        parts = int(Rounds.most)
        found: list[tuple[Mark, ...]] = [self.silent] * count
        for part in range(parts):
            first, end = part * count // parts, (part + 1) * count // parts
            self.chosen = (self.chosen + _GOLDEN) % 1
            found[first + int(self.chosen * (end - first))] = _weighted(self.stages, end - first)
        return found


@functools.lru_cache(maxsize=256)
def _weighted(stages: tuple[Stage, ...], weight: int) -> tuple[Stage, ...]:
    return tuple(Stage(stage.name, weight) for stage in stages)


_GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, without their integers, fall evenly between 0 and 1: each round is marked as often as the others."""


# Whole phases, around what a backend marks.
PLAN, LOAD, EXECUTE, STORE = Stage("plan"), Stage("load"), Stage("execute"), Stage("store")
# Of a plan.
CHECK = Stage("check")
SET_UP = Stage("set-up")
COMPILE = Stage("JIT compile")
FFT_PLANNING = Stage("FFT planning")
KERNEL_TRANSFORM = Stage("kernel transform")
PACK = Stage("packing")
# Of an execution.
PAD = Stage("pad")
FORWARD_FFT = Stage("forward FFT")
MULTIPLY = Stage("multiply")
INVERSE_FFT = Stage("inverse FFT")
CROP = Stage("crop")
CONVOLVE = Stage("convolve")
TILES = Stage("tiles")
# Of loops that were compiled as a whole: see Plan.clocked.
INTERIOR, BORDER = "interior", "border"
ROW_PASS, COLUMN_PASS = "row pass", "column pass"


@contextlib.contextmanager
def recording(wait: Callable[[], None] | None = None, rounds: float = Rounds.MARKED) -> Iterator[list[Event]]:
    """Marks write into the list that this yields, for all threads; not to be nested.

    wait: called before the clock is read, where the work is done on a device. rounds: of a loop that are marked.
    """
    events: list[Event] = []
    note, thread, clock = events.append, threading.get_ident, time.perf_counter_ns

    def begin(stage: Stage) -> None:
        if wait is not None:
            wait()
        note((thread(), stage, clock()))

    def end(stage: Stage, *error: object) -> None:
        if wait is not None:
            wait()
        note((thread(), None, clock()))

    Stage.__enter__, Stage.__exit__, Rounds.most = begin, end, rounds
    try:
        yield events
    finally:
        Stage.__enter__ = Stage.__exit__ = _nothing
        Rounds.most = 0
