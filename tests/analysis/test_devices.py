"""Where a device overtakes the processor, from cells whose times are known."""

from __future__ import annotations

import math

import pytest
from two_devices import cells

from convbench.analysis.devices import best_by_device, overtakes


def test_the_quickest_of_each_device_by_both_kinds_of_time() -> None:
    best = best_by_device(cells(), {"separable"})
    assert set(best["kind"]) == {"resident", "transfers"}
    at = best[(best["image"] == 1024) & (best["kind"] == "transfers")].set_index("device")
    assert list(at["backend"]) == ["quick", "gpu"]
    assert at.loc["cpu", "threads"] == 2
    assert at.loc["cuda:0", "seconds"] == pytest.approx(20e-6 + 1e-9 * 1024**2 / 50 + 8 * 1024**2 / 1e10)
    assert best_by_device(cells())["backend"].isin(["gpu-passes"]).any()


def test_from_which_image_on_the_device_pays() -> None:
    table = overtakes(best_by_device(cells(), {"separable"})).set_index("kind")
    resident, transfers = table.loc["resident"], table.loc["transfers"]
    assert (resident["below"], resident["above"], resident["leads"]) == (64, 256, "cuda:0")
    assert resident["from_image"] == pytest.approx(math.sqrt(20e-6 / (1e-9 * (1 - 1 / 50))), rel=0.15)
    assert transfers["from_image"] > resident["from_image"]


def test_never_and_always() -> None:
    never = overtakes(best_by_device(cells(bandwidth=1e9), {"separable"})).set_index("kind").loc["transfers"]
    assert (never["leads"], math.isnan(never["from_image"])) == ("cpu", True)
    always = overtakes(best_by_device(cells(launch=1e-9), {"separable"})).set_index("kind").loc["resident"]
    assert (always["leads"], math.isnan(always["from_image"])) == ("cuda:0", True)


def test_without_a_device_there_is_nothing_to_tell() -> None:
    one = cells()
    assert overtakes(best_by_device(one[one["device"] == "cpu"])).empty
    assert overtakes(best_by_device(one[one["device"] != "cpu"])).empty


def test_what_has_no_transfer_times_takes_no_part_with_transfers() -> None:
    table = overtakes(best_by_device(cells().assign(load_s=math.nan), {"separable"}))
    assert list(table["kind"]) == ["resident"]
