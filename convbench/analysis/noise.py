"""How large a difference must be before it may be called one: calibrated on pairs that are the same.

Two cells are compared by the logarithm of the ratio of their times, round by round, for both were sampled within the
same milliseconds. Its standard error comes from the samples. What it misses (how memory and code happened to be laid
out in a process) shows in the A/A pairs of the run, one backend under two names: they say how much must be added to the
error, and how many standard errors the luckiest of equals reach. Below that limit two cells are a tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.medians import MEDIAN_ERROR

Floats = npt.NDArray[np.float64]

# Of equal pairs, the share that may exceed the limit.
FALSE_ALARMS = 0.025
# With fewer pairs than this nothing can be said of the tails.
FEWEST_PAIRS = 20
# No limit is below this many standard errors, however quiet the pairs were: a normal distribution's at FALSE_ALARMS.
LEAST_QUANTILE = 2.24
# The error of a process's median is taken to be no less: a few samples may agree by chance, and must not outweigh all.
LEAST_ERROR = 0.004
FEW_SAMPLES_ERROR = 0.1
# Two times that were not sampled side by side differ by what the machine did meanwhile, which nobody has measured.
APART_ERROR = 0.05
_NORMAL_MEDIAN = 0.6745  # of |z|
_LARGEST_EXCESS = 1.0


@dataclass(frozen=True)
class Noise:
    """What A/A pairs say of a machine: a difference of log times is a tie below `limit` of its standard error.

    pairs: how many there were; 0 where nothing was calibrated. excess: the standard deviation of the log ratio of
    equals beyond what their samples show. quantile: of |log ratio| in units of the whole error. scatter: the pairs'
    usual standard error from samples. processes: in how many each pair was measured; the excess is that of their mean.
    """

    pairs: int
    excess: float
    quantile: float
    scatter: float
    processes: float = 1.0

    def of(self, processes: int) -> Noise:
        """The noise of comparisons measured in another number of processes."""
        return replace(self, excess=self.excess * math.sqrt(self.processes / processes), processes=processes)

    def limit(self, standard_error: float) -> float:
        """The |log ratio| up to which two cells are a tie."""
        return self.quantile * math.hypot(standard_error, self.excess)

    def limits(self, standard_errors: Floats) -> Floats:
        """`limit`, of many."""
        return self.quantile * np.hypot(standard_errors, self.excess)

    @property
    def floor(self) -> float:
        """The smallest relative difference that may usually be called a win: 0.03 is 3 %."""
        return math.expm1(self.limit(self.scatter))

    @property
    def calibrated(self) -> bool:
        return self.pairs > 0


UNCALIBRATED = Noise(0, 0.02, LEAST_QUANTILE, 0.005)
"""Where no pairs were measured: 2 % between processes, as quiet machines have it; a floor of 4.7 %."""


def calibrate(pairs: pd.DataFrame) -> Noise:
    """The noise that A/A pairs show; UNCALIBRATED where there are too few of them.

    pairs: columns samples_a, processes_a, samples_b, processes_b. The excess makes the median of |log ratio| / error
    that of a normal distribution; the quantile is the conformal one (Vovk, Gammerman and Shafer 2005): it covers a
    further pair with probability 1 - FALSE_ALARMS whatever the distribution is, if there are enough pairs, else it is
    the largest seen.
    """
    values = pairs[["samples_a", "processes_a", "samples_b", "processes_b"]].itertuples(index=False, name=None)
    found = np.array([log_ratio(*row) for row in values]).reshape(-1, 2)
    noise = calibrated_on(np.abs(found[:, 0]), found[:, 1])
    return replace(noise, processes=float(pairs["processes_a"].str.len().median())) if noise.calibrated else noise


def calibrated_on(distances: Floats, errors: Floats) -> Noise:
    """As `calibrate`, from the |log ratio| of equals and their standard errors."""
    if len(distances) < FEWEST_PAIRS:
        return UNCALIBRATED
    excess = _excess(distances, errors)
    ratios = np.sort(distances / np.maximum(np.hypot(errors, excess), 1e-12))
    rank = min(math.ceil((len(ratios) + 1) * (1 - FALSE_ALARMS)), len(ratios))
    return Noise(len(ratios), excess, max(LEAST_QUANTILE, float(ratios[rank - 1])), float(np.median(errors)))


def _excess(distances: Floats, errors: Floats) -> float:
    """The standard deviation to add so that the median of |log ratio| / error is a normal distribution's; 0 if less."""

    def too_small(excess: float) -> bool:
        return float(np.median(distances / np.maximum(np.hypot(errors, excess), 1e-12))) > _NORMAL_MEDIAN

    if not too_small(0.0):
        return 0.0
    low, high = 0.0, _LARGEST_EXCESS
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return high


def log_ratio(
    samples_a: Sequence[float], processes_a: Sequence[int], samples_b: Sequence[float], processes_b: Sequence[int]
) -> tuple[float, float]:
    """Natural logarithm of time a over time b, and its standard error from the samples; see `Rounds.against`.

    processes: how many samples came from each process, in order.
    """
    a, b = Rounds.of([samples_a], [processes_a]), Rounds.of([samples_b], [processes_b])
    estimates, errors = a.against(b, np.zeros(1, int))
    return float(estimates[0]), float(errors[0])


@dataclass(frozen=True)
class Rounds:
    """Logarithms of the samples of cells: an array (cells, processes, rounds), padded with NaN.

    Each round of a process sampled every cell of a group once, so that samples of the same round share what the machine
    did in those milliseconds. groups: a number for each (cell, process), -1 where there is none.
    """

    log: Floats
    groups: npt.NDArray[np.int64]

    @staticmethod
    def of(
        samples: Sequence[Sequence[float]],
        processes: Sequence[Sequence[int]],
        groups: Sequence[Sequence[str]] | None = None,
    ) -> Rounds:
        """From each cell's samples and how many of them came from each process; from one, if that does not fit.

        groups: in which group each process sampled the cell; without, all in the same.
        """
        sizes = [list(p) if sum(p) == len(s) else [len(s)] for s, p in zip(samples, processes, strict=True)]
        shape = (len(sizes), max(map(len, sizes), default=0), max((n for p in sizes for n in p), default=0))
        log = np.full(shape, np.nan)
        flat = [n for p in sizes for n in p]
        if flat:
            cell = np.repeat(np.arange(len(sizes)), [sum(p) for p in sizes])
            process = np.repeat([i for p in sizes for i in range(len(p))], flat)
            place = np.arange(len(cell)) - np.repeat(np.cumsum(flat) - flat, flat)
            log[cell, process, place] = np.log(np.concatenate([np.asarray(s, float) for s in samples]))
        known: dict[str, int] = {}
        numbers = np.full(shape[:2], -1)
        for i, counts in enumerate(sizes):
            names = groups[i] if groups is not None and len(groups[i]) == len(counts) else [""] * len(counts)
            numbers[i, : len(counts)] = [known.setdefault(name, len(known)) for name in names]
        return Rounds(log, numbers)

    def against(self, other: Rounds, index: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Log ratio of each cell to the cell of `other` at its index, and the standard error of it.

        In each process the median over the rounds of the log ratio of the two samples: a slow moment of the machine
        falls on both. Then their mean, weighted by the inverse of their variances.
        """
        shape = np.maximum(self.log.shape, (0, *other.log.shape[1:]))[1:]
        mine, theirs = _wide(self.log, shape), _wide(other.log, shape)[index]
        median, error = _medians(mine - theirs)
        # not measured side by side, in each process: all samples of the one against all of the other
        groups = [
            np.pad(g, ((0, 0), (0, shape[0] - g.shape[1])), constant_values=-1) for g in (self.groups, other.groups)
        ]
        apart = (groups[0] != groups[1][index]).any(axis=1)
        if apart.any():
            (a, error_a), (b, error_b) = (_medians(x[apart].reshape(int(apart.sum()), 1, -1)) for x in (mine, theirs))
            median[apart], error[apart] = np.nan, np.nan
            median[apart, :1], error[apart, :1] = a - b, np.hypot(np.hypot(error_a, error_b), APART_ERROR)
        weights = np.where(np.isfinite(median), 1 / (error**2 + LEAST_ERROR**2), 0.0)
        total = weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (weights * np.nan_to_num(median)).sum(axis=1) / total, np.sqrt(1 / total)


def _medians(values: Floats) -> tuple[Floats, Floats]:
    """Medians over the last axis, NaN apart, and their standard errors: 1.2533 sigma / sqrt(n), sigma = IQR / 1.349."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.isfinite(values).sum(axis=-1)
    low, middle, high = (_quantile(ordered, count, q) for q in (0.25, 0.5, 0.75))
    # fewer than three have no quartiles worth the name, and are taken to scatter as their range does
    spread = np.where(count > 2, (high - low) / 1.349, np.where(count > 1, 2 * (high - low), FEW_SAMPLES_ERROR))
    return middle, MEDIAN_ERROR * spread / np.sqrt(np.maximum(count, 1))


def _quantile(ordered: Floats, count: npt.NDArray[np.int64], q: float) -> Floats:
    at = q * np.maximum(count - 1, 0)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    if not ordered.shape[-1]:
        return np.full(count.shape, np.nan)
    first, second = (np.take_along_axis(ordered, i[..., None], axis=-1)[..., 0] for i in (below, above))
    return first + (second - first) * (at - below)


def _wide(values: Floats, shape: npt.NDArray[np.int64]) -> Floats:
    missing = np.subtract(shape, values.shape[1:])
    return np.pad(values, ((0, 0), (0, missing[0]), (0, missing[1])), constant_values=np.nan)
