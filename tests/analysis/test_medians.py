"""Intervals and bootstraps of medians against slower ways of computing them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convbench.analysis.medians import bootstrap_medians, median_intervals


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 20, 25, 501])
def test_intervals_agree_with_asv_where_asv_has_one(n: int) -> None:
    from asv_runner.statistics import quantile_ci

    samples = list(np.random.default_rng(n).lognormal(size=n))
    [median], [low], [high] = median_intervals([samples])
    assert median == pytest.approx(np.median(samples))
    _, (asv_low, asv_high) = quantile_ci(samples, 0.5, alpha_min=0.01)
    assert low == (asv_low if np.isfinite(asv_low) else min(samples))
    assert high == (asv_high if np.isfinite(asv_high) else max(samples))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_bootstrap_has_the_exact_distribution(n: int) -> None:
    """All n^n resamples of a short list can be listed."""
    values = [1.0, 2.0, 4.0, 8.0][:n]
    every = [np.median(resample) for resample in itertools.product(values, repeat=n)]
    drawn = bootstrap_medians([values], 200_000, np.random.default_rng(1))[0]
    for value in sorted(set(every)):
        share = every.count(value) / len(every)
        assert (drawn == value).mean() == pytest.approx(share, abs=0.006)
    assert set(drawn) <= set(every)


def test_lists_of_unequal_length_do_not_mix() -> None:
    drawn = bootstrap_medians([[1.0], [2.0, 2.0], [3.0] * 9], 50, np.random.default_rng(0))
    assert (drawn == [[1.0], [2.0], [3.0]]).all()


def test_no_lists_no_draws() -> None:
    assert bootstrap_medians([], 10, np.random.default_rng(0)).shape == (0, 10)
    assert median_intervals([])[0].shape == (0,)
