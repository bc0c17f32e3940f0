"""Reading results: what is joined, what is refused, what is named as a problem."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic
from synthetic import REALISTIC, Model, cell_record, crossing_at, write_results

from convbench.analysis.export import write_csv, write_parquet
from convbench.analysis.schema import COLUMNS, measured
from convbench.analysis.table import read_results
from convbench.errors import StorageError


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path, crossing_at(20.0), images=(256, 1024))
    return tmp_path


def evidence_of(root: Path) -> Path:
    return next(root.glob("*/*.evidence.jsonl"))


def rewrite(path: Path, change) -> None:
    """Pass every record of an evidence file through `change`, which returns it or None to drop it."""
    records = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(r) + "\n" for r in records if r is not None))


def test_a_row_holds_what_asv_and_the_evidence_say(results: Path) -> None:
    found = read_results(results)
    assert tuple(found.cells.columns) == COLUMNS
    assert len(found.cells) == 2 * 2 * 9
    assert found.problems == []
    row = found.cells.query("backend == 'fft-a' and image == 1024 and kernel == 31").iloc[0]
    assert (row.machine, row.commit, row.env) == ("lab", synthetic.COMMIT[:8], synthetic.ENV)
    assert tuple(row[["layout", "family", "dtype", "mode", "device", "threads"]]) == (
        "image", "fft", "float32", "same", "cpu", 1,
    )  # fmt: skip
    assert row.execute_s == pytest.approx(2e-11 * 1024**2 * 400, rel=0.03)
    assert row.execute_low_s < row.execute_s < row.execute_high_s
    assert row.one_shot_s == pytest.approx(row.execute_s + 1e-4)
    assert (row.plan_s, row.load_s, row.store_s, row.peak_memory_bytes) == (1e-4, 1e-6, 2e-6, 8e6)
    assert (row.error_over_bound, row.worst_index, row.stopped, row.status) == (0.2, (3, 4), "steady", "ok")
    assert len(row.samples) == 15
    assert np.median(row.samples) == row.execute_s
    assert f"{row.date:%Y-%m-%d}" == "2026-09-21"
    assert set(found.machines) == {"lab"}
    [(where, run)] = found.runs
    assert where == ("lab", synthetic.COMMIT[:8], synthetic.ENV)
    assert run["preset"] == "full"
    assert set(found.gate["status"]) == {"ok"}


def test_a_file_that_asv_itself_wrote_reads_the_same(tmp_path: Path) -> None:
    from asv.results import Results
    from asv.runner import BenchmarkResult

    write_results(tmp_path, crossing_at(20.0), kernels=(3, 5))
    benchmarks = json.loads((tmp_path / "benchmarks.json").read_text())
    own = Results({"machine": "lab"}, {}, synthetic.COMMIT, synthetic.DATE, "3.11", synthetic.ENV, {})
    samples = [[1.0, 2.0, 3.0], None, [4.0, 5.0, 9.0], None]
    values = BenchmarkResult(
        result=[2.0, math.nan, 5.0, None],
        samples=samples,
        number=[10, None, 10, None],
        errcode=0,
        stderr="",
        profile=None,
    )
    own.add_result(benchmarks["image.Image.time_execute"], values, record_samples=True)
    own.save(str(tmp_path))
    cells = read_results(tmp_path).cells.set_index(["backend", "kernel"])
    assert cells.loc[("direct-a", 3), "execute_s"] == 2.0
    assert cells.loc[("fft-a", 3), "samples"] == [4.0, 5.0, 9.0]
    assert cells.loc[("fft-a", 5), "status"] == "failed"  # asv's null, after the evidence had said ok


def test_times_without_evidence_are_not_shown(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0), evidence=False)
    cells = read_results(tmp_path).cells
    assert set(cells["status"]) == {"no evidence"}
    assert cells["execute_s"].notna().all()
    assert measured(cells).empty


def test_evidence_without_asv_results_is_enough(results: Path) -> None:
    """asv saves only at the end: an interrupted run leaves the evidence alone."""
    whole = read_results(results).cells
    next(results.glob("lab/0*.json")).unlink()
    cells = read_results(results).cells
    assert len(measured(cells)) == len(whole)
    both = cells.merge(whole, on=["backend", "image", "kernel"])
    assert np.allclose(both["execute_s_x"], both["execute_s_y"])
    assert (both["execute_low_s_x"] < both["execute_s_x"]).all()
    assert set(cells["env"]) == {synthetic.ENV}


def test_cells_that_were_not_selected_are_no_rows(results: Path) -> None:
    rewrite(evidence_of(results), lambda r: None if r.get("kernel") == 7 else r)
    path = next(results.glob("lab/0*.json"))
    data = json.loads(path.read_text())
    column = data["results"]["image.Image.time_execute"]
    kernels = column[1][2]
    stride = len(kernels)
    column[0] = [math.nan if i % stride == kernels.index("7") else v for i, v in enumerate(column[0])]
    path.write_text(json.dumps(data))
    assert 7 not in set(read_results(results).cells["kernel"])


@pytest.mark.parametrize("status", ["failed", "n/a", "skipped"])
def test_the_evidence_decides_and_gives_the_reason(results: Path, status: str) -> None:
    def change(record):
        if record.get("kernel") == 31 and record["backend"] == "direct-a":
            return {**record, "status": status, "reason": "because <b>of this</b>"}
        return record

    rewrite(evidence_of(results), change)
    cells = read_results(results).cells
    row = cells.query("backend == 'direct-a' and kernel == 31 and image == 256").iloc[0]
    assert (row.status, row.reason) == (status, "because <b>of this</b>")
    assert 31 not in set(measured(cells).query("backend == 'direct-a'")["kernel"])


def test_evidence_that_contradicts_itself_is_a_failure(results: Path) -> None:
    rewrite(evidence_of(results), lambda r: {**r, "error_over_bound": 1.5} if r.get("kernel") == 31 else r)
    cells = read_results(results).cells
    assert set(cells.loc[cells["kernel"] == 31, "status"]) == {"failed"}


def test_the_last_line_of_a_cell_counts(results: Path) -> None:
    cell = ("fft-a", 1024, 31, "float32", "cpu", 1)
    with evidence_of(results).open("a") as file:
        file.write(json.dumps(cell_record("image", cell, "fft", "failed", reason="measured again, and wrong")) + "\n")
    row = read_results(results).cells.query("backend == 'fft-a' and image == 1024 and kernel == 31")
    assert list(row["status"]) == ["failed"]


def test_a_half_written_last_line_is_named_and_skipped(results: Path) -> None:
    with evidence_of(results).open("a") as file:
        file.write('{"kind":"cell","backend":"fft-a","im')
    found = read_results(results)
    assert len(measured(found.cells)) == 36
    [(file, wrong)] = found.problems
    assert file == f"lab/{evidence_of(results).name}"
    assert "half-written" in wrong


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "not a record"),
        ('{"kind": "other"}', "not a record"),
        ('{"kind": "cell", "backend": "fft-a"}', "incomplete"),
        (json.dumps(cell_record("image", ("a", "big", 3, "float32", "cpu", 1), "fft")), "image is 'big'"),
        (json.dumps(cell_record("image", ("a", 64, 3, "float32", "cpu", 1), "fft", "fine")), "unknown status"),
    ],
)
def test_foreign_lines_are_named_and_skipped(results: Path, line: str, word: str) -> None:
    path = evidence_of(results)
    path.write_text(line + "\n" + path.read_text())
    found = read_results(results)
    assert len(measured(found.cells)) == 36
    assert len(found.problems) == 1
    assert "line 1" in found.problems[0][1]
    assert word in found.problems[0][1]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '"text"', "{}", '{"version": 2}', '{"version": "two"}', '{"version": 9}',
     '{"version": 2, "results": 3, "params": {"machine": "lab"}}', "\x00\x01", "NaN"],
)  # fmt: skip
def test_corrupt_and_foreign_result_files_are_named_and_skipped(results: Path, content: str) -> None:
    (results / "lab" / "89abcdef-other.json").write_text(content)
    found = read_results(results)
    assert len(measured(found.cells)) == 36
    assert [file for file, _ in found.problems] == ["lab/89abcdef-other.json"]
    assert str(results) not in found.problems[0][1]


def test_a_result_file_of_another_machine_is_named(results: Path) -> None:
    path = next(results.glob("lab/0*.json"))
    (results / "lab" / "89abcdef-other.json").write_text(path.read_text().replace('"lab"', '"elsewhere"'))
    assert "machine name" in read_results(results).problems[0][1]


@pytest.mark.parametrize(
    "row", [[], ["text", "3"], [[1.0], [["'a'"], ["x"]], "1"], [[1.0], [["__import__('os')"]] * 6]]
)
def test_a_broken_benchmark_costs_only_itself(results: Path, row: list) -> None:
    path = next(results.glob("lab/0*.json"))
    data = json.loads(path.read_text())
    data["results"]["image.Image.time_plan"] = [*row]
    data["results"]["image.Image.time_plan"][2:3] = ["1"]
    path.write_text(json.dumps(data))
    found = read_results(results)
    assert len(measured(found.cells)) == 36
    assert any("time_plan" in wrong for _, wrong in found.problems)


def test_another_version_of_a_benchmark_is_not_mixed_in(results: Path) -> None:
    text = (results / "benchmarks.json").read_text()
    (results / "benchmarks.json").write_text(text.replace('"version": "1"', '"version": "2"'))
    found = read_results(results)
    assert measured(found.cells).empty
    assert any("another version" in wrong for _, wrong in found.problems)
    assert set(found.cells["reason"]) == {"measured with another version of the benchmark: not comparable"}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"version": 2, "x": 1}'])
def test_without_a_usable_list_of_benchmarks_files_speak_for_themselves(results: Path, content: str | None) -> None:
    if content is None:
        (results / "benchmarks.json").unlink()
    else:
        (results / "benchmarks.json").write_text(content)
    found = read_results(results)
    assert len(measured(found.cells)) == 36
    assert [file for file, _ in found.problems] == ([] if content is None else ["benchmarks.json"])


def test_a_changed_parameter_list_does_not_relabel_old_results(results: Path) -> None:
    """Cells are known by the values in their own file, not by their place in today's lists."""
    before = read_results(results).cells
    data = json.loads((results / "benchmarks.json").read_text())
    for benchmark in data.values():
        if isinstance(benchmark, dict):
            benchmark["params"] = [[*reversed(axis), "999"] for axis in benchmark["params"]]
    (results / "benchmarks.json").write_text(json.dumps(data))
    pd.testing.assert_frame_equal(before, read_results(results).cells)


def test_layouts_spread_over_classes_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    path = write_results(
        tmp_path, crossing_at(20.0), kernels=(3, 5), dtypes=("float32", "float64"), layouts=("image", "rows")
    )
    data = json.loads(path.read_text())
    names = {name.rpartition(".")[0] for name in data["results"]}
    assert names == {"image.Image", "image.Float64", "rows.Rows", "rows.Float64"}
    unselected = json.loads(json.dumps(data["results"]["image.Image.time_execute"]))
    unselected[0] = [math.nan] * len(unselected[0])
    data["results"]["image.Again.time_execute"] = unselected[:5]
    unselected = json.loads(json.dumps(unselected))
    unselected[1][4] = ["'cuda:0'"]
    data["results"]["image.Cuda.time_execute"] = unselected[:5]
    path.write_text(json.dumps(data))
    found = read_results(tmp_path)
    assert found.problems == []
    assert len(found.cells) == len(measured(found.cells)) == 2 * 2 * 2 * 2
    assert not found.cells.duplicated(["layout", "backend", "image", "kernel", "dtype", "device", "threads"]).any()


def test_folders_that_are_no_machine_are_named(results: Path) -> None:
    (results / "stray").mkdir()
    (results / "stray" / "89abcdef-x.json").write_text("{}")
    (results / "broken").mkdir()
    (results / "broken" / "machine.json").write_text("[")
    (results / "notes").mkdir()
    (results / "loose.json").write_text("{}")
    found = read_results(results)
    assert {file for file, _ in found.problems} == {"stray", "broken/machine.json", "loose.json"}
    assert len(measured(found.cells)) == 36


def test_machines_commits_and_environments_stay_apart(tmp_path: Path) -> None:
    other = "f" * 40
    for machine, commit, env in (("a", synthetic.COMMIT, "x"), ("a", other, "x"), ("a", other, "y"), ("b", other, "x")):
        write_results(tmp_path, crossing_at(20.0), kernels=(3, 5), machine=machine, commit=commit, env=env)
    cells = read_results(tmp_path).cells
    counts = cells.groupby(["machine", "commit", "env"]).size().to_dict()
    assert counts == {("a", "01234567", "x"): 4, ("a", "f" * 8, "x"): 4, ("a", "f" * 8, "y"): 4, ("b", "f" * 8, "x"): 4}


@pytest.mark.parametrize("prepare", ["missing", "empty", "only broken"])
def test_nothing_to_read_says_what_to_run(tmp_path: Path, prepare: str) -> None:
    folder = tmp_path / "results"
    if prepare != "missing":
        folder.mkdir()
    if prepare == "only broken":
        (folder / "lab").mkdir()
        (folder / "lab" / "machine.json").write_text(json.dumps(synthetic.machine_record("lab")))
        (folder / "lab" / "89abcdef-x.json").write_text("{")
    with pytest.raises(StorageError, match="convbench run") as caught:
        read_results(folder)
    assert str(folder) in str(caught.value)
    assert ("89abcdef-x.json" in str(caught.value)) == (prepare == "only broken")


def test_csv_and_parquet_hold_the_table(tmp_path: Path) -> None:
    write_results(tmp_path / "results", REALISTIC, kernels=(3, 9), budget_s=0.05)
    cells = read_results(tmp_path / "results").cells
    back = pd.read_parquet(write_parquet(cells, tmp_path / "out" / "cells.parquet"))
    assert list(back["execute_s"].dropna()) == list(cells["execute_s"].dropna())
    assert [list(s) for s in back["samples"]] == list(cells["samples"])
    text = pd.read_csv(write_csv(cells, tmp_path / "out" / "cells.csv"))
    assert len(text) == len(cells)
    assert "samples" not in text
    assert set(text["status"]) == {"ok", "skipped"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(tmp_path / "results", {"one": Model("fft", lambda n, k: 1e-3)}, kernels=(3,))
    cells = read_results(tmp_path / "results").cells
    path = write_csv(cells, tmp_path / "cells.csv")
    before = path.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for write in (write_csv, write_parquet):
        with pytest.raises(StorageError, match=r"cells\.csv"):
            write(cells.head(0), path)
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tmp"] == []
