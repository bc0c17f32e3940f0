"""Noise: equals are called equal, what differs is found, whatever the machine does."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from convbench.analysis.noise import UNCALIBRATED, Rounds, calibrate, log_ratio

HALVES = ["samples_a", "processes_a", "samples_b", "processes_b"]
COMPARISONS = 200


class Machine:
    """Times as a noisy machine gives them: drift and jumps that both share, scatter and offsets of each process's own."""

    def __init__(self, seed, offset=0.008, scatter=0.02, drift=0.2, processes=3, samples=12):
        self.rng = np.random.default_rng(seed)
        self.offset, self.scatter, self.drift = offset, scatter, drift
        self.processes, self.samples = processes, samples

    def pair(self, ratio=1.0):
        """Samples of two cells, the first *ratio* times as slow as the second; interleaved, so that drift is shared."""
        halves = ([], [])
        for _ in range(self.processes):
            shared = self.rng.normal(0, self.drift) + np.cumsum(self.rng.normal(0, 0.01, self.samples))
            for half, factor in zip(halves, (ratio, 1.0), strict=True):
                own = self.rng.normal(0, self.offset) + self.scatter * np.abs(self.rng.standard_normal(self.samples))
                outliers = np.where(self.rng.random(self.samples) < 0.05, self.rng.exponential(1, self.samples), 0)
                half.extend((1e-3 * factor * np.exp(shared + own + outliers)).tolist())
        sizes = [self.samples] * self.processes
        return halves[0], sizes, halves[1], sizes

    def pairs(self, count):
        return pd.DataFrame([self.pair() for _ in range(count)], columns=HALVES)

    def called(self, noise, ratio, count=COMPARISONS):
        """How many of so many comparisons are called different, in the right direction where there is one."""
        found = [log_ratio(*self.pair(ratio)) for _ in range(count)]
        return sum((e if ratio > 1 else abs(e)) > noise.limit(error) for e, error in found)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("processes", [2, 3])
def test_equals_are_equal_and_a_slowdown_is_found(seed, processes):
    machine = Machine(seed, processes=processes)
    noise = calibrate(machine.pairs(150))
    assert machine.called(noise, 1.0) <= 0.05 * COMPARISONS
    assert machine.called(noise, 1.10) >= 0.95 * COMPARISONS
    if processes > 2:
        assert machine.called(noise, 1.05) >= 0.80 * COMPARISONS


def test_a_machine_that_is_too_noisy_abstains():
    wild = Machine(1, offset=0.08, scatter=0.3)
    noise = calibrate(wild.pairs(100))
    assert noise.floor > 0.1
    assert wild.called(noise, 1.0) <= 0.05 * COMPARISONS
    assert wild.called(noise, 1.05) < 0.5 * COMPARISONS
    assert wild.called(noise, 3.0) == COMPARISONS


def test_what_the_samples_do_not_show_is_added():
    """Each process at a speed of its own: the samples of one are in harmony, and know nothing of the other's."""
    shifted = Machine(2, offset=0.03, scatter=0.001, processes=1)
    noise = calibrate(shifted.pairs(200))
    assert noise.excess == pytest.approx(0.03 * math.sqrt(2), rel=0.25)
    assert noise.floor == pytest.approx(math.expm1(2.24 * 0.042), rel=0.3)


def test_a_quiet_machine_has_no_excess():
    quiet = Machine(3, offset=0, scatter=0.01, drift=0)
    noise = calibrate(quiet.pairs(200))
    assert noise.excess < 0.003
    assert noise.floor < 0.02


def test_few_pairs_calibrate_nothing():
    assert calibrate(Machine(0).pairs(10)) is UNCALIBRATED
    assert not UNCALIBRATED.calibrated
    assert UNCALIBRATED.floor == pytest.approx(0.047, abs=0.003)
    assert calibrate(pd.DataFrame(columns=HALVES)) is UNCALIBRATED


def test_the_excess_of_fewer_processes_is_larger():
    pairs = Machine(4, offset=0.03, scatter=0.002, processes=4).pairs(100)
    noise = calibrate(pairs)
    assert noise.processes == 4
    assert noise.of(1).excess == pytest.approx(2 * noise.excess)
    assert noise.of(4) == noise


def test_ratios_are_taken_process_by_process():
    """A process twice as slow for both says nothing about either."""
    a, b = [1.0, 1.01, 2.0, 2.02], [1.1, 1.11, 2.2, 2.22]
    estimate, error = log_ratio(a, [2, 2], b, [2, 2])
    assert estimate == pytest.approx(math.log(1 / 1.1), abs=0.003)
    assert error < 0.01


def test_other_numbers_of_processes_can_be_compared():
    estimate, error = log_ratio([1.0, 1.01, 0.99] * 2, [3, 3], [2.0, 2.02, 1.98], [3])
    assert estimate == pytest.approx(math.log(0.5), abs=0.01)
    assert 0.05 < error < 0.06  # not side by side


def test_processes_that_do_not_fit_the_samples_are_one():
    kept = Rounds.of([[1.0, 2.0, 3.0]], [[2, 2]])
    assert np.exp(kept.log).tolist() == pytest.approx(np.array([[[1.0, 2.0, 3.0]]]))


def test_a_slow_moment_that_both_share_says_nothing():
    """Every second round twice as slow: medians of each alone would tell apart what is the same."""
    moments = np.tile([1.0, 2.0], 10)
    a, b = moments * 1.0, moments[:-3] * 1.001
    estimate, error = log_ratio(a.tolist(), [20], b.tolist(), [17])
    assert estimate == pytest.approx(-0.001, abs=1e-4)
    assert error < 0.005


def test_what_was_not_measured_side_by_side_is_not_paired():
    """An hour apart, the machine 6 % slower: no win."""
    first = [1.0, 1.001, 1.002, 1.001, 1.0] * 2
    later = [s * 1.06 for s in first]
    sizes = [[5, 5], [5, 5]]
    together = Rounds.of([first, later], sizes, [["g", "h"], ["g", "h"]])
    apart = Rounds.of([first, later], sizes, [["g", "h"], ["g", "k"]])
    index = np.zeros(2, int)
    assert together.against(together, index)[1][1] < 0.01
    estimate, error = (values[1] for values in apart.against(apart, index))
    assert estimate == pytest.approx(math.log(1.06), abs=0.002)
    assert abs(estimate) < UNCALIBRATED.limit(error)


def test_one_against_many_at_once():
    rng = np.random.default_rng(5)
    samples = [(f * np.exp(0.01 * rng.standard_normal(10))).tolist() for f in (1, 2, 3)] + [[4.0] * 3]
    processes = [[5, 5]] * 3 + [[3]]
    rounds = Rounds.of(samples, processes)
    estimates, errors = rounds.against(rounds, np.zeros(4, int))
    for i in range(4):
        expected = log_ratio(samples[i], processes[i], samples[0], processes[0])
        assert (estimates[i], errors[i]) == pytest.approx(expected)
    assert estimates == pytest.approx(np.log([1, 2, 3, 4]), abs=0.02)


def test_a_cell_without_samples_is_not_compared():
    rounds = Rounds.of([[], [1.0, 1.1, 1.2]], [[], [3]])
    estimates, _ = rounds.against(rounds, np.array([1, 1]))
    assert not np.isfinite(estimates[0])
    assert np.isfinite(estimates[1])
