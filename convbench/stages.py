"""Marks in the backends: which stage of the work is running now.

    with PAD:
        ...

Unless somebody records, a mark calls into C twice and does nothing. Stages have the field's names, the same everywhere.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

Event = tuple[int, str | None, int]
"""Thread, the stage that begins or None where the latest of this thread ends, nanoseconds of time.perf_counter_ns."""

_nothing: Callable[..., Any] = "".format
"""Takes anything, returns what is false, and is written in C: a function of Python would take three times as long."""


class Stage:
    """A context manager around the code of one stage; stages may nest, and be entered in several threads at once."""

    __slots__ = ("name",)
    __enter__: ClassVar[Callable[..., Any]] = _nothing
    __exit__: ClassVar[Callable[..., Any]] = _nothing

    def __init__(self, name: str) -> None:
        self.name = name


# Whole phases, around what a backend marks.
PLAN, LOAD, EXECUTE, STORE = Stage("plan"), Stage("load"), Stage("execute"), Stage("store")
# Of a plan.
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
# Of loops that were compiled as a whole, which each run alone: see Plan.apart.
INTERIOR, BORDER = "interior", "border"
ROW_PASS, COLUMN_PASS = "row pass", "column pass"


@contextlib.contextmanager
def recording(wait: Callable[[], None] | None = None) -> Iterator[list[Event]]:
    """Marks write into the list that this yields, for all threads; not to be nested.

    wait: called before the clock is read, where the work is done on a device.
    """
    events: list[Event] = []
    note, thread, clock = events.append, threading.get_ident, time.perf_counter_ns

    def begin(stage: Stage) -> None:
        if wait is not None:
            wait()
        note((thread(), stage.name, clock()))

    def end(stage: Stage, *error: object) -> None:
        if wait is not None:
            wait()
        note((thread(), None, clock()))

    Stage.__enter__, Stage.__exit__ = begin, end
    try:
        yield events
    finally:
        Stage.__enter__ = Stage.__exit__ = _nothing
