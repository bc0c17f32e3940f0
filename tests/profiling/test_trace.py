"""The trace: loads as JSON, times count from the first span, and events of a thread nest."""

from __future__ import annotations

import json

import pytest

from convbench.backends import get_backend
from convbench.measure import Rule
from convbench.problem import Problem
from convbench.profiling.accounting import account
from convbench.profiling.spans import spans
from convbench.profiling.subject import Subject
from convbench.profiling.trace import trace
from convbench.stages import EXECUTE, PAD, TILES, Event


def nested(events: list[dict]) -> bool:
    """Whether any two events of a thread are apart, or one within the other."""
    for thread in {event["tid"] for event in events}:
        mine = sorted((e for e in events if e["tid"] == thread), key=lambda e: (e["ts"], -e["dur"]))
        open_: list[float] = []
        for event in mine:
            while open_ and event["ts"] >= open_[-1] - 1e-3:
                open_.pop()
            if open_ and event["ts"] + event["dur"] > open_[-1] + 2e-3:
                return False
            open_.append(event["ts"] + event["dur"])
    return True


def test_a_trace_of_hand_made_spans() -> None:
    events: list[Event] = [
        (7, EXECUTE, 1000),
        (7, PAD, 3000),
        (9, TILES, 3500),
        (7, None, 5000),
        (9, None, 8000),
        (7, None, 9000),
    ]
    found = json.loads(json.dumps(trace(spans(events), "a <label>")))
    complete = [e for e in found["traceEvents"] if e["ph"] == "X"]
    assert [(e["name"], e["cat"], e["ts"], e["dur"], e["tid"]) for e in complete] == [
        ("execute", "execute", 0.0, 8.0, 0),
        ("pad", "execute", 2.0, 2.0, 0),
        ("tiles", "tiles", 2.5, 4.5, 1),
    ]
    names = {e["name"]: e["args"]["name"] for e in found["traceEvents"] if e["ph"] == "M"}
    assert names["process_name"] == "a <label>"
    assert nested(complete)


def test_overlapping_events_are_noticed() -> None:
    assert not nested([{"tid": 0, "ts": 0.0, "dur": 5.0}, {"tid": 0, "ts": 3.0, "dur": 5.0}])


def test_no_spans_are_an_empty_trace() -> None:
    assert [e["ph"] for e in trace([], "nothing")["traceEvents"]] == ["M"]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_real_trace_nests(threads: int) -> None:
    backend, problem = get_backend("pyfftw-overlap"), Problem((512, 512), (31, 31), threads=threads)
    if not backend.available():
        pytest.skip(backend.remedy)
    found = account(
        Subject(backend, problem, problem.image(), problem.kernel()), Rule(warmup=0.01, seconds=0.05, least=3)
    )
    complete = [e for e in trace(found.spans, "x")["traceEvents"] if e["ph"] == "X"]
    assert {"plan", "load", "execute", "store", "forward FFT"} <= {e["name"] for e in complete}
    assert nested(complete)
    assert min(e["ts"] for e in complete) == 0
