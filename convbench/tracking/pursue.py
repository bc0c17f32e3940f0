"""Rounds until there is a verdict: all cells first, then only those of which nothing can be told yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from convbench.tracking.verdicts import Calibration, Finding, Round, decide

Out = TypeVar("Out")
Progress = Callable[[int, int, str], None]

LOOKS = (4, 6, 8, 12, 16, 24)
"""Numbers of rounds after which there is a verdict, then always half as many more: few, for each is another occasion
for a false alarm, and each adds enough to change something."""


def pursue(
    cells: Collection[str],
    known: Mapping[str, Iterable[Round]],
    take: Callable[[list[str]], Iterator[tuple[str, Round | Out]]],
    *,
    rounds: int,
    margin: float,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> tuple[dict[str, Finding], Calibration, dict[str, Out]]:
    """Verdicts of cells, and those that fell out, with what was said of them.

    known: rounds measured before. take: measures one more round of these cells, in any order, and yields each with its
    Round, or with anything else if the cell is out. rounds: the most a cell gets. stop: asked after every cell.
    """
    series: dict[str, list[Round]] = {cell: list(known.get(cell, ()))[:rounds] for cell in cells}
    out: dict[str, Out] = {}
    while True:
        findings, calibration = decide({cell: series[cell] for cell in cells if cell not in out}, margin)
        left = {cell: _left(len(series[cell]), findings.get(cell), rounds) for cell in cells if cell not in out}
        todo = [cell for cell, count in left.items() if count]
        if not todo or stop():
            return findings, calibration, out
        for cell, found in take(todo):
            if isinstance(found, tuple):
                series[cell].append(found)
                left[cell] -= 1
            else:
                out[cell] = found
                left[cell] = 0
            if progress:
                done = sum(map(len, series.values()))
                progress(done, done + sum(left.values()), f"round {len(series[cell])} of {cell}")
            if stop():
                break


def _left(count: int, found: Finding | None, rounds: int) -> int:
    """How many more rounds a cell needs until it is looked at next; 0 if it is decided, or has had them all."""
    decided = found is not None and found.verdict != "cannot tell" and _next_look(count - 1) == count
    return 0 if decided or count >= rounds else min(_next_look(count), rounds) - count


def _next_look(count: int) -> int:
    """The least number of rounds after this one at which there is a look."""
    look = next((look for look in LOOKS if look > count), LOOKS[-1])
    while look <= count:
        look += look // 2
    return look
