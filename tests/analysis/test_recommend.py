from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from choosing import IMAGES, KERNELS, LAWS, Law, cells, chooser_of, results, table_of

from convbench.analysis.chooser_model import KINDS, features, quick_size
from convbench.analysis.chooser_quick import Decider
from convbench.analysis.chooser_table import cells_of, chooser_table, newest
from convbench.analysis.noise import FEW_SAMPLES_ERROR, UNCALIBRATED
from convbench.analysis.recommend import MODEL_ERROR, Chooser, Question, modelled, ranked
from convbench.analysis.regret import regret
from convbench.backends._fft import good_size
from convbench.cost import DESKTOP
from convbench.errors import ArgumentError
from convbench.grid import PRESETS
from convbench.measure import median_interval


def square(n: int, k: int, **more: Any) -> Question:
    return Question((n, n), (k, k), **more)


@pytest.mark.parametrize(("n", "k"), list(itertools.product(IMAGES, (3, 15, 63))))
def test_a_measured_cell_is_answered_by_its_measurement(n: int, k: int) -> None:
    found = chooser_of(cells()).rank(square(n, k, separable=True))
    truth = {name: law.execute(n, k) for name, law in LAWS.items()}
    assert found[0].backend == min(truth, key=truth.__getitem__)
    assert {one.how for one in found} == {"measured"}
    for one in found:
        assert one.seconds == pytest.approx(truth[one.backend], rel=1e-3)
        assert one.low < truth[one.backend] < one.high
        assert 1 + one.cost == pytest.approx(truth[one.backend] / min(truth.values()), rel=1e-3)


def test_between_cells_the_time_is_interpolated_well_and_the_interval_holds() -> None:
    found = chooser_of(cells())
    inside = total = 0
    for n, k in itertools.product((300, 700, 1000, 1448), (4, 9, 13, 25, 40)):
        for one in found.rank(square(n, k, separable=True)):
            truth = LAWS[one.backend].execute(n, k)
            assert one.how == "interpolated"
            assert one.seconds == pytest.approx(truth, rel=0.1)
            inside += one.low <= truth <= one.high
            total += 1
    assert inside >= 0.9 * total


def test_images_and_kernels_that_are_not_square_count_by_their_work() -> None:
    law = Law("direct", lambda n, k: 2e-11 * n * n * k * k)
    found = chooser_of(cells({"direct": law})).rank(Question((480, 640), (5, 20)))
    assert found[0].seconds == pytest.approx(2e-11 * 480 * 640 * 100, rel=0.02)
    assert found[0].how == "interpolated"


def test_sizes_of_the_same_mean_as_a_cell_are_not_called_measured() -> None:
    found = chooser_of(cells())
    assert {one.how for one in found.rank(Question((512, 2048), (3, 3)))} == {"interpolated"}
    assert {one.how for one in found.rank(square(1024, 3, mode="full"))} == {"interpolated"}


def test_outside_of_the_grid_it_is_modelled_and_the_interval_widens() -> None:
    found = chooser_of(cells())
    ratios = []
    for k in (63, 65, 126, 252):
        one = next(e for e in found.rank(square(1024, k)) if e.backend == "numba-direct")
        assert one.how == ("measured" if k == 63 else "modelled")
        assert one.seconds == pytest.approx(LAWS["numba-direct"].execute(1024, k), rel=0.05)  # the model extrapolates
        ratios.append(one.high / one.low)
    assert ratios == sorted(ratios)
    assert ratios[1] > 3.9
    assert ratios[3] > ratios[2] > 1.01 * ratios[0]


def test_skipped_cells_are_null_and_what_lies_there_is_modelled() -> None:
    table = table_of(cells(seconds_limit=0.05))
    (one,) = table["sets"]
    us = one["backends"]["numba-direct"]["execute"]["us"]
    assert us[IMAGES.index(2048)][KERNELS.index(63)] is None
    assert us[IMAGES.index(2048)][KERNELS.index(3)] == pytest.approx(
        1e6 * LAWS["numba-direct"].execute(2048, 3), rel=1e-3
    )
    found = {e.backend: e for e in Chooser(table).rank(square(2048, 63))}
    assert found["numba-direct"].how == "modelled"
    assert found["numba-direct"].seconds == pytest.approx(LAWS["numba-direct"].execute(2048, 63), rel=0.1)
    assert found["pyfftw"].how == "measured"


def test_no_backend_is_recommended_where_it_failed() -> None:
    table = cells()
    wrong = (table["backend"] == "pyfftw") & (table["image"] == 1024) & (table["kernel"] == 31)
    table.loc[wrong, "status"] = "failed"
    found = chooser_of(table)
    for question in (square(1024, 31), square(1000, 30), square(1100, 35)):
        assert "pyfftw" not in {one.backend for one in found.rank(question)}
    assert "pyfftw" in {one.backend for one in found.rank(square(512, 15))}


def test_the_plan_is_shared_out_among_the_images() -> None:
    laws = {
        "planned": Law("fft", lambda n, k: 1e-3, lambda n, k: 10e-3),
        "plain": Law("fft", lambda n, k: 2e-3, lambda n, k: 0.0),
    }
    found = chooser_of(cells(laws))
    seconds = {}
    for images in (1, 9, 11, 1000, None):
        best = found.rank(square(512, 15, images=images))[0]
        seconds[images] = best.seconds
        assert best.backend == ("plain" if images in (1, 9) else "planned")
    assert seconds[1] == pytest.approx(2e-3, rel=1e-3)
    assert seconds[11] == pytest.approx((11e-3 + 10 * 1e-3) / 11, rel=1e-3)
    assert seconds[1000] == pytest.approx(1.01e-3, rel=1e-3)
    assert seconds[None] == pytest.approx(1e-3, rel=1e-3)


def test_where_planning_counts_a_backend_without_a_known_plan_does_not() -> None:
    table = cells()
    table.loc[table["backend"] == "pyfftw", ["one_shot_s", "plan_s"]] = np.nan
    found = chooser_of(table)
    assert "pyfftw" in {one.backend for one in found.rank(square(1024, 31))}
    assert "pyfftw" not in {one.backend for one in found.rank(square(1024, 31, images=5))}


def test_separable_backends_are_for_separable_kernels() -> None:
    found = chooser_of(cells(), cells(layout="rows", images=(512, 1024)))
    assert found.rank(square(1024, 21, separable=True))[0].backend == "numba-separable"
    assert "numba-separable" not in {one.backend for one in found.rank(square(1024, 21))}
    row = found.rank(Question((512, 512), (1, 21)))
    assert {one.how for one in row} == {"measured"}
    assert "numba-separable" in {one.backend for one in row}
    column = found.rank(Question((512, 512), (21, 1)))
    assert {one.how for one in column} == {"interpolated"}


def test_signals_have_a_set_of_their_own() -> None:
    law = Law("direct", lambda n, k: 1e-10 * n * k)
    found = chooser_of(cells({"d": law}, (1024, 65536), (9, 129), layout="signal"))
    (one,) = found.rank(Question((8000,), (40,)))
    assert one.seconds == pytest.approx(law.execute(8000, 40), rel=0.05)
    assert found.rank(square(1024, 9)) == []


def test_threads_are_those_asked_for_or_fewer() -> None:
    laws = {
        "many": Law("direct", lambda n, k: 3e-11 * n * n * k * k, threads=(1, 2)),
        "one": Law("fft", lambda n, k: 2e-9 * n * n),
    }
    found = chooser_of(cells(laws), cells(laws, (1024, 2048), threads=(2,)))
    both = {e.backend: e for e in found.rank(square(1024, 11, threads=2))}
    assert (both["many"].threads, both["one"].threads) == (2, 1)
    assert both["many"].seconds == pytest.approx(3e-11 * 1024**2 * 121 / 2, rel=1e-3)
    assert found.rank(square(1024, 11, threads=2))[0].backend == "many"
    assert found.rank(square(1024, 11, threads=1))[0].backend == "one"
    assert found.rank(square(1024, 63, threads=16))[0].backend == "one"
    # outside of the grid of two threads, inside that of one
    assert {e.threads for e in found.rank(square(256, 11, threads=2))} == {1}


def test_only_what_is_available_is_ranked() -> None:
    found = chooser_of(cells())
    assert [one.backend for one in found.rank(square(1024, 31), {"scipy-fft", "slow"})] == ["scipy-fft", "slow"]
    assert found.rank(square(1024, 31), {"unknown"}) == []


def test_equals_are_tied_and_a_clear_winner_is_not() -> None:
    laws = {
        "a": Law("fft", lambda n, k: 1e-3),
        "b": Law("fft", lambda n, k: 1.02e-3),
        "c": Law("fft", lambda n, k: 1.5e-3),
    }
    found = chooser_of(cells(laws)).rank(square(512, 15))
    assert [(one.backend, one.tied) for one in found] == [("a", True), ("b", True), ("c", False)]


def test_an_erratic_backend_is_known_less_well() -> None:
    laws = {
        "smooth": Law("fft", lambda n, k: 1e-9 * n * n),
        "erratic": Law("fft", lambda n, k: 1e-9 * n * n * (1.3 if k % 4 == 3 else 1.0)),
    }
    found = {one.backend: one for one in chooser_of(cells(laws)).rank(square(600, 13))}
    assert found["erratic"].error > 3 * found["smooth"].error
    assert found["erratic"].low < 600**2 * 1e-9 < found["erratic"].high


def side_by_side(factor: float, own: float = 0.002, common: float = 0.3) -> pd.DataFrame:
    """a, and b that takes `factor` times as long; their samples share the moments of the machine, slow and quick."""
    table = cells({"a": LAWS["pyfftw"], "b": replace(LAWS["pyfftw"], execute=lambda n, k: factor * law(n, k))})
    rng, moments = np.random.default_rng(0), np.random.default_rng(1).normal(0, common, (2, 11)).ravel()
    drawn = [list(t * np.exp(moments + rng.normal(0, own, 22))) for t in table["execute_s"]]
    middle = [float(np.median(s)) for s in drawn]
    return table.assign(
        samples=drawn, processes=[[11, 11]] * len(table), execute_s=middle,
        execute_low_s=[m * math.exp(-common) for m in middle], execute_high_s=[m * math.exp(common) for m in middle],
    )  # fmt: skip


law = LAWS["pyfftw"].execute


@pytest.mark.parametrize(("factor", "tied"), [(1.02, True), (1.1, False)])
def test_a_measured_cell_has_the_ties_of_the_winner_map(factor: float, tied: bool) -> None:
    """Compared round by round, although each time alone is known to some ten per cent only."""
    made = side_by_side(factor)
    found = chooser_of(made)
    ours = {one.backend: one for one in found.rank(square(512, 15))}
    assert (ours["b"].tied, ours["b"].how) == (tied, "measured")
    assert ours["b"].error > 0.05 > ours["b"].apart
    rows = regret(made, UNCALIBRATED)
    told = rows[(rows["image"] == 512) & (rows["kernel"] == 15)].set_index("backend")
    assert bool(told["tied"]["b"]) is tied
    error = math.sqrt((math.log1p(told["smallest"]["b"]) / UNCALIBRATED.quantile) ** 2 - UNCALIBRATED.excess**2)
    shares = [table_of(made)["sets"][0]["backends"][name]["apart_pct"][1][4] / 100 for name in "ab"]
    assert math.hypot(*shares) == pytest.approx(error, rel=0.05)
    assert shares[0] == pytest.approx(shares[1])
    # elsewhere, and on tables without it, each time's own error counts
    assert {one.tied for one in found.rank(square(500, 15))} == {True}
    for entry in (old := table_of(made))["sets"][0]["backends"].values():
        del entry["apart_pct"]
    assert {one.tied for one in Chooser(old).rank(square(512, 15))} == {True}


def test_with_more_backends_the_ties_are_those_of_the_best() -> None:
    laws = {
        name: Law("fft", lambda n, k, f=f: f * 1e-3) for name, f in (("a", 1), ("b", 1.03), ("c", 1.08), ("d", 1.3))
    }
    made = cells(laws)
    rng = np.random.default_rng(0)
    scatter = {"a": 0.02, "b": 0.01, "c": 0.08, "d": 0.02}
    made["samples"] = [
        list(t * np.exp(rng.normal(0, scatter[name], 15)))
        for t, name in zip(made["execute_s"], made["backend"], strict=True)
    ]
    made["processes"] = [[8, 7]] * len(made)
    rows = regret(made, UNCALIBRATED)
    excess, quantile = UNCALIBRATED.excess, UNCALIBRATED.quantile
    entries = table_of(made)["sets"][0]["backends"]
    for row in rows[rows["rank"] > 1].itertuples():
        i, j = IMAGES.index(row.image), KERNELS.index(row.kernel)
        shares = [entries[name]["apart_pct"][i][j] / 100 for name in (row.backend, row.best)]
        limit = quantile * math.hypot(*shares, excess)
        assert limit == pytest.approx(math.log1p(row.smallest), rel=0.02)


@pytest.mark.parametrize("count", [2, 3, 5, 8, 15])
def test_the_error_of_a_few_samples_is_not_taken_for_that_of_many(count: int) -> None:
    """What the table says of a median is about what medians scatter by, however few the samples are."""
    rng, made = np.random.default_rng(0), cells({"a": Law("fft", lambda n, k: 1e-3)})
    drawn = np.exp(0.1 * rng.standard_normal((400, len(made), count)))
    told = []
    for samples in drawn[:40]:
        low, high = np.array([median_interval(tuple(s)) for s in samples]).T
        table = made.assign(samples=list(map(list, samples)), processes=[[count]] * len(made))
        one = table_of(table.assign(execute_low_s=low, execute_high_s=high))["sets"][0]["backends"]["a"]
        told.append(np.mean(one["error_pct"]) / 100)
    truth = float(np.log(np.median(drawn, axis=-1)).std())
    assert 0.9 * truth < np.mean(told) < 1.6 * truth


def test_the_error_of_a_single_sample_is_not_nothing() -> None:
    made = cells({"a": LAWS["pyfftw"]}, spread=0.0)
    made["samples"], made["processes"] = [[t] for t in made["execute_s"]], [[1]] * len(made)
    (one,) = chooser_of(made).rank(square(512, 15))
    assert one.error >= FEW_SAMPLES_ERROR


def test_errors_come_from_samples_where_there_are_some() -> None:
    table = cells({"a": LAWS["pyfftw"]})
    rng = np.random.default_rng(0)
    for scatter in (0.01, 0.2):
        samples = [list(t * np.exp(scatter * rng.standard_normal(20))) for t in table["execute_s"]]
        table["samples"], table["processes"] = samples, [[10, 10]] * len(table)
        (one,) = chooser_of(table).rank(square(512, 15))
        assert 0.02 / math.sqrt(2) <= one.error
        if scatter == 0.2:
            assert 0.02 < one.error < 0.2
        else:
            assert one.error < 0.02


# -- the table -----------------------------------------------------------------------------------------------------


def test_the_table_is_json_and_says_where_it_is_from() -> None:
    table = table_of(cells(), ceilings={"fma_float32": 123.456, "l2_bytes": 1e6})
    assert json.loads(json.dumps(table)) == table
    assert (table["machine"], table["commit"], table["date"], table["cpu"]) == (
        "lab",
        "01234567",
        "2026-10-01",
        "Zen 9",
    )
    assert table["ceilings"] == {"fma_float32": 123.5}
    assert table["backends"]["numba-separable"] == {"family": "separable", "library": "numpy", "separable_only": True}
    assert cells_of(table) == len(IMAGES) * len(KERNELS) * len(LAWS)
    assert json.loads(json.dumps(Chooser(json.loads(json.dumps(table))).table)) == table


def test_what_is_nowhere_near_the_best_is_left_out_and_named() -> None:
    laws = LAWS | {"hopeless": Law("framework", lambda n, k: 1e-6 * n * n * k)}
    table = table_of(cells(laws))
    assert table["left_out"] == {"never_within": 3.0, "backends": ["hopeless"]}
    assert table["sets"][0]["left_out"] == ["hopeless"]
    assert "hopeless" not in table["backends"]


def test_a_backend_that_is_best_but_for_separable_ones_stays() -> None:
    laws = {
        "passes": Law("separable", lambda n, k: 1e-12 * n * n * k),
        "direct": Law("direct", lambda n, k: 1e-10 * n * n * k * k),
    }
    assert table_of(cells(laws))["left_out"]["backends"] == []


def test_the_newest_commit_of_the_machine_counts() -> None:
    old = cells(commit="aaaaaaaa", date="2025-01-01")
    new = cells({"pyfftw": LAWS["pyfftw"]}, commit="bbbbbbbb", date="2026-01-01")
    other = cells(machine="other", date="2027-01-01")
    found = results(old, new, other)
    assert newest(found.cells, "lab") == ("lab", "bbbbbbbb", "env")
    assert newest(found.cells) == ("other", "01234567", "env")
    assert set(chooser_table(found, ("lab", "bbbbbbbb", "env"))["backends"]) == {"pyfftw"}
    with pytest.raises(ArgumentError, match=r"no results of machine 'nowhere'; there are: lab, other.*convbench run"):
        newest(found.cells, "nowhere")


def test_a_place_without_a_measurement_has_no_table() -> None:
    with pytest.raises(ArgumentError, match="nothing was measured"):
        table_of(cells(seconds_limit=0))


def test_a_table_of_the_standard_preset_with_25_backends_is_small() -> None:
    rng = np.random.default_rng(0)
    laws = {
        f"backend-number-{i}": Law(
            ("direct", "fft", "framework", "separable")[i % 4], lambda n, k: float(1e-3 * rng.uniform(0.5, 1.5))
        )
        for i in range(25)
    }
    tables = [
        cells(laws, s.images, s.kernels, layout=s.layout, dtype=dtype, device=s.device)
        for s in PRESETS["standard"].slices
        for dtype in s.dtypes
        if s.threads == 1
    ]
    table = table_of(pd.concat(tables).drop_duplicates(["layout", "backend", "image", "kernel", "dtype", "device"]))
    assert len(json.dumps(table, separators=(",", ":"))) <= 150_000
    assert cells_of(table) > 3000


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def damage(table: dict[str, Any]) -> None:
        where: Any = table
        for step in path[:-1]:
            where = where[int(step) if step.isdigit() else step]
        del where[path[-1]]

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _without("noise"),
        _without("sets", "0", "images"),
        _without("sets", "0", "backends", "pyfftw", "execute"),
        _without("backends", "pyfftw"),
        lambda table: table["sets"][0]["images"].pop(),
        lambda table: table["sets"][0]["kernels"].append(-1),
        lambda table: table["sets"][0].update(backends=[1]),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"].update(model="magic"),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"].update(coefficients=[1]),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"].update(coefficients=[0, 0, 0]),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"].update(coefficients=[1, -1, 0]),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"].update(coefficients=[1, math.inf, 0]),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["one_shot"].update(wrong_pct=[1, 2]),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["error_pct"].pop(),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["apart_pct"][0].pop(),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"].update(
            us=[[None] * len(KERNELS)] * len(IMAGES)
        ),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"]["us"][0].__setitem__(0, "x"),
        lambda table: table["sets"][0]["backends"]["pyfftw"]["execute"]["us"][0].__setitem__(0, -1.0),
        lambda table: table.update(ceilings=[3]),
    ],
)
def test_a_damaged_table_is_an_error_that_says_so(damage: Callable[[dict[str, Any]], None]) -> None:
    table = json.loads(json.dumps(table_of(cells())))
    damage(table)
    with pytest.raises(ArgumentError, match=r"damaged.*convbench recommend --export"):
        Chooser(table)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ([1], "no chooser's table"),
        ({"format": "other"}, "no chooser's table"),
        ({"format": "convbench chooser", "version": 99}, r"version 99.*reads 1"),
        ({"format": "convbench chooser", "version": 1, "sets": []}, "empty"),
    ],
)
def test_what_is_no_table_is_an_error(table: Any, told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        Chooser(table)


# -- models --------------------------------------------------------------------------------------------------------


def test_quick_sizes_are_those_of_the_backends() -> None:
    for least in [*range(1, 3000), 65537, 10**6 + 1, (1 << 24) - 1, (1 << 24) + 1, 10**9]:
        assert quick_size(least) == good_size(least)


def test_features_grow_with_the_work() -> None:
    assert features("direct", (10, 20), (3, 4)) == (10 * 20 * 12, 400, 1)
    assert features("direct", (2, 20), (3, 4), "full") == (4 * 23 * 2 * 4, 40 + 4 * 23, 1)
    assert features("direct", (10, 20), (3, 4), "valid") == (8 * 17 * 12, 200 + 8 * 17, 1)
    assert features("separable", (10, 20), (3, 4)) == (10 * 20 * 7, 400, 1)
    assert features("fft", (10, 20), (3, 4))[0] == pytest.approx(11 * 22 * math.log2(11 * 22 + 1))
    assert features("fft", (10, 20), (1, 4))[0] == pytest.approx(10 * 22 * math.log2(23))
    assert features("fft-quick", (1, 1000), (1, 21))[0] == pytest.approx(
        good_size(1010) * math.log2(good_size(1010) + 1)
    )
    for kind in KINDS:
        assert features(kind, (64, 64), (1, 1))[0] > 0


def test_the_padded_size_is_used_where_it_explains_more() -> None:
    padded = Law("fft", lambda n, k: 1e-10 * good_size(n + k // 2) ** 2)
    (surface,) = (one["backends"]["a"]["execute"] for one in table_of(cells({"a": padded}))["sets"])
    assert surface["model"] == "fft-quick"
    exact = Law("fft", lambda n, k: 1e-10 * (n + k // 2) ** 2 * math.log2((n + k // 2) ** 2))
    (surface,) = (one["backends"]["a"]["execute"] for one in table_of(cells({"a": exact}))["sets"])
    assert surface["model"] == "fft"


def test_without_measurements_the_ceilings_are_asked() -> None:
    small, large = modelled(square(512, 3), ceilings=DESKTOP), modelled(square(512, 63), ceilings=DESKTOP)
    assert (small[0].backend, large[0].backend) == ("numba-direct", "pyfftw-overlap")
    assert {one.how for one in small} == {"modelled"}
    assert small[0].high / small[0].low == pytest.approx(math.exp(2 * 1.96 * MODEL_ERROR))
    assert modelled(square(512, 63, separable=True), ceilings=DESKTOP)[0].backend == "numba-separable"
    assert modelled(square(512, 63), {"numba-direct"}, DESKTOP)[0].backend == "numba-direct"
    assert modelled(square(512, 63, device="cuda:0")) == []
    once = modelled(square(512, 63, images=1), ceilings=DESKTOP)[0]
    assert once.seconds > large[0].seconds
    quick = DESKTOP | {"fma_float32": 10 * DESKTOP["fma_float32"]}
    assert modelled(square(512, 31), ceilings=quick)[0].backend == "numba-direct"


def test_nothing_ranked_is_nothing() -> None:
    assert ranked([]) == []


def test_the_decider_agrees_with_the_ranking() -> None:
    laws = {name: replace(law, threads=(1, 2)) for name, law in LAWS.items() if name != "scipy-fft"} | {
        "scipy-fft": LAWS["scipy-fft"]
    }
    found = chooser_of(cells(laws), cells(laws, (1024, 2048), (3, 15, 63), threads=(2,)))
    names = set(LAWS) - {"slow"}
    decider = Decider(found, names)
    rng = random.Random(0)
    for _ in range(300):
        image = (rng.randrange(100, 3000), rng.randrange(100, 3000))
        kernel, threads = (rng.randrange(2, 90), rng.randrange(2, 90)), rng.choice((1, 2, 4))
        best, passes = decider.quickest("image", "float32", "cpu", threads, image, kernel, "same")
        general = found.rank(Question(image, kernel, threads=threads, images=1), names)[0]
        assert best.backend == general.backend
        assert best.seconds == pytest.approx(general.seconds, rel=1e-12)
        own = found.rank(Question(image, kernel, threads=threads, images=1, separable=True), {"numba-separable"})[0]
        assert passes.seconds == pytest.approx(own.seconds, rel=1e-12)
    nothing = decider.quickest("signal", "float32", "cpu", 1, (1, 100), (1, 5), "same")
    assert [one.seconds for one in nothing] == [math.inf, math.inf]


def refusing(name: str, kernel: int, status: str = "failed") -> pd.DataFrame:
    """Of the backends X, Y and Z, `name` has no time at a kernel."""
    times = {
        "X": {3: 1e-3, 31: 1e-3, 63: 1e-3},  # at 31 it would be the best by far
        "Y": {3: 5e-3, 31: 2e-3, 63: 5e-3},
        "Z": {3: 1.1e-3, 31: 20e-3, 63: 1.1e-3},
    }
    laws = {who: Law("fft", lambda n, k, own=own: own[k], lambda n, k: 0.0) for who, own in times.items()}
    made = cells(laws, (512, 1024), (3, 31, 63))
    made.loc[(made["backend"] == name) & (made["kernel"] == kernel), "status"] = status
    return made


@pytest.mark.parametrize("status", ["failed", "n/a", "skipped"])
def test_the_decider_keeps_the_best_of_those_that_can_do_it(status: str) -> None:
    found = chooser_of(refusing("X", 31, status))
    decider = Decider(found, {"X", "Y", "Z"})
    for n, k in ((512, 31), (1024, 31), (700, 31), (512, 20), (512, 4), (1024, 50), (512, 3)):
        ranked_first = found.rank(square(n, k, images=1))[0]
        (best, _) = decider.quickest("image", "float32", "cpu", 1, (n, n), (k, k), "same")
        assert best.backend == ranked_first.backend, (n, k)
        assert best.seconds == pytest.approx(ranked_first.seconds, rel=1e-12)


def test_the_decider_leaves_out_what_is_never_near_the_best() -> None:
    found = chooser_of(cells(), cells(images=(4096,), kernels=(3, 101)))  # a grid with holes
    ((_, kept),) = Decider(found, set(LAWS)).sets["image", "float32", "cpu"]
    assert "slow" not in {one.name for one in kept}
    assert {"numba-direct", "pyfftw", "numba-separable"} <= {one.name for one in kept}
