"""What a scaling says, in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convbench.analysis.noise import Noise
from convbench.report import words

if TYPE_CHECKING:
    from convbench.profiling.ladder import Axis
    from convbench.profiling.scaling import Scaling

SYMBOLS: dict[Axis, str] = {"threads": "p", "image": "n", "kernel": "k"}
FEW = 4
"""With fewer points a growth is no more than a hint."""
OUTLIER = 0.1
"""A point that lies so far from the fit, in logarithms, is worth a word, if noise does not explain it."""
APART = 0.1
"""Exponents that differ by so much are worth two."""


def verdict(found: Scaling, noise: Noise) -> str:
    """How time grows, what theory says over this range, and what stands out."""
    if found.grown is None:
        told = f"too few points: only {found.symbol} = {found.points[0].value} was timed, so no growth is known"
    else:
        told = _threads(found) if found.axis == "threads" else _sizes(found)
    parts = [told, _outlier(found, noise), _few(found), _left_out(found)]
    return "; ".join(part for part in parts if part)


def _sizes(found: Scaling) -> str:
    grown, theory, s = found.grown, found.theory, found.symbol
    assert grown is not None
    told = f"time grows as {s}^{grown.exponent:.2f} ({grown.low:.2f} to {grown.high:.2f})"
    if theory is None:
        return f"{told}; no theory is known of this method"
    told += f"; theory over this range says {s}^{theory:.2f}"
    expected = theory
    if found.implemented is not None and abs(found.implemented - theory) > APART:
        told += f", and {s}^{found.implemented:.2f} as it is implemented"
        expected = found.implemented
    return f"{told}: {_compared(found, expected)}"


def _compared(found: Scaling, expected: float) -> str:
    """Why the measured exponent is, or is not, what the operations say."""
    grown = found.grown
    assert grown is not None
    if grown.low <= expected <= grown.high:
        return "they agree"
    if grown.exponent < expected:
        return "slower than that, as what does not grow with the operations weighs at small sizes"
    return "faster than that, as operations take longer at large sizes"


def _threads(found: Scaling) -> str:
    first, last, grown = found.points[0], found.points[-1], found.grown
    assert grown is not None
    ideal, gained = last.value / first.value, first.median / last.median
    told = (
        f"on {last.value} threads {words.digits(gained)} x as fast as on {first.value}, "
        f"{words.percent(gained / ideal)} of the ideal; time goes as p^{grown.exponent:.2f} "
        f"({grown.low:.2f} to {grown.high:.2f}), ideally p^-1.00"
    )
    if found.amdahl is None:
        return told
    shares = (found.amdahl.low, found.amdahl.serial, found.amdahl.high)
    low, serial, high = (words.percent(min(max(share, 0.0), 1.0)) for share in shares)
    return f"{told}; by Amdahl's law {serial} of the work ({low} to {high}) is done by one thread alone"


def _outlier(found: Scaling, noise: Noise) -> str:
    """The point that lies farthest above or below the fit."""
    if found.grown is None or len(found.points) < FEW:
        return ""
    pairs = zip(found.points, found.grown.residuals, strict=True)
    point, residual = max(pairs, key=lambda pair: abs(pair[1]))
    if abs(residual) < max(OUTLIER, noise.limit(point.error)):
        return ""
    off = words.percent(abs(math.expm1(residual)))
    return f"{found.symbol} = {point.value} takes {off} {'more' if residual > 0 else 'less'} than the fit"


def _few(found: Scaling) -> str:
    if len(found.points) == 2:
        return "of two points the interval holds the noise of measuring alone"
    return f"few points, {len(found.points)}" if len(found.points) < FEW else ""


def _left_out(found: Scaling) -> str:
    """The sizes that were not timed, with the reason of the first."""
    if not found.left_out:
        return ""
    sizes = ", ".join(map(str, found.left_out))
    return f"left out: {found.symbol} = {sizes} ({next(iter(found.left_out.values()))})"
