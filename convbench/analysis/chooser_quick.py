"""The quickest backend for a convolution that is done once, decided within some ten microseconds.

The same estimates as Chooser.rank with images=1, without intervals, and of the few backends only that are near the best
anywhere on the grid.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from convbench.analysis.chooser_model import Features, Shape, features
from convbench.analysis.recommend import Cells, Chooser, Surface

NEAR = 1.25
"""Somewhere on the grid a contender is within this factor of the best."""


class Quickest(NamedTuple):
    """Seconds, planning included; infinite, with no name, where the table has none."""

    seconds: float
    backend: str


@dataclass(frozen=True, slots=True)
class _Contender:
    name: str
    separable: bool
    surface: Surface
    refused: frozenset[tuple[int, int]]


class Decider:
    """A chooser's answers for one convolution, among these backends."""

    def __init__(self, chooser: Chooser, names: Collection[str]) -> None:
        self.sets: dict[tuple[str, str, str], list[tuple[Cells, list[_Contender]]]] = {}
        for cells in sorted(chooser.sets, key=lambda c: -c.threads):
            own = self.sets.setdefault((cells.layout, cells.dtype, cells.device), [])
            own.append((cells, _contenders(cells, names)))

    def quickest(
        self, layout: str, dtype: str, device: str, threads: int, image: Shape, kernel: Shape, mode: str
    ) -> tuple[Quickest, Quickest]:
        """The best for any kernel, and the best of those for separable kernels; image and kernel with two axes."""
        places = [
            (cells.place(image, kernel), contenders)
            for cells, contenders in self.sets.get((layout, dtype, device), ())
            if cells.threads <= threads
        ]
        if len(places) > 1:  # the question should lie in the grid; of those, the most threads
            places.sort(key=lambda found: found[0].outside > 0)
        best, passes = math.inf, math.inf
        name = passes_name = ""
        known: dict[str, Features] = {}
        used: set[str] = set()
        for place, contenders in places:
            i, i2, u, j, j2, v = place.i, place.i2, place.u, place.j, place.j2, place.v
            for one in contenders:
                if one.name in used:
                    continue
                surface = one.surface
                at = known.get(surface.model)
                if at is None:
                    at = known[surface.model] = features(surface.model, image, kernel, mode)
                if one.refused and not one.refused.isdisjoint(place.corners()):
                    continue
                used.add(one.name)
                # Surface.seconds, without its calls
                lower, upper = surface.ratios[i], surface.ratios[i2]
                first = lower[j] + v * (lower[j2] - lower[j])
                ratio = first + u * (upper[j] + v * (upper[j2] - upper[j]) - first)
                cost = (surface.a * at[0] + surface.b * at[1] + surface.c) * math.exp(ratio)
                if one.separable:
                    if cost < passes:
                        passes, passes_name = cost, one.name
                elif cost < best:
                    best, name = cost, one.name
        return Quickest(1e-6 * best, name), Quickest(1e-6 * passes, passes_name)


def _contenders(cells: Cells, names: Collection[str]) -> list[_Contender]:
    found = [
        _Contender(name, entry.family == "separable", entry.one_shot, frozenset(entry.refused))
        for name, entry in cells.entries.items()
        if name in names and entry.one_shot is not None
    ]
    kept = []
    for separable in (False, True):
        group = [one for one in found if one.separable is separable]
        times = [_times(cells, one) for one in group]
        columns = zip(*times, strict=True)
        best = [min((at for at in column if at[0] < 2), default=(2, math.inf))[1] for column in columns]
        for one, own in zip(group, times, strict=True):
            if any(
                seconds <= NEAR * least and seconds < math.inf for (_, seconds), least in zip(own, best, strict=True)
            ):
                kept.append(one)
    return kept


def _times(cells: Cells, one: _Contender) -> list[tuple[int, float]]:
    """Seconds at every cell, after how little they may leave others out: 0 measured, 1 filled in, 2 not at all.

    Not at all beside a cell that it refuses: between the two it is not asked.
    """
    near = {(i + up, j + right) for i, j in one.refused for up in (-1, 0, 1) for right in (-1, 0, 1)}
    places = [(i, j, here) for i, row in enumerate(one.surface.known) for j, here in enumerate(row)]
    return [
        (2 if (i, j) in near else int(not here), math.inf if (i, j) in one.refused else seconds)
        for (i, j, here), seconds in zip(places, cells.on_grid(one.surface), strict=True)
    ]
