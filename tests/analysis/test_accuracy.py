"""The front of speed and accuracy, and digits lost, on points placed by hand."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from convbench.analysis.accuracy import BLOCKS, BOUND, ULP, digits, is_reduced, method, points, statement


def cell(backend: str, family: str, seconds: float, ulp: float, **more: Any) -> dict[str, Any]:
    return {
        "machine": "lab", "commit": "01234567", "env": "e", "layout": "image", "image": 1024, "kernel": 31,
        "dtype": "float32", "mode": "same", "device": "cpu", "threads": 1, "status": "ok", "family": family,
        "backend": backend, "execute_s": seconds, "error_ulp": ulp, "error_over_bound": 0.1, **more,
    }  # fmt: skip


def frame(*cells: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(cells))


def on_the_front(rows: pd.DataFrame) -> list[str]:
    return rows.loc[rows["front"], "backend"].tolist()


def test_the_front_is_who_nobody_beats_in_both() -> None:
    cells = frame(
        cell("slow", "direct", 9, 1), cell("fast", "fft", 1, 8), cell("middle", "fft", 3, 2), cell("beaten", "fft", 4, 3),
        cell("slowest", "direct", 10, 0.5), cell("worst", "direct", 12, 9),
    )  # fmt: skip
    assert on_the_front(points(cells)) == ["fast", "middle", "slow", "slowest"]


def test_equals_do_not_crowd_the_front() -> None:
    cells = frame(cell("b", "fft", 1, 2), cell("a", "fft", 1, 2), cell("c", "fft", 2, 2), cell("d", "fft", 1, 3))
    assert on_the_front(points(cells)) == ["a"]


def test_each_question_has_its_own_front() -> None:
    cells = frame(cell("a", "fft", 1, 1), cell("b", "fft", 2, 2), cell("b", "fft", 2, 2, dtype="float64"))
    found = points(cells)
    assert dict(zip(zip(found["dtype"], found["backend"], strict=True), found["front"], strict=True)) == {
        ("float32", "a"): True, ("float32", "b"): False, ("float64", "b"): True,
    }  # fmt: skip


def test_no_evidence_no_point() -> None:
    cells = frame(
        cell("ok", "fft", 1, 1), cell("unknown", "fft", 1, math.nan), cell("failed", "fft", 1, 1, status="failed"),
        cell("infinite", "fft", 1, math.inf), cell("untimed", "fft", math.nan, 1),
    )  # fmt: skip
    assert points(cells)["backend"].tolist() == ["ok"]
    assert points(cells.drop(columns=[ULP])).empty
    assert len(points(cells, BOUND)) == 3  # their errors in ulp do not matter here


def test_an_exact_result_is_a_point() -> None:
    found = points(frame(cell("exact", "direct", 2, 0), cell("other", "fft", 1, 1)))
    assert on_the_front(found) == ["other", "exact"]


def test_digits_are_counted_against_the_fastest_direct_backend() -> None:
    cells = frame(
        cell("d", "direct", 2, 1),
        cell("d-slow", "direct", 5, 0.01),
        cell("f", "fft", 1, 100),
        cell("s", "separable", 1, 0.1),
    )
    found = digits(points(cells)).set_index("backend")["digits"]
    assert found.to_dict() == pytest.approx({"d": 0, "f": 2, "s": -1, "d-slow": -2})


def test_digits_without_a_reference_are_not_known() -> None:
    assert digits(points(frame(cell("f", "fft", 1, 100))))["digits"].isna().all()
    exact = digits(points(frame(cell("d", "direct", 1, 0), cell("f", "fft", 1, 100))))
    assert exact["digits"].isna().all()
    other = frame(cell("d", "direct", 1, 1, kernel=7), cell("f", "fft", 1, 100))
    assert digits(points(other)).set_index("backend")["digits"].isna().to_dict() == {"d": False, "f": True}


def test_the_statement_names_each_method_by_its_fastest() -> None:
    cells = frame(
        cell("d", "direct", 2, 2), cell("f", "fft", 1, 8), cell("f-slow", "fft", 3, 2), cell("x-overlap", "fft", 2, 2.2),
        cell("s", "separable", 1, 0.2), cell("t", "framework", 9, 2),
    )  # fmt: skip
    assert statement(points(cells)) == (
        "direct (d) errs by up to 2 ulp at the points checked; against it separable (s) gains 1.0 digits, fft (f) loses "
        "0.6 digits, fft in blocks (x-overlap) is about as accurate and framework (t) is about as accurate"
    )


def test_without_direct_or_without_others_there_is_no_statement() -> None:
    assert statement(points(frame(cell("f", "fft", 1, 8)))) == ""
    assert statement(points(frame(cell("d", "direct", 1, 8)))) == ""
    assert statement(points(frame(cell("d", "direct", 1, 8, status="failed")))) == ""


@pytest.mark.parametrize(
    ("dtype", "backend", "reduced"),
    [
        ("float32", "torch", False), ("float64", "torch", False), ("complex64", "torch", False),
        ("float16", "torch", True), ("bfloat16", "torch", True), ("complex32", "torch", True),
        ("float32", "torch-tf32", True), ("float8_e4m3", "torch", True),
    ],
)  # fmt: skip
def test_reduced_precision(dtype: str, backend: str, reduced: bool) -> None:
    assert is_reduced(dtype, backend) is reduced
    assert points(frame(cell(backend, "framework", 1, 1, dtype=dtype)))["reduced"].tolist() == [reduced]


def test_methods() -> None:
    assert [method("fft", b) for b in ("pyfftw", "pyfftw-overlap", "scipy-oa")] == ["fft", BLOCKS, BLOCKS]
    assert method("framework", "torch-overlap") == "framework"
