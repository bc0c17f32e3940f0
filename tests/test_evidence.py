from __future__ import annotations

import json
import os

import pytest

from convbench.entries import cell_key
from convbench.errors import StorageError
from convbench.evidence import EvidenceFile
from convbench.problem import Problem


def entry(key, run="r1", **more):
    return {"kind": "cell", "key": key, "run": run, **more}


def test_the_latest_of_a_run_counts(tmp_path):
    file = EvidenceFile(tmp_path / "new" / "a.evidence.jsonl")
    for value in range(3):
        file.append(entry("x", value=value))
    file.append(entry("x", run="r2", value=9))
    assert file.find("cell", "x", "r1")["value"] == 2
    assert file.find("cell", "x", "r2")["value"] == 9
    assert file.find("cell", "y", "r1") is None
    assert file.find("gate", "x", "r1") is None
    assert len(list(file.entries())) == 4


def test_a_line_cut_off_by_a_crash_is_passed_over(tmp_path):
    file = EvidenceFile(tmp_path / "a.evidence.jsonl")
    file.append(entry("x", value=1))
    with open(file.path, "ab") as stream:
        stream.write(b'{"kind":"cell","key":"x","run":"r1","va')
    assert file.find("cell", "x", "r1")["value"] == 1
    file.append(entry("y", value=2))
    assert file.find("cell", "y", "r1")["value"] == 2
    assert [e["key"] for e in file.entries()] == ["x", "y"]


def test_foreign_lines_are_passed_over(tmp_path):
    file = EvidenceFile(tmp_path / "a.evidence.jsonl")
    file.path.write_text('[1]\n"text"\n\x00\n{"no": "kind"}\n')
    file.append(entry("x"))
    assert len(list(file.entries())) == 1


def test_lines_are_strict_json(tmp_path):
    file = EvidenceFile(tmp_path / "a.evidence.jsonl")
    file.append(entry("x", text="a\nb"))
    assert [json.loads(line)["text"] for line in file.path.read_text().splitlines()] == ["a\nb"]


def test_a_full_disk_loses_nothing(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    (tmp_path / "link").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="(?i)cannot write the evidence file.*no space left"):
        EvidenceFile(tmp_path / "link").append(entry("x"))


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "a.evidence.jsonl").mkdir()
    with pytest.raises(StorageError, match="run the same command again"):
        EvidenceFile(tmp_path / "a.evidence.jsonl").append(entry("x"))


def test_key_names_the_cell():
    problem = Problem((64, 64), (1, 7), "float64", threads=2)
    assert cell_key("rows", "torch", problem) == "rows/torch/64/7/float64/same/cpu/2"
