"""The clocks of a device, against a stream whose time is known."""

from __future__ import annotations

import pytest
from fake_cuda import FLUSH, LAUNCH, FakeStream

from convbench.cuda.clock import LAUNCH_BOUND, Cold, Hot, Wall, clocks, settle


def called(stream: FakeStream, seconds: float):
    def call() -> None:
        stream.work(seconds if stream.warm else 3 * seconds)
        stream.warm = True

    return call


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
    for seconds, graph in ((LAUNCH_BOUND / 10, True), (LAUNCH_BOUND * 10, False)):
        stream = FakeStream()
        found = clocks(Hot(called(stream, seconds), stream))
        assert set(found) == {"cold", "wall"} | ({"graph"} if graph else set())
    stream = FakeStream()
    stream.graphs = False
    assert set(clocks(Hot(called(stream, 1e-6), stream))) == {"cold", "wall"}


def test_without_events_there_is_no_cold_time() -> None:
    class Host(FakeStream):
        clock = "host"

    assert set(clocks(Hot(called(stream := Host(), 1e-3), stream))) == {"wall"}


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
