"""Where two families take the same time, from measured sizes on both sides."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from convbench.crossover.contest import Size
from convbench.crossover.search import Change

NEAR = 2.0
"""Sizes within this factor of a change take part: beyond it the log ratio is no straight line."""


def meeting_point(measured: Iterable[Size], change: Change) -> float:
    """The kernel size at which times are equal: a line through the log ratios near a change, on log sizes.

    Weighted by their limits and by nearness (tricube, Cleveland 1979); never outside the change.
    """
    middle = math.log(change.low * change.high) / 2
    points = [
        (math.log(s.kernel) - middle, s.log_ratio, s.limit)
        for s in measured
        if s.kind == "odd" and s.log_ratio is not None and s.limit
    ]
    width = math.log(change.high / change.low) / 2 + math.log(NEAR)
    x, y, limit = (np.array(column, float) for column in zip(*points, strict=True)) if points else np.zeros((3, 0))
    weight = np.clip(1 - (np.abs(x) / width) ** 3, 0, None) ** 3 / np.maximum(limit, 1e-9) ** 2
    if np.count_nonzero(weight) >= 2:
        slope, height = np.polyfit(x, y, 1, w=np.sqrt(weight))
        if slope * (change.after - change.before) > 0:
            return float(np.clip(math.exp(middle - height / slope), change.low, change.high))
    return math.exp(middle)
