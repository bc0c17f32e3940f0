"""Whatever happens to the files, reading them ends in a table, named problems or a StorageError, and so do the pages."""

from __future__ import annotations

import datetime
import json
import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import synthetic
from synthetic import Model, crossing_at, write_results

from convbench.analysis import journal, table
from convbench.analysis.schema import SECONDS, WHERE, measured
from convbench.analysis.table import read_results
from convbench.errors import StorageError
from convbench.report import build_report

ODD: list[Any] = [
    None, True, -1, 0, 1e308, float("nan"), float("inf"), -5.5, 10**30, "", "x", "<b>", [], [1], [None], {}, {"a": 1},
    [[1, 2]], "\ud800",
]  # fmt: skip


def damaged(value: Any, rng: random.Random) -> Any:
    """The value with something in it replaced by something odd, or removed."""
    places = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not places:
        return rng.choice(ODD)
    place = rng.choice(places)
    value[place] = damaged(value[place], rng) if rng.random() < 0.6 else rng.choice(ODD)
    if isinstance(value, dict) and rng.random() < 0.1:
        del value[place]
    return value


def damage(path: Path, rng: random.Random) -> None:
    """Cut a file short, flip bytes of it, or spoil some of its values."""
    data = path.read_bytes()
    kind = rng.choice(["cut", "flip", "spoil", "spoil", "spoil"])
    if kind == "cut":
        path.write_bytes(data[: rng.randrange(len(data))])
    elif kind == "flip":
        flipped = bytearray(data)
        for _ in range(3):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        path.write_bytes(flipped)
    elif path.suffix == ".jsonl":
        records = [json.loads(line) for line in data.splitlines()]
        for _ in range(10):
            place = rng.randrange(len(records))
            records[place] = damaged(records[place], rng)
        path.write_text("".join(json.dumps(r) + "\n" for r in records))
    else:
        path.write_text(json.dumps(damaged(json.loads(data), rng)))


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_damaged_files_are_survived(tmp_path: Path, seed: int) -> None:
    results = tmp_path / "results"
    models = {**crossing_at(17.0), "s": Model("separable", lambda n, k: 1e-4)}
    path = write_results(results, models, images=(64, 128), kernels=(3, 9, 31))
    evidence = path.with_suffix(".evidence.jsonl")
    rng = random.Random(seed)
    damage(rng.choice([path, evidence, evidence, path.with_name("machine.json"), results / "benchmarks.json"]), rng)
    try:
        found = read_results(results)
    except StorageError:
        with pytest.raises(StorageError, match="convbench run"):
            build_report(results, tmp_path / "out")
        return
    assert measured(found.cells)["execute_s"].between(0, journal.LONGEST).all()
    assert not (found.cells[list(SECONDS)] >= journal.LONGEST).any(axis=None)
    if seed % 4 == 0:
        assert "</html>" in build_report(results, tmp_path / "out").read_text(encoding="utf-8")


# -- results of other versions, of other machines, of other clocks --------------------------------------------------


def evidence_of(root: Path, machine: str = "lab") -> Path:
    return next((root / machine).glob("*.evidence.jsonl"))


def rewrite(path: Path, change: Any) -> None:
    records = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(r) + "\n" for r in records))


def test_lines_of_another_version_are_read_as_far_as_they_are_known(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    whole = read_results(tmp_path).cells
    path = evidence_of(tmp_path)
    rewrite(path, lambda r: {**r, "energy_joule": 3.5, "execute_on": {"core": [1, 2]}})
    with path.open("a") as file:
        file.write('{"kind":"weather","key":"x","degrees":20}\n')
    found = read_results(tmp_path)
    pd.testing.assert_frame_equal(found.cells, whole)
    assert found.problems == [
        (f"lab/{path.name}", "line 24 is not a record of this convbench (kind 'weather'); skipped")
    ]


def test_a_newer_protocol_is_named(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    path = evidence_of(tmp_path)
    rewrite(path, lambda r: {**r, "protocol": 99} if r["kind"] == "run" else r)
    found = read_results(tmp_path)
    assert len(measured(found.cells)) == 18
    [(file, wrong)] = found.problems
    assert file == f"lab/{path.name}"
    assert "newer convbench (protocol 99" in wrong and "update convbench" in wrong


def test_commits_measured_by_different_versions_are_no_problem(tmp_path: Path) -> None:
    for number, version in enumerate(("0.1.0", "0.9.0")):
        write_results(tmp_path, crossing_at(20.0), commit=f"{number}" * 40, date=synthetic.DATE + number)
        path = tmp_path / "lab" / f"{str(number) * 8}-{synthetic.ENV}.evidence.jsonl"
        rewrite(path, lambda r, v=version: {**r, "versions": {"convbench": v}} if r["kind"] == "run" else r)
    found = read_results(tmp_path)
    assert found.problems == []
    assert [run["versions"]["convbench"] for _, run in found.runs] == ["0.1.0", "0.9.0"]


def test_an_older_line_without_the_newer_fields_has_none_of_them(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    cells = read_results(tmp_path).cells
    assert cells[["first_plan_s", "first_execute_s", "error_ulp"]].isna().all(axis=None)
    assert all(sizes == [len(samples)] for sizes, samples in zip(cells["processes"], cells["samples"], strict=True))


def test_two_folders_with_the_same_machine_name_are_told_apart(tmp_path: Path) -> None:
    write_results(tmp_path / "one", crossing_at(20.0))
    (tmp_path / "one" / "lab").rename(tmp_path / "one" / "copied")
    write_results(tmp_path / "one", {"other": Model("fft", lambda n, k: 1e-3)})
    found = read_results(tmp_path / "one")
    assert found.cells.groupby("machine")["backend"].unique().map(list).to_dict() == {
        "lab": ["direct-a", "fft-a"], "lab (lab)": ["other"],
    }  # fmt: skip
    assert set(found.machines) == {"lab", "lab (lab)"}
    [(file, wrong)] = found.problems
    assert file == "lab/machine.json"
    assert "carries the name 'lab', as another folder does" in wrong


def test_a_machine_that_got_another_processor_is_told_apart(tmp_path: Path) -> None:
    for number, cpu in enumerate(("Zen 4", "Zen 5", "Zen 5")):
        write_results(tmp_path, crossing_at(20.0), commit=f"{number}" * 40, date=synthetic.DATE + number)
        path = tmp_path / "lab" / f"{str(number) * 8}-{synthetic.ENV}.evidence.jsonl"
        rewrite(path, lambda r, c=cpu: {**r, "machine": {"cpu": c}} if r["kind"] == "run" else r)
    found = read_results(tmp_path)
    assert found.cells.groupby("machine")["commit"].nunique().to_dict() == {"lab": 2, "lab (Zen 4)": 1}
    assert {place[0] for place, _ in found.runs} == set(found.gate["machine"]) == {"lab", "lab (Zen 4)"}
    assert found.machines["lab (Zen 4)"]["cpu"] == "Zen 4"
    [(_, wrong)] = found.problems
    assert "measured on 'Zen 4', later commits on 'Zen 5'" in wrong


def test_two_processors_in_one_file_are_named(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    with evidence_of(tmp_path).open("a") as file:
        file.write(json.dumps({**synthetic.run_record("r2"), "machine": {"cpu": "Zen 5"}}) + "\n")
    [(_, wrong)] = read_results(tmp_path).problems
    assert "several processors (Zen 4, Zen 5)" in wrong


def card_in(root: Path, stem: int, card: str | None) -> None:
    path = root / "lab" / f"{str(stem) * 8}-{synthetic.ENV}.evidence.jsonl"
    cards = {"cards": {"cuda:0": card}} if card else {}
    rewrite(path, lambda r: {**r, **cards} if r["kind"] == "run" else r)


def test_a_machine_that_got_another_card_is_told_apart(tmp_path: Path) -> None:
    for number, card in enumerate(("Card A", None, "Card B", "Card B")):
        write_results(tmp_path, crossing_at(20.0), commit=f"{number}" * 40, date=synthetic.DATE + number)
        card_in(tmp_path, number, card)
    found = read_results(tmp_path)
    assert found.cells.groupby("machine")["commit"].nunique().to_dict() == {"lab": 3, "lab (Card A)": 1}
    assert found.machines["lab (Card A)"]["cpu"] == "Zen 4"
    [(_, wrong)] = found.problems
    assert "measured on 'Card A', later commits on 'Card B'" in wrong


def test_two_cards_of_one_name_in_one_file_are_named(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    with evidence_of(tmp_path).open("a") as file:
        for run, card in (("r2", "Card A"), ("r3", "Card B")):
            file.write(json.dumps({**synthetic.run_record(run), "cards": {"cuda:0": card}}) + "\n")
    [(_, wrong)] = read_results(tmp_path).problems
    assert "several cards as cuda:0 (Card A, Card B)" in wrong


def test_a_folder_of_machines_without_results_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "machine.json").write_text(json.dumps(synthetic.machine_record("lab")))
    with pytest.raises(StorageError, match="`make bench` or `convbench run`"):
        read_results(tmp_path)


def test_a_clock_that_went_back_is_named(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    path = evidence_of(tmp_path)
    rewrite(path, lambda r: {**r, "time": "2026-10-01T09:59:00+00:00"} if r.get("kernel") == 31 else r)
    rewrite(path, lambda r: {**r, "finished": "2026-10-01T09:00:00+00:00"} if r["kind"] == "run" else r)
    found = read_results(tmp_path)
    assert len(measured(found.cells)) == 18
    early, ended = (wrong for _, wrong in found.problems)
    assert "2 cells were measured before their run began" in early
    assert "run r1 finished before it began" in ended
    assert "timedatectl" in early and "timedatectl" in ended


def test_a_run_that_was_resumed_is_no_clock_that_went_back(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    with evidence_of(tmp_path).open("a") as file:
        file.write(json.dumps({**synthetic.run_record(), "started": "2026-10-01T10:50:00+00:00"}) + "\n")
    assert read_results(tmp_path).problems == []


def test_dates_in_the_future_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_now", lambda: pd.Timestamp("2026-10-05", tz="UTC"))
    for number, year in enumerate((2026, 2099)):
        date = datetime.datetime(year, 9, 21, tzinfo=datetime.UTC)
        write_results(tmp_path, crossing_at(20.0), commit=f"{number}" * 40, date=int(1000 * date.timestamp()))
    path = tmp_path / "lab" / f"{'1' * 8}-{synthetic.ENV}.evidence.jsonl"
    rewrite(path, lambda r: {**r, "time": "2098-01-01T00:00:00+00:00"} if r.get("kernel") == 3 else r)
    found = read_results(tmp_path)
    dates = found.cells.groupby("commit")["date"].first()
    assert f"{dates['0' * 8]:%Y}" == "2026"
    assert pd.isna(found.cells.loc[found.cells["commit"] == "1" * 8, "date"]).all()
    assert found.cells["measured_at"].isna().sum() == 2
    assert len(measured(found.cells)) == 36
    assert [wrong.partition(" is in the future")[0] for _, wrong in found.problems] == [
        "the commit's date", "the time of measuring",
    ]  # fmt: skip


@pytest.mark.parametrize("date", [None, "missing", synthetic.DATE])
def test_commits_of_equal_or_unknown_date(tmp_path: Path, date: Any) -> None:
    for number in range(2):
        path = write_results(tmp_path, crossing_at(20.0), commit=f"{number}" * 40)
        stored = json.loads(path.read_text())
        stored["date"] = date
        if date == "missing":
            del stored["date"]
        path.write_text(json.dumps(stored))
    found = read_results(tmp_path)
    assert found.problems == []
    assert found.cells.groupby(list(WHERE)).size().to_dict() == {
        ("lab", f"{n}" * 8, synthetic.ENV): 18 for n in range(2)
    }
    day = "2026-09-21" if date == synthetic.DATE else "2026-10-01"  # else the run's
    assert set(found.cells["date"].dt.strftime("%Y-%m-%d")) == {day}


# -- what the quick reading may not change ----------------------------------------------------------------------------


def test_lines_of_several_processes_are_one_cell(tmp_path: Path) -> None:
    path = write_results(tmp_path, crossing_at(20.0), kernels=(3, 5, 7))
    path.unlink()
    lines = []
    for line in evidence_of(tmp_path).read_text().splitlines():
        record = json.loads(line)
        if record["kind"] != "cell":
            lines.append(record)
            continue
        for process, (error, sample) in enumerate([(0.2, 1.0), (0.9, 2.0), (None, 3.0)]):
            execute = {"samples": [sample] * (process + 1), "number": 1}
            more = {"process": process, "error_over_bound": error, "worst_index": [process, 0], "execute": execute}
            lines.append({**record, **more})
        if record["kernel"] == 5:
            lines.append({**lines[-1], "process": 3, "status": "failed", "reason": "died"})
            lines.append({**lines[-2], "process": 4})
        if record["kernel"] == 7:  # measured anew by another run
            lines.append({**lines[-3], "run": "r2", "execute": {"samples": [9.0], "number": 1}})
    evidence_of(tmp_path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    cells = read_results(tmp_path).cells.set_index(["backend", "kernel"])
    row = cells.loc[("fft-a", 3)]
    assert (row["samples"], row["processes"]) == ([1.0, 2.0, 2.0, 3.0, 3.0, 3.0], [1, 2, 3])
    assert (row["execute_s"], row["error_over_bound"], row["worst_index"]) == (2.5, 0.9, (1, 0))
    assert tuple(cells.loc[("fft-a", 5), ["status", "reason"]]) == ("failed", "died")
    assert (cells.loc[("fft-a", 7), "samples"], cells.loc[("fft-a", 7), "error_over_bound"]) == ([9.0], 0.2)


def test_pairs_of_several_processes_are_one_pair(tmp_path: Path) -> None:
    write_results(tmp_path, crossing_at(20.0))
    cell = dict(zip(synthetic.PARAMS, ("fft-a", 1024, 31, "float32", "cpu", 1), strict=True))
    with evidence_of(tmp_path).open("a") as file:
        for process, (first, second) in enumerate([([1.0, 2.0], [3.0, 4.0]), ([5.0], [6.0])]):
            line = {"kind": "pair", "layout": "image", **cell, "mode": "same", "run": "r1", "process": process}
            file.write(json.dumps({**line, "execute": {"samples": first}, "again": {"samples": second}}) + "\n")
        file.write(
            json.dumps({**line, "kernel": 33, "process": 0, "execute": {"samples": [1.0]}, "again": None}) + "\n"
        )
    found = read_results(tmp_path)
    assert found.problems == []
    [pair] = found.pairs.to_dict("records")
    assert (pair["samples_a"], pair["processes_a"]) == ([1.0, 2.0, 5.0], [2, 1])
    assert (pair["samples_b"], pair["processes_b"]) == ([3.0, 4.0, 6.0], [2, 1])
    assert (pair["machine"], pair["kernel"]) == ("lab", 31)


@pytest.mark.parametrize("seed", range(20))
def test_odd_values_are_read_alike_on_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The quick decoder, and the tolerant one that takes over wherever it refuses."""
    rng = random.Random(seed)
    write_results(tmp_path, crossing_at(20.0), kernels=(3, 5, 7))
    path = evidence_of(tmp_path)
    good = [json.loads(line) for line in path.read_text().splitlines()]
    numbers = ("error_over_bound", "error_ulp", "load_seconds", "peak_memory_bytes", "execute", "plan", "worst_index")
    for _ in range(10):
        record = rng.choice(good)
        record[rng.choice(numbers)] = rng.choice(
            [None, 0, 1, 0.5, {"samples": [1.0, 2]}, {"samples": []}, [1, 2], 1e300]
        )
    path.write_text("".join(json.dumps(r) + "\n" for r in good))
    quick = read_results(tmp_path)

    def refuse(_: bytes) -> None:
        raise ValueError

    monkeypatch.setattr(journal, "_decode", {True: refuse})
    slow = read_results(tmp_path)
    pd.testing.assert_frame_equal(quick.cells, slow.cells)
    assert quick.problems == slow.problems


def test_times_that_asv_lacks_are_taken_from_the_evidence_of_older_commits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        path = write_results(tmp_path, crossing_at(20.0), commit=f"{number}" * 40, date=synthetic.DATE + number)
        stored = json.loads(path.read_text())
        stored["results"]["image.Image.time_execute"][5:] = []  # no interval, no samples
        path.write_text(json.dumps(stored))
    whole = read_results(tmp_path)
    monkeypatch.setattr(table, "SAMPLED_BYTES", 0)
    found = read_results(tmp_path)
    times = ["execute_s", "execute_low_s", "execute_high_s", "one_shot_s", "plan_s"]
    pd.testing.assert_frame_equal(found.cells[times], whole.cells[times])
    assert found.cells[times].notna().all(axis=None)
    assert found.cells.groupby("commit")["samples"].agg(lambda s: s.str.len().sum()).to_dict() == {
        "0" * 8: 0, "1" * 8: 18 * 15,
    }  # fmt: skip


def test_what_asv_writes_and_json_has_not(tmp_path: Path) -> None:
    path = write_results(tmp_path, crossing_at(20.0))
    stored = json.loads(path.read_text())
    row = stored["results"]["image.Image.time_execute"]
    row[5] = [-math.inf] * len(row[5])
    row[6] = [math.inf] * len(row[6])
    row[0][0] = math.nan
    row[0][1] = None
    stored["requirements"] = {"NaN": "NaN, Infinity"}
    path.write_text(json.dumps(stored))
    cells = read_results(tmp_path).cells
    assert cells["status"].value_counts().to_dict() == {"ok": 17, "failed": 1}
    assert measured(cells)["execute_low_s"].between(0, 1).all()
    assert measured(cells)["execute_high_s"].between(0, 1).all()
