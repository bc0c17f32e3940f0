"""The time line of a profile as a trace that Perfetto and chrome://tracing read (Trace Event Format, JSON)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from convbench.profiling.spans import Span


def trace(spans: Iterable[Span], label: str) -> dict[str, Any]:
    """A complete event for each span, microseconds from the first one; threads in the order in which they begin."""
    ordered = sorted(spans, key=lambda span: (span.begin, -span.end))
    start = ordered[0].begin if ordered else 0.0
    threads = {span.thread: i for i, span in reversed(list(enumerate(ordered)))}
    numbers = {thread: n for n, thread in enumerate(sorted(threads, key=lambda thread: threads[thread]))}
    main = threading.main_thread().ident
    named: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": 0, "args": {"name": label}}]
    for thread, number in numbers.items():
        name = "main thread" if thread == main else f"thread {number}"
        named.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": number, "args": {"name": name}})
    events = [
        {
            "ph": "X",
            "name": span.name,
            "cat": span.path[0],
            "ts": round((span.begin - start) * 1e6, 3),
            "dur": round(span.seconds * 1e6, 3),
            "pid": 0,
            "tid": numbers[span.thread],
        }
        for span in ordered
    ]
    return {"traceEvents": named + events, "displayTimeUnit": "ms"}
