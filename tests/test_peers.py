"""tools/peers.py: what counts as met."""

from __future__ import annotations

import programs
import pytest

from convbench.measure import Rule, Timing
from convbench.problem import Problem

pytest.importorskip("numba")


@pytest.fixture(scope="module")
def peers():
    return programs.program("peers")


def test_the_worst_cell_decides_or_the_geometric_mean(peers) -> None:
    values = {"a": 1.0, "b": 4.0}
    assert peers.Row("at least", values, 1.5).met is False
    assert peers.Row("at least", values, 1.5).worst == ("a", 1.0)
    assert peers.Row("at least", values, 1.5, mean=True).judged == pytest.approx(2.0)
    assert peers.Row("at least", values, 1.5, mean=True).met is True
    assert peers.Row("at most", values, 1.5, "<=").met is False
    assert peers.Row("at most", values, 1.5, "<=").worst == ("b", 4.0)
    assert peers.Row("at most", values, 4.0, "<=").met is True


def test_a_ratio_is_that_of_the_same_round(peers) -> None:
    slow_machine_later = {"ours": Timing((1.0, 1.0, 9.0), 1, ""), "other": Timing((2.0, 2.0, 18.0, 99.0), 1, "")}
    assert peers.Contest(Problem((8, 8), (3, 3)), slow_machine_later).ratio("other", "ours") == 2.0


def test_backends_are_gated_and_timed_beside_yardsticks(peers) -> None:
    rule = Rule(warmup=0.0, sample=1e-5, seconds=0.005, hard_seconds=0.1, least=3, fewest=2, most=5)
    names = ["numba-direct", "scipy-direct", "numpy"]
    done = peers.contest(Problem((32, 32), (5, 5)), names, one_shot=True, rule=rule)
    assert set(done.timings) == {
        *("numba-direct", "scipy-direct", "one-shot numba-direct", "one-shot scipy-direct", "copy", "multiply-adds")
    }
    assert "1-D input only" in done.left_out["numpy"]
    assert done.advantage(["numba-direct"], ["scipy-direct"]) == done.ratio("scipy-direct", "numba-direct") > 1
    assert 0 < done.share("numba-direct", 25) < 1.5
    assert set(done.as_dict()) == {"cell", "median_s", "left_out"}
    (row,) = [r for r in peers.general_rows([done]) if r.what.startswith("whole grid") and r.mean]
    assert row.values == {"32 k5 float32": done.advantage(["numba-direct"], ["scipy-direct"])}
