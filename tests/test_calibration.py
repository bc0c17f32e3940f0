"""The machine's noise comes from its newest run that has enough pairs."""

from __future__ import annotations

import json
import os

import pytest

from convbench.analysis.noise import UNCALIBRATED
from convbench.calibration import machine_noise
from convbench.machine import machine_name

CELL = {"layout": "image", "image": 64, "dtype": "float32", "mode": "same", "device": "cpu", "threads": 1}


def lines(count, far=0.0):
    for i in range(count):
        first = [1.0, 1.01, 1.02, 1.0, 1.01]
        again = [s * (1 + far * (-1) ** i) for s in first]
        timings = {"execute": {"samples": first}, "again": {"samples": again}}
        yield json.dumps({"kind": "pair", "run": "r", "process": 0, "backend": "b", "kernel": i + 1, **CELL, **timings})


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / machine_name()
    made.mkdir()
    return made


def test_the_newest_run_with_enough_pairs_counts(folder, tmp_path):
    for age, (name, count, far) in enumerate([("few", 3, 0.5), ("new", 30, 0.03), ("old", 30, 0.3)]):
        path = folder / f"{name}-env.evidence.jsonl"
        path.write_text("\n".join(lines(count, far)) + "\n")
        os.utime(path, (1e9 - age, 1e9 - age))
    noise = machine_noise(tmp_path)
    assert noise.pairs == 30
    assert 0.02 < noise.floor < 0.15


def test_without_pairs_nothing_is_calibrated(folder, tmp_path, monkeypatch):
    assert machine_noise(tmp_path) is UNCALIBRATED
    assert machine_noise(tmp_path / "nowhere") is UNCALIBRATED
    monkeypatch.chdir(tmp_path)
    assert machine_noise() is UNCALIBRATED
