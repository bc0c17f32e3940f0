"""A device that is lost ends its process: the run learns which backend it was, and goes on with a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convbench import recorded, worker
from convbench.backends import get_backend
from convbench.cuda.faults import DeviceLostError
from convbench.problem import Problem

PROBLEM = Problem((16, 16), (3, 3), device="cuda:0")


class Pipe:
    def __init__(self, *coming: Any) -> None:
        self.coming, self.sent = list(coming), []

    def poll(self, _: float) -> bool:
        return bool(self.coming)

    def recv(self) -> Any:
        return self.coming.pop(0)

    def send(self, what: Any) -> None:
        self.sent.append(what)


def test_the_process_says_so_and_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise DeviceLostError("cuda:0 was lost: raised RuntimeError")

    monkeypatch.setattr(recorded, "measure_group", lost)
    pipe = Pipe(("image", PROBLEM, ["torch"], None), ("image", PROBLEM, ["torch"], None))
    worker._work(pipe, tmp_path / "e.jsonl", "quick", "run", 0)  # type: ignore[arg-type]
    assert pipe.sent == [("lost", "cuda:0 was lost: raised RuntimeError")]
    assert len(pipe.coming) == 1


def test_the_run_learns_whose_cell_it_was() -> None:
    one = object.__new__(worker.Worker)
    one.pipe = Pipe(("progress", "gate torch"), ("progress", "gate torch-fft"), ("lost", "cuda:0 was lost: x"))  # type: ignore[assignment]
    backends = [get_backend("torch"), get_backend("torch-fft")]
    assert one.measure("image", PROBLEM, backends, None, lambda _: None) == ({}, "torch-fft", "cuda:0 was lost: x")
