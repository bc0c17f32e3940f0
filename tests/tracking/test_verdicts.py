"""What rounds mean, on synthetic ones: processes with offsets, scatter within them, drift, outliers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convbench import tracking
from convbench.tracking.pursue import pursue
from convbench.tracking.verdicts import decide

MARGIN = 0.05
ROUNDS = tracking.ROUNDS


def rounds(cells=200, count=ROUNDS, effect=0.0, seed=0, offset=0.015, planted=None):
    """Times of base, new and control by cell; *effect* is planted into *new* of the cells that are *planted*, or all."""
    rng = np.random.default_rng(seed)
    found = {}
    for cell in map(str, range(cells)):
        logs = math.log(10 ** rng.uniform(-5, -2)) + rng.normal(0, offset, (count, 3))
        logs += rng.normal(0, 0.004, (count, 3))  # of a median of samples, within a process
        logs += np.linspace(0, 0.1, count)[:, None]  # the machine slows down
        logs += (rng.random((count, 3)) < 0.02) * rng.uniform(0.1, 0.5, (count, 3))  # a process is disturbed
        if planted is None or cell in planted:
            logs[:, 1] += math.log1p(effect)
        found[cell] = [tuple(row) for row in np.exp(logs).tolist()]
    return found


def pursued(data, most=ROUNDS, margin=MARGIN, **options):
    """Verdicts of a run that takes its rounds from *data*, and how often each cell was taken."""
    taken = dict.fromkeys(data, 0)

    def take(cells):
        for cell in cells:
            taken[cell] += 1
            yield cell, data[cell][taken[cell] - 1]

    findings, calibration, _ = pursue(list(data), {}, take, rounds=most, margin=margin, **options)
    return findings, taken, calibration


def share(findings, *verdicts):
    return sum(found.verdict in verdicts for found in findings.values()) / len(findings)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("offset", [0.003, 0.015, 0.06])
def test_what_does_not_differ_is_not_called_different(seed, offset):
    findings, _, _ = pursued(rounds(seed=seed, offset=offset))
    assert share(findings, "slower", "faster") <= 0.01
    if offset <= 0.015:
        assert share(findings, "same") >= 0.95


@pytest.mark.parametrize(("effect", "least"), [(0.10, 0.95), (0.05, 0.80)])
@pytest.mark.parametrize("cells", [2, 30, 200])
def test_what_is_slower_is_found(effect, least, cells):
    found = [pursued(rounds(cells, effect=effect, seed=seed))[0] for seed in range(200 // cells)]
    assert np.mean([share(findings, "slower") for findings in found]) >= least
    assert max(share(findings, "faster") for findings in found) == 0


def test_what_is_faster_is_found():
    findings, _, _ = pursued(rounds(effect=1 / 1.1 - 1))
    assert share(findings, "faster") >= 0.95


def test_one_slower_backend_does_not_make_the_others_look_faster():
    slow = set(map(str, range(60)))
    findings, _, _ = pursued(rounds(effect=0.15, planted=slow))
    assert share({cell: f for cell, f in findings.items() if cell in slow}, "slower") >= 0.95
    assert share({cell: f for cell, f in findings.items() if cell not in slow}, "slower", "faster") <= 0.01


def test_intervals_hold_what_they_should():
    findings, calibration = decide(rounds(effect=0.07, seed=5), MARGIN)
    held = np.mean([found.low <= 1.07 <= found.high for found in findings.values()])
    assert 0.97 <= held < 1 + 1e-9
    assert np.median([found.ratio for found in findings.values()]) == pytest.approx(1.07, rel=0.005)
    assert calibration.sigma == pytest.approx(0.0155, rel=0.15)


def test_limits_are_widened_until_they_cover_the_controls():
    """Offsets that last, the same in every round, which theory does not know of."""
    called = []
    for seed in range(5):
        data, rng = rounds(cells=200, count=6, seed=seed), np.random.default_rng(seed)
        for cell, taken in data.items():
            data[cell] = [tuple(row) for row in (np.array(taken) * np.exp(rng.normal(0, 0.2, 3))).tolist()]
        findings, calibration = decide(data, MARGIN)
        assert calibration.widened > 2
        called.append(share(findings, "slower", "faster"))
    assert np.mean(called) <= 0.05


def test_a_difference_must_be_found_twice():
    """A disturbance that lasts for half of the run is none of the commit's."""
    data = rounds(count=8, seed=6)
    for cell, taken in data.items():
        data[cell] = [(b, new * (1.2 if number < 4 else 1.0), c) for number, (b, new, c) in enumerate(taken)]
    findings, _ = decide(data, MARGIN)
    assert share(findings, "slower", "faster") <= 0.02


def test_the_margin_says_what_is_the_same():
    data = rounds(cells=50, effect=0.06, offset=0.003)
    assert share(decide(data, 0.10)[0], "same") >= 0.9
    assert share(decide(data, 0.05)[0], "slower") == 1


def test_times_that_never_vary_are_decided_at_once():
    findings, _ = decide({"a": [(1.0, 1.0, 1.0)] * 2, "b": [(1.0, 1.1, 1.0)] * 2}, MARGIN)
    assert {cell: found.verdict for cell, found in findings.items()} == {"a": "same", "b": "slower"}
    assert findings["b"].ratio == pytest.approx(1.1)


def test_a_single_cell_that_never_varies():
    """No scatter of its own, and no other cell to take it from."""
    for new, verdict in ((1.0, "same"), (1.1, "slower")):
        findings, calibration = decide({"a": [(1.0, new, 1.0)] * 4}, MARGIN)
        assert findings["a"].verdict == verdict
        assert findings["a"].ratio == pytest.approx(new)
        assert calibration.widened == 1


def test_a_single_round_decides_nothing():
    assert decide({"a": [(1.0, 2.0, 1.0)]}, MARGIN)[0] == {}


def test_one_outlier_is_not_a_slowdown_and_does_not_hide_one():
    quiet = rounds(cells=40, count=8, offset=0.005, seed=8)
    quiet["hit"] = [(1.0, 3.0 if number == 2 else 1.0 + 0.001 * number, 1.0) for number in range(8)]
    quiet["slow"] = [(1.0, 1.1, 5.0 if number == 6 else 1.001) for number in range(8)]
    findings, _ = decide(quiet, MARGIN)
    assert findings["hit"].verdict in ("same", "cannot tell")
    assert findings["slow"].verdict == "slower"


# which cells get more rounds


def test_only_the_undecided_get_more_rounds():
    data = rounds(cells=30, offset=0.003)
    noisy = rounds(cells=1, offset=0.2, seed=9)["0"]
    findings, taken, _ = pursued(data | {"noisy": noisy})
    assert findings["noisy"].verdict == "cannot tell"
    assert taken["noisy"] == ROUNDS
    assert np.median(list(taken.values())) == 4


@pytest.mark.parametrize("most", [2, 3, 5])
def test_never_more_rounds_than_asked_for(most):
    findings, taken, _ = pursued(rounds(cells=5, offset=0.2), most)
    assert set(taken.values()) == {most}
    assert {found.rounds for found in findings.values()} == {most}


def test_known_rounds_are_used_and_what_is_decided_is_left_alone():
    data = rounds(cells=10, offset=0.003)

    def none(cells):
        raise AssertionError(f"measured {cells}")

    findings, _, _ = pursue(list(data), data, none, rounds=ROUNDS, margin=MARGIN)
    assert share(findings, "same") == 1


def test_a_run_that_is_stopped_says_what_it_can():
    data, left = rounds(cells=4, offset=0.003), [9]

    def stop():
        left[0] -= 1
        return left[0] < 0

    findings, taken, _ = pursued(data, stop=stop)
    assert sum(taken.values()) < 12
    assert all(found.rounds == taken[cell] for cell, found in findings.items())


def test_a_cell_that_falls_out_is_not_measured_again():
    data = rounds(cells=3, offset=0.003)
    seen = []

    def take(cells):
        for cell in cells:
            seen.append(cell)
            yield cell, "broken" if cell == "1" else data[cell][0]

    told = []
    findings, _, out = pursue(
        list(data), {}, take, rounds=4, margin=MARGIN, progress=lambda done, total, text: told.append((done, total))
    )
    assert out == {"1": "broken"}
    assert seen.count("1") == 1
    assert set(findings) == {"0", "2"}
    assert all(done <= total for done, total in told)
    assert told[-1] == (8, 8)
