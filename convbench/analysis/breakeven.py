"""From how many images on a dearer start pays: what is done once, the first call and the steady state kept apart.

The time of N images with one kernel on one plan is a straight line in N, first + (N - 1) each, in seconds:

    each         = load + execute + store
    first, warm  = one-shot + store, where one-shot = plan + load + first execute of that plan: the library is loaded,
                   compiled code and FFT plans that it keeps are there, only the kernel is new
    first, cold  = first plan + load + first execute + store, in a fresh process: the first plan imports and compiles

Load and store are the conversions to a library's own arrays: views on the host, transfers for a device. Who is cheapest
for N images is the lower envelope of these lines; a break-even is the first whole N at which the next of its lines is
not slower than the one before. A cell of which one of these times is not known takes no part: nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.crossover import COVERAGE, DRAWS, ERRORS_IN_ASV_INTERVAL
from convbench.analysis.noise import UNCALIBRATED, Noise
from convbench.analysis.regret import QUESTION
from convbench.analysis.schema import measured

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


STARTS = ("warm", "cold")
IMAGES = (1, 10, 100, 1000)
MOST = 1_000_000
"""A break-even beyond so many images is called none."""
START_ERROR = 0.1
"""Relative standard error of a start: it is timed a few times (warm) or once (cold), and the table keeps no spread."""

_LEADS = ("family", "backend", "images", "low", "high")
_STEP_COLUMNS = (*QUESTION, "start", "before_family", "before", *_LEADS)
_NO_LINE = 1e30  # seconds
_CHUNK = 4000  # pairs of lines whose draws are made at once: some hundred MB


def costs(cells: pd.DataFrame, without: Collection[str] = ()) -> pd.DataFrame:
    """What the measured cells cost, one row for each start (warm, cold) that is known.

    Columns: those of QUESTION, start, family, backend, first_s, each_s (see above) and each_error, the relative
    standard error of each_s from its samples. without: families to leave out, e.g. {"separable"}.
    """
    rows = measured(cells)
    rows = rows[~rows["family"].isin(list(without))]
    each = rows["load_s"] + rows["execute_s"] + rows["store_s"]
    first = {"warm": rows["one_shot_s"] + rows["store_s"]}
    if {"first_plan_s", "first_execute_s"} <= set(rows.columns):
        first["cold"] = rows["first_plan_s"] + rows["load_s"] + rows["first_execute_s"] + rows["store_s"]
    spread = np.log(rows["execute_high_s"] / rows["execute_low_s"]) / (2 * ERRORS_IN_ASV_INTERVAL)
    kept = rows[[*QUESTION, "family", "backend"]].assign(each_s=each, each_error=spread.fillna(0.0))
    table = pd.concat([kept.assign(start=start, first_s=value) for start, value in first.items()], ignore_index=True)
    known = np.isfinite(table["first_s"]) & np.isfinite(table["each_s"]) & (table["first_s"] > 0)
    table = table[known].astype({"first_s": float, "each_s": float, "each_error": float})
    table["start"] = pd.Categorical(table["start"], STARTS, ordered=True)
    return table.sort_values([*QUESTION, "start", "backend"], kind="stable").reset_index(drop=True)


def cheapest(
    cells: pd.DataFrame, without: Collection[str] = (), images: Sequence[int] = IMAGES, noise: Noise = UNCALIBRATED
) -> pd.DataFrame:
    """Who is cheapest for so many images, one row for each question and start.

    Columns: those of QUESTION, start, and for each N of *images* and for inf (amortised): family_N, backend_N,
    seconds_N (per image) and ties_N (how many others cannot be told from it by the errors of their terms and noise).
    """
    table = costs(cells, without)
    lines = _Lines.of(table, noise)
    found = table.loc[lines.heads, [*QUESTION, "start"]].reset_index(drop=True)
    for n in (*images, math.inf):
        won = lines.winner(np.full(len(lines.heads), n))
        rows = lines.row(won)
        error = lines.error(n)
        mean = lines.mean(n)
        best = _take(mean, won)
        tied = np.log(mean / best[:, None]) <= noise.quantile * np.hypot(error, _take(error, won)[:, None])
        found[f"family_{n}"] = table["family"].to_numpy()[rows]
        found[f"backend_{n}"] = table["backend"].to_numpy()[rows]
        found[f"seconds_{n}"] = best
        found[f"ties_{n}"] = tied.sum(axis=1) - 1
    return found


def break_evens(cells: pd.DataFrame, without: Collection[str] = (), noise: Noise = UNCALIBRATED) -> pd.DataFrame:
    """Every change of lead as images are added, from one image to MOST, for every question and start.

    Columns: those of QUESTION, start, before_family, before (the backend that led), family, backend (which leads from
    here on), images (the first N at which it is not slower), low, high (ends of the 95 % interval of that; inf: the
    draws do not all have one). Where one backend leads throughout, there is no row.
    """
    table = costs(cells, without)
    lines = _Lines.of(table, noise)
    where, n, before, after = (np.concatenate(parts) for parts in zip(*lines.steps(), strict=True))
    found = _step_frame(table, lines, where, n, before, after)
    return found.sort_values([*QUESTION, "start", "images"], kind="stable").reset_index(drop=True)


def family_break_evens(cells: pd.DataFrame, a: str, b: str, noise: Noise = UNCALIBRATED) -> pd.DataFrame:
    """When one of two families overtakes the other, each with its best backend for that many images.

    One row for each question and start that has both. Columns as break_evens: before_family leads at one image, family
    overtakes it from `images` on, inf if not within MOST (before and backend are then the best of each for many images,
    and low says from where on the draws cannot exclude it). again: how often the lead changes once more after that.
    """
    table = costs(cells[cells["family"].isin([a, b])])
    both = table.groupby([*QUESTION, "start"], observed=True, dropna=False)["family"].transform("nunique") == 2
    table = table[both].reset_index(drop=True)
    lines = _Lines.of(table, noise)
    second = _shaped(table["family"].eq(b).to_numpy(), lines.index, False)
    leads = _take(second, lines.winner(np.ones(len(lines.heads))))[:, None]
    sides = (leads == second, leads != second)
    one, other = (_lowest(np.where(side, lines.each, _NO_LINE), lines.first) for side in sides)
    n, again = np.full(len(lines.heads), np.inf), np.zeros(len(lines.heads), int)
    for groups, at, before, after in lines.steps():
        changed = second[groups, before] != second[groups, after]
        is_first = changed & np.isinf(n[groups])
        again[groups[changed & ~is_first]] += 1
        at_first = groups[is_first]
        n[at_first], one[at_first], other[at_first] = at[is_first], before[is_first], after[is_first]
    return _step_frame(table, lines, np.arange(len(n)), n, one, other).assign(again=again)


def sentence(row: Any) -> str:
    """A row of break_evens or family_break_evens, a named tuple, in words."""
    new, old = f"{row.family} ({row.backend})", f"{row.before_family} ({row.before})"
    if row.images == math.inf:
        told = f"{old} beats planned {new} however many images there are: no break-even within {MOST:,} images"
        return told if row.low == math.inf else f"{told}, though the samples do not exclude one {_from(row.low)}"
    if row.low <= 1 and row.high == math.inf:
        return f"the samples do not tell from how many images on planned {new} beats {old}"
    beats = "may beat" if row.high == math.inf else "beats"
    told = f"planned {new} {beats} {old} {_from(row.images)}"
    return f"{told} ({100 * COVERAGE:g} % interval: {between(row.low, row.high)})"


def between(low: float, high: float) -> str:
    """'2 to 5', '3', '12 to never': an interval of numbers of images."""
    if low == high:
        return "never" if low == math.inf else f"{low:.0f}"
    return f"{low:.0f} to {'never' if high == math.inf else format(high, '.0f')}"


def _from(images: float) -> str:
    return f"from {images:.0f} image{'s' if images > 1 else ''} on"


@dataclass(frozen=True, eq=False)
class _Lines:
    """The lines of each group of backends: arrays (groups, most backends), padded with lines that never lead.

    index: rows of the table, -1 where there is none. heads: the first row of each group.
    """

    first: Floats
    each: Floats
    first_error: Floats
    each_error: Floats
    index: Whole
    heads: Whole

    @staticmethod
    def of(table: pd.DataFrame, noise: Noise) -> _Lines:
        """From `costs`, whose rows are sorted; noise: what two processes differ by beyond their samples."""
        groups = table.groupby([*QUESTION, "start"], observed=True, sort=False, dropna=False)
        group = groups.ngroup().to_numpy()
        place = groups.cumcount().to_numpy()
        index = np.full((groups.ngroups, int(place.max(initial=-1)) + 1), -1)
        index[group, place] = np.arange(len(table))
        each_error = np.hypot(table["each_error"].to_numpy(), noise.excess / math.sqrt(2))

        columns = {
            "first": (table["first_s"].to_numpy(), _NO_LINE),
            "each": (table["each_s"].to_numpy(), _NO_LINE),
            "first_error": (np.hypot(each_error, START_ERROR), 0.0),
            "each_error": (each_error, 0.0),
        }
        filled = {name: _shaped(values, index, empty) for name, (values, empty) in columns.items()}
        return _Lines(**filled, index=index, heads=np.flatnonzero(place == 0))

    def row(self, place: Whole) -> Whole:
        return _take(self.index, place)

    def mean(self, n: float) -> Floats:
        """Seconds per image, for n of them."""
        return self.each if n == math.inf else self.first / n + self.each * ((n - 1) / n)

    def error(self, n: float) -> Floats:
        """Relative standard error of `mean`, the two terms' errors taken as independent."""
        if n == math.inf:
            return self.each_error
        share = self.first / n / self.mean(n)
        return np.hypot(share * self.first_error, (1 - share) * self.each_error)

    def winner(self, n: Floats) -> Whole:
        """Each group's cheapest for its n images; of equals the one with the lower time for each."""
        if np.isinf(n).all():
            return _lowest(self.each, self.first)
        return _lowest(self.first + (n[:, None] - 1) * self.each, self.each)

    def steps(self) -> list[tuple[Whole, Floats, Whole, Whole]]:
        """Changes of lead, of all groups together, first ones first: (groups, images, place before, place after)."""
        now = self.winner(np.ones(len(self.heads)))
        at = np.ones(len(self.heads))
        none = np.empty(0, int)
        found: list[tuple[Whole, Floats, Whole, Whole]] = [(none, np.empty(0), none, none)]
        where = np.arange(len(self.heads))
        while len(where):
            first, each = self.first[where], self.each[where]
            images = _not_slower(_take(first, now)[:, None], _take(each, now)[:, None], first, each)
            images = np.maximum(images, at[:, None] + 1)  # rounding cannot bring the lead back
            n = images.min(axis=1)
            going = n <= MOST
            where, now, n, images = where[going], now[going], n[going], images[going]
            first, each = self.first[where], self.each[where]
            total = np.where(images == n[:, None], first + (n[:, None] - 1) * each, np.inf)
            after = _lowest(total, each)
            if len(where):
                found.append((where, n, now, after))
            now, at = after, n
        return found


def _shaped(values: Any, index: Whole, empty: Any) -> Any:
    """A column of the table in the shape of index."""
    return np.where(index >= 0, values[index], empty) if len(values) else np.empty(index.shape)


def _not_slower(first_a: Floats, each_a: Floats, first_b: Floats, each_b: Floats) -> Floats:
    """The first whole N from which on b, with the lower time for each, is not slower than a; inf if it never is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        n = 1 + np.ceil((first_b - first_a) / (each_a - each_b) * (1 - 1e-9))  # equal but for rounding is not slower
    return np.where(each_b < each_a, np.maximum(n, 1), np.inf)


def _lowest(values: Floats, then: Floats) -> Whole:
    """The place of each row's lowest value, of equals the one that is lowest in *then*."""
    if not values.size:
        return np.zeros(len(values), int)
    return np.where(values == values.min(axis=1, keepdims=True), then, np.inf).argmin(axis=1)


def _take(values: Any, place: Whole) -> Any:
    """values[i, place[i]]"""
    return values[np.arange(len(place)), place]


def _step_frame(
    table: pd.DataFrame, lines: _Lines, where: Whole, n: Floats, before: Whole, after: Whole
) -> pd.DataFrame:
    found = table.loc[lines.heads[where], [*QUESTION, "start"]].reset_index(drop=True)
    family, backend = table["family"].to_numpy(), table["backend"].to_numpy()
    for name, place in (("before", before), ("", after)):
        rows = lines.index[where, place]
        found[f"{name}_family" if name else "family"] = family[rows]
        found[name or "backend"] = backend[rows]
    found["images"] = n
    found["low"], found["high"] = _intervals(lines, where, before, after)
    return found[list(_STEP_COLUMNS)]


def _intervals(lines: _Lines, where: Whole, before: Whole, after: Whole) -> tuple[Floats, Floats]:
    """Ends of the interval of each break-even: the same log-normal draws of the four times for all, so that what comes
    out does not depend on what else is in the table."""
    z = np.random.default_rng(0).standard_normal((4, DRAWS))
    tail = math.floor((1 - COVERAGE) / 2 * (DRAWS - 1))
    ends = [np.empty((0, 2))]
    for i in range(0, len(where), _CHUNK):
        one = slice(i, i + _CHUNK)
        drawn = [
            values[where[one], place[one], None] * np.exp(errors[where[one], place[one], None] * z[k])
            for k, (values, errors, place) in enumerate(
                (v, e, p)
                for p in (before, after)
                for v, e in ((lines.first, lines.first_error), (lines.each, lines.each_error))
            )
        ]
        images = _not_slower(*drawn)
        images[images > MOST] = np.inf
        images.partition((tail, DRAWS - 1 - tail), axis=1)
        ends.append(images[:, [tail, DRAWS - 1 - tail]])
    low, high = np.concatenate(ends).T
    return low, high
