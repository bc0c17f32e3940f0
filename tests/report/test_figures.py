"""Figures as SVG inside a page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from synthetic import REALISTIC, Model, crossing_at, write_results

from convbench.analysis.crossover import crossovers
from convbench.analysis.envelope import envelope
from convbench.analysis.roofline import roofline
from convbench.analysis.schema import GROUP, measured
from convbench.analysis.table import read_results
from convbench.report import figures, sections, sets
from convbench.report.palette import styles


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    write_results(tmp_path, crossing_at(17.0))
    return measured(read_results(tmp_path).cells)


LOOK = styles([("direct", "direct-a"), ("fft", "fft-a")])


def panel(rows: pd.DataFrame, look=LOOK, prefix: str = "p", marks=()) -> str:
    return figures.time_panel(rows, look, marks, figures.time_limits(rows), prefix, "a <title> & more")


def test_a_panel_is_small_well_formed_and_says_what_it_is(rows: pd.DataFrame) -> None:
    svg = panel(rows)
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == "a <title> & more"
    assert len(svg) < 8000
    assert "xmlns" not in svg
    assert "http" not in svg
    texts = {t.text for t in root.iter("text")}
    assert {"kernel size k", "3", "101", "1 ms"} <= texts
    assert {t.text for t in root.iter("title")} == {"direct-a", "fft-a"}


def test_colours_are_the_page_s(rows: pd.DataFrame) -> None:
    svg = panel(rows)
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert "stroke:var(--direct)" in svg
    assert "stroke:var(--fft)" in svg
    assert "font-family" not in svg


def test_every_reference_has_its_target_and_ids_do_not_clash(rows: pd.DataFrame) -> None:
    first, second = panel(rows, prefix="a"), panel(rows, prefix="b")
    for svg in (first, second):
        ids = re.findall(r' id="([^"]+)"', svg)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) == set(ids)
    assert not set(re.findall(r' id="([^"]+)"', first)) & set(re.findall(r' id="([^"]+)"', second))


def test_the_same_data_give_the_same_bytes(rows: pd.DataFrame) -> None:
    assert panel(rows) == panel(rows)


def test_every_point_is_drawn_and_nothing_else(rows: pd.DataFrame) -> None:
    root = ElementTree.fromstring(panel(rows))
    for group in root.iter("g"):
        if group.get("class", "").startswith("b "):
            assert len(list(group.iter("use"))) in (0, 9)  # 0: its interval bars
    assert sum(len(list(g.iter("use"))) for g in root.iter("g") if g.get("class", "").startswith("b ")) == 18


def test_crossovers_are_marked(rows: pd.DataFrame) -> None:
    spans = envelope(rows, crossovers(rows))
    [key] = spans
    svg = panel(rows, marks=sections.marks(key, spans, spans))
    assert svg.count('class="mark"') == 1
    assert "k ≈ 17" in svg


def test_a_band_says_where_one_family_overtakes_another(rows: pd.DataFrame) -> None:
    [one] = sets.sets(rows)
    [band] = sections.band(crossovers(rows), one)
    assert (band["size"], band["low"], band["high"]) == ("1024 × 1024", 3, 101)
    svg = figures.band_panel([band, {**band, "size": "none", "crossings": [], "leader": "fft"}], "p", "a title")
    root = ElementTree.fromstring(svg)
    texts = {t.text for t in root.iter("text")}
    assert {"1024 × 1024", "none", "k ≈ 17", "kernel size k", "3", "101"} <= texts
    colours = re.findall(r"stroke:var\(--(direct|fft)\);stroke-width:7", svg)
    assert sorted(colours) == ["direct", "fft", "fft"]  # the second row is fft's throughout
    assert len(svg) < 8000


def test_swatches_are_drawn_once_and_have_ids_of_their_own() -> None:
    first, second = (figures.swatch(LOOK["direct-a"], prefix) for prefix in ("a", "b"))
    assert first != second
    assert first.replace(' id="a-', ' id="b-').replace("#a-", "#b-") == second
    assert ElementTree.fromstring(first).get("aria-hidden") == "true"


CEILINGS = {"fma_float32": 200.0, "copy_l2": 150.0, "copy_l3": 80.0, "copy": 20.0, "fft_float32": 30.0}


def test_a_roofline_has_points_below_named_ceilings(rows: pd.DataFrame) -> None:
    cells = roofline(rows, {1: CEILINGS})
    svg = figures.roofline_panel(cells, LOOK, CEILINGS, "copy_l3", ((0.1, 1e4), (0.1, 400)), "p", "a title")
    root = ElementTree.fromstring(svg)
    assert len(svg) < 12_000
    assert root.get("aria-label") == "a title"
    texts = {t.text for t in root.iter("text")}
    names = {"L2 150 GB/s", "L3 80 GB/s", "memory 20 GB/s", "FMA 200 GFLOP/s", "FFT 30 GFLOP/s"}
    assert {"arithmetic intensity, FLOP / byte", "GFLOP / s", *names} <= texts
    assert {t.text for t in root.iter("title")} == {"direct-a", "fft-a"}
    assert sum(len(list(g.iter("use"))) for g in root.iter("g") if g.get("class", "").startswith("b ")) == 18
    assert svg.count("stroke-width:1.8") == 2  # the bandwidth that counts, and the peak
    assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_a_roofline_without_caches_and_fft(rows: pd.DataFrame) -> None:
    known = {"fma_float32": 200.0, "copy": 20.0}
    svg = figures.roofline_panel(roofline(rows, {1: known}), LOOK, known, "copy", ((0.1, 1e4), (0.1, 400)), "p", "t")
    assert "memory 20 GB/s" in svg
    assert "L3" not in svg
    assert "FFT" not in svg


@pytest.mark.parametrize("name", ["a$b^2$", "<script>", 'quo"te', "class:x:y", "ünï", "#d55e00", "1.23456"])
def test_strange_names_stay_text(tmp_path: Path, name: str) -> None:
    write_results(tmp_path, {name: Model("other-family", lambda n, k: 1e-3)})
    rows = measured(read_results(tmp_path).cells)
    look = styles([("other-family", name)])
    for svg in (panel(rows, look), figures.one_shot_panel(rows[rows["kernel"] == 7], look, (1e-4, 1e-1), "p", "t")):
        root = ElementTree.fromstring(svg)
        assert name in {t.text for t in root.iter() if t.tag in ("title", "text")}
        assert "<script>" not in svg


@pytest.mark.parametrize("kernels", [(7,), (1,), (3, 5), (1, 4097)])
def test_few_and_far_kernel_sizes(tmp_path: Path, kernels: tuple[int, ...]) -> None:
    write_results(tmp_path, crossing_at(4.0), kernels=kernels)
    rows = measured(read_results(tmp_path).cells)
    assert f">{kernels[0]}</text>" in panel(rows)


def test_group_keys_are_in_order(rows: pd.DataFrame) -> None:
    [only] = sets.sets(rows)
    assert only.group(1024) == tuple(rows.iloc[0][list(GROUP)])
    assert len(styles((m.family, b) for b, m in REALISTIC.items())) == len(REALISTIC)
