"""Cells measured in several processes; one that dies costs its own cell only."""

from __future__ import annotations

from convbench.backends import get_backend
from convbench.measure import Rule
from convbench.problem import Problem
from convbench.processes import Processes

FAST = Rule(warmup=0, sample=1e-4, seconds=0.01, most=8)
PROBLEM = Problem((64, 64), (3, 3))


def test_every_process_adds_a_cell_and_nothing_that_is_done_once():
    with Processes(2, FAST, 1.0) as several:
        cells = several.measure(PROBLEM, [get_backend("scipy-direct"), get_backend("numpy")])
    assert [(c.backend, c.status) for c in cells] == [("scipy-direct", "ok"), ("numpy", "n/a"), ("scipy-direct", "ok")]
    assert cells[0].execute.samples != cells[2].execute.samples
    assert cells[0].one_shot is None


def test_a_process_that_dies_is_replaced(monkeypatch, tmp_path):
    plant = "import os, convbench.backends.scipy_signal as m\nm.ScipyDirect.make_plan = lambda *_: os._exit(3)\n"
    (tmp_path / "sitecustomize.py").write_text(plant)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    backends = [get_backend("scipy-direct"), get_backend("ndimage")]
    with Processes(1, FAST, 1.0) as several:
        dead, right = several.measure(PROBLEM, backends)
    assert (dead.backend, dead.status) == ("scipy-direct", "failed")
    assert "died" in dead.reason
    assert right.status == "ok"
