"""The evidence file: what the gate and the sampler saw, one JSON object a line, beside asv's results.

It is appended to after every cell, so that an interrupted run keeps what it had; asv itself saves only at the end.
Lines: kind "run" (one measuring session: versions, machine), kind "gate" (a backend on small problems), kind "cell".
The latest line of a cell counts. Its name ends in .jsonl because asv reads every .json file in the folder.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convbench.cell import Cell
from convbench.errors import StorageError
from convbench.measure import Timing
from convbench.problem import Problem
from convbench.verdict import Verdict

SUFFIX = ".evidence.jsonl"
# Raise it when sampling or gating changes, so that figures of two protocols are never mixed.
PROTOCOL = 1


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def cell_key(layout: str, backend: str, problem: Problem) -> str:
    """One string that names a cell of the suite."""
    image, kernel = problem.image_shape[-1], problem.kernel_shape[-1]
    return f"{layout}/{backend}/{image}/{kernel}/{problem.dtype}/{problem.mode}/{problem.device}/{problem.threads}"


class EvidenceFile:
    """Append to and look into one evidence file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: dict[str, Any]) -> None:
        """Write one line, whole or not at all; raises StorageError where the file cannot be written."""
        line = (json.dumps(entry, separators=(",", ":")) + "\n").encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    if file.read(1) != b"\n":  # a line cut off by a crash must not swallow this one
                        line = b"\n" + line
                if file.write(line) != len(line):
                    file.truncate(size)
                    raise OSError("no space left on device")
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot write the evidence file {self.path}: {error.strerror or error}; make room or make the folder "
                f"writable, then run the same command again: it goes on from the last line"
            ) from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """All whole lines, oldest first; a half-written or foreign line is passed over."""
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and "kind" in entry:
                yield entry

    def find(self, kind: str, key: str, run: str) -> dict[str, Any] | None:
        """The latest entry of this kind, key and run; looks for the text first, which takes a millisecond."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        needle, end = f'"key":"{key}"'.encode(), len(content)
        while (at := content.rfind(needle, 0, end)) >= 0:
            start, stop = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
            end = start
            try:
                entry = json.loads(content[start : stop if stop >= 0 else None])
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("kind") == kind and entry.get("run") == run:
                return entry
        return None

    def last_run(self) -> dict[str, Any] | None:
        """The latest "run" entry, with `finished` set if the run came to its end."""
        latest: dict[str, Any] | None = None
        for entry in self.entries():
            if entry["kind"] == "run":
                latest = entry
        return latest


def _timing(timing: Timing | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    return {"samples": [float(f"{s:.6g}") for s in timing.samples], "number": timing.number}


def cell_entry(layout: str, cell: Cell, run: str, library: str, library_version: str | None) -> dict[str, Any]:
    """A cell as a line of the evidence file."""
    p = cell.problem
    return {
        "kind": "cell",
        "key": cell_key(layout, cell.backend, p),
        "run": run,
        "time": now(),
        "backend": cell.backend,
        "family": cell.family,
        "library": library,
        "library_version": library_version,
        "layout": layout,
        "image": p.image_shape[-1],
        "kernel": p.kernel_shape[-1],
        "dtype": p.dtype,
        "mode": p.mode,
        "device": p.device,
        "threads": p.threads,
        "status": cell.status,
        "reason": cell.reason,
        "checks": cell.checks,
        "error_over_bound": cell.error_over_bound,
        "worst_index": cell.worst_index,
        "input_sha256": cell.input_sha256,
        "stopped": cell.execute.stopped if cell.execute else None,
        "execute": _timing(cell.execute),
        "one_shot": _timing(cell.one_shot),
        "plan": _timing(cell.plan),
        "first_plan_seconds": cell.first_plan_seconds,
        "load_seconds": cell.load_seconds,
        "store_seconds": cell.store_seconds,
        "peak_memory_bytes": cell.peak_memory_bytes,
    }


def gate_key(backend: str, problem: Problem) -> str:
    """One string that names a verdict on small problems."""
    return f"gate/{backend}/{problem.ndim}/{problem.dtype}/{problem.mode}/{problem.device}/{problem.threads}"


def gate_entry(verdict: Verdict, problem: Problem, run: str) -> dict[str, Any]:
    """A verdict on small problems as a line of the evidence file."""
    worst = verdict.worst_problem
    return {
        "kind": "gate",
        "key": gate_key(verdict.subject, problem),
        "run": run,
        "time": now(),
        "backend": verdict.subject,
        "ndim": problem.ndim,
        "dtype": problem.dtype,
        "mode": problem.mode,
        "device": problem.device,
        "threads": problem.threads,
        "status": "ok" if verdict.ok else "failed" if verdict.failures else "n/a",
        "checks": verdict.checks,
        "error_over_bound": verdict.worst,
        "worst": f"image {worst.image_shape}, kernel {worst.kernel_shape}, index {verdict.worst_index}"
        if worst
        else "",
        "reason": str(verdict.failures[0]) if verdict.failures else "; ".join(verdict.not_run) or None,
    }
