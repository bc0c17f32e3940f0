"""Results from elsewhere are added; what is there is never overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from synthetic import REALISTIC, run_record, write_ceilings, write_results

from convbench.analysis.table import read_results
from convbench.ceilings import read_cards, read_ceilings, store_ceilings
from convbench.cli import main
from convbench.errors import ArgumentError, ConvbenchError
from convbench.files import locked
from convbench.merge import merge

SOME = {name: REALISTIC[name] for name in ("numba-direct", "pyfftw-overlap")}


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path / "results", SOME, kernels=(3, 7), record_samples=True)
    return tmp_path / "results"


def test_another_machine_is_added_whole(results: Path, tmp_path: Path) -> None:
    write_results(tmp_path / "gpu" / "results", SOME, kernels=(3,), machine="gpu-box")
    write_ceilings(tmp_path / "gpu" / "results" / "gpu-box", {1: {"copy": 20.0}})
    before = content(results)
    done = merge(tmp_path / "gpu", results)
    assert (done.machines, done.conflicts) == (["gpu-box"], [])
    after = content(results)
    assert before.items() <= after.items()
    assert set(read_results(results).cells["machine"]) == {"lab", "gpu-box"}
    assert merge(tmp_path / "gpu" / "results" / "gpu-box", results).files == 0
    assert content(results) == after


def test_two_parts_of_one_run_become_one(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "part" / "results"
    write_results(other, SOME, kernels=(3, 7, 15), record_samples=True)
    part = next((other / "lab").glob("*.json"))
    (stored,) = [p for p in (other / "lab").glob("*.json") if p.name != "machine.json"]
    half = json.loads(stored.read_text())
    for row in half["results"].values():
        row[1][2] = ["3", "7", "15"]
    ours = next(p for p in (results / "lab").glob("*.json") if p.name != "machine.json")
    wide = json.loads(ours.read_text())
    # the preset of both had three kernels, and each measured some of them
    for name, row in wide["results"].items():
        theirs = half["results"][name]
        for column, values in enumerate(theirs):
            if isinstance(values, list) and column != 1:
                row[column] = [v if i % 3 < 2 else None for i, v in enumerate(values)]
                theirs[column] = [v if i % 3 == 2 else None for i, v in enumerate(values)]
        row[1] = theirs[1]
    ours.write_text(json.dumps(wide))
    stored.write_text(json.dumps(half))
    done = merge(other, results)
    assert not [c for c in done.conflicts if "cannot be merged" in c]
    assert done.cells == 2 * len(half["results"])
    cells = read_results(results).cells
    assert sorted(cells.loc[cells["status"] == "ok", "kernel"].unique()) == [3, 7, 15]
    assert part


def test_what_contradicts_is_named_and_left_out(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_results(other, SOME, kernels=(3, 7), record_samples=True, seed=1)
    before = content(results)
    done = merge(other, results)
    assert any("is there with other figures" in text for text in done.conflicts)
    assert any("has another time there" in text for text in done.conflicts)
    assert {k: v for k, v in content(results).items() if not k.endswith("jsonl")} == {
        k: v for k, v in before.items() if not k.endswith("jsonl")
    }


def test_another_machine_of_the_same_name_is_left_out(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    facts = json.loads((other / "lab" / "machine.json").read_text())
    (other / "lab" / "machine.json").write_text(json.dumps({**facts, "cpu": "Another 9000"}))
    done = merge(other, results)
    assert done.machines == []
    assert "another machine of the same name" in done.conflicts[0]


def runs_on(results: Path, card: str) -> None:
    """The run in this folder measured cuda:0 on this card."""
    (path,) = (results / "lab").glob("*.evidence.jsonl")
    with path.open("a") as file:
        file.write(json.dumps({**run_record("r9"), "cards": {"cuda:0": card}}) + "\n")


def test_another_card_under_the_same_name_is_left_out(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_results(other, SOME, kernels=(3, 7), record_samples=True, commit="f" * 40)
    shutil.copytree(results / "lab", other / "lab", dirs_exist_ok=True)
    runs_on(results, "Card A")
    for path in (other / "lab").glob("0123*.evidence.jsonl"):
        path.write_text(path.read_text() + json.dumps({**run_record("r9"), "cards": {"cuda:0": "Card B"}}) + "\n")
    store_ceilings(results / "lab", "lab", {"cuda:0": {"copy": 1.0}}, {"cuda:0": "Card A"})
    store_ceilings(
        other / "lab", "lab", {"cuda:0": {"copy": 2.0}, "cuda:1": {"copy": 3.0}}, {"cuda:0": "Card B", "cuda:1": "C"}
    )
    before = content(results)
    done = merge(other, results)
    assert [
        c for c in done.conflicts if c.startswith("01234567-") and "cuda:0 is Card A here and was Card B there" in c
    ]
    assert [c for c in done.conflicts if c.startswith("ceilings.jsonl: cuda:0 is Card A here")]
    after = content(results)
    assert all(after[name] == text for name, text in before.items() if "0123" in name)
    assert any("ffffffff" in name for name in after.keys() - before.keys())
    assert read_ceilings(results / "lab" / "ceilings.jsonl", "lab") == {
        "cuda:0": {"copy": 1.0},
        "cuda:1": {"copy": 3.0},
    }
    assert read_cards(results / "lab" / "ceilings.jsonl") == {"cuda:0": "Card A", "cuda:1": "C"}


def test_two_shards_of_the_same_card_are_merged(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    runs_on(results, "Card A")
    runs_on(other, "Card A")
    assert merge(other, results).conflicts == []


def test_ceilings_of_other_threads_and_devices_are_added(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    write_ceilings(results / "lab", {1: {"copy": 20.0}})
    write_ceilings(other / "lab", {1: {"copy": 99.0}, "cuda:0": {"copy": 4000.0}})
    merge(other, results)
    assert read_ceilings(results / "lab" / "ceilings.jsonl", "lab") == {1: {"copy": 20.0}, "cuda:0": {"copy": 4000.0}}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"results": {"a": 3}}'])
def test_a_damaged_file_is_a_conflict(results: Path, tmp_path: Path, damage: str) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    (stored,) = [p for p in (other / "lab").glob("*.json") if p.name != "machine.json"]
    stored.write_text(damage)
    before = content(results)
    assert any("cannot be merged" in text for text in merge(other, results).conflicts)
    assert content(results) == before


def test_bad_sources(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no results in"):
        merge(tmp_path / "nothing", results)
    with pytest.raises(ArgumentError, match="is the folder that results are merged into"):
        merge(results, results)
    with pytest.raises(ArgumentError, match="is the folder that results are merged into"):
        merge(results / "lab", results)
    write_results(tmp_path / "other", SOME, kernels=(3,))
    with locked(results / "lab", "busy"), pytest.raises(ConvbenchError, match="a run is writing to"):
        merge(tmp_path / "other", results)


def test_the_command(results: Path, tmp_path: Path) -> None:
    write_results(tmp_path / "other", SOME, kernels=(3,), machine="gpu-box")
    done = CliRunner().invoke(main, ["merge", str(tmp_path / "other"), "--results", str(results)])
    assert (done.exit_code, "gpu-box: " in done.output) == (0, True)
    write_results(tmp_path / "odd", SOME, kernels=(3,), machine="gpu-box", seed=3)
    done = CliRunner().invoke(main, ["merge", str(tmp_path / "odd"), "--results", str(results)])
    assert (done.exit_code, "conflict: " in done.output) == (1, True)
