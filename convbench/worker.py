"""A process that measures groups of cells; nothing a backend does to it reaches the run."""

from __future__ import annotations

import math
import multiprocessing
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from convbench import recorded
from convbench.backends import get_backend
from convbench.backends.base import Backend
from convbench.coldstart import cold_start
from convbench.cuda.faults import DeviceLostError
from convbench.errors import ConvbenchError
from convbench.evidence import EvidenceFile
from convbench.grid import get_preset
from convbench.problem import Problem
from convbench.processes import keep_libraries_quiet

SILENCE_SECONDS = 300.0
"""A worker that reports nothing for this long hangs: no single step of a cell within its budget takes this long."""


class Result(NamedTuple):
    """What a process says of a cell: its median in seconds, infinite where it was not timed; whether as an A/A pair."""

    status: str
    seconds: float = math.inf
    twin: bool = False


def result_of(entry: dict[str, Any]) -> Result:
    """The result of a cell, from its line of evidence."""
    execute = entry.get("execute")
    median = statistics.median(execute["samples"]) if execute else math.inf
    return Result(entry["status"], median, bool(entry.get("twin")))


class Worker:
    """A spawned process, to be sent group after group."""

    def __init__(self, evidence: Path, preset: str, run: str, process: int = 0) -> None:
        context = multiprocessing.get_context("spawn")  # frameworks have threads, which a fork would lose
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, evidence, preset, run, process), daemon=True)
        self.process.start()
        theirs.close()

    def measure(
        self,
        layout: str,
        problem: Problem,
        backends: list[Backend],
        twins: list[str] | None,
        tell: Callable[[str], None],
    ) -> tuple[dict[str, Result], str | None, str]:
        """Measure a group; returns each backend's result, None, ''; or nothing, what killed the worker, and how."""
        at = backends[0].name
        try:
            self.pipe.send((layout, problem, [b.name for b in backends], twins))
            while self.pipe.poll(SILENCE_SECONDS):
                kind, text = self.pipe.recv()
                if kind == "done":
                    return text, None, ""
                if kind == "error":
                    raise ConvbenchError(text)
                if kind == "lost":
                    return {}, at, text
                last = text.rpartition(" ")[2]
                at = last if last in {b.name for b in backends} else at
                tell(text)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.process.join(5)
            return {}, at, f"the process died (exit code {self.process.exitcode}) while this backend was running"
        return {}, at, f"no sign of life for {SILENCE_SECONDS:g} s while this backend was running"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, path: Path, preset: str, run: str, process: int) -> None:
    """The worker's loop."""
    keep_libraries_quiet()
    evidence, chosen = EvidenceFile(path), get_preset(preset)
    while True:
        try:
            layout, problem, names, twins = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            backends, start = [get_backend(name) for name in names], None if process else cold_start
            entries = recorded.measure_group(
                layout, problem, backends, chosen, evidence, run, process, twins, start,
                progress=lambda done, total, text: pipe.send(("progress", text)),
            )  # fmt: skip
            pipe.send(("done", {entry["backend"]: result_of(entry) for entry in entries}))
        except KeyboardInterrupt:
            return
        except ConvbenchError as error:
            pipe.send(("error", str(error)))
        except DeviceLostError as fault:  # a new process may find the device again
            pipe.send(("lost", str(fault)))
            return
