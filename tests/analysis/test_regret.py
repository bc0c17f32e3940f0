"""Regret: the winner, who cannot be told from it, and what every other choice costs."""

from __future__ import annotations

import pandas as pd
import pytest

from convbench.analysis.noise import Noise
from convbench.analysis.regret import regret

QUIET = Noise(100, 0.01, 2.24, 0.002)


def cells(times, **columns):
    """A cell of each backend; times: backend -> (seconds, family)."""
    rows = [
        {
            "machine": "m", "commit": "c", "env": "e", "layout": "image", "backend": backend, "family": family,
            "image": 64, "kernel": 3, "dtype": "float32", "mode": "same", "device": "cpu", "threads": 1,
            "status": "ok", "execute_s": s, "execute_low_s": s * 0.999, "execute_high_s": s * 1.001,
            "samples": [s * 0.999, s, s * 1.001] * 2, "processes": [3, 3],
        } | columns
        for backend, (s, family) in times.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


TIMES = {"slow": (3.0, "direct"), "quick": (1.0, "separable"), "near": (1.015, "fft"), "next": (1.2, "fft")}


def test_every_choice_has_its_cost():
    table = regret(cells(TIMES), QUIET).set_index("backend")
    assert table["rank"].to_dict() == {"quick": 1, "near": 2, "next": 3, "slow": 4}
    assert set(table["best"]) == {"quick"}
    assert table["regret"].to_dict() == pytest.approx({"quick": 0, "near": 0.015, "next": 0.2, "slow": 2.0})
    assert table["tied"].to_dict() == {"quick": True, "near": True, "next": False, "slow": False}
    assert 0.02 < table.loc["near", "smallest"] < 0.03


def test_a_family_can_be_left_out():
    table = regret(cells(TIMES), QUIET, without={"separable"}).set_index("backend")
    assert "quick" not in table.index
    assert table.loc["near", "rank"] == 1
    assert table.loc["slow", "regret"] == pytest.approx(3 / 1.015 - 1)


def test_questions_are_apart_and_what_failed_takes_no_part():
    wrong = cells({"wrong": (0.1, "fft")}, status="failed")
    other = cells({"slow": (5.0, "direct")}, kernel=5)
    table = regret(pd.concat([cells(TIMES), wrong, other], ignore_index=True), QUIET)
    assert "wrong" not in set(table["backend"])
    assert table[table["kernel"] == 5][["rank", "regret", "tied"]].values.tolist() == [[1, 0.0, True]]


def test_without_samples_the_interval_speaks():
    bare = cells(TIMES)
    bare["samples"], bare["processes"] = [[] for _ in range(4)], [[] for _ in range(4)]
    bare.loc[bare["backend"] == "near", ["execute_low_s", "execute_high_s"]] = [0.7, 1.4]
    table = regret(bare, QUIET).set_index("backend")
    assert table["tied"].to_dict() == {"quick": True, "near": True, "next": False, "slow": False}


def test_nothing_measured():
    assert len(regret(cells(TIMES, status="n/a"), QUIET)) == 0
