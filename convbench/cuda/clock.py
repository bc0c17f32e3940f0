"""How long work on a device takes: again and again, with cold caches, as one graph, and as the host sees it.

Each is a callable with a method `seconds(number)`, which the sampler times it by (see measure). Launches are enqueued
one after another, and the device's own events enclose them: where the host launches more slowly than the device works,
the gaps count, as they do in a program; `graph` leaves them out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from convbench.cuda.faults import lost
from convbench.cuda.stream import Graph, Stream
from convbench.errors import UnsupportedError
from convbench.problem import Array

Call = Callable[[], object]

LAUNCH_BOUND = 100e-6
"""Calls that take less are timed as a graph, too: launching a few kernels takes the host some 10 us."""
SETTLED, SETTLING = 0.01, 2.0
"""Clocks are settled once five times in a row differ by no more than that; or after so many seconds."""


class Hot:
    """Call after call; the data stay in the device's cache as far as they fit."""

    def __init__(self, call: Call, stream: Stream) -> None:
        self.call, self.stream = call, stream

    def __call__(self) -> object:
        return self.call()

    def seconds(self, number: int) -> float:
        first = self.stream.mark()
        for _ in range(number):
            self.call()
        return self.stream.seconds(first, self.stream.mark())


class Cold(Hot):
    """The device's second-level cache is emptied before each call, which does not count."""

    def seconds(self, number: int) -> float:
        marks = []
        for _ in range(number):
            self.stream.flush()
            first = self.stream.mark()
            self.call()
            marks.append((first, self.stream.mark()))
        return sum(self.stream.seconds(first, last) for first, last in marks)


class Replay(Hot):
    """The call as a graph, launch after launch."""

    def __init__(self, graph: Graph, stream: Stream) -> None:
        super().__init__(graph.launch, stream)
        self.graph = graph  # whose result the launches write to


class Wall(Hot):
    """As the host sees it: every call is waited for."""

    def __init__(self, call: Call, stream: Stream, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(call, stream)
        self.clock = clock

    def seconds(self, number: int) -> float:
        taken = 0.0
        self.stream.wait()
        for _ in range(number):
            start = self.clock()
            self.call()
            self.stream.wait()
            taken += self.clock() - start
        return taken


def clocks(hot: Hot, store: Callable[[Any], Array]) -> tuple[dict[str, Hot], dict[str, str]]:
    """The further figures of a call: cold, wall, and graph where launching takes the most time; and why one is missing.

    store: what a plan calls so. A graph that computes something else than the call is not timed.
    """
    call, stream = hot.call, hot.stream
    found: dict[str, Hot] = {"wall": Wall(call, stream), "cold": Cold(call, stream)}
    hot.seconds(1)
    if hot.seconds(10) >= 10 * LAUNCH_BOUND:
        return found, {"graph": f"not bound by launches: a call takes {LAUNCH_BOUND * 1e6:.0f} us or longer"}
    try:
        graph = stream.captured(call)
        graph.launch()
        stream.wait()
        if not np.array_equal(store(graph.result), store(call())):
            raise UnsupportedError("as a graph the call computes something else")
    except UnsupportedError as error:
        return found, {"graph": str(error)}
    except Exception as error:  # what cannot be captured has all other figures still
        if lost(error):
            raise
        return found, {"graph": f"cannot be captured: {type(error).__name__}: {error}"}
    return {**found, "graph": Replay(graph, stream)}, {}


def batch(call: Hot) -> int:
    """How many calls take about a hundredth of a second."""
    return max(1, int(0.01 / max(call.seconds(1), 1e-7)))


def settle(call: Hot, limit: float = SETTLING, clock: Callable[[], float] = time.perf_counter) -> float:
    """Keep the device at work until its clocks have settled; returns the seconds that took."""
    begin = clock()
    number = batch(call)
    latest: list[float] = []
    while (spent := clock() - begin) < limit:
        latest = [*latest[-4:], call.seconds(number)]
        if len(latest) == 5 and max(latest) - min(latest) <= SETTLED * min(latest):
            break
    return spent
