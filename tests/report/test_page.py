"""The page of a machine: complete, self-contained, escaped, honest about what is missing."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import synthetic
from synthetic import REALISTIC, Model, cell_record, crossing_at, write_ceilings, write_results

from convbench.errors import StorageError
from convbench.report import build_report, machine_page


def built(tmp_path: Path, models: dict[str, Model] | None = None, **settings: object) -> str:
    """The text of the machine's page for these models."""
    if models is not None:
        write_results(tmp_path / "results", models, **settings)
    build_report(tmp_path / "results", tmp_path / "out")
    return (tmp_path / "out" / "machine-lab-existing-py3.11.html").read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    """The words of a section, without tags."""
    found = re.search(rf'<section id="{name}"[^>]*>(.*?)</section>', text, re.DOTALL)
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
    assert "every kernel measured has rank 1" in answer
    assert "If your kernel is not separable, ignore the separable family" in answer
    assert "256 × 256" in answer


def test_sections_are_in_order_and_all_there(tmp_path: Path) -> None:
    text = built(tmp_path, THREE)
    assert re.findall(r'<section id="([^"]+)"', text) == [
        "answer", "time", "map", "regret", "crossovers", "roofline", "cells", "plans", "gate", "left-out", "machine",
        "again",
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
        loaded = re.findall(r"<(?:script|img|iframe|link|object|embed)\b[^>]*\b(?:src|href)=\"([^\"]*)", text)
        assert loaded
        assert all((tmp_path / "out" / name).is_file() for name in loaded)
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
    for name in ("regret", "roofline", "machine", "again"):
        assert "fft-a" not in section(text, name)
    index = (tmp_path / "out" / "index.html").read_text()
    assert "fft-a" not in section(index, "answer") + section(index, "breakeven") + section(index, "accuracy")
    assert "no evidence 9 a time without evidence that the output was right: not shown fft-a" in section(
        text, "left-out"
    )


def test_without_any_measurement_the_page_says_so(tmp_path: Path) -> None:
    text = built(tmp_path, THREE, evidence=False)
    assert "Nothing was measured on this machine that may be shown" in section(text, "answer")
    assert 'class="plot"' not in text
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
    assert re.search(r"lab/89abcdef-x.json .*skipped", section(text, "left-out"))


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
    assert text.count("<script") == text.count("</script>") == 5
    assert "49" not in section(text, "left-out")
    files = json.loads(re.search(r'id="files">(.*?)</script>', text, re.DOTALL)[1])
    assert EVIL in files
    for file in (tmp_path / "out").rglob("*.*"):
        if file.suffix in (".html", ".js"):
            assert "<script>alert" not in file.read_text(encoding="utf-8")
            assert re.fullmatch(r"[A-Za-z0-9._-]+", file.name)


def data_of(out: Path, key: str = "lab-existing-py3.11-image-float32-cpu-1") -> dict[str, Any]:
    """What a data script hands to the page."""
    text = (out / "data" / f"{key}.js").read_text(encoding="utf-8")
    start = f'(window.convbenchData ||= {{}})["{key}"] = '
    assert text.startswith(start)
    return json.loads(text.removeprefix(start).rstrip(";\n"))


def test_the_data_of_the_table_are_those_of_the_cells(tmp_path: Path) -> None:
    built(tmp_path, THREE, kernels=(3, 31), noise=0.0)
    data = data_of(tmp_path / "out")
    columns, words = data["columns"], data["words"]
    assert data["rows"] == 6
    assert {len(values) for values in columns.values()} == {6}
    ranks = {
        (k, words["backend"][b]): r
        for k, b, r in zip(columns["kernel"], columns["backend"], columns["rank"], strict=True)
    }
    assert [ranks[31, b] for b in ("sep-a", "fft-a", "direct-a")] == [1, 2, 3]
    assert columns["regret"][0] == 0
    assert [words["status"][s] for s in columns["status"]] == ["ok"] * 6
    assert all(len(s) == 15 for s in columns["samples"])
    assert columns["processes"] == [[15]] * 6
    # without the separable family fft-a is the best at k = 31, and the separable backend has no place
    rest = dict(zip(zip(columns["kernel"], columns["backend"], strict=True), columns["rest_rank"], strict=True))
    assert rest[31, words["backend"].index("fft-a")] == 1
    assert rest[31, words["backend"].index("sep-a")] is None


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
    assert set(data_of(tmp_path / "out")["columns"]["share"]) == {None}
    write_ceilings(tmp_path / "results" / "lab", {1: {"fma_float32": 125.0, "copy": 50.0}})
    text = built(tmp_path)
    assert data_of(tmp_path / "out")["columns"]["share"].count(0.8) == 2  # k = 31; the others: bandwidth
    assert data_of(tmp_path / "out")["columns"]["share"].count(None) == 4
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


def test_many_figures_are_left_to_the_page_s_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_page, "FIGURES", 5)
    text = built(tmp_path, THREE, images=(64, 128), dtypes=("float32", "float64"), threads=(1, 2))
    panels = section_html(text, "time")
    assert panels.count('<figure class="lazy"') == 6  # of four sets the first is drawn
    assert panels.count('<svg class="plot" viewBox="0 0 360 290"') == 2
    marks = [json.loads(html.unescape(m)) for m in re.findall(r'data-marks="([^"]*)"', panels)]
    assert all(mark[1:] in (["direct", "separable"], ["direct", "fft"]) for found in marks for mark in found)
    assert any(marks)


def section_html(text: str, name: str) -> str:
    return re.search(rf'<section id="{name}"[^>]*>(.*?)</section>', text, re.DOTALL)[1]


def test_a_full_grid_stays_light(tmp_path: Path) -> None:
    settings = {
        "images": (256, 512, 1024),
        "dtypes": ("float32", "float64"),
        "threads": (1, 2),
        "layouts": ("image", "signal"),
    }
    built(tmp_path, REALISTIC, **settings)
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "out").glob("*.html")}
    assert sizes["index.html"] < 1.5e6
    assert max(sizes.values()) < 2e6


def test_ties_are_drawn_as_ties(tmp_path: Path) -> None:
    equal = {
        "a": Model("direct", lambda n, k: 1e-3 * k),
        "b": Model("fft", lambda n, k: 1.005e-3 * k),
        "c": Model("fft", lambda n, k: 2e-3 * k),
    }
    text = built(tmp_path, equal, kernels=(3, 7), noise=0.02)
    cells = re.findall(r"<td class=\"[^\"]*split[^\"]*\".*?</td>", section_html(text, "map"), re.DOTALL)
    assert len(cells) == 2
    for cell in cells:
        assert {"a", "b"} == set(re.findall(r"<span[^>]*>(?:= )?(\w)</span>", cell))
    assert "a tie with" in html.unescape(cells[0])
    clear = built(tmp_path, {"a": equal["a"], "c": equal["c"]}, kernels=(3, 7), noise=0.02)
    assert "split" not in section_html(clear, "map")
    assert "c (fft), 2.0 times its time" in section_html(clear, "map")


def test_the_noise_of_the_machine_is_stated(tmp_path: Path) -> None:
    text = built(tmp_path, THREE, kernels=(3, 7))
    assert "no A/A pairs were measured here" in text
    assert "<code>convbench run</code> measures them" in text


def test_the_cost_of_choosing_otherwise(tmp_path: Path) -> None:
    models = {"a": Model("direct", lambda n, k: 1e-3 * k), "b": Model("fft", lambda n, k: 5e-3)}
    cost = section(built(tmp_path, models, kernels=(1, 5, 20), noise=0.0), "regret")
    # regret of a: 0, 0 and 3; of b: 4, 0 and 0
    assert "a direct 3 of 3 2 2 2.0 times 3.7 times 4.0 times n = 1024, k = 20 best: b" in cost
    assert "b fft 3 of 3 1 2 2.3 times 4.6 times 5.0 times n = 1024, k = 1 best: a" in cost


def test_conditions_before_and_after_are_shown(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results", THREE, kernels=(3, 7))
    run = {
        **synthetic.run_record("r2"),
        "before": {"load": [0.5, 0.25, 0.1], "frequency_mhz": {"0": 3000.0}, "governor": "powersave", "wall_s": 1.0},
        "after": {"load": [1.5, 0.25, 0.1], "governor": "powersave", "probe_s": 1.5e-4},
    }
    with path.with_suffix(".evidence.jsonl").open("a") as file:
        file.write(json.dumps(run) + "\n")
    told = section(built(tmp_path), "machine")
    assert "load 0.5 0.25 0.1 1.5 0.25 0.1" in told
    assert "governor powersave powersave" in told
    assert "probe 150 µs" in told
    assert "wall" not in told


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
    built(tmp_path, THREE, kernels=(3, 5))
    before = (tmp_path / "out" / "index.html").read_text()
    (tmp_path / "out").chmod(0o500)
    with pytest.raises(StorageError, match="out"):
        build_report(tmp_path / "results", tmp_path / "out")
    assert (tmp_path / "out" / "index.html").read_text() == before


def test_a_full_disk_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built(tmp_path, THREE, kernels=(3, 5))
    before = (tmp_path / "out" / "index.html").read_text()

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
