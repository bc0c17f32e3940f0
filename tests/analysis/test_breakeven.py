"""Break-evens of lines whose crossings are known, by formula and by trying every number of images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from convbench.analysis.breakeven import (
    MOST,
    QUESTION,
    break_evens,
    cheapest,
    costs,
    family_break_evens,
    sentence,
)
from convbench.analysis.noise import Noise

QUIET = Noise(30, 0.0, 2.24, 0.001)


def cell(family: str, backend: str, one_shot: float, execute: float, **more: Any) -> dict[str, Any]:
    return {
        "machine": "lab", "commit": "01234567", "env": "e", "layout": "image", "image": 1024, "kernel": 7,
        "dtype": "float32", "mode": "same", "device": "cpu", "threads": 1, "status": "ok", "family": family,
        "backend": backend, "one_shot_s": one_shot, "execute_s": execute, "execute_low_s": execute,
        "execute_high_s": execute, "load_s": 0.0, "store_s": 0.0, "first_plan_s": math.nan, "first_execute_s": math.nan,
        **more,
    }  # fmt: skip


def frame(*cells: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(cells))


DIRECT, FFT = cell("direct", "d", 1.0, 1.0), cell("fft", "f", 2.2, 0.5)


def test_warm_is_one_shot_and_then_load_execute_store() -> None:
    [row] = costs(frame(cell("fft", "f", 5.0, 2.0, load_s=0.25, store_s=0.5))).to_dict("records")
    assert (row["start"], row["first_s"], row["each_s"]) == ("warm", 5.5, 2.75)


def test_cold_is_the_first_plan_and_execute_with_the_transfers() -> None:
    found = costs(frame(cell("fft", "f", 5.0, 2.0, load_s=0.25, store_s=0.5, first_plan_s=30.0, first_execute_s=3.0)))
    assert dict(zip(found["start"], found["first_s"], strict=True)) == {"warm": 5.5, "cold": 33.75}
    assert set(found["each_s"]) == {2.75}


@pytest.mark.parametrize("missing", ["first_plan_s", "first_execute_s"])
def test_cold_is_left_out_where_it_was_not_measured(missing: str) -> None:
    known = {"first_plan_s": 1.0, "first_execute_s": 1.0, missing: math.nan}
    assert set(costs(frame(cell("fft", "f", 5.0, 2.0, **known)))["start"]) == {"warm"}
    older = frame(DIRECT, FFT).drop(columns=[missing])
    assert set(break_evens(older)["start"]) == {"warm"}


@pytest.mark.parametrize("column", ["one_shot_s", "load_s", "store_s"])
def test_a_cell_without_a_time_takes_no_part(column: str) -> None:
    assert set(costs(frame(DIRECT, cell("fft", "f", 2.2, 0.5) | {column: math.nan}))["backend"]) == {"d"}


def test_only_evidence_counts() -> None:
    assert costs(frame(DIRECT | {"status": "failed"}, FFT))["backend"].tolist() == ["f"]


def test_the_break_even_is_the_first_image_at_which_it_is_not_slower() -> None:
    [row] = break_evens(frame(DIRECT, FFT)).itertuples()
    assert (row.start, row.before, row.before_family, row.backend, row.family) == ("warm", "d", "direct", "f", "fft")
    assert row.images == 4  # 2.2 + 3 x 0.5 = 3.7 < 4, but 2.2 + 2 x 0.5 = 3.2 > 3
    assert row.low <= 4 <= row.high


def test_being_as_quick_is_enough() -> None:
    [row] = break_evens(frame(DIRECT, cell("fft", "f", 2.0, 0.5))).itertuples()
    assert row.images == 3  # 2 + 2 x 0.5 = 3


@pytest.mark.parametrize("seed", range(8))
def test_the_envelope_is_what_trying_every_number_of_images_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    each = rng.integers(1, 60, 9)
    cells = [cell("fft", f"b{i}", float(rng.integers(1, 900) + e), float(e)) for i, e in enumerate(each)]
    steps = list(break_evens(frame(*cells)).itertuples())
    first, slope = (np.array([c[n] for c in cells]) for n in ("one_shot_s", "execute_s"))
    at = 1.0
    leader = min(range(9), key=lambda i: (first[i], slope[i]))
    found = []
    for n in range(2, 1200):
        totals = first + (n - 1) * slope
        beaten = [i for i in range(9) if slope[i] < slope[leader] and totals[i] <= totals[leader]]
        if beaten:
            best = min(beaten, key=lambda i: (totals[i], slope[i]))
            found.append((f"b{leader}", f"b{best}", n))
            leader, at = best, n
    assert at < 1199
    assert [(s.before, s.backend, s.images) for s in steps] == found
    chosen = cheapest(frame(*cells), images=(1, 7, 100)).iloc[0]
    for n in (1, 7, 100):
        totals = first + (n - 1) * slope
        assert chosen[f"seconds_{n}"] == pytest.approx(totals.min() / n)
        assert totals[int(chosen[f"backend_{n}"][1:])] == totals.min()
    assert chosen["seconds_inf"] == slope.min()


def test_the_cheapest_for_so_many_images_and_its_time_per_image() -> None:
    row = cheapest(frame(DIRECT, FFT), images=(1, 10)).iloc[0]
    assert (row["backend_1"], row["family_1"], row["seconds_1"]) == ("d", "direct", 1.0)
    assert (row["backend_10"], row["seconds_10"]) == ("f", pytest.approx(0.67))
    assert (row["backend_inf"], row["seconds_inf"], row["ties_inf"]) == ("f", 0.5, 0)


def test_a_tie_is_called_one() -> None:
    close = cell("fft", "f", 1.05, 0.98)
    row = cheapest(frame(DIRECT, close), noise=QUIET).iloc[0]
    assert (row["ties_1"], row["ties_inf"]) == (1, 0)  # a start is not known to 5 %, the steady state is
    assert cheapest(frame(DIRECT, close)).iloc[0]["ties_inf"] == 1  # unless the machine's noise is larger than 2 %


def test_families_can_be_left_out() -> None:
    separable = cell("separable", "s", 0.1, 0.1)
    assert break_evens(frame(DIRECT, FFT, separable)).empty
    assert break_evens(frame(DIRECT, FFT, separable), {"separable"})["images"].tolist() == [4]
    assert cheapest(frame(DIRECT, FFT, separable), {"separable"})["backend_1"].tolist() == ["d"]


def test_transfers_count() -> None:
    device = FFT | {"load_s": 0.3, "store_s": 0.3, "one_shot_s": 2.5}
    assert break_evens(frame(DIRECT, device)).empty  # 1.1 s an image


def test_beyond_the_limit_there_is_none() -> None:
    [row] = family_break_evens(frame(DIRECT, cell("fft", "f", 3.0, 1 - 1e-6)), "direct", "fft").itertuples()
    assert row.images == math.inf
    assert break_evens(frame(DIRECT, cell("fft", "f", 3.0, 1 - 1e-6))).empty
    assert break_evens(frame(DIRECT, cell("fft", "f", 1 + 1e-6 * (MOST - 1), 1 - 1e-6)))["images"].tolist() == [MOST]


def test_families_compete_with_their_best_for_so_many_images() -> None:
    quick_start, quick_run = cell("fft", "cheap", 1.5, 0.9), cell("fft", "dear", 21.0, 0.1)
    [row] = family_break_evens(frame(DIRECT, quick_start, quick_run), "direct", "fft").itertuples()
    assert (row.before, row.backend, row.images, row.again) == ("d", "cheap", 6, 0)
    better = cell("direct", "d2", 30.0, 0.01)
    [row] = family_break_evens(frame(DIRECT, quick_start, quick_run, better), "direct", "fft").itertuples()
    assert (row.backend, row.images, row.again) == ("cheap", 6, 1)


def test_a_family_may_lead_throughout() -> None:
    [row] = family_break_evens(frame(DIRECT, cell("fft", "f", 0.9, 0.5)), "direct", "fft", QUIET).itertuples()
    assert (row.before_family, row.family, row.images, row.low) == ("fft", "direct", math.inf, math.inf)
    assert sentence(row) == (
        "fft (f) beats planned direct (d) however many images there are: no break-even within 1,000,000 images"
    )


def test_one_family_alone_has_no_pair() -> None:
    found = family_break_evens(frame(DIRECT, DIRECT | {"backend": "e"}), "direct", "fft")
    assert found.empty
    assert {"images", "low", "high", "again"} <= set(found.columns)


def test_the_interval_grows_with_the_errors() -> None:
    def width(noise: Noise) -> float:
        [row] = break_evens(frame(DIRECT, cell("fft", "f", 50.0, 0.8)), noise=noise).itertuples()
        return row.high / row.low

    assert width(QUIET) < width(Noise(30, 0.05, 2.24, 0.01)) < width(Noise(30, 0.2, 2.24, 0.01)) == math.inf


def test_the_interval_covers_the_truth() -> None:
    """Starts that err by 10 % and times that err by 1 %: 95 % of the intervals hold the true break-even."""
    rng = np.random.default_rng(0)
    cells = []
    for i in range(400):
        a, b = rng.normal(1, [0.1, 0.1]), np.exp(rng.normal(0, 0.01, 2))
        spread = math.exp(0.01 * 2.576)
        for family, first, each in (("direct", 2.0 * a[0], 1.0 * b[0]), ("fft", 20.0 * a[1], 0.5 * b[1])):
            ends = {"execute_low_s": each / spread, "execute_high_s": each * spread}
            cells.append(cell(family, family, first, each, **ends) | {"kernel": i + 1})
    found = break_evens(frame(*cells), noise=QUIET)
    truth = 1 + math.ceil((20 - 2) / (1 - 0.5))
    assert len(found) == 400
    assert 0.91 < ((found["low"] <= truth) & (truth <= found["high"])).mean() < 0.99


def test_what_else_is_in_the_table_changes_nothing() -> None:
    alone = break_evens(frame(DIRECT, FFT))
    more = break_evens(
        frame(*(c | {"kernel": k} for k in (3, 7, 31) for c in (DIRECT, FFT, cell("fft", "g", 9.0, 0.4))))
    )
    again = more[(more["kernel"] == 7) & (more["backend"] == "f")].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, again, check_dtype=False)


def test_sentences() -> None:
    [row] = break_evens(frame(DIRECT, FFT), noise=QUIET).itertuples()
    assert (
        sentence(row)
        == f"planned fft (f) beats direct (d) from 4 images on (95 % interval: {row.low:.0f} to {row.high:.0f})"
    )
    [row] = break_evens(frame(DIRECT, cell("fft", "f", 1.01, 0.99))).itertuples()
    assert sentence(row) == "the samples do not tell from how many images on planned fft (f) beats direct (d)"
    [row] = break_evens(frame(DIRECT, cell("fft", "f", 3.0, 0.97))).itertuples()
    assert sentence(row).startswith("planned fft (f) may beat direct (d) from 68 images on")
    assert sentence(row).endswith("to never)")
    [row] = family_break_evens(frame(DIRECT, cell("fft", "f", 3.0, 1.01)), "direct", "fft").itertuples()
    assert "though the samples do not exclude one from" in sentence(row)


def test_nothing_in_nothing_out() -> None:
    empty = frame(DIRECT, FFT).iloc[:0]
    assert break_evens(empty).empty
    assert cheapest(empty).empty
    assert set(QUESTION) <= set(break_evens(empty).columns)
