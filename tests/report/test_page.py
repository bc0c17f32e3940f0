"""The pages: complete, self-contained, escaped, honest about what is missing."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
from synthetic import REALISTIC, Model, cell_record, crossing_at, write_ceilings, write_results

from convbench.errors import StorageError
from convbench.report import build_report, page


def built(tmp_path: Path, models: dict[str, Model] | None = None, **settings: object) -> str:
    """The text of index.html for these models."""
    if models is not None:
        write_results(tmp_path / "results", models, **settings)
    return build_report(tmp_path / "results", tmp_path / "out").read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    """The words of a section, without tags."""
    found = re.search(rf'<section id="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    words = re.sub(r"<(script|svg).*?</\1>|<[^>]*>", " ", found[1], flags=re.DOTALL)
    return re.sub(r"[\s\u00a0]+", " ", html.unescape(words))


THREE = {**crossing_at(19.0), "sep-a": Model("separable", lambda n, k: 1e-9 * n * n + 1e-11 * n * n * k)}


def test_the_answer_is_first_and_from_the_data(tmp_path: Path) -> None:
    answer = section(built(tmp_path, THREE, images=(256, 1024), noise=0.001), "answer")
    assert "On this machine, for float32 images of 1024 × 1024 on 1 thread" in answer
    assert (
        "then separable (sep-a). If it is not , the fastest is direct (direct-a) up to about k = 19, then fft (fft-a)."
        in answer
    )
    assert re.search(
        r"The crossover from direct to fft lies at k = 19\.0 \(95 % interval: 1[89]\.\d to 19\.\d\)", answer
    )
    assert "Every kernel measured here has rank 1" in answer
    assert "If your kernel is not separable, ignore the separable family" in answer
    assert "256 × 256" in answer


def test_sections_are_in_order_and_all_there(tmp_path: Path) -> None:
    text = built(tmp_path, THREE)
    assert re.findall(r'<section id="([^"]+)"', text) == [
        "answer", "time", "map", "crossovers", "roofline", "cells", "plans", "gate", "left-out", "machine", "again",
    ]  # fmt: skip
    assert set(re.findall(r'<a href="#([^"]+)">', text)) <= set(re.findall(r'id="([^"]+)"', text))
    assert "direct is faster" not in section(text, "map")
    assert "Zen 4" in section(text, "machine")
    assert "governor performance" in section(text, "machine")
    assert "started 2026-10-01 10:00 UTC, finished 2026-10-01 11:00 UTC" in section(text, "machine")
    assert "pyfftw 0.15.1" in section(text, "machine")
    assert "git checkout 01234567 convbench run --preset full convbench report" in section(text, "again")
    assert "ok 0.30" in section(text, "gate")


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    built(tmp_path, THREE)
    for file in (tmp_path / "out").glob("*.html"):
        text = file.read_text()
        assert not re.search(r"https?:|@import|url\((?!#)", text)
        assert not re.search(r"<(?:script|img|iframe|link|object|embed)\b[^>]*\b(?:src|href)=", text)
        assert str(tmp_path) not in text


def test_ids_are_unique_on_the_page(tmp_path: Path) -> None:
    text = built(tmp_path, THREE, images=(64, 256), dtypes=("float32", "float64"), layouts=("image", "signal", "rows"))
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))


def test_what_has_no_evidence_is_nowhere_drawn(tmp_path: Path) -> None:
    write_results(tmp_path / "results", THREE)
    path = next((tmp_path / "results").glob("*/*.evidence.jsonl"))
    kept = [line for line in path.read_text().splitlines() if '"cell"' not in line or "fft-a" not in line]
    path.write_text("\n".join(kept) + "\n")
    text = built(tmp_path)
    for name in ("answer", "time", "map", "crossovers", "cells", "plans"):
        assert "fft-a" not in section(text, name)
    assert "fft-a" not in re.sub(r'<section id="(gate|left-out)">.*?</section>', "", text, flags=re.DOTALL)
    assert "no evidence 9 a time without evidence that the output was right: not shown fft-a" in section(
        text, "left-out"
    )


def test_without_any_measurement_the_page_says_so(tmp_path: Path) -> None:
    text = built(tmp_path, THREE, evidence=False)
    assert "Nothing was measured on this machine that may be shown" in section(text, "answer")
    assert "<svg" not in text
    assert "no evidence 27" in section(text, "left-out")


def test_without_a_crossover_the_page_says_who_leads(tmp_path: Path) -> None:
    models = {"s": Model("separable", lambda n, k: 1e-5 * k), "d": Model("direct", lambda n, k: 1e-4 * k * k)}
    text = built(tmp_path, models)
    assert "separable is faster over the whole range 3 to 101" in section(text, "crossovers")
    assert "separable (s) at every size measured, k = 3 to 101" in section(text, "answer")
    assert "The crossover from" not in section(text, "answer")


def test_one_family_alone_has_no_crossover(tmp_path: Path) -> None:
    text = built(tmp_path, {"f": Model("fft", lambda n, k: 1e-3)}, kernels=(7,))
    assert "there is no crossover to report" in section(text, "crossovers")
    assert "fft (f) at k = 7, the only size measured" in section(text, "answer")


def test_reasons_are_grouped_with_counts(tmp_path: Path) -> None:
    slow = {
        "slow-a": Model("direct", lambda n, k: 1.0 * k),
        "slow-b": Model("fft", lambda n, k: 1e-3, dtypes=("float64",)),
    }
    left = section(built(tmp_path, {**THREE, **slow}, budget_s=2.0), "left-out")
    assert (
        "skipped 9 over the time budget: 3 s an image, allowed are 2 s (and 8 that differ only in numbers) slow-a"
        in left
    )
    assert "n/a 9 slow-b has no float32 slow-b" in left
    assert "27 cells ok" in left


def test_problems_in_the_results_are_listed(tmp_path: Path) -> None:
    write_results(tmp_path / "results", THREE)
    (tmp_path / "results" / "lab" / "89abcdef-x.json").write_text("{")
    text = built(tmp_path)
    assert "lab/89abcdef-x.json Error parsing JSON" in section(text, "left-out")


EVIL = "<script>alert('x')</script>&\"{{ 7*7 }}"


def test_everything_from_files_is_escaped(tmp_path: Path) -> None:
    results = tmp_path / "results"
    path = write_results(results, {EVIL: Model("direct", lambda n, k: 1e-5 * k), **THREE})
    cell = ("fft-a", 1024, 3, "float32", "cpu", 1)
    lines = [
        cell_record("image", cell, EVIL),
        cell_record("image", ("bad", 1024, 3, "float32", "cpu", 1), "fft", "failed", reason=EVIL),
        {
            **synthetic.run_record(EVIL),
            "warnings": [EVIL],
            "preset": EVIL,
            "versions": {EVIL: EVIL},
            "machine": {EVIL: EVIL},
        },
        {
            **synthetic.gate_records({EVIL: THREE["sep-a"]}, [EVIL])[0],
            "status": "failed",
            "reason": EVIL,
            "worst": EVIL,
        },
    ]
    with path.with_suffix(".evidence.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    text = built(tmp_path)
    assert "<script>alert" not in text
    assert text.count("<script") == text.count("</script>") == 2
    assert "49" not in section(text, "left-out")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert EVIL in data["words"]["backend"]


def test_the_data_of_the_table_are_those_of_the_cells(tmp_path: Path) -> None:
    text = built(tmp_path, THREE, kernels=(3, 31), noise=0.0)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["rows"] == data["of"] == 6
    at = [data["words"]["backend"][i] for i in data["columns"]["backend"]]
    kernels = [data["words"]["kernel"][i] for i in data["columns"]["kernel"]]
    ranks = dict(zip(zip(kernels, at, strict=True), data["columns"]["rank"], strict=True))
    assert [ranks[31, b] for b in ("sep-a", "fft-a", "direct-a")] == [1, 2, 3]
    assert data["columns"]["ratio"][0] == 1


def data_of(text: str) -> dict[str, dict[str, list[object]]]:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_every_cell_has_its_share_of_the_ceiling(tmp_path: Path) -> None:
    models = {
        "direct-a": Model("direct", lambda n, k: 2 * n * n * k * k / 100e9),
        "other": Model("x", lambda n, k: 1.0),
    }
    write_results(tmp_path / "results", models, kernels=(3, 31), images=(64, 256), noise=0.0)
    text = built(tmp_path)
    assert "No ceilings of this machine are stored" in section(text, "roofline")
    assert "convbench machine --ceilings" in section(text, "roofline")
    assert "Share of ceiling" not in text
    assert "share" not in data_of(text)["columns"]
    write_ceilings(tmp_path / "results" / "lab", {1: {"fma_float32": 125.0, "copy": 50.0}})
    text = built(tmp_path)
    assert data_of(text)["columns"]["share"].count(0.8) == 2  # k = 31; the others are held back by bandwidth
    assert data_of(text)["columns"]["share"].count(None) == 4
    assert "80 %" in section(text, "cells")


def test_the_roofline_has_a_panel_for_each_image(tmp_path: Path) -> None:
    write_results(tmp_path / "results", THREE, images=(64, 256), threads=(1, 2))
    write_ceilings(tmp_path / "results" / "lab", {1: {"fma_float32": 125.0, "copy": 50.0, "fft_float32": 30.0}})
    text = built(tmp_path)
    [figure] = re.findall(r'<section id="roofline">.*?</section>', text, re.DOTALL)
    for name in ("FMA 125 GFLOP/s", "FFT 30 GFLOP/s", "memory 50 GB/s"):
        assert figure.count(f">{name}</text>") == 2
    assert "L2 " not in figure
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_ceilings_of_other_cells_leave_the_figure_out(tmp_path: Path) -> None:
    write_results(tmp_path / "results", THREE, threads=(2,))
    write_ceilings(tmp_path / "results" / "lab", {2: {"fma_float32": 125.0, "fft_float32": 30.0, "copy": 50.0}})
    text = built(tmp_path)
    assert "none was measured with a ceiling of its own" in section(text, "roofline")
    assert "Share of ceiling" in section(text, "cells")


def test_many_rows_are_cut_to_the_best_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from convbench.report import ranking

    monkeypatch.setattr(ranking, "MOST_ROWS", 20)
    data = json.loads(re.search(r'id="data">(.*?)</script>', built(tmp_path, THREE), re.DOTALL)[1])
    assert (data["rows"], data["of"]) == (18, 27)
    assert set(data["columns"]["rank"]) == {1, 2}


def test_heavy_figures_go_to_pages_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FIGURE_BYTES", 30_000)
    monkeypatch.setattr(page, "FURTHER_BYTES", 60_000)
    text = built(tmp_path, THREE, images=(64, 128), dtypes=("float32", "float64", "complex64"), threads=(1, 2))
    files = sorted(p.name for p in (tmp_path / "out").glob("index-figures*.html"))
    assert len(files) > 1
    assert set(re.findall(r'href="(index-figures\d*\.html)#set=', text)) == set(files)
    for file in files:
        further = (tmp_path / "out" / file).read_text()
        assert 'href="index.html"' in further
        assert "<svg" in further


def test_a_full_grid_stays_light(tmp_path: Path) -> None:
    settings = {
        "images": (256, 512, 1024),
        "dtypes": ("float32", "float64"),
        "threads": (1, 2),
        "layouts": ("image", "signal"),
    }
    built(tmp_path, REALISTIC, **settings)
    assert (tmp_path / "out" / "index.html").stat().st_size < 3e6


def test_machines_have_pages_that_link_each_other(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_results(results, THREE, kernels=(3, 31), machine="first one")
    write_results(results, THREE, kernels=(3, 31), machine="second")
    write_results(results, THREE, kernels=(3, 31), machine="second", commit="f" * 40, date=synthetic.DATE - 10**9)
    index = built(tmp_path)
    others = re.findall(r'href="(machine-[^"]+\.html)"', index)
    assert len(others) == 1
    other = (tmp_path / "out" / others[0]).read_text()
    assert 'href="index.html"' in other
    assert "second (Zen 4" in index + other
    assert "ffffffff" in index + other  # the older commit is listed, not mixed in
    assert "Other commits in these results (1)" in index + other


def test_asv_is_linked_only_if_there(tmp_path: Path) -> None:
    assert 'href="asv/index.html"' not in built(tmp_path, THREE, kernels=(3, 5))
    assert "asv publish" in section((tmp_path / "out" / "index.html").read_text(), "again")
    (tmp_path / "out" / "asv").mkdir()
    (tmp_path / "out" / "asv" / "index.html").write_text("asv")
    assert 'href="asv/index.html"' in built(tmp_path)
    assert (tmp_path / "out" / "asv" / "index.html").read_text() == "asv"


def test_downloads_and_progress(tmp_path: Path) -> None:
    write_results(tmp_path / "results", THREE, kernels=(3, 5))
    told: list[tuple[int, int, str]] = []
    build_report(tmp_path / "results", tmp_path / "out", progress=lambda *step: told.append(step))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"index.html", "cells.csv", "cells.parquet"}
    assert any("draw Images, float32, cpu, 1 thread" in text for *_, text in told)


def test_the_same_results_give_the_same_page(tmp_path: Path) -> None:
    assert built(tmp_path, THREE) == built(tmp_path)


def test_no_results_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="convbench run"):
        build_report(tmp_path / "results", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    write_results(tmp_path / "results", THREE, kernels=(3, 5))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="file"):
        build_report(tmp_path / "results", tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    before = built(tmp_path, THREE, kernels=(3, 5))
    (tmp_path / "out").chmod(0o500)
    with pytest.raises(StorageError, match="out"):
        build_report(tmp_path / "results", tmp_path / "out")
    assert (tmp_path / "out" / "index.html").read_text() == before


def test_a_full_disk_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = built(tmp_path, THREE, kernels=(3, 5))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        build_report(tmp_path / "results", tmp_path / "out")
    assert (tmp_path / "out" / "index.html").read_text() == before
    assert not list((tmp_path / "out").glob("*.tmp")) + list((tmp_path / "out").glob(".*.tmp"))


def test_importing_convbench_loads_no_tables_and_no_figures() -> None:
    code = "import sys, convbench, convbench.cli; print(sorted({'pandas', 'matplotlib', 'pyarrow', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
