"""What the time of a convolution grows with: a few features of its shapes for each kind of method.

A backend's time is modelled as a sum of features times coefficients that are fitted to its measurements; what is left
(the ratio of measured to modelled time) is smooth enough to be interpolated. Pure Python, for a decision takes
microseconds; chooser.js says the same in JavaScript.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left

Shape = tuple[int, ...]
Features = tuple[float, float, float]

DIRECT, SEPARABLE, FFT, FFT_QUICK = KINDS = ("direct", "separable", "fft", "fft-quick")
"""fft transforms at the least length that is right, fft-quick at the next that transforms quickly."""

# What another factor makes a sample cost, relative to a power of two, and every factor 2 short of 2**5: the lengths
# that convbench's own FFT backends choose by (convbench/backends/_fft.py; a test compares them).
_DEAR = {3: 1.02, 5: 1.01, 7: 1.08}
_FEW_TWOS = 1.04
_ODD = {
    3**a * 5**b * 7**c: _DEAR[3] ** a * _DEAR[5] ** b * _DEAR[7] ** c
    for a in range(6)
    for b in range(4)
    for c in range(3)
    if 3**a * 5**b * 7**c <= 1125
}
_LISTED = 1 << 24  # lengths up to here are looked up


def kinds(family: str) -> tuple[str, ...]:
    """The kinds of method that a backend of this family may be; the first where nothing tells them apart."""
    if family == "fft":
        return FFT, FFT_QUICK
    if family == "separable":
        return (SEPARABLE,)
    return (DIRECT,) if family == "direct" else (DIRECT, FFT, FFT_QUICK)


def features(kind: str, image: Shape, kernel: Shape, mode: str = "same") -> Features:
    """Operations of the method (in units that the coefficient absorbs), samples moved, and 1 for fixed costs.

    direct: products, k1 k2 n1 n2; separable: (k1 + k2) n1 n2; fft: N log2 N of the padded size N, along no axis on
    which the kernel has length 1. image, kernel: two axes; a signal is an image of one row.
    """
    (n1, n2), (k1, k2) = image, kernel
    if mode == "same":
        outputs = n1 * n2
    elif mode == "full":
        outputs = (n1 + k1 - 1) * (n2 + k2 - 1)
    else:
        outputs = (n1 - k1 + 1) * (n2 - k2 + 1)
    moved = float(n1 * n2 + outputs)
    if kind == DIRECT:
        return float(min(n1, k1) * min(n2, k2) * outputs), moved, 1.0
    if kind == SEPARABLE:
        return float((k1 + k2) * outputs), moved, 1.0
    first, second = n1 if k1 == 1 else _padded(kind, n1, k1, mode), n2 if k2 == 1 else _padded(kind, n2, k2, mode)
    together = (1 if k1 == 1 else first) * (1 if k2 == 1 else second)
    return first * second * math.log2(together + 1), moved, 1.0


def _padded(kind: str, n: int, k: int, mode: str) -> int:
    """The transform's length: what wraps around must fall outside of the output."""
    least = max(k, n + k // 2) if mode == "same" else n + k - 1 if mode == "full" else n
    return quick_size(least) if kind == FFT_QUICK else least


def quick_size(least: int) -> int:
    """The length from *least* upward that transforms quickest: factors 2, 3, 5 and 7 only, rather many of them 2."""
    if least <= _LISTED:
        lengths, best = _quick_sizes()
        return best[bisect_left(lengths, least)]
    return min((odd << max(0, -(-least // odd) - 1).bit_length() for odd in _ODD), key=_cost)


def _cost(length: int) -> float:
    """The root: of two axes, one's length adds samples to both transforms, but slows its own only."""
    twos = (length & -length).bit_length() - 1
    return length * math.sqrt(_ODD[length >> twos] * _FEW_TWOS ** max(0, min(5, length.bit_length() - 1) - twos))


@functools.cache
def _quick_sizes() -> tuple[list[int], list[int]]:
    """All lengths in order, and for each the quickest from it upward."""
    lengths = sorted(odd << twos for odd in _ODD for twos in range(26) if odd << twos <= 2 * _LISTED)
    best = lengths.copy()
    for i in range(len(lengths) - 2, -1, -1):
        best[i] = min(lengths[i], best[i + 1], key=_cost)
    return lengths, best
