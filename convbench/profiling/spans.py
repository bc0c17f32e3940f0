"""What marks have written, as spans of time: which stage, in which thread, from when to when, within which other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from convbench.stages import Event


@dataclass(frozen=True)
class Span:
    """One run of a stage. begin, end: seconds on the clock of time.perf_counter; own: without the spans within it.

    path: the names of the spans around it, the outermost first, and its own. weight: for how many runs it stands.
    """

    path: tuple[str, ...]
    thread: int
    begin: float
    end: float
    own: float
    weight: int = 1

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def spans(events: Iterable[Event]) -> list[Span]:
    """The spans in the order in which they ended; what has no end, or no beginning, is left out."""
    found: list[Span] = []
    open_: dict[int, list[tuple[str, int, int, int]]] = {}
    """By thread: name, weight, begin, nanoseconds of the spans within."""
    for thread, stage, at in events:
        stack = open_.setdefault(thread, [])
        if stage is not None:
            around = stack[-1][1] if stack else 1
            stack.append((stage.name, stage.weight * around, at, 0))
        elif stack:
            path = tuple(entry[0] for entry in stack)
            _, weight, begin, within = stack.pop()
            if stack:
                outer, around, start, before = stack[-1]
                stack[-1] = (outer, around, start, before + (at - begin) * weight // around)
            found.append(Span(path, thread, begin / 1e9, at / 1e9, (at - begin - within) / 1e9, weight))
    return found
