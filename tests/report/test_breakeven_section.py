"""The section on break-even: what is drawn, what is said, and what is left out."""

from __future__ import annotations

import html
import math
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
from convbench.report import breakeven, sets
from convbench.report.render import render

# seconds at 1024 x 1024: direct takes a k^2, fft always the same but plans for long; separable beats both
MODELS = {
    "direct-a": Model("direct", lambda n, k: 1e-4 * k * k, lambda n, k: 1e-3),
    "fft-a": Model("fft", lambda n, k: 2e-3, lambda n, k: 20e-3),
    "sep-a": Model("separable", lambda n, k: 1e-5 * k, lambda n, k: 1e-4),
}


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    write_results(tmp_path, MODELS, kernels=(3, 7, 31), noise=0.0)
    return measured(read_results(tmp_path).cells)


def cold(rows: pd.DataFrame) -> pd.DataFrame:
    start = rows["backend"].map({"direct-a": 2.0, "fft-a": 0.1, "sep-a": 3.0}).astype(float)
    return rows.assign(first_plan_s=start, first_execute_s=2 * rows["execute_s"])


def section(rows: pd.DataFrame) -> dict[str, Any]:
    made = breakeven.section(sets.sets(rows), sets.styles_of(rows))
    assert made is not None
    return made


def page(found: dict[str, Any] | None) -> str:
    text = render("breakeven.html", {"breakeven": found, "legend": [], "files": {}})
    text = re.sub(r"<svg.*?</svg>|<[^>]*>", " ", text, flags=re.DOTALL)
    return re.sub(r"[\s\u00a0]+", " ", html.unescape(text))


def svgs(found: dict[str, Any]) -> list[str]:
    return [panel["svg"] for one in found["sets"] for size in one["figures"] for panel in size["panels"]]


def test_warm_and_cold_panels_for_two_kernels(rows: pd.DataFrame) -> None:
    found = section(cold(rows))
    [one] = found["sets"]
    assert [size["kernel"] for size in one["figures"]] == [7, 31]
    assert [[p["start"][:4] for p in size["panels"]] for size in one["figures"]] == [["warm", "cold"]] * 2
    for svg in svgs(found):
        root = ElementTree.fromstring(svg)
        assert {"number of images N", "1", "1000"} <= {t.text for t in root.iter("text")}
        assert {t.text for t in root.iter("title")} == set(MODELS)
        assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_older_results_have_no_cold_panels_and_say_so(rows: pd.DataFrame) -> None:
    found = section(rows)
    assert not found["cold"]
    assert {p["start"][:4] for size in found["sets"][0]["figures"] for p in size["panels"]} == {"warm"}
    assert "These results hold no cold starts" in page(found)
    assert "Cold, images" not in page(found)
    assert "These results hold no cold starts" not in page(section(cold(rows)))


def test_the_break_even_is_marked_and_told(rows: pd.DataFrame) -> None:
    [seven, _] = section(rows)["sets"][0]["figures"]
    # one-shot 5.9 and 22 ms, then 4.9 and 2 ms: 1 + 16.1 / 2.9
    n = 1 + math.ceil((22 - 5.9) / (4.9 - 2))
    assert f"N = {n}<" in seven["panels"][0]["svg"]
    [told] = seven["told"]
    assert told.startswith(f"warm: planned fft (fft-a) beats direct (direct-a) from {n} images on (95 % interval:")


def test_what_may_never_come_is_not_marked(rows: pd.DataFrame) -> None:
    even = rows["execute_s"].where(rows["family"] != "fft", 4.85e-3)
    close = rows.assign(execute_s=even, execute_low_s=even, execute_high_s=even)
    [seven, _] = section(close)["sets"][0]["figures"]
    assert "may beat" in seven["told"][0]
    assert "N = " not in seven["panels"][0]["svg"]


def test_separable_does_not_take_part_in_the_lead(rows: pd.DataFrame) -> None:
    svg = section(rows)["sets"][0]["figures"][1]["panels"][0]["svg"]
    bold = {
        path.get("class") or group.get("class")
        for group in ElementTree.fromstring(svg).iter("g")
        for path in group.iter("path")
        if "stroke-width:3.4" in (path.get("style") or "")
    }
    look = sets.styles_of(rows)
    assert f"b b{look['sep-a'].slot}" not in bold
    assert svg.count("stroke-width:3.4") == 1  # at k = 31 fft leads from the first image on


def test_the_tables_say_what_to_use(rows: pd.DataFrame) -> None:
    [one] = section(cold(rows))["sets"]
    other, separable = one["tables"]
    assert [r["kernel"] for r in other["rows"]] == [3, 7, 31]
    by_kernel = {r["kernel"]: r for r in other["rows"]}
    assert [c["backend"] for c in by_kernel[7]["cells"]] == ["direct-a", "fft-a", "fft-a", *["fft-a"] * 3]
    assert {c["backend"] for r in separable["rows"] for c in r["cells"][:3]} == {"sep-a"}
    assert [p["text"] for p in by_kernel[3]["pairs"]] == ["direct always", "direct from 1727 on"]
    assert [p["text"] for p in by_kernel[31]["pairs"]] == ["fft always", "fft always"]
    text = page(section(cold(rows)))
    assert "What to use for 1, 10, 1000 images: any kernel" in text
    assert text.count("fft against direct") == 1


def test_panels_of_a_set_share_their_time_axis(rows: pd.DataFrame) -> None:
    ticks = [set(re.findall(r">(\d+ [mµ]?s)<", svg)) for svg in svgs(section(cold(rows)))]
    assert ticks[0]
    assert all(t == ticks[0] for t in ticks)


def test_devices_have_sets_of_their_own_and_other_dtypes_do_not(rows: pd.DataFrame) -> None:
    more = pd.concat([rows, rows.assign(device="cuda:0"), rows.assign(dtype="float64")], ignore_index=True)
    found = section(more)
    assert [one["device"] for one in found["sets"]] == ["cpu", "cuda:0"]
    prefixes = re.findall(r' id="([^"]+)"', "".join(svgs(found)))
    assert len(prefixes) == len(set(prefixes))


def test_without_the_usual_set_the_first_is_shown(rows: pd.DataFrame) -> None:
    assert section(rows.assign(dtype="float64"))["sets"][0]["title"] == "Images, float64, cpu, 1 thread"


def test_without_times_there_is_nothing_to_show(rows: pd.DataFrame) -> None:
    none = rows.assign(one_shot_s=math.nan)
    assert breakeven.section(sets.sets(none), sets.styles_of(none)) is None
    assert breakeven.section([], {}) is None
    assert "no break-even can be told" in page(None)


def test_only_separable_methods_are_a_lead_too(rows: pd.DataFrame) -> None:
    [one] = section(rows[rows["family"] == "separable"])["sets"]
    assert [t["caption"] for t in one["tables"]] == ["Any kernel"]
    assert "fft against direct" not in page({"sets": [one], "cold": False})


def test_nearest_sizes() -> None:
    assert breakeven.nearest([3, 5, 9, 33], (7, 31)) == [9, 33]
    assert breakeven.nearest([129], (7, 31)) == [129]
    assert np.all(np.diff(breakeven.nearest(range(1, 100), (31, 7))) > 0)


@pytest.mark.parametrize("name", ["<script>", "a$b^2$", "class:x:y"])
def test_strange_names_stay_text(rows: pd.DataFrame, name: str) -> None:
    strange = rows.assign(backend=rows["backend"].replace("fft-a", name))
    found = section(strange)
    assert all(name in {t.text for t in ElementTree.fromstring(svg).iter("title")} for svg in svgs(found))
    assert "<script>" not in render("breakeven.html", {"breakeven": found, "legend": [], "files": {}})
