"""Operations, bytes and ceilings, against figures worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from synthetic import Model, write_ceilings, write_results

from convbench.analysis import roofline
from convbench.analysis.schema import measured
from convbench.analysis.table import read_results
from convbench.problem import Problem

KNOWN = {
    "fma_float32": 200.0, "fma_float64": 100.0, "fft_float32": 30.0, "fft_float64": 20.0,
    "l2_bytes": 2.0**20, "copy_l2": 150.0, "l3_bytes": 2.0**25, "copy_l3": 80.0, "copy": 20.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("method", "layout", "image", "kernel", "dtype", "expected"),
    [
        ("direct", "image", 10, 3, "float32", 2 * 9 * 100),
        ("direct", "image", 10, 3, "complex64", 8 * 9 * 100),
        ("direct", "rows", 10, 3, "float64", 2 * 3 * 100),
        ("direct", "signal", 10, 3, "float64", 2 * 3 * 10),
        ("separable", "image", 10, 5, "float32", 2 * 10 * 100),
        ("separable", "image", 10, 5, "complex128", 8 * 10 * 100),
        ("separable", "rows", 10, 5, "float32", 2 * 5 * 100),  # one pass
        ("fft", "image", 62, 3, "float32", 5 * 4096 * 12 + 6 * 2048),
        ("fft", "image", 62, 3, "complex64", 10 * 4096 * 12 + 6 * 4096),
        ("fft", "signal", 1000, 25, "float32", 5 * 1024 * 10 + 6 * 512),
        ("fft", "rows", 62, 3, "float32", 62 * (5 * 64 * 6 + 6 * 32)),  # rows only
    ],
)
def test_operations(method: str, layout: str, image: int, kernel: int, dtype: str, expected: float) -> None:
    assert roofline.operations(method, layout, image, kernel, dtype) == pytest.approx(expected)


def test_bytes_are_read_and_written_once() -> None:
    assert roofline.bytes_moved("image", 10, "float32") == 2 * 100 * 4
    assert roofline.bytes_moved("rows", 10, "complex128") == 2 * 100 * 16
    assert roofline.bytes_moved("signal", 10, "complex64") == 2 * 10 * 8


def test_frameworks_count_by_their_names() -> None:
    found = {name: roofline.counted_as("framework", name) for name in ("torch", "torch-fft", "torch-separable")}
    assert found == {"torch": "direct", "torch-fft": "fft", "torch-separable": "separable"}
    assert roofline.counted_as("fft", "my-separable") == "fft"
    assert roofline.counted_as("winograd", "my-fft") is None


def test_the_bandwidth_is_that_of_what_image_and_output_fit_in() -> None:
    found = [roofline.bandwidth(size, KNOWN) for size in (2**20 - 1, 2**20, 2**25 - 1, 2**25)]
    assert found == ["copy_l2", "copy_l3", "copy_l3", "copy"]
    assert roofline.bandwidth(1, {"copy": 20.0}) == "copy"
    assert roofline.bandwidth(1, {"l2_bytes": 5.0, "copy": 20.0}) == "copy"


@pytest.mark.parametrize(
    ("method", "intensity", "moved", "dtype", "expected"),
    [
        ("direct", 100, 1000, "float32", 200.0),
        ("direct", 100, 1000, "complex128", 100.0),
        ("separable", 1, 1000, "float32", 150.0),
        ("direct", 1, 2**21, "float64", 80.0),
        ("direct", 1, 2**26, "float64", 20.0),
        ("fft", 100, 2**26, "complex64", 30.0),
        ("fft", 0.5, 2**26, "float64", 10.0),
    ],
)
def test_the_ceiling_is_the_lower_of_peak_and_bandwidth(
    method: str, intensity: float, moved: float, dtype: str, expected: float
) -> None:
    assert roofline.ceiling(method, intensity, moved, dtype, KNOWN) == expected


@pytest.mark.parametrize("missing", ["fft_float32", "copy"])
def test_no_ceiling_is_made_up(missing: str) -> None:
    known = {name: value for name, value in KNOWN.items() if name != missing}
    assert roofline.ceiling("fft", 5.0, 2**26, "float32", known) is None
    assert roofline.ceiling("fft", 5.0, 2**26, "float32", {}) is None


@pytest.fixture
def results(tmp_path: Path) -> Path:
    models = {
        "half": Model("direct", lambda n, k: 2 * n * n * k * k / 100e9),  # attains 100 GFLOP/s
        "torch-fft": Model("framework", lambda n, k: 1e-3),
        "strange": Model("winograd", lambda n, k: 1e-3),
    }
    write_results(tmp_path, models, kernels=(3, 31), threads=(1, 2), noise=0.0)
    return tmp_path


def test_each_cell_has_its_share(results: Path) -> None:
    write_ceilings(results / "lab", {1: KNOWN})
    found = read_results(results)
    assert found.problems == []
    cells = roofline.roofline(measured(found.cells), found.ceilings["lab"])
    at = cells.set_index(["backend", "kernel", "threads"])
    half = at.loc["half", 31, 1]
    assert half["intensity"] == pytest.approx(2 * 31**2 / 8)
    assert (half["attained"], half["ceiling"], half["share"]) == pytest.approx((100, 200, 0.5), rel=1e-6)
    assert at.loc["half", 3, 1]["ceiling"] == pytest.approx(80 * 9 / 4)  # 8 MiB lie in L3
    assert at.loc["torch-fft", 3, 1]["ceiling"] == 30
    assert math.isnan(at.loc["half", 31, 2]["share"])  # no ceilings of two threads
    assert at.loc["half", 31, 2]["attained"] > 100
    assert math.isnan(at.loc["strange", 31, 1]["intensity"])


@pytest.mark.parametrize(
    ("column", "value"), [("device", "cuda:0"), ("dtype", "float16"), ("layout", "cube"), ("execute_s", math.nan)]
)
def test_what_is_not_known_has_no_share(results: Path, column: str, value: object) -> None:
    cells = read_results(results).cells.assign(**{column: value})
    assert roofline.roofline(cells, {1: KNOWN, 2: KNOWN})["share"].isna().all()


def test_no_cells_have_columns_too() -> None:
    empty = pd.DataFrame(columns=["layout", "image", "kernel", "dtype", "device", "threads", "family", "backend"])
    assert set(roofline.COLUMNS) <= set(roofline.roofline(empty.assign(execute_s=[]), {}).columns)


def test_without_ceilings_there_are_none(results: Path) -> None:
    assert read_results(results).ceilings == {"lab": {}}


@pytest.mark.parametrize(
    "content", ["{", "[]", json.dumps({"machine": "another", "ceilings": {"1": KNOWN}}), '"\\ud800"']
)
def test_ceilings_that_cannot_be_used_are_named(results: Path, content: str) -> None:
    (results / "lab" / "ceilings.jsonl").write_text(content)
    found = read_results(results)
    [(file, wrong)] = found.problems
    assert file == "lab/ceilings.jsonl"
    assert wrong.startswith("holds ")
    assert "convbench machine --ceilings" in wrong
    assert found.ceilings == {}
    assert not measured(found.cells).empty


@pytest.mark.parametrize(
    ("method", "image", "kernel", "mode", "rank", "expected"),
    [
        ("direct", (10, 20), (3, 5), "same", 1, 2 * 15 * 200),
        ("direct", (10, 20), (3, 5), "full", 1, 2 * 15 * 200),  # every image sample meets every kernel sample once
        ("direct", (10, 20), (3, 5), "valid", 1, 2 * 15 * 8 * 16),
        ("separable", (10, 20), (3, 7), "same", 1, 2 * 10 * 200),
        ("separable", (10, 20), (9, 9), "same", 2, 2 * 36 * 200),
        ("separable", (10, 20), (3, 7), "same", 3, 2 * 21 * 200),  # no more than direct
        ("fft", (30, 62), (3, 3), "valid", 1, 5 * 2048 * 11 + 6 * 1024),
        ("fft", (62, 30), (3, 1), "same", 1, 30 * (5 * 64 * 6 + 6 * 32)),  # columns only
        ("fft", (62, 30), (1, 1), "same", 1, 3 * 62 * 30),
    ],
)
def test_operations_of_any_shape(method, image, kernel, mode, rank, expected) -> None:
    assert roofline.textbook(method, Problem(image, kernel, mode=mode), rank) == pytest.approx(expected)


def test_the_least_bytes_of_any_shape() -> None:
    assert roofline.least_bytes(Problem((10, 20), (3, 5), "float64", "valid")) == (200 + 8 * 16) * 8
    assert roofline.least_bytes(Problem(100, 5, "complex64", "full")) == (100 + 104) * 8  # type: ignore[arg-type]
