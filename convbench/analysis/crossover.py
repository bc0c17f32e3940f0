"""Who is fastest, and at which kernel size one family overtakes another, with intervals.

Only cells with evidence and a time take part (schema.measured). Times are amortised: execute alone.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.medians import bootstrap_medians
from convbench.analysis.noise import UNCALIBRATED, Noise
from convbench.analysis.regret import QUESTION, regret
from convbench.analysis.schema import GROUP, family_order, measured

Floats = npt.NDArray[np.float64]

# 1000 draws put the ends of a 95 % interval within about half a per cent of its coverage, for milliseconds of work.
DRAWS = 1000
COVERAGE = 0.95
# An interval of the median that asv saved without samples is read as this many standard errors to each side (99 %).
ERRORS_IN_ASV_INTERVAL = 2.576

NO_COMMON_RANGE = "no common range measured"


@dataclass(frozen=True)
class Crossing:
    """One change of lead between two families, as the kernel grows.

    kernel: where the times are equal, interpolated. low, high: ends of the 95 % interval; -inf or inf where it leaves
    the measured range. below, above: the measured kernel sizes on either side. faster_below, faster_above: families.
    """

    kernel: float
    low: float
    high: float
    below: int
    above: int
    faster_below: str
    faster_above: str


def family_best(cells: pd.DataFrame) -> pd.DataFrame:
    """The fastest backend of each family: the rows of `cells` that win their group x kernel x family."""
    ordered = measured(cells).sort_values(["execute_s", "backend"], kind="stable")
    best = ordered.drop_duplicates([*GROUP, "kernel", "family"])
    return best.sort_values([*GROUP, "kernel", "execute_s"], kind="stable").reset_index(drop=True)


def winners(cells: pd.DataFrame, noise: Noise = UNCALIBRATED) -> pd.DataFrame:
    """The fastest backend at each group x kernel, beside the best backend of any other family.

    Columns: those of GROUP, kernel, family, backend, execute_s, execute_low_s, execute_high_s, runner_up,
    runner_up_family, runner_up_s, ratio (runner-up's time over winner's; NaN where no other family was measured) and
    tied (the difference is within this machine's noise).
    """
    best = regret(cells, noise).drop_duplicates([*QUESTION, "family"])
    place = best.groupby(list(QUESTION), sort=False, dropna=False).cumcount()
    names = {"backend": "runner_up", "family": "runner_up_family", "execute_s": "runner_up_s"}
    columns = [*QUESTION, "family", "backend", "execute_s", "execute_low_s", "execute_high_s"]
    second = best.loc[place == 1, [*QUESTION, *names, "tied"]].rename(columns=names)
    table = best.loc[place == 0, columns].merge(second, how="left", on=list(QUESTION))
    table["ratio"] = table["runner_up_s"] / table["execute_s"]
    table["tied"] = table["tied"].eq(True)
    return table


def crossovers(cells: pd.DataFrame, seed: int = 0, draws: int = DRAWS, excess: float = 0.0) -> pd.DataFrame:
    """The crossover of every pair of families in every group.

    excess: the machine's noise beyond what samples show (Noise.excess), which widens the intervals.

    Columns: those of GROUP, family_a, family_b (in schema.FAMILIES order), kernel, low, high, below, above,
    faster_below, faster_above (the first crossing, see Crossing; NaN or '' where there is none), others (a list of
    the further crossings), kernel_min, kernel_max, kernels (the common measured range and its number of sizes), and
    statement, in words. The same cells and seed give the same intervals, whatever other groups there are.
    """
    rows = measured(cells)
    families = family_order(rows["family"])
    found: list[dict[str, Any]] = []
    for key, group in rows.groupby(list(GROUP), sort=True):
        rng = np.random.default_rng([seed, zlib.crc32(repr(key).encode())])
        sizes, best, drawn = _family_times(group, families, draws, rng, excess)
        for a, b in itertools.combinations(range(len(families)), 2):
            common = np.isfinite(best[a]) & np.isfinite(best[b])
            pair = (families[a], families[b])
            ratio = np.log(best[a, common]) - np.log(best[b, common])
            drawn_ratio = np.log(drawn[a, common]) - np.log(drawn[b, common])
            crossings = _crossings(sizes[common], ratio, drawn_ratio, pair)
            found.append(
                {**dict(zip(GROUP, key, strict=True)), **_row(pair, sizes[common], ratio, drawn_ratio, crossings)}
            )
    return pd.DataFrame(found, columns=[*GROUP, *_PAIR_COLUMNS])


_CROSSING_COLUMNS = ("kernel", "low", "high", "below", "above", "faster_below", "faster_above")
_PAIR_COLUMNS = (
    "family_a", "family_b", *_CROSSING_COLUMNS, "others", "kernel_min", "kernel_max", "kernels", "statement",
)  # fmt: skip
_NO_CROSSING = {**dict.fromkeys(_CROSSING_COLUMNS[:5], math.nan), "faster_below": "", "faster_above": ""}


def _family_times(
    group: pd.DataFrame, families: Sequence[str], draws: int, rng: np.random.Generator, excess: float
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Kernel sizes (K,), each family's best time (F, K), and bootstrap draws of it (F, K, draws); NaN: not measured."""
    sizes = np.unique(group["kernel"].to_numpy())
    group = group.assign(f=[families.index(f) if f in families else -1 for f in group["family"]])
    group = group[group["f"] >= 0].sort_values(["f", "kernel", "backend"])
    best = np.full((len(families), len(sizes)), np.nan)
    drawn = np.full((*best.shape, draws), np.nan)
    medians = _drawn_medians(group, draws, rng)
    if excess:  # of a ratio of two, so that each has half of its variance
        medians = medians * np.exp(excess / math.sqrt(2) * rng.standard_normal(medians.shape))
    f, k = group["f"].to_numpy(), np.searchsorted(sizes, group["kernel"].to_numpy())
    # every backend takes part in every draw: which of a family is the fastest is as uncertain as its time
    np.fmin.at(best, (f, k), group["execute_s"].to_numpy())
    np.fmin.at(drawn, (f, k), medians)
    return sizes, best, drawn


def _drawn_medians(group: pd.DataFrame, draws: int, rng: np.random.Generator) -> Floats:
    """Bootstrap draws of each row's time, (rows, draws): from its samples, else its interval, else the time alone."""
    times = group["execute_s"].to_numpy()
    counts = group["samples"].str.len().to_numpy()
    spread = np.log(group["execute_high_s"].to_numpy() / group["execute_low_s"].to_numpy())
    error = np.nan_to_num(spread, nan=0.0, posinf=0.0) / (2 * ERRORS_IN_ASV_INTERVAL)
    drawn: Floats = times[:, None] * np.exp(error[:, None] * rng.standard_normal((len(times), draws)))
    sampled = counts > 1
    if sampled.any():
        drawn[sampled] = bootstrap_medians(list(group.loc[sampled, "samples"]), draws, rng)
    return drawn


def _crossings(sizes: npt.NDArray[np.int64], ratio: Floats, drawn: Floats, pair: tuple[str, str]) -> list[Crossing]:
    """Every change of sign of the log ratio of times: interpolated in log kernel size, with its bootstrap interval.

    Power laws are straight lines on these axes, so between them the interpolation is exact.
    """
    if len(sizes) < 2:
        return []
    where, at = _sign_changes(np.log(sizes), ratio[:, None])
    drawn_where, drawn_at = _sign_changes(np.log(sizes), drawn)
    found = []
    for i in np.flatnonzero(where[:, 0]):
        upwards = bool(where[i, 0] > 0)  # a's time rises above b's
        log_kernel = at[i, 0]
        same = drawn_where == (1 if upwards else -1)
        distance = np.where(same, np.abs(drawn_at - log_kernel), np.inf)
        nearest = drawn_at[np.argmin(distance, axis=0), np.arange(drawn.shape[1])]
        # a draw without such a crossing has it above the range if the leader below still leads here, else below it
        still = drawn[i] < 0 if upwards else drawn[i] > 0
        nearest = np.where(same.any(axis=0), nearest, np.where(still, np.inf, -np.inf))
        ordered = np.sort(nearest)
        tail = (1 - COVERAGE) / 2 * (len(ordered) - 1)
        low, high = np.exp(ordered[math.floor(tail)]), np.exp(ordered[len(ordered) - 1 - math.floor(tail)])
        a, b = pair if upwards else pair[::-1]
        low = low if low > 0 else -math.inf
        found.append(Crossing(math.exp(log_kernel), float(low), float(high), int(sizes[i]), int(sizes[i + 1]), a, b))
    return found


def _sign_changes(x: Floats, y: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Changes of sign of y (K, N) along axis 0: +1 (up), -1 or 0 for each step (K - 1, N), and x at the crossing."""
    sign = np.sign(y)
    for i in range(1, len(sign)):  # a tie at a measured size belongs to the lead before it
        sign[i] = np.where(sign[i] == 0, sign[i - 1], sign[i])
    step = np.diff(y, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x[:-1, None] - y[:-1] * np.diff(x)[:, None] / step
    change = np.where(sign[:-1] * sign[1:] < 0, np.sign(sign[1:]), 0)
    return change.astype(np.int64), np.where(change != 0, at, np.nan)


def _row(
    pair: tuple[str, str],
    sizes: npt.NDArray[np.int64],
    ratio: Floats,
    drawn: Floats,
    crossings: list[Crossing],
) -> dict[str, Any]:
    first = asdict(crossings[0]) if crossings else _NO_CROSSING
    return {
        "family_a": pair[0],
        "family_b": pair[1],
        **first,
        "others": crossings[1:],
        "kernel_min": sizes[0] if len(sizes) else math.nan,
        "kernel_max": sizes[-1] if len(sizes) else math.nan,
        "kernels": len(sizes),
        "statement": _statement(pair, sizes, ratio, drawn, crossings),
    }


def _statement(
    pair: tuple[str, str],
    sizes: npt.NDArray[np.int64],
    ratio: Floats,
    drawn: Floats,
    crossings: list[Crossing],
) -> str:
    if not len(sizes):
        return NO_COMMON_RANGE
    if crossings:
        parts = [f"{crossings[0].faster_below} is faster up to a kernel size of {describe_crossing(crossings[0])}"]
        parts += [f"{c.faster_below} up to {describe_crossing(c)}" for c in crossings[1:]]
        return f"{', then '.join(parts)}, then {crossings[-1].faster_above}"
    total = float(ratio.sum())
    if total == 0:
        return f"{pair[0]} and {pair[1]} take the same time from {sizes[0]} to {sizes[-1]}"
    leads = (drawn < 0).mean(axis=1)
    if ((leads > (1 - COVERAGE) / 2) & (leads < (1 + COVERAGE) / 2)).all():
        where = f"at {sizes[0]}" if len(sizes) == 1 else f"from {sizes[0]} to {sizes[-1]}"
        return f"{pair[0]} and {pair[1]} cannot be told apart {where}"
    faster = pair[0] if total < 0 else pair[1]
    if len(sizes) == 1:
        return f"{faster} is faster at {sizes[0]}, the only kernel size measured for both"
    return f"{faster} is faster over the whole range {sizes[0]} to {sizes[-1]}"


def describe_crossing(crossing: Crossing) -> str:
    """'about 19 (17 to 21)': the crossover with its interval, in words."""
    low, high = (f"{v:.3g}" if math.isfinite(v) else "" for v in (crossing.low, crossing.high))
    bounds = f"{low or 'below the range'} to {high or 'beyond the range'}"
    return f"about {crossing.kernel:.3g} ({bounds})"
