"""Marks: off they do nothing, on they say which stage runs in which thread, and they change no result."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from convbench.backends import list_backends
from convbench.problem import Problem
from convbench.profiling.spans import spans
from convbench.stages import CROP, EXECUTE, PAD, TILES, Event, Rounds, Stage, recording


def test_a_mark_is_written_only_while_somebody_records() -> None:
    with PAD:
        pass
    with recording() as events:
        assert events == []
        with PAD, CROP:
            pass
    with CROP:
        pass
    assert [stage for _, stage, _ in events] == [PAD, CROP, None, None]
    assert [at for *_, at in events] == sorted(at for *_, at in events)


def test_an_error_passes_through_a_mark_and_ends_it() -> None:
    with pytest.raises(ZeroDivisionError), PAD:
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), recording() as events, PAD:
        raise ZeroDivisionError
    assert [stage for _, stage, _ in events] == [PAD, None]


def test_recording_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), recording() as events:
        raise ZeroDivisionError
    with PAD:
        pass
    assert events == []


def test_spans_nest_and_know_their_own_time() -> None:
    one, two = 1, 2
    events: list[Event] = [
        (one, EXECUTE, 0),
        (one, PAD, 10),
        (two, TILES, 12),
        (one, CROP, 20),
        (one, None, 50),
        (two, None, 52),
        (one, None, 60),
        (one, None, 100),
        (two, None, 200),  # begun before anybody recorded
        (one, PAD, 300),  # not ended
    ]
    found = {span.path: span for span in spans(events)}
    assert set(found) == {("execute",), ("execute", "pad"), ("execute", "pad", "crop"), ("tiles",)}
    own = {span.name: round(span.own * 1e9) for span in found.values()}
    assert own == {"execute": 50, "pad": 20, "crop": 30, "tiles": 40}
    assert found["execute",].seconds == pytest.approx(100e-9)
    assert found["tiles",].thread == two


def test_a_weighted_span_stands_for_several_and_so_do_those_within_it() -> None:
    twice = Stage("pad", 3)
    events: list[Event] = [(1, EXECUTE, 0), (1, twice, 10), (1, CROP, 20), (1, None, 25), (1, None, 30), (1, None, 100)]
    found = {span.name: (round(span.own * 1e9), span.weight) for span in spans(events)}
    assert found == {"execute": (40, 1), "pad": (15, 3), "crop": (5, 3)}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 28])
def test_marked_rounds_stand_for_all_and_each_has_its_turn(count: int) -> None:
    rounds, times = Rounds(PAD, CROP), 5000
    stood_for = np.zeros(count)

    def loop() -> None:
        for i, (pad, crop) in zip(range(count), rounds.of(count), strict=True):
            with pad:
                pass
            with crop:
                stood_for[i] += getattr(crop, "weight", 0)

    loop()
    assert not stood_for.any()  # nobody records
    for _ in range(times):
        with recording() as events:
            loop()
        found = spans(events)
        assert len(found) == 2 * min(count, Rounds.MARKED)
        assert sum(span.weight for span in found if span.name == "crop") == count
    assert stood_for / times == pytest.approx(1, rel=0.02)
    with recording(rounds=np.inf) as events:
        loop()
    assert [(span.name, span.weight) for span in spans(events)] == [("pad", 1), ("crop", 1)] * count


def test_threads_have_stages_of_their_own() -> None:
    barrier = threading.Barrier(2)

    def work() -> None:
        with PAD:
            barrier.wait(10)

    with recording() as events:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = spans(events)
    assert [span.path for span in found] == [("pad",), ("pad",)]
    assert len({span.thread for span in found}) == 2


@pytest.mark.parametrize("name", ["pyfftw", "pyfftw-overlap", "numba-direct", "numba-separable", "torch", "torch-fft"])
@pytest.mark.parametrize("threads", [1, 2])
def test_marks_change_no_result_and_end_where_they_begin(name: str, threads: int) -> None:
    backend = next(b for b in list_backends() if b.name == name)
    problem = Problem((300, 200), (9, 7), threads=threads)
    if reason := backend.unsupported(problem):
        pytest.skip(reason)
    plan = backend.plan(problem, problem.kernel(separable=True))
    data = plan.load(problem.image())
    plain = np.array(plan.store(plan.execute(data)))
    with recording() as events:
        marked = plan.store(plan.execute(data))
    assert np.array_equal(plain, marked)
    assert sum(stage is not None for _, stage, _ in events) == len(spans(events))
    assert plan.clocked(data) or spans(events)
