"""The section on speed and accuracy: points, front, words, and what is left out."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from synthetic import Model, write_results

from convbench.analysis.schema import measured
from convbench.analysis.table import read_results
from convbench.report import accuracy, sets
from convbench.report.render import render

MODELS = {
    "direct-a": Model("direct", lambda n, k: 1e-4 * k * k),
    "direct-b": Model("direct", lambda n, k: 3e-4 * k * k),
    "fft-a": Model("fft", lambda n, k: 2e-3),
}
ULP = {"direct-a": 4.0, "direct-b": 5.0, "fft-a": 1.0}


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    write_results(tmp_path, MODELS, kernels=(3, 7, 31), dtypes=("float32", "float64"), noise=0.0)
    found = measured(read_results(tmp_path).cells)
    return found.assign(error_ulp=found["backend"].map(ULP).astype(float))


def section(rows: pd.DataFrame) -> dict[str, Any]:
    made = accuracy.section(sets.sets(rows), sets.styles_of(rows))
    assert made is not None
    return made


def page(found: dict[str, Any] | None) -> str:
    text = render("accuracy.html", {"accuracy": found, "legend": [], "files": {}})
    return re.sub(r"[\s\u00a0]+", " ", html.unescape(re.sub(r"<svg.*?</svg>|<[^>]*>", " ", text, flags=re.DOTALL)))


def svgs(found: dict[str, Any]) -> list[str]:
    return [p["svg"] for one in found["sets"] for measure in one["measures"] for p in measure["panels"]]


def markers(svg: str) -> list[str]:
    """What the tooltips of the points say."""
    return [t.text or "" for t in ElementTree.fromstring(svg).iter("title")]


def test_each_dtype_has_panels_of_both_measures(rows: pd.DataFrame) -> None:
    found = section(rows)
    assert [one["title"] for one in found["sets"]] == [
        "Images, float32, cpu, 1 thread",
        "Images, float64, cpu, 1 thread",
    ]
    for one in found["sets"]:
        assert [m["name"] for m in one["measures"]] == ["Error in units in the last place", "Error / bound"]
        assert [[p["kernel"] for p in m["panels"]] for m in one["measures"]] == [[7, 31], [7, 31]]
    for svg in svgs(found):
        assert len(markers(svg)) == 3
        assert not re.search(r"#[0-9a-f]{6}\b", svg)
    ids = re.findall(r' id="([^"]+)"', "".join(svgs(found)))
    assert len(ids) == len(set(ids))


def test_points_say_what_they_are(rows: pd.DataFrame) -> None:
    ulp, bound = section(rows)["sets"][0]["measures"]
    assert "fft-a: 2.00 ms, 1.0 ulp" in markers(ulp["panels"][0]["svg"])
    assert "fft-a: 2.00 ms, 0.20 of the bound" in markers(bound["panels"][0]["svg"])


def test_the_front_is_drawn_and_named_in_ulp_alone(rows: pd.DataFrame) -> None:
    ulp, bound = section(rows)["sets"][0]["measures"]
    texts = [{t.text for t in ElementTree.fromstring(m["panels"][0]["svg"]).iter("text")} for m in (ulp, bound)]
    assert set(MODELS) & texts[0] == {"fft-a"}  # the fastest and the most accurate
    assert not set(MODELS) & texts[1]
    slower = rows.assign(execute_s=rows["execute_s"].where(rows["backend"] != "fft-a", 1.0))
    svg = section(slower)["sets"][0]["measures"][0]["panels"][0]["svg"]
    assert set(MODELS) & {t.text for t in ElementTree.fromstring(svg).iter("text")} == {"fft-a", "direct-a"}


def test_what_methods_cost_is_said(rows: pd.DataFrame) -> None:
    assert (
        "For float32 images of 1024 × 1024 and k = 31, direct (direct-a) errs by up to 4 ulp at the points checked; against "
        "it fft (fft-a) gains 0.6 digits." in page(section(rows))
    )


def test_the_table_has_every_point(rows: pd.DataFrame) -> None:
    table = {r["backend"]: r for r in section(rows)["sets"][0]["rows"]}
    assert list(table) == ["fft-a", "direct-a", "direct-b"]  # fastest first
    assert (table["fft-a"]["ulp"], table["fft-a"]["digits"], table["fft-a"]["front"]) == ("1.0", "−0.6", True)
    assert (table["direct-b"]["digits"], table["direct-b"]["front"], table["direct-b"]["bound"]) == (
        "+0.1",
        False,
        "0.20",
    )


@pytest.mark.parametrize("columns", ["dropped", "empty"])
def test_older_results_have_no_ulp_and_say_so(rows: pd.DataFrame, columns: str) -> None:
    older = rows.drop(columns=["error_ulp"]) if columns == "dropped" else rows.assign(error_ulp=np.nan)
    found = section(older)
    assert not found["ulp"]
    assert [m["name"] for m in found["sets"][0]["measures"]] == ["Error / bound"]
    text = page(found)
    assert "These results hold no errors in ulp" in text
    assert "digits lost" not in text.lower()
    assert "errs by" not in text


def test_no_evidence_no_point(rows: pd.DataFrame) -> None:
    unknown = rows.assign(error_ulp=rows["error_ulp"].where(rows["backend"] != "fft-a"))
    svg = section(unknown)["sets"][0]["measures"][0]["panels"][0]["svg"]
    assert "fft-a" not in svg
    nothing = rows.assign(error_ulp=np.nan, error_over_bound=np.nan)
    assert accuracy.section(sets.sets(nothing), sets.styles_of(nothing)) is None
    assert "nothing may be drawn here" in page(None)


def test_reduced_precision_is_marked(rows: pd.DataFrame) -> None:
    half = rows[rows["dtype"] == "float32"].assign(dtype="float16")
    found = section(pd.concat([rows, half], ignore_index=True))
    shown = found["sets"][-1]
    assert shown["title"] == "Images, float16, cpu, 1 thread"
    assert all(m.endswith(", reduced precision") for m in markers(shown["measures"][0]["panels"][0]["svg"]))
    assert "Open markers calculate with fewer bits than float32" in page(found)
    assert not any("reduced" in svg for svg in svgs(section(rows)))


def test_exact_results_lie_on_the_edge(rows: pd.DataFrame) -> None:
    exact = rows.assign(error_ulp=rows["error_ulp"].where(rows["backend"] != "direct-a", 0.0))
    svg = section(exact)["sets"][0]["measures"][0]["panels"][0]["svg"]
    assert any(m.startswith("direct-a: 4.90 ms, 0") for m in markers(svg))
    assert "nan" not in svg
    assert "inf" not in svg
    assert svgs(section(rows.assign(error_ulp=0.0)))


@pytest.mark.parametrize("name", ["<script>", "a$b^2$", "class:x:y"])
def test_strange_names_stay_text(rows: pd.DataFrame, name: str) -> None:
    strange = rows.assign(backend=rows["backend"].replace("fft-a", name))
    found = section(strange)
    assert all(any(m.startswith(f"{name}: ") for m in markers(svg)) for svg in svgs(found))
    assert "<script>" not in render("accuracy.html", {"accuracy": found, "legend": [], "files": {}})
