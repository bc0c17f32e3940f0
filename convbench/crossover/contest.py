"""Two families at one kernel size: who takes part, how often it is measured, and who leads, if that can be told."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from convbench.analysis.noise import Noise, log_ratio
from convbench.backends.base import Backend
from convbench.cell import Cell
from convbench.crossover.lengths import Kind
from convbench.errors import UnsupportedError
from convbench.measure import median_interval
from convbench.problem import Problem, Shape

Measure = Callable[[Problem, Sequence[Backend]], list[Cell]]
"""Gates and times backends side by side on a problem; several cells of a backend come from as many processes."""

ROUNDS = 4
"""A lead that is hard to tell is measured so many times; what four do not show, forty rarely do."""
PLAIN = 2.0
"""A difference of this many limits is plain at once; a smaller one has to show again in the next round."""
WITHIN_FAR, WITHIN_NEAR = 1.5, 1.25
"""Backends within this factor of their family's best at a neighbouring size take part: far from it, and near."""
FAR = 5.0
"""Sizes apart by this factor are far from each other."""


@dataclass(frozen=True)
class Entry:
    """One backend at one size.

    samples: seconds; processes: how many of them are of each process, in order; of these, `newest` are the latest
    round's.
    """

    backend: str
    family: str
    status: str
    reason: str | None = None
    samples: tuple[float, ...] = ()
    processes: tuple[int, ...] = ()
    newest: int = 1

    @functools.cached_property
    def seconds(self) -> float:
        """The median."""
        return float(np.median(self.samples))

    @functools.cached_property
    def interval(self) -> tuple[float, float]:
        """The 99 % interval of the median, from order statistics."""
        return median_interval(self.samples)

    @property
    def latest(self) -> float:
        """The median of the latest round."""
        return float(np.median(self.samples[-sum(self.processes[-self.newest :]) :]))

    def against(self, other: Entry) -> tuple[float, float]:
        """Log of the ratio of times, and its standard error."""
        return log_ratio(self.samples, self.processes, other.samples, other.processes)


@dataclass(frozen=True)
class Size:
    """What was found at one kernel size.

    best: the quickest entry of each family, None where none could be timed. log_ratio: of time a over time b, a tie up
    to `limit` either way; None where one was not timed. lead: -1 the first family, +1 the second, 0 cannot tell. why:
    in words, where it is not the times that decide.
    """

    kernel: int
    kind: Kind
    image_shape: Shape
    entries: tuple[Entry, ...]
    best: tuple[Entry | None, Entry | None]
    rounds: int
    log_ratio: float | None = None
    limit: float | None = None
    lead: int = 0
    why: str | None = None

    @property
    def cells(self) -> int:
        """How many backends were timed."""
        return sum(bool(entry.samples) for entry in self.entries)


@dataclass
class Contest:
    """Measures sizes and remembers them. budget: seconds that one execution may take."""

    families: tuple[str, str]
    entrants: Sequence[Backend]
    measure: Measure
    noise: Noise
    budget: float
    rounds: int = ROUNDS
    sizes: dict[Problem, Size] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Cells timed so far: a backend on a problem counts once, however often it was sampled."""
        return sum(size.cells for size in self.sizes.values())

    def candidates(self, kernel: int) -> list[Backend]:
        """All, at the first two sizes; then those near the best of their family at a neighbouring size."""
        known = sorted(self.sizes.values(), key=lambda size: size.kernel)
        if len({size.kernel for size in known}) < 2:
            return list(self.entrants)
        below = [size for size in known if size.kernel <= kernel][-1:] or known[:1]
        above = [size for size in known if size.kernel > kernel][:1] or known[-1:]
        apart = abs(math.log(above[0].kernel / below[0].kernel)) / math.log(FAR)
        factor = WITHIN_NEAR + (WITHIN_FAR - WITHIN_NEAR) * min(1.0, apart)
        near = {name for size in (*below, *above) for name in _contenders(size, factor)}
        families = {b.family for b in self.entrants if b.name in near}
        return [b for b in self.entrants if b.name in near or b.family not in families]

    def at(self, problem: Problem, kernel: int, kind: Kind) -> Size:
        """Who leads here: measured now, in as many rounds as it takes, if it was not yet."""
        if problem not in self.sizes:
            self.sizes[problem] = self._contest(problem, kernel, kind)
        return self.sizes[problem]

    def _contest(self, problem: Problem, kernel: int, kind: Kind) -> Size:
        chosen = self.candidates(kernel)
        entries = _merged({}, self.measure(problem, chosen))
        spare = [b for b in self.entrants if b not in chosen and b.family in self._broken(entries)]
        if spare:
            # with those that are to be compared with them, again: only what is sampled side by side can be paired
            fine = {name for name, entry in entries.items() if entry.status == "ok"}
            chosen = [b for b in chosen if b.name in fine] + spare
            entries |= _merged({}, self.measure(problem, chosen))
        size = Size(kernel, kind, problem.image_shape, (), (None, None), 0)
        for rounds in itertools.count(1):
            size, error = self._judged(size, entries)
            if size.log_ratio is None or size.lead or rounds == self.rounds:
                break
            if abs(size.log_ratio) + 2 * error < self.noise.limit(0.0):  # more samples could not tell either
                break
            entries = self._once_more(problem, size)
        return size

    def again(self, problem: Problem) -> Size:
        """A size that was looked at, measured once more: a machine that others share is another one later."""
        size = self.sizes[problem]
        if size.log_ratio is not None:
            self.sizes[problem], _ = self._judged(size, self._once_more(problem, size))
        return self.sizes[problem]

    def _judged(self, size: Size, entries: dict[str, Entry]) -> tuple[Size, float]:
        """The size after another round, and the standard error of the log ratio; NaN where there is none."""
        size = replace(size, entries=tuple(entries.values()), best=self._best(entries), rounds=size.rounds + 1, lead=0)
        a, b = size.best
        if a is None or b is None:
            return self._forfeited(size), math.nan
        estimate, error = a.against(b)
        size = replace(size, log_ratio=estimate, limit=self.noise.limit(error))
        return replace(size, lead=-1 if estimate < 0 else 1) if self._sure(size) else size, error

    def _once_more(self, problem: Problem, size: Size) -> dict[str, Entry]:
        """The entries with another round of the best of each family and what cannot be told from it."""
        entries = {entry.backend: entry for entry in size.entries}
        rivals = self._rivals(entries, size.best)
        return _merged(entries, self.measure(problem, [b for b in self.entrants if b.name in rivals]))

    def _best(self, entries: dict[str, Entry]) -> tuple[Entry | None, Entry | None]:
        """The quickest of each family, of those measured in every round."""
        a, b = (
            [e for e in entries.values() if e.family == family and e.samples and e.status == "ok"]
            for family in self.families
        )
        return _quickest(a), _quickest(b)

    def _rivals(self, entries: dict[str, Entry], best: Iterable[Entry | None]) -> set[str]:
        """The best of each family and what cannot be told from it."""
        names = set()
        for first in best:
            for entry in entries.values():
                if first and entry.family == first.family and entry.samples and entry.status == "ok":
                    estimate, error = entry.against(first)
                    if estimate <= self.noise.limit(error):
                        names.add(entry.backend)
        return names

    def _sure(self, size: Size) -> bool:
        """Whether the times say who leads: plainly, or in the latest round too, by half the limit at least."""
        a, b = size.best
        if a is None or b is None or size.log_ratio is None or size.limit is None:
            return False
        if size.rounds == 1:
            return abs(size.log_ratio) >= PLAIN * size.limit
        latest = math.log(a.latest / b.latest)
        return abs(size.log_ratio) >= size.limit and math.copysign(1, size.log_ratio) * latest >= size.limit / 2

    def _broken(self, entries: dict[str, Entry]) -> set[str]:
        """Families of which nothing could be timed, and not because of the budget."""
        fine = {entry.family for entry in entries.values() if entry.status in ("ok", "skipped")}
        return set(self.families) - fine

    def _forfeited(self, size: Size) -> Size:
        """One family was not timed: over the budget it is behind by more than noise can hide, else nobody knows."""
        leads, whys = [], []
        for lead, family, mine, other in zip((1, -1), self.families, size.best, size.best[::-1], strict=True):
            if mine is not None:
                continue
            tried = [entry for entry in size.entries if entry.family == family]
            late = any(entry.status == "skipped" for entry in tried)
            if late and other is not None and WITHIN_FAR * other.seconds < self.budget:
                leads.append(lead)
                whys.append(f"{family} is over the budget of {self.budget:g} s")
            else:
                reasons = "; ".join(f"{entry.backend}: {entry.reason or entry.status}" for entry in tried)
                whys.append(f"no {family} backend was timed: {reasons}")
        return replace(size, lead=sum(leads), why="; ".join(whys))


def entrants(
    families: tuple[str, str], backends: Iterable[Backend], problems: Sequence[Problem]
) -> tuple[list[Backend], dict[str, str]]:
    """The backends that can run any of the problems, and why the others cannot.

    Raises UnsupportedError with the reasons where a family has none.
    """
    chosen, left_out = [], {}
    for backend in backends:
        reasons = [backend.unsupported(problem) for problem in problems]
        if all(reasons):
            left_out[backend.name] = str(reasons[0])
        else:
            chosen.append(backend)
    for family in families:
        if not any(b.family == family for b in chosen):
            told = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none was asked for"
            raise UnsupportedError(f"no {family} backend can run this: {told}. `convbench list` shows them all")
    return chosen, left_out


def _contenders(size: Size, factor: float) -> list[str]:
    """Backends that may be within a factor of their family's best there, as far as intervals of the medians tell."""
    found = []
    for first in size.best:
        if first is not None:
            timed = [e for e in size.entries if e.family == first.family and e.samples]
            found += [e.backend for e in timed if e.interval[0] <= factor * first.interval[1]]
    return found


def _merged(known: dict[str, Entry], cells: Iterable[Cell]) -> dict[str, Entry]:
    """Entries with the samples of another round added; what did not take part in it has shown to be slower."""
    found = {name: replace(e, status="slower") if e.status == "ok" else e for name, e in known.items()}
    here: set[str] = set()
    for cell in sorted(cells, key=lambda cell: cell.status != "ok"):  # one process with a wrong result is enough
        if cell.status == "ok" and cell.execute is not None:
            old, new = found.get(cell.backend), cell.execute.samples
            samples, processes = (old.samples, old.processes) if old else ((), ())
            newest = old.newest + 1 if old and cell.backend in here else 1
            here.add(cell.backend)
            entry = Entry(cell.backend, cell.family, "ok", None, (*samples, *new), (*processes, len(new)), newest)
        else:
            entry = Entry(cell.backend, cell.family, cell.status, cell.reason)
        found[cell.backend] = entry
    return found


def _quickest(entries: Sequence[Entry]) -> Entry | None:
    return min(entries, key=lambda entry: entry.seconds, default=None)
