"""How time grows: a power of a size, fitted to logarithms; and the part of the work that threads do not share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
COVERAGE = 0.95


@dataclass(frozen=True)
class Power:
    """time = factor * value ** exponent; low and high: the exponent's 95 % interval.

    residuals: log of each time over the fit.
    """

    factor: float
    exponent: float
    low: float
    high: float
    residuals: tuple[float, ...]

    def at(self, value: float) -> float:
        return self.factor * value**self.exponent


@dataclass(frozen=True)
class Amdahl:
    """time = one * (serial + (1 - serial) / threads) (Amdahl, 1967); low and high: the 95 % interval of serial."""

    one: float
    serial: float
    low: float
    high: float

    def at(self, threads: float) -> float:
        return self.one * (self.serial + (1 - self.serial) / threads)


def power(values: Sequence[float], times: Sequence[float], errors: Sequence[float]) -> Power | None:
    """The power of the value that fits the times best; None for fewer than two different values.

    errors: standard errors of the logarithms of the times. They weigh the points; how far the points lie from the fit
    says how sure it is, or, of two points, the errors alone.
    """
    if len(set(values)) < 2:
        return None
    x, y = np.log(values), np.log(times)
    (constant, exponent), covariance, quantile = _fit(np.column_stack([np.ones_like(x), x]), y, np.asarray(errors))
    half = quantile * float(np.sqrt(covariance[1, 1]))
    residuals = y - constant - exponent * x
    return Power(
        float(np.exp(constant)), float(exponent), exponent - half, exponent + half, tuple(map(float, residuals))
    )


def amdahl(threads: Sequence[int], times: Sequence[float], errors: Sequence[float]) -> Amdahl | None:
    """The serial part that fits the times best; as `power` otherwise. Below 0 threads gain more than their number."""
    if len(set(threads)) < 2:
        return None
    p, y = np.asarray(threads, float), np.asarray(times)
    (kept, shared), covariance, quantile = _fit(np.column_stack([np.ones_like(p), 1 / p]), y, np.asarray(errors) * y)
    one = kept + shared
    gradient = np.array([shared, -kept]) / one**2
    half = quantile * float(np.sqrt(gradient @ covariance @ gradient))
    serial = kept / one
    return Amdahl(float(one), float(serial), float(serial - half), float(serial + half))


def _fit(design: Floats, y: Floats, errors: Floats) -> tuple[Floats, Floats, float]:
    """Weighted least squares: coefficients, their covariance, and the quantile that makes an interval of its root.

    The covariance is scaled by chi squared over the degrees of freedom, and the quantile Student's; without any degree
    of freedom the errors are believed, and the quantile is normal.
    """
    from scipy import stats

    weighted = design / errors[:, None]
    found, *_ = np.linalg.lstsq(weighted, y / errors, rcond=None)
    covariance = np.linalg.inv(weighted.T @ weighted)
    freedom, tail = len(y) - design.shape[1], (1 + COVERAGE) / 2
    if not freedom:
        return found, covariance, float(stats.norm.ppf(tail))
    spread = float((((y - design @ found) / errors) ** 2).sum()) / freedom
    return found, covariance * spread, float(stats.t.ppf(tail, freedom))
