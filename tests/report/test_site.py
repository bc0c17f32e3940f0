"""The site as a whole: its files, names, downloads and the data that its pages load."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import synthetic
from synthetic import ENV, REALISTIC, Model, cell_record, crossing_at, write_results

from convbench.analysis.regret import regret
from convbench.analysis.schema import measured
from convbench.analysis.table import read_results
from convbench.report import build_report, overview
from convbench.report.names import LONGEST, Names, slug
from convbench.report.place import contenders
from convbench.report.render import coded, render, script_data, state, to_json

TWO = crossing_at(19.0)
KNOWN = {
    "fft-a": {
        "family": "fft", "library": "pyfftw", "convention": "flips the kernel", "dtypes": ["float32", "float64"],
        "dims": [1, 2], "devices": ["cpu"], "threads": "any number", "remedy": "pip install pyfftw",
    },
    "never-seen": {"family": "direct", "library": "nothing", "convention": "none", "remedy": "pip install nothing"},
}  # fmt: skip


def build(tmp_path: Path, **settings: Any) -> Path:
    build_report(tmp_path / "results", tmp_path / "out", **settings)
    return tmp_path / "out"


def data_of(out: Path, key: str) -> dict[str, Any]:
    text = (out / "data" / f"{key}.js").read_text(encoding="utf-8")
    return json.loads(text.partition(" = ")[2].rstrip(";\n"))


def names(out: Path) -> set[str]:
    return {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}


def test_the_files_of_a_site(tmp_path: Path) -> None:
    write_results(tmp_path / "results", TWO, kernels=(3, 31))
    told: list[tuple[int, int, str]] = []
    out = build(tmp_path, progress=lambda *step: told.append(step))
    lab = f"lab-{ENV}"
    assert names(out) == {
        "index.html", "cell.html", f"machine-{lab}.html", "backend-direct-a.html", "backend-fft-a.html",
        "cells.csv", "cells.parquet", "cells.json", f"chooser-{lab}.json", "site.json",
        f"data/{lab}-image-float32-cpu-1.js", f"data/chooser-{lab}.js",
        *(f"assets/{name}" for name in ("style.css", "theme.js", "site.js", "cells.js", "cell.js", "choose.js", "chooser.js")),
    }  # fmt: skip
    assert any("draw lab: Images, float32, cpu, 1 thread" in text for *_, text in told)
    assert all(0 <= done <= total for done, total, _ in told)


def test_asv_is_linked_only_if_there(tmp_path: Path) -> None:
    write_results(tmp_path / "results", TWO, kernels=(3, 5))
    index = (build(tmp_path) / "index.html").read_text()
    assert 'href="asv/index.html"' not in index
    assert "asv publish" in index
    (tmp_path / "out" / "asv").mkdir()
    (tmp_path / "out" / "asv" / "index.html").write_text("asv")
    out = build(tmp_path)
    for page in ("index.html", "cell.html", "backend-fft-a.html", f"machine-lab-{ENV}.html"):
        assert '<a href="asv/index.html">History</a>' in (out / page).read_text()
    assert (out / "asv" / "index.html").read_text() == "asv"


def test_machines_have_pages_that_link_each_other(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_results(results, TWO, kernels=(3, 31), machine="first one")
    write_results(results, TWO, kernels=(3, 31), machine="second")
    write_results(results, TWO, kernels=(3, 31), machine="second", commit="f" * 40, date=synthetic.DATE - 10**9)
    out = build(tmp_path)
    index = (out / "index.html").read_text()
    pages = set(re.findall(r'href="(machine-[^"]+\.html)"', index))
    assert pages == {f"machine-first-one-{ENV}.html", f"machine-second-{ENV}.html"}
    second = (out / f"machine-second-{ENV}.html").read_text()
    assert "Zen 4" in second
    assert "ffffffff" in second  # the older commit is listed, not mixed in
    assert "Other commits in these results (1)" in second
    assert 'href="index.html"' in second


def test_the_history_of_a_cell(tmp_path: Path) -> None:
    results = tmp_path / "results"
    older = {name: Model(m.family, lambda n, k, m=m: 2 * m.execute(n, k)) for name, m in TWO.items()}
    write_results(results, older, kernels=(3, 5, 31), commit="a" * 40, date=synthetic.DATE - 10**9, noise=0.0)
    write_results(results, TWO, kernels=(3, 31), noise=0.0)
    write_results(results, TWO, kernels=(3,), machine="other", noise=0.0)
    out = build(tmp_path)
    key = f"lab-{ENV}-image-float32-cpu-1"
    data, history = data_of(out, key), data_of(out, f"{key}-history")
    assert data["history"] == f"{key}-history"
    assert [commit for commit, _ in history["commits"]] == ["aaaaaaaa", "01234567"]
    assert len(history["times"]) == data["rows"] == 4
    for now, (before, same) in zip(data["columns"]["execute_s"], history["times"], strict=True):
        assert same == now
        assert before == pytest.approx(2 * now, rel=1e-3)
    assert data_of(out, f"other-{ENV}-image-float32-cpu-1")["history"] == ""


def test_sets_without_a_measurement_have_data_that_say_why(tmp_path: Path) -> None:
    path = write_results(tmp_path / "results", TWO, kernels=(3, 31))
    line = cell_record("image", ("fft-a", 1024, 3, "float32", "cuda:0", 1), "fft", "n/a", reason="no CUDA")
    with path.with_suffix(".evidence.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    out = build(tmp_path)
    data = data_of(out, f"lab-{ENV}-image-float32-cuda-0-1")
    assert data["words"]["reason"] == ["no CUDA"]
    assert data["columns"]["rank"] == [None]
    assert data["columns"]["samples"] == [[]]
    assert "no CUDA" in (out / "backend-fft-a.html").read_text()
    assert (
        "Nothing could be measured of Images, float32, cuda:0, 1 thread"
        in (out / f"machine-lab-{ENV}.html").read_text()
    )


def test_downloads_hold_the_cells(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_results(results, TWO, kernels=(3, 31), commit="a" * 40, date=synthetic.DATE - 10**9)
    write_results(results, TWO, kernels=(3, 31))
    out = build(tmp_path)
    with open(out / "cells.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(pd.read_parquet(out / "cells.parquet")) == 8
    assert {r["commit"] for r in rows} == {"aaaaaaaa", "01234567"}
    assert "samples" not in rows[0]
    assert rows[0]["worst_index"] == "(3, 4)"
    assert pd.Timestamp(rows[0]["measured_at"]) == pd.Timestamp("2026-10-01 10:30", tz="UTC")
    cells = read_results(results).cells
    assert sorted(float(r["execute_s"]) for r in rows) == sorted(cells["execute_s"])
    shown = json.loads((out / "cells.json").read_text())
    assert {c["commit"] for c in shown} == {"01234567"}
    assert len(shown) == 4
    for cell in shown:
        assert len(cell["samples"]) == 15
        assert cell["rank"] in (1, 2)
        assert cell["plan_s"] == pytest.approx(1e-4)
        assert cell["error_ulp"] is None


def test_a_backend_s_page(tmp_path: Path) -> None:
    write_results(tmp_path / "results", TWO, kernels=(3, 31), noise=0.0)
    out = build(tmp_path, backends=KNOWN)
    page = (out / "backend-fft-a.html").read_text()
    for told in (
        "flips the kernel",
        "float32 and float64",
        "1-D and 2-D",
        "pip install pyfftw",
        "version 2.4.6",
        "Worst, or why not",
    ):
        assert told in page
    assert "it wins 1 of them" in page
    assert "5x5 kernel" in page  # the gate's worst example
    unseen = (out / "backend-never-seen.html").read_text()
    assert "It has not been measured: no result names a cell of it" in unseen
    assert "pip install nothing" in unseen
    assert "What it is" not in (build(tmp_path) / "backend-fft-a.html").read_text()


def test_what_the_site_no_longer_has_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_results(tmp_path / "results", TWO, kernels=(3, 5))
    out = build(tmp_path, backends=KNOWN)
    (out / "backend-mine.html").write_text("not of this site")
    (tmp_path / "outside.html").write_text("not of this site")
    manifest = json.loads((out / "site.json").read_text())
    manifest["files"] += ["../outside.html", str(tmp_path / "outside.html"), "no-such-file.html", 7]
    (out / "site.json").write_text(json.dumps(manifest))
    build(tmp_path)
    assert not (out / "backend-never-seen.html").exists()
    assert (out / "backend-mine.html").exists()
    assert (tmp_path / "outside.html").exists()
    (out / "site.json").write_text("{")
    build(tmp_path)


def test_a_large_chooser_s_table_is_left_out_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(tmp_path / "results", TWO, kernels=(3, 31))
    tables = re.compile(r'id="tables">(.*?)</script>')
    [embedded] = json.loads(tables.search((build(tmp_path) / "index.html").read_text())[1])
    assert embedded == f"lab-{ENV}"
    monkeypatch.setattr(overview, "TABLE_BYTES", 100)
    out = build(tmp_path)
    assert tables.search((out / "index.html").read_text())[1] == "{}"
    table = json.loads((out / f"chooser-lab-{ENV}.json").read_text())
    assert data_of(out, f"chooser-lab-{ENV}") == table


def test_the_chooser_s_table_is_that_of_analysis(tmp_path: Path) -> None:
    from convbench.analysis.chooser_table import chooser_table

    write_results(tmp_path / "results", REALISTIC, kernels=(3, 31), images=(256, 1024))
    out = build(tmp_path)
    assert json.loads((out / f"chooser-lab-{ENV}.json").read_text()) == chooser_table(
        read_results(tmp_path / "results")
    )


def test_names_are_safe_and_unique() -> None:
    made = Names()
    found = [made.new(text) for text in ("A b", "a-b", "a/b", "../..", "", "<script>", "ünï", "x" * 500, "x" * 501)]
    assert len(set(found)) == len(found)
    assert found[:5] == ["a-b", "a-b-2", "a-b-3", "unnamed", "unnamed-2"]
    for name in found:
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)
        assert len(name) <= LONGEST + 2
    assert slug("vm-installed-py3.11") == "vm-installed-py3.11"


def test_a_made_up_name_that_ends_like_a_second_is_no_clash() -> None:
    made = Names()
    assert [made.new(text) for text in ("a", "a-2", "a")] == ["a", "a-2", "a-3"]


def test_text_in_scripts_is_harmless() -> None:
    text = to_json({"</script>": ["<!--", "&", float("nan"), float("inf"), 1.5, None]})
    assert not set(text) & set("<>&")
    assert json.loads(text) == {"</script>": ["<!--", "&", None, None, 1.5, None]}
    assert "<" not in script_data("</script>", "{}").replace("(window", "")
    assert state({"a b": "<&=#>", "c": 1}) == "a%20b=%3C%26%3D%23%3E&c=1"
    assert str(coded("run `a <b>` & c")) == "run <code>a &lt;b&gt;</code> &amp; c"
    assert str(coded("one ` alone <")) == "one ` alone &lt;"


def test_pages_escape_what_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="undefined"):
        render("cell.html", {})


def test_contenders_are_all_that_can_win(tmp_path: Path) -> None:
    write_results(tmp_path, REALISTIC, kernels=(3, 31), images=(256, 1024), noise=0.05)
    rows = measured(read_results(tmp_path).cells)
    kept = contenders(rows)
    assert 0 < len(kept) < len(rows)
    for _, group in rows.groupby(["image", "kernel", "family"]):
        slowest = min(max(s) for s in group["samples"])
        wanted = {i for i, s in group["samples"].items() if min(s) <= slowest}
        assert wanted == set(kept.index) & set(group.index)
    bare = rows.assign(samples=[[] for _ in range(len(rows))])
    assert len(contenders(bare)) == len(rows)  # nothing is known of their scatter


def test_data_and_pages_tell_the_regret_of_analysis(tmp_path: Path) -> None:
    write_results(tmp_path / "results", REALISTIC, kernels=(3, 31), images=(256,), noise=0.03)
    out = build(tmp_path)
    data = data_of(out, f"lab-{ENV}-image-float32-cpu-1")
    from convbench.analysis.noise import UNCALIBRATED

    cells = read_results(tmp_path / "results").cells
    for prefix, without in (("", ()), ("rest_", ("separable",))):
        wanted = {
            (r.backend, r.kernel): (r.rank, r.regret, r.tied) for r in regret(cells, UNCALIBRATED, without).itertuples()
        }
        columns = (data["columns"][f"{prefix}{name}"] for name in ("rank", "regret", "tied"))
        names_of = [data["words"]["backend"][i] for i in data["columns"]["backend"]]
        found = {
            key: values
            for key, *values in zip(zip(names_of, data["columns"]["kernel"], strict=True), *columns, strict=True)
            if values[0] is not None
        }
        assert found.keys() == wanted.keys()
        for key, (rank, cost, tied) in wanted.items():
            assert found[key] == [rank, pytest.approx(cost, rel=1e-3), int(tied)]
