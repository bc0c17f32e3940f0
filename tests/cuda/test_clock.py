"""The clocks of a device, against a stream whose time is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from fake_cuda import FLUSH, LAUNCH, FakeStream

from convbench.cuda.clock import LAUNCH_BOUND, Cold, Hot, Replay, Wall, clocks, settle
from convbench.cuda.stream import HostStream
from convbench.errors import UnsupportedError


def called(stream: FakeStream, seconds: float):
    def call() -> np.ndarray:
        stream.work(seconds if stream.warm else 3 * seconds)
        stream.warm = True
        return np.arange(3.0)

    return call


def clocks_of(stream: FakeStream, seconds: float):
    return clocks(Hot(called(stream, seconds), stream), np.asarray)


def test_hot_encloses_a_batch_with_two_marks() -> None:
    stream = FakeStream()
    hot = Hot(called(stream, 1e-3), stream)
    hot.seconds(1)
    stream.log.clear()
    assert hot.seconds(10) == pytest.approx(10e-3, rel=1e-2)
    assert stream.log == ["mark", *["work"] * 10, "mark"]


def test_gaps_count_where_the_host_launches_more_slowly_than_the_device_works() -> None:
    stream = FakeStream()
    hot = Hot(called(stream, 1e-7), stream)
    assert hot.seconds(100) > 100 * LAUNCH * 0.9


def test_cold_flushes_before_every_call_and_does_not_count_that() -> None:
    stream = FakeStream()
    cold = Cold(called(stream, 1e-3), stream)
    stream.warm = True
    assert cold.seconds(5) == pytest.approx(5 * 3e-3, rel=1e-2)
    assert stream.log.count("flush") == 5
    assert cold.seconds(5) < 5 * (3e-3 + FLUSH)


def test_wall_waits_for_every_call_on_the_clock_of_the_host() -> None:
    stream = FakeStream()
    stream.warm = True
    wall = Wall(called(stream, 1e-5), stream, clock=lambda: stream.host)
    assert wall.seconds(4) == pytest.approx(4 * (1e-5 + LAUNCH))
    assert stream.log.count("wait") == 5


def test_only_what_is_bound_by_launches_is_timed_as_a_graph() -> None:
    found, missing = clocks_of(FakeStream(), LAUNCH_BOUND / 10)
    assert (set(found), missing) == ({"cold", "wall", "graph"}, {})
    assert isinstance(found["graph"], Replay)
    found, missing = clocks_of(FakeStream(), LAUNCH_BOUND * 10)
    assert set(found) == {"cold", "wall"}
    assert missing == {"graph": "not bound by launches: a call takes 100 us or longer"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (UnsupportedError("no graphs here"), "no graphs here"),
        (
            RuntimeError("operation not permitted when stream is capturing"),
            "cannot be captured: RuntimeError: operation",
        ),
        (MemoryError("out of memory"), "cannot be captured: MemoryError: out of memory"),
    ],
)
def test_what_cannot_be_captured_says_why_and_keeps_its_other_figures(fault: Exception, reason: str) -> None:
    stream = FakeStream()
    stream.graphs = fault
    found, missing = clocks_of(stream, 1e-6)
    assert set(found) == {"cold", "wall"}
    assert missing["graph"].startswith(reason)


def test_a_graph_that_computes_something_else_is_not_timed() -> None:
    stream = FakeStream()
    stream.spoiled = True
    found, missing = clocks_of(stream, 1e-6)
    assert set(found) == {"cold", "wall"}
    assert missing == {"graph": "as a graph the call computes something else"}


def test_a_device_that_is_lost_in_capture_is_lost() -> None:
    stream = FakeStream()
    stream.graphs = RuntimeError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(RuntimeError, match="illegal memory access"):
        clocks_of(stream, 1e-6)


def test_without_events_cold_calls_are_timed_by_the_host_and_flushes_are_waited_for() -> None:
    log: list[str] = []

    def overwrite() -> None:
        log.append("flush")
        time.sleep(0.02)

    stream = HostStream(0, lambda: log.append("wait"), overwrite, lambda: 7)
    cold = Cold(lambda: log.append("call"), stream)
    assert cold.seconds(3) < 0.02
    assert log == ["flush", "wait", "call", "wait"] * 3
    with pytest.raises(UnsupportedError, match="XLA makes its own"):
        stream.captured(lambda: None)
    assert stream.peak_memory(lambda: log.append("last")) == 7
    assert log[-1] == "last"


def test_clocks_settle_or_time_is_up() -> None:
    stream = FakeStream()
    ramp = [3e-3, 2.5e-3, 2e-3, 1.5e-3, 1e-3]

    def call() -> None:
        stream.work(ramp.pop(0) if ramp else 1e-3)

    settle(Hot(call, stream), clock=lambda: stream.host)
    assert not ramp
    unsteady = iter(range(1, 10**9))
    stream = FakeStream()
    spent = settle(Hot(lambda: stream.work(1e-3 * (1 + next(unsteady) % 7)), stream), 0.5, clock=lambda: stream.host)
    assert 0.5 <= spent < 0.7
