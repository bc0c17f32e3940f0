"""Faster, slower, the same, or cannot tell: what rounds of three processes say of two commits. Knows only numbers.

A round of a cell is three times, each from a process of its own: base, new, and base again as the control. Where a
process finds its memory and its code makes it a little quicker or slower as a whole, so a round is one observation,
however many samples it has, and the scatter between rounds is what counts. If nothing differs, the three are
exchangeable. Of their logarithms,

    difference = new - (base + control) / 2,  of variance 3/2 sigma^2
    control    = control - base,              of variance 2 sigma^2

are uncorrelated; sigma^2 is the variance of one process. The control shows what "nothing differs" looks like.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from convbench.problem import Array

Verdict = Literal["slower", "faster", "same", "cannot tell"]
Round = tuple[float, float, float]
"""Seconds of base, new and control."""

CONFIDENCE = 0.99
"""Of the intervals that are shown, and that must lie within the margin for `same`."""
ALARM = 0.05
"""The largest probability that a half of the rounds exceeds its limit by chance; it takes both halves to be wrong."""
ALARMS = 0.025
"""False alarms to be expected of one look at all cells together; a run looks at a cell up to five times."""
LEAST_ROUNDS = 2
POOLED = 4.0
"""How many degrees of freedom the scatter of the other cells is worth, beside a cell's own."""
CLIP = 3.0
"""Observations further than this many standard deviations from their median count as that far, and no further."""
_EXACT = 1e-6
"""Standard deviation of processes that never differ, as with a coarse clock: so that nothing is divided by zero."""
_DIFFERENCE, _CONTROL = math.sqrt(1.5), math.sqrt(2.0)
_NORMAL = 1.4826  # standard deviation of normal scatter over its median absolute deviation


@dataclass(frozen=True)
class Finding:
    """What is known of a cell: new / base, and its interval of 99 %."""

    verdict: Verdict
    ratio: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Calibration:
    """How much processes scatter, and whether theory was enough to say so.

    sigma: standard deviation of the logarithm of a process's time, over all cells. widened: the factor by which limits
    are wider than Student's t says, so that they cover the controls. controls: how many there were.
    """

    sigma: float
    widened: float
    controls: int


@dataclass(frozen=True)
class _Cell:
    """A cell's observations, in units in which each has variance sigma^2; sigma with its degrees of freedom."""

    difference: Array
    control: Array
    sigma: float
    freedom: float

    def limit(self, count: int, alarm: float = 1 - CONFIDENCE) -> float:
        """What the mean of *count* observations exceeds by chance alone with probability *alarm*."""
        return float(stats.t.isf(alarm / 2, self.freedom)) * self.sigma / math.sqrt(count)


def decide(cells: Mapping[str, Sequence[Round]], margin: float) -> tuple[dict[str, Finding], Calibration]:
    """A verdict for every cell that has two rounds at least.

    margin: relative difference up to which two times are the same to the reader, e.g. 0.05.

    same: the whole interval lies within the margin. slower, faster: it does not, and the difference was found twice,
    in the earlier half of the rounds and in the later one, each by itself beyond its limit, so that a false alarm takes
    two accidents in the same direction. The more cells there are, the further out the limit, so that it is a whole run,
    and not each of its cells, that rarely raises one. cannot tell: neither.
    """
    rounds = {name: np.log(np.array(given)) for name, given in cells.items() if len(given) >= LEAST_ROUNDS}
    if not rounds:
        return {}, Calibration(math.nan, 1.0, 0)
    alarm = min(ALARM, math.sqrt(2 * ALARMS / len(rounds)))  # both halves in the same direction: alarm^2 / 2
    known, pooled = _cells(rounds)
    found = _calibrated(known.values(), pooled, alarm)
    return {name: _finding(cell, found.widened, alarm, math.log1p(margin)) for name, cell in known.items()}, found


def _cells(rounds: Mapping[str, Array]) -> tuple[dict[str, _Cell], float]:
    """Scatter by cell, drawn towards that of all cells (as in Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3)."""
    pairs = {
        name: ((new - (base + again) / 2) / _DIFFERENCE, (again - base) / _CONTROL)
        for name, (base, new, again) in ((name, logs.T) for name, logs in rounds.items())
    }
    pooled = max(_EXACT, _NORMAL * float(np.median(np.abs(np.concatenate([control for _, control in pairs.values()])))))
    weight = min(POOLED, len(pairs) - 1.0)  # of what the other cells say; there are none beside a single one
    cells = {}
    for name, pair in pairs.items():
        difference, control = (_clipped(values, pooled) for values in pair)
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in (difference, control))
        freedom = weight + 2 * (len(difference) - 1)
        sigma = max(_EXACT, math.sqrt((weight * pooled**2 + squares) / freedom))
        cells[name] = _Cell(difference, control, sigma, freedom)
    return cells, pooled


def _clipped(values: Array, pooled: float) -> Array:
    """Values far from their median moved to where they are just unlikely (winsorised): none is dropped."""
    middle = np.median(values)
    reach = CLIP * max(pooled, _NORMAL * float(np.median(np.abs(values - middle))))
    return np.clip(values, middle - reach, middle + reach)


def _halves(values: Array) -> tuple[Array, Array]:
    """The earlier and the later rounds."""
    return values[: len(values) // 2], values[len(values) // 2 :]


def _calibrated(cells: Iterable[_Cell], pooled: float, alarm: float) -> Calibration:
    """Hold the controls against their limits, by halves as the decision is made.

    The factor is the conformal quantile of |control| / limit (Vovk, Gammerman and Shafer 2005): limits multiplied by it
    cover the next control with probability 1 - alarm, whatever the distribution; with fewer than 19 controls they cover
    them all. It never narrows them.
    """
    halves = [(cell, half) for cell in cells for half in _halves(cell.control)]
    count = len(halves)
    alarm = max(alarm, 1 / (count + 1))
    ratios = sorted(abs(float(half.mean())) / cell.limit(len(half), alarm) for cell, half in halves)
    rank = min(count, math.ceil((count + 1) * (1 - alarm) - 1e-9))
    return Calibration(pooled, max(1.0, ratios[rank - 1]), count)


def _finding(cell: _Cell, widened: float, alarm: float, margin: float) -> Finding:
    count = len(cell.difference)
    middle = float(cell.difference.mean()) * _DIFFERENCE
    reach = widened * cell.limit(count) * _DIFFERENCE
    verdict: Verdict = "cannot tell"
    if abs(middle) + reach <= margin:
        verdict = "same"
    else:
        sides = {_side(half, widened * cell.limit(len(half), alarm)) for half in _halves(cell.difference)}
        if sides == {1}:
            verdict = "slower"
        elif sides == {-1}:
            verdict = "faster"
    return Finding(verdict, math.exp(middle), math.exp(middle - reach), math.exp(middle + reach), count)


def _side(half: Array, limit: float) -> int:
    """1 or -1 where the mean lies beyond the limit, else 0."""
    mean = float(half.mean())
    return 0 if abs(mean) <= limit else 1 if mean > 0 else -1
