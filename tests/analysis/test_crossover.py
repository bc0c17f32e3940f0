"""Crossovers that are known must be found, within their interval; and what is not there must be said."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import Model, crossing_at, write_results

from convbench.analysis.crossover import NO_COMMON_RANGE, crossovers, describe_crossing, family_best, winners
from convbench.analysis.envelope import envelope
from convbench.analysis.table import read_results

KERNELS = (3, 5, 7, 11, 15, 21, 31, 51, 101)


def cells_of(tmp_path: Path, models: dict[str, Model], **settings: object) -> pd.DataFrame:
    write_results(tmp_path, models, **settings)
    return read_results(tmp_path).cells


@pytest.mark.parametrize("truth", [3.2, 6.0, 12.4, 17.0, 40.0, 99.0])
def test_power_laws_cross_exactly_where_they_should(tmp_path: Path, truth: float) -> None:
    cells = cells_of(tmp_path, crossing_at(truth), noise=0.0)
    [row] = crossovers(cells).to_dict("records")
    assert row["kernel"] == pytest.approx(truth, rel=1e-9)
    assert (row["faster_below"], row["faster_above"]) == ("direct", "fft")
    assert row["below"] == max(k for k in KERNELS if k < truth)
    assert row["above"] == min(k for k in KERNELS if k > truth)
    assert (row["kernel_min"], row["kernel_max"], row["kernels"], row["others"]) == (3, 101, 9, [])


def test_intervals_cover_the_truth(tmp_path: Path) -> None:
    """80 independent groups: a 95 % interval that misses 11 of them would be wrong with probability 1 - 1e-3."""
    images = range(1024, 1024 + 80)
    models = {
        "direct-a": Model("direct", lambda n, k: 2e-11 * k * k),
        "fft-a": Model("fft", lambda n, k: 2e-11 * 17.0**2),
    }
    found = crossovers(cells_of(tmp_path, models, images=images, noise=0.05, repeats=21))
    assert len(found) == 80
    covered = (found["low"] <= 17) & (found["high"] >= 17)
    assert covered.sum() >= 70
    width = np.log(found["high"] / found["low"])
    assert width.between(0.01, 0.1).all()


def test_noise_that_hides_the_crossover_opens_the_interval(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, crossing_at(95.0), noise=0.3, repeats=5)
    row = crossovers(cells).iloc[0]
    assert row["low"] < 95
    assert row["high"] == math.inf or row["kernel"] != row["kernel"]


def test_the_same_seed_gives_the_same_interval_whatever_else_there_is(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, crossing_at(17.0), images=(256, 1024))
    both = crossovers(cells)
    alone = crossovers(cells[cells["image"] == 1024])
    columns = ["kernel", "low", "high"]
    assert both.loc[both["image"] == 1024, columns].to_numpy().tolist() == alone[columns].to_numpy().tolist()
    assert crossovers(cells, seed=1)["low"].tolist() != both["low"].tolist()


def test_the_best_backend_of_each_family_takes_part(tmp_path: Path) -> None:
    models = {
        **crossing_at(20.0),
        "slow-direct": Model("direct", lambda n, k: 1.0),
        "slow-fft": Model("fft", lambda n, k: 1.0),
    }
    cells = cells_of(tmp_path, models, noise=0.0)
    assert crossovers(cells)["kernel"].tolist() == pytest.approx([20.0])
    assert set(family_best(cells)["backend"]) == {"direct-a", "fft-a"}


def test_no_crossover_is_said_plainly(tmp_path: Path) -> None:
    models = {"s": Model("separable", lambda n, k: 1e-4 * k), "d": Model("direct", lambda n, k: 1e-3 * k * k)}
    [row] = crossovers(cells_of(tmp_path, models)).to_dict("records")
    assert math.isnan(row["kernel"])
    assert row["statement"] == "separable is faster over the whole range 3 to 101"


def test_no_common_range_is_said_plainly(tmp_path: Path) -> None:
    models = {
        "d": Model("direct", lambda n, k: 1e-3 if k < 10 else 9.0),
        "f": Model("fft", lambda n, k: 9.0 if k < 10 else 1e-3),
    }
    [row] = crossovers(cells_of(tmp_path, models, budget_s=1.0)).to_dict("records")
    assert (row["statement"], row["kernels"]) == (NO_COMMON_RANGE, 0)


def test_one_common_size_is_said_plainly(tmp_path: Path) -> None:
    [row] = crossovers(cells_of(tmp_path, crossing_at(20.0), kernels=(7,))).to_dict("records")
    assert row["statement"] == "direct is faster at 7, the only kernel size measured for both"


def test_equal_times_do_not_cross(tmp_path: Path) -> None:
    models = {"d": Model("direct", lambda n, k: 1e-3), "f": Model("fft", lambda n, k: 1e-3)}
    [row] = crossovers(cells_of(tmp_path, models, noise=0.0)).to_dict("records")
    assert row["statement"] == "direct and fft take the same time from 3 to 101"


def test_noise_is_no_lead(tmp_path: Path) -> None:
    """A difference of 0.4 % at every size, on a machine whose equals differ by 2 %."""
    models = {"d": Model("direct", lambda n, k: 1e-3), "f": Model("fft", lambda n, k: 1.004e-3)}
    cells = cells_of(tmp_path, models, noise=0.0)
    [row] = crossovers(cells, excess=0.02).to_dict("records")
    assert row["statement"] == "direct and fft cannot be told apart from 3 to 101"
    [row] = crossovers(cells[cells["kernel"] == 7], excess=0.02).to_dict("records")
    assert row["statement"] == "direct and fft cannot be told apart at 7"
    [row] = crossovers(cells).to_dict("records")
    assert row["statement"] == "direct is faster over the whole range 3 to 101"


def test_a_tie_at_a_measured_size_crosses_there(tmp_path: Path) -> None:
    [row] = crossovers(cells_of(tmp_path, crossing_at(15.0), noise=0.0)).to_dict("records")
    assert row["kernel"] == pytest.approx(15.0)


def test_several_crossings_are_all_kept_first_one_first(tmp_path: Path) -> None:
    models = {"d": Model("direct", lambda n, k: 1e-5 * k), "f": Model("fft", lambda n, k: 1e-5 * (9 if k < 25 else 60))}
    [row] = crossovers(cells_of(tmp_path, models, noise=0.01)).to_dict("records")
    assert row["kernel"] == pytest.approx(9, rel=0.05)
    assert [(c.faster_below, c.faster_above) for c in row["others"]] == [("fft", "direct"), ("direct", "fft")]
    assert [21 < c.kernel < 31 or 51 < c.kernel < 101 for c in row["others"]] == [True, True]
    assert row["statement"].startswith("direct is faster up to a kernel size of about 8.9")
    assert row["statement"].endswith("then fft")
    assert row["statement"].count("then") == 3


def test_only_cells_with_evidence_take_part(tmp_path: Path) -> None:
    assert crossovers(cells_of(tmp_path, crossing_at(20.0), evidence=False)).empty
    assert winners(read_results(tmp_path).cells).empty


def test_an_interval_without_samples_comes_from_asv(tmp_path: Path) -> None:
    cells = cells_of(tmp_path, crossing_at(17.0), noise=0.05)
    cells["samples"] = [[] for _ in range(len(cells))]
    row = crossovers(cells).iloc[0]
    assert 14 < row["low"] < row["kernel"] < row["high"] < 20
    cells["execute_low_s"] = cells["execute_high_s"] = math.nan
    row = crossovers(cells).iloc[0]
    assert row["low"] == pytest.approx(row["kernel"])
    assert row["high"] == pytest.approx(row["kernel"])


def test_winners_name_the_best_of_another_family(tmp_path: Path) -> None:
    models = {
        "d": Model("direct", lambda n, k: 1e-3),
        "d2": Model("direct", lambda n, k: 1.1e-3),
        "f": Model("fft", lambda n, k: 2e-3),
    }
    won = winners(cells_of(tmp_path, models, noise=0.01))
    assert set(won["backend"]) == {"d"}
    assert set(won["runner_up"]) == {"f"}
    assert won["ratio"].between(1.9, 2.1).all()
    assert not won["tied"].any()
    alone = winners(read_results(tmp_path).cells.query("family == 'direct'"))
    assert alone["ratio"].isna().all()
    assert not alone["tied"].any()


def test_overlapping_intervals_are_a_tie(tmp_path: Path) -> None:
    models = {"d": Model("direct", lambda n, k: 1e-3), "f": Model("fft", lambda n, k: 1.001e-3)}
    assert winners(cells_of(tmp_path, models, noise=0.05))["tied"].all()


def test_envelope_leaves_out_what_it_is_told_to(tmp_path: Path) -> None:
    models = {**crossing_at(20.0), "sep": Model("separable", lambda n, k: 1e-9 * k)}
    cells = cells_of(tmp_path, models, noise=0.001)
    found = crossovers(cells)
    [every] = envelope(cells, found).values()
    assert [(s.family, s.kernels) for s in every] == [("separable", KERNELS)]
    [spans] = envelope(cells, found, {"separable"}).values()
    assert [s.family for s in spans] == ["direct", "fft"]
    assert spans[0].until is not None
    assert spans[0].until.kernel == pytest.approx(20.0, rel=0.01)
    assert spans[1].until is None


def test_envelope_says_between_which_sizes_where_no_more_is_known(tmp_path: Path) -> None:
    models = {
        "d": Model("direct", lambda n, k: 1e-3 if k < 10 else 9.0),
        "f": Model("fft", lambda n, k: 9.0 if k < 10 else 1e-3),
    }
    cells = cells_of(tmp_path, models, budget_s=1.0)
    [spans] = envelope(cells, crossovers(cells)).values()
    until = spans[0].until
    assert until is not None
    assert (until.low, until.high) == (7, 11)
    assert "about 8.77 (7 to 11)" in describe_crossing(until)
