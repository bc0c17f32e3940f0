"""The sampler, with a clock that tests control."""

from __future__ import annotations

import numpy as np
import pytest

from convbench.measure import Rule, Timing, median_interval, relative_noise, sample


class FakeClock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        def call():
            self.now += seconds() if callable(seconds) else seconds

        return call


def run(calls, clock, **rule):
    return sample({name: clock.work(s) for name, s in calls.items()}, Rule(**rule), clock=clock)


def test_a_microsecond_call_is_batched():
    clock = FakeClock()
    timing = run({"a": 1e-6}, clock)["a"]
    assert timing.number >= 2000
    assert timing.median == pytest.approx(1e-6)


def test_a_slow_call_is_not_batched():
    clock = FakeClock()
    timing = run({"a": 0.05}, clock)["a"]
    assert timing.number == 1
    assert len(timing.samples) == Rule().least
    assert "noise below" in timing.stopped


def test_the_first_calls_are_not_kept():
    clock = FakeClock()
    costs = iter([0.5, 0.5] + [0.01] * 1000)
    timing = run({"a": lambda: next(costs)}, clock, hard_seconds=100.0)["a"]
    assert max(timing.samples) == pytest.approx(0.01)


def test_very_slow_calls_stop_at_the_limit():
    clock = FakeClock()
    timing = run({"a": 4.0}, clock, hard_seconds=6.0, fewest=3)["a"]
    assert len(timing.samples) == 3
    assert "time limit" in timing.stopped


def test_noise_is_said():
    clock = FakeClock()
    rng = np.random.default_rng(0)
    timing = run({"a": lambda: 0.01 * (1 + rng.exponential())}, clock, noise=1e-6, seconds=100.0)["a"]
    assert "noise" in timing.stopped
    assert len(timing.samples) <= Rule().most


def test_interleaved_drift_touches_all_alike():
    """A machine that slows down while both are sampled must not favour either."""
    clock = FakeClock()
    drift = {"a": lambda: 0.01 * (1 + clock.now), "b": lambda: 0.01 * (1 + clock.now)}
    timings = run(drift, clock, noise=0, seconds=1e9, patience=1000, most=40)
    assert timings["a"].median == pytest.approx(timings["b"].median, rel=0.05)


def test_a_callable_may_bring_its_own_clock():
    """Its way here and back, 0.5 s a time, is no part of it; nor is it called in any other way."""
    clock, numbers = FakeClock(), []

    class Elsewhere:
        def __call__(self):
            raise AssertionError("timed here")

        def seconds(self, number):
            numbers.append(number)
            clock.now += 0.5 + number * 1e-5
            return number * 1e-5

    timing = sample({"a": Elsewhere()}, Rule(), clock=clock)["a"]
    assert timing.median == pytest.approx(1e-5)
    assert timing.number == 200
    assert set(numbers) == {1, 200}


def test_done_is_called_once_each():
    clock, seen = FakeClock(), []
    sample({"a": clock.work(0.01), "b": clock.work(0.02)}, Rule(), clock=clock, done=seen.append)
    assert sorted(seen) == ["a", "b"]


def test_interval_holds_the_median():
    timing = Timing(tuple(float(i) for i in range(1, 22)), 1, "")
    assert timing.low <= timing.median <= timing.high
    # binomial(21, 1/2): ranks 5 and 17 enclose the median with at least 99 %
    assert (timing.low, timing.high) == (5.0, 17.0)


def test_interval_covers_as_promised():
    rng = np.random.default_rng(1)
    hits = [low <= 0 <= high for low, high in (median_interval(tuple(rng.normal(size=15))) for _ in range(2000))]
    assert np.mean(hits) >= 0.985


def test_few_samples_give_their_range():
    assert median_interval((3.0, 1.0, 2.0)) == (1.0, 3.0)


def test_outliers_do_not_raise_the_noise():
    calm = [1.0, 1.01, 0.99, 1.0, 1.0, 1.01, 0.99, 1.0]
    assert relative_noise([*calm, 50.0]) < 0.02
