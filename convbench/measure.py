"""Sample callables: warm-up, batching, stop rule, random interleaving. Knows only callables.

A callable that runs somewhere else may bring a clock from there: a method `seconds(number)` that runs it *number* times
and returns how long that took. It is then timed by that method alone.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Clock = Callable[[], float]
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Timing:
    """Seconds per call. samples: one mean per batch of *number* calls; stopped: why sampling ended."""

    samples: tuple[float, ...]
    number: int
    stopped: str

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def low(self) -> float:
        return median_interval(self.samples)[0]

    @property
    def high(self) -> float:
        return median_interval(self.samples)[1]


def median_interval(samples: tuple[float, ...], confidence: float = 0.99) -> tuple[float, float]:
    """Distribution-free confidence interval of the median from order statistics (binomial; Conover 1999, sec. 3.2).

    With too few samples for the confidence, the range of the samples.
    """
    ordered = sorted(samples)
    n = len(ordered)
    tail, k, cumulative = (1 - confidence) / 2, 0, 0.0
    while k < n // 2:
        cumulative += math.comb(n, k) / 2**n
        if cumulative > tail:
            break
        k += 1
    k = max(k - 1, 0)
    return ordered[k], ordered[n - 1 - k]


@dataclass(frozen=True)
class Rule:
    """When to stop, and how long a sample is. Seconds throughout."""

    warmup: float = 0.03
    """Least time spent calling before anything is kept: caches, branch predictors and clocks settle."""
    sample: float = 0.002
    """Least time of a sample: 2 ms is 20,000 times the clock's resolution, and longer than a timer interrupt."""
    least: int = 7
    """Least number of samples: below 7 the order-statistic interval says nothing."""
    most: int = 60
    noise: float = 0.01
    """Stop once the standard error of the median, over the median, is below 1 %."""
    patience: int = 12
    """Stop when that figure has not improved by a tenth over this many samples: the rest is the machine's noise."""
    seconds: float = 0.6
    """Stop a cell after this much sampling time, once it has `least` samples ..."""
    hard_seconds: float = 6.0
    """... or `fewest` samples where calls are so long that `least` would take longer than this."""
    fewest: int = 3


class _Cell:
    """Sampling state of one callable."""

    def __init__(self, call: Callable[[], object], rule: Rule, clock: Clock) -> None:
        self.call, self.rule, self.clock = call, rule, clock
        self.seconds: Callable[[int], float] = getattr(call, "seconds", self._seconds)
        self.samples: list[float] = []
        self.spent = 0.0
        self.best_noise, self.best_at = math.inf, 0
        self.stopped = ""
        self.number = self._warm_up()

    def _warm_up(self) -> int:
        """Call until warm; return how many calls make a sample long enough."""
        begin = self.clock()
        calls, fastest, elapsed = 0, math.inf, 0.0
        while calls < 2 or elapsed < self.rule.warmup:
            fastest = min(fastest, self.seconds(1))
            elapsed, calls = self.clock() - begin, calls + 1
            if elapsed > self.rule.seconds:  # so slow that one call is warm-up enough
                break
        return max(1, math.ceil(self.rule.sample / max(fastest, 1e-9)))

    def _seconds(self, number: int) -> float:
        call, repeats = self.call, range(number)
        start = self.clock()
        for _ in repeats:
            call()
        return self.clock() - start

    def take(self) -> None:
        taken = self.seconds(self.number)
        self.spent += taken
        self.samples.append(taken / self.number)
        self.stopped = self._reason()

    def _reason(self) -> str:
        """Why sampling is over, or nothing."""
        count, rule = len(self.samples), self.rule
        if count >= rule.fewest and self.spent > rule.hard_seconds:
            return f"time limit of {rule.hard_seconds:g} s"
        if count < rule.least:
            return ""
        noise = relative_noise(self.samples)
        if noise < self.best_noise * 0.9:
            self.best_noise, self.best_at = noise, count
        if noise < rule.noise:
            return f"noise below {rule.noise:.1%}"
        if self.spent > rule.seconds:
            return f"time budget of {rule.seconds:g} s, noise {noise:.1%}"
        if count - self.best_at >= rule.patience:
            return f"noise no longer falling, {noise:.1%}"
        if count >= rule.most:
            return f"{count} samples, noise {noise:.1%}"
        return ""


def relative_noise(samples: list[float]) -> float:
    """Standard error of the median over the median, from the interquartile range.

    For normal scatter sigma = IQR / 1.349 and the median errs by 1.2533 sigma / sqrt(n); the IQR ignores outliers.
    """
    low, middle, high = np.percentile(samples, [25, 50, 75])
    return float(1.2533 * (high - low) / 1.349 / math.sqrt(len(samples)) / middle) if middle else 0.0


def sample(
    calls: Mapping[K, Callable[[], object]],
    rule: Rule | None = None,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    done: Callable[[K], None] | None = None,
    failed: Callable[[K, Exception], None] | None = None,
) -> dict[K, Timing]:
    """Time callables side by side: each round samples every unfinished one once, in random order.

    A slow drift of the machine then touches all alike. done: called with a key when that callable is finished.
    failed: called with the key of one that raised, which is then left out; without it the exception is raised.
    """
    rule = rule or Rule()
    cells: dict[K, _Cell] = {}

    def survives(name: K, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception as error:
            if failed is None:
                raise
            failed(name, error)
            return False
        return True

    def warm_up(name: K) -> None:
        cells[name] = _Cell(calls[name], rule, clock)

    running = [name for name in calls if survives(name, functools.partial(warm_up, name))]
    order = random.Random(seed)
    while running:
        order.shuffle(running)
        for name in running.copy():
            if not survives(name, cells[name].take):
                del cells[name]
            elif cells[name].stopped and done:
                done(name)
        running = [name for name in running if name in cells and not cells[name].stopped]
    return {name: Timing(tuple(cell.samples), cell.number, cell.stopped) for name, cell in cells.items()}
