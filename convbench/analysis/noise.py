"""How large a difference must be before it may be called one: calibrated on pairs that are the same.

Two cells are compared by the logarithm of the ratio of their times, process by process, for both were sampled side by
side in each. Its standard error comes from the samples. What it misses (how memory and code happened to be laid out in
a process) shows in the A/A pairs of the run, one backend under two names: they say how much must be added to the error,
and how many standard errors the luckiest of equals reach. Below that limit two cells are a tie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

# Of equal pairs, the share that may exceed the limit.
FALSE_ALARMS = 0.025
# With fewer pairs than this nothing can be said of the tails.
FEWEST_PAIRS = 20
# No limit is below this many standard errors, however quiet the pairs were: a normal distribution's at FALSE_ALARMS.
LEAST_QUANTILE = 2.24
_NORMAL_MEDIAN = 0.6745  # of |z|
_LARGEST_EXCESS = 1.0


@dataclass(frozen=True)
class Noise:
    """What A/A pairs say of a machine: a difference of log times is a tie below `limit` of its standard error.

    pairs: how many there were; 0 where nothing was calibrated. excess: the standard deviation of the log ratio of
    equals beyond what their samples show. quantile: of |log ratio| in units of the whole error. scatter: the pairs'
    usual standard error from samples.
    """

    pairs: int
    excess: float
    quantile: float
    scatter: float

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
    if len(pairs) < FEWEST_PAIRS:
        return UNCALIBRATED
    values = pairs[["samples_a", "processes_a", "samples_b", "processes_b"]].itertuples(index=False, name=None)
    found = np.array([log_ratio(*row) for row in values])
    return _calibrated(np.abs(found[:, 0]), found[:, 1])


def _calibrated(distances: Floats, errors: Floats) -> Noise:
    """distances: |log ratio| of equals."""
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
    """Natural logarithm of time a over time b, and its standard error from the samples.

    processes: how many samples came from each process, in order; equally many processes are taken to be the same ones.
    """
    a, b = Medians.of([samples_a], [processes_a]), Medians.of([samples_b], [processes_b])
    estimates, errors = a.against(b, np.zeros(1, int))
    return float(estimates[0]), float(errors[0])


@dataclass(frozen=True)
class Medians:
    """Log medians of cells, process by process, and their standard errors: (cells, processes), padded with NaN."""

    log: Floats
    error: Floats

    @staticmethod
    def of(samples: Sequence[Sequence[float]], processes: Sequence[Sequence[int]]) -> Medians:
        """From each cell's samples and how many of them came from each process."""
        parts = [_parts(s, p) for s, p in zip(samples, processes, strict=True)]
        most = max(map(len, parts), default=0)
        log, error = np.full((len(parts), most), np.nan), np.full((len(parts), most), np.nan)
        rows = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
        columns = np.array([i for p in parts for i in range(len(p))], dtype=int)
        pieces = [piece for p in parts for piece in p]
        if pieces:
            log[rows, columns], error[rows, columns] = _log_medians(pieces)
        return Medians(log, error)

    def against(self, other: Medians, index: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Log ratio of each cell to the cell of `other` at its index, and the standard error of it.

        The larger of two errors: what the scatter of samples explains, and what the processes' ratios scatter.
        """
        log, error = other.log[index], other.error[index]
        width = max(self.log.shape[1], log.shape[1])
        mine, theirs = _wide(self.log, width), _wide(log, width)
        together = np.isfinite(mine) & np.isfinite(theirs)
        paired = (np.isfinite(mine) == np.isfinite(theirs)).all(axis=1)
        count = np.maximum(together.sum(axis=1), 1)
        with np.errstate(invalid="ignore"):
            ratios = np.where(together, mine - theirs, np.nan)
        estimate = np.where(paired, _mean(ratios), _mean(mine) - _mean(theirs))
        squares = _wide(self.error, width) ** 2, _wide(error, width) ** 2
        within = sum(_mean(s) / np.maximum(np.isfinite(s).sum(axis=1), 1) for s in squares)
        deviations = np.where(together, ratios - estimate[:, None], 0.0)
        between = np.where(paired & (count > 1), (deviations**2).sum(axis=1) / np.maximum(count - 1, 1) / count, 0.0)
        return estimate, np.sqrt(np.maximum(within, between))


def _parts(samples: Sequence[float], processes: Sequence[int]) -> list[Sequence[float]]:
    if sum(processes) != len(samples):
        return [samples] if len(samples) else []
    ends = np.cumsum(processes).tolist()
    return [samples[end - size : end] for end, size in zip(ends, processes, strict=True) if size]


def _log_medians(pieces: Sequence[Sequence[float]]) -> tuple[Floats, Floats]:
    """Log of each median, and its standard error: 1.2533 sigma / sqrt(n), sigma = IQR / 1.349, as of normal scatter."""
    sizes = np.array([len(p) for p in pieces])
    padded = np.full((len(pieces), int(sizes.max())), np.inf)
    padded[np.arange(padded.shape[1]) < sizes[:, None]] = np.concatenate([np.asarray(p, float) for p in pieces])
    padded.sort(axis=1)
    low, middle, high = (_quantile(padded, sizes, q) for q in (0.25, 0.5, 0.75))
    # fewer than three samples have no quartiles worth the name: the spread between processes has to tell
    return np.log(middle), np.where(sizes > 2, 1.2533 / 1.349 * (high - low) / middle / np.sqrt(sizes), 0.0)


def _quantile(ordered: Floats, sizes: npt.NDArray[np.int64], q: float) -> Floats:
    rows, at = np.arange(len(sizes)), q * (sizes - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, sizes - 1)
    first, second = ordered[rows, below], ordered[rows, above]
    return first + (second - first) * (at - below)


def _wide(values: Floats, width: int) -> Floats:
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=np.nan)


def _mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
