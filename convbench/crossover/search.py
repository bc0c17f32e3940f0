"""Find where the lead changes along sizes, with few looks: bisection on a log scale. Knows only callables.

A look says who leads at a size: -1 the one, +1 the other, 0 cannot tell. What is searched need not be monotone, and a
look may be wrong now and then: sizes between which nothing was seen for long are looked at as well, and so are the
sizes just outside a change.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Look = Callable[[int], int]
Seen = dict[int, int]

WIDEST = 2.5
"""Between two sizes further apart than this factor there may be two changes that cancel: a look goes between them."""
FINE = 1.1
"""Where noise begins to hide the lead is itself uncertain: its edge is sought no finer than this factor."""
OUTSIDE = 1.08
"""How far outside a change, at least, a look confirms it: steps of the curve would show there."""
TOGETHER = 1.6
"""An odd number of changes within this factor is one, of a curve with steps."""
FARTHEST = 8
"""Largest number of sizes skipped at once by `around`."""


class Enough(Exception):  # noqa: N818
    """Raised by a look that is not to be taken any more: the search returns what was seen."""


@dataclass(frozen=True)
class Change:
    """The lead passes from `before` to `after`: low, the last size at which the one leads for sure, high, the first for
    the other. times: how often it changed in between, 1 if once."""

    low: int
    high: int
    before: int
    after: int
    times: int = 1


def search(sizes: Sequence[int], look: Look, known: Seen | None = None) -> Seen:
    """Who leads at the sizes looked at, so that every change of lead is between neighbours, or around ties.

    sizes: ascending. known: what was seen before. Looks at both ends, halves whatever lies between different answers,
    then fills the widest gaps and looks outside each change. Two changes closer together than WIDEST can be missed.
    """
    seen = dict(known or {})
    try:
        _visit(seen, look, sizes[0])
        _visit(seen, look, sizes[-1])
        _refine(sizes, look, seen)
        while (size := _in_widest_gap(sizes, seen)) is not None or (size := _outside(sizes, seen)) is not None:
            _visit(seen, look, size)
            _refine(sizes, look, seen)
    except Enough:
        pass
    return seen


def around(sizes: Sequence[int], look: Look, change: Change) -> Seen:
    """The same for sizes of another kind, where a change like this one is expected near it: outward from there.

    It goes up and down in growing steps until each side leads for sure, or sizes end.
    """
    seen: Seen = {}
    middle = math.sqrt(change.low * change.high)
    start = min(range(len(sizes)), key=lambda i: abs(math.log(sizes[i] / middle)))
    try:
        first = _visit(seen, look, sizes[start])
        for step, wanted in sorted(((-1, change.before), (1, change.after)), key=lambda side: side[1] == first):
            at, stride, lead = start, step, first
            while lead != wanted and 0 <= at + step < len(sizes):
                at = min(max(at + stride, 0), len(sizes) - 1)
                stride = max(-FARTHEST, min(FARTHEST, 2 * stride))
                lead = _visit(seen, look, sizes[at])
        _refine(sizes, look, seen)
    except Enough:
        pass
    return seen


def changes(seen: Seen) -> list[Change]:
    """Every change of lead in what was seen, ascending; ties lie within a change or beside it, and make none."""
    sure = [(size, lead) for size, lead in sorted(seen.items()) if lead]
    single = [
        Change(low, high, before, after) for (low, before), (high, after) in itertools.pairwise(sure) if before != after
    ]
    found, i = [], 0
    while i < len(single):
        near = [j for j in range(i, len(single), 2) if single[j].high <= TOGETHER * single[i].low]
        last = max(near, default=i)
        found.append(Change(single[i].low, single[last].high, single[i].before, single[last].after, last - i + 1))
        i = last + 1
    return found


def runs(seen: Seen) -> list[tuple[int, int, int]]:
    """Stretches of equal answers, (lead, from, to), ascending."""
    ordered = sorted(seen.items())
    groups = [
        (lead, [size for size, _ in items]) for lead, items in itertools.groupby(ordered, key=lambda item: item[1])
    ]
    return [(lead, sizes[0], sizes[-1]) for lead, sizes in groups]


def _visit(seen: Seen, look: Look, size: int) -> int:
    if size not in seen:
        seen[size] = look(size)
    return seen[size]


def _refine(sizes: Sequence[int], look: Look, seen: Seen) -> None:
    """Halve every interval whose ends differ, until they are neighbours, or near enough where one end is a tie."""
    while True:
        pairs = [(a, b) for a, b in itertools.pairwise(sorted(seen)) if seen[a] != seen[b]]
        pairs = [(a, b) for a, b in pairs if (seen[a] and seen[b]) or b > FINE * a]
        middles = [m for m in (_middle(sizes, a, b) for a, b in pairs) if m is not None]
        if not middles:
            return
        _visit(seen, look, middles[0])


def _middle(sizes: Sequence[int], low: int, high: int) -> int | None:
    """The size between the two that is nearest to their geometric mean."""
    between = [s for s in sizes if low < s < high]
    return min(between, key=lambda s: abs(math.log(s * s / (low * high))), default=None)


def _in_widest_gap(sizes: Sequence[int], seen: Seen) -> int | None:
    gaps = [(b / a, a, b) for a, b in itertools.pairwise(sorted(seen)) if b > WIDEST * a]
    for _, a, b in sorted(gaps, reverse=True):
        if (middle := _middle(sizes, a, b)) is not None:
            return middle
    return None


def _outside(sizes: Sequence[int], seen: Seen) -> int | None:
    """A size just below or above a change that has not been looked at."""
    for change in changes(seen):
        below = [s for s in sizes if s * OUTSIDE <= change.low]
        above = [s for s in sizes if s >= change.high * OUTSIDE]
        for near in (below[-1:], above[:1]):
            for size in near:
                between = sorted((size, change.low) if size < change.low else (change.high, size))
                if not any(between[0] <= s <= between[1] and s not in (change.low, change.high) for s in seen):
                    return size
    return None
