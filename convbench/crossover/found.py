"""What a search for a crossover found: bands, and all that was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from convbench.crossover.contest import Size
from convbench.crossover.lengths import Kind, Setting
from convbench.crossover.search import Change


@dataclass(frozen=True)
class Band:
    """Between these kernel sizes one kind of sizes changes the lead: sure at both ends; None where none was found."""

    kind: Kind
    low: int | None
    high: int | None

    def overlaps(self, other: Band) -> bool:
        """Whether one crossover could lie in both."""
        ends = [(b.low or 0, b.high or math.inf) for b in (self, other)]
        return max(low for low, _ in ends) <= min(high for _, high in ends)


@dataclass(frozen=True)
class Crossing:
    """One change of lead, from the family `before` to the family `after`.

    kernel: where the times are equal, interpolated. bands: of odd kernels first, then of other kinds of sizes.
    left_out: the kinds that were not looked at, and why.
    """

    change: Change
    kernel: float
    before: str
    after: str
    bands: tuple[Band, ...]
    left_out: Mapping[Kind, str]

    @property
    def hull(self) -> tuple[int, int]:
        """The least and the greatest end of all bands: for kernels and images of any kind the crossover lies here."""
        lows = [band.low for band in self.bands if band.low is not None]
        highs = [band.high for band in self.bands if band.high is not None]
        return min(lows), max(highs)


@dataclass(frozen=True)
class Found:
    """The answer, and what it rests on.

    sizes: all that was measured, by kernel size. sweep: how many cells a sweep over all odd sizes would time. left_out:
    backends that cannot run this, and why. floor: the smallest relative difference that counts.
    """

    families: tuple[str, str]
    setting: Setting
    smallest: int
    largest: int
    sizes: tuple[Size, ...]
    crossings: tuple[Crossing, ...]
    sweep: int
    left_out: Mapping[str, str]
    floor: float
    interrupted: bool = False

    @property
    def cells(self) -> int:
        """Cells timed: a backend on a problem is one, however often it was sampled."""
        return sum(size.cells for size in self.sizes)

    @property
    def odd(self) -> list[Size]:
        """The sizes of the search itself."""
        return [size for size in self.sizes if size.kind == "odd"]

    @property
    def seen(self) -> dict[int, int]:
        """Who leads at each odd size: -1 the first family, +1 the second, 0 cannot tell."""
        return {size.kernel: size.lead for size in self.odd}

    @property
    def failed(self) -> dict[str, str]:
        """Backends that gave a wrong result or raised, so that they have no time, and what they did."""
        entries = [(size.kernel, entry) for size in self.sizes for entry in size.entries]
        return {entry.backend: f"{entry.reason} (k = {k})" for k, entry in entries if entry.status == "failed"}

    def leader(self, size: Size) -> str | None:
        """The family that surely leads there; None where it cannot be told."""
        return self.families[0 if size.lead < 0 else 1] if size.lead else None
