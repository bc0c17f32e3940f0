"""Run a preset: measure group by group in a worker process, then let asv record what was measured.

A group is all backends on one problem, timed side by side. The worker writes evidence after every group; when it
dies, the backend that killed it becomes a failed cell, and the rest of the group is measured by a new worker.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from convbench import machine, recorded
from convbench.backends import get_backend
from convbench.backends.base import Backend
from convbench.cell import Cell, Progress
from convbench.errors import ArgumentError, ConvbenchError
from convbench.evidence import EvidenceFile, cell_entry, cell_key, now
from convbench.files import atomic_write
from convbench.grid import Preset, get_preset
from convbench.problem import Problem
from convbench.session import Session, asv_machine

Group = tuple[str, Problem, list[Backend]]

ENVIRONMENT = f"installed-py{sys.version_info.major}.{sys.version_info.minor}"
SILENCE_SECONDS = 300.0
"""A worker that reports nothing for this long hangs: no single step of a cell within its budget takes this long."""


@dataclass(frozen=True)
class Outcome:
    """What a run did: cells by status, whether an interrupted session was resumed, warnings, and where things are."""

    counts: dict[str, int]
    failed: list[str]
    resumed: int
    warnings: list[str]
    evidence: Path
    commit: str


def find_root(start: Path | None = None) -> Path:
    """The nearest folder upwards that holds asv.conf.json; raises ConvbenchError where there is none."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / "asv.conf.json").is_file():
            return folder
    raise ConvbenchError(
        f"no asv.conf.json in {here} or above it; the suite runs from a clone of convbench: change to its folder first "
        f"(`convbench compare` and `convbench check` work anywhere)"
    )


def run(
    preset: str,
    bench: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    root: Path | None = None,
) -> Outcome:
    """Gate and time the cells of a preset and record them with asv.

    bench: a regular expression that cells, written as asv writes them, must match. fresh: start anew even if an
    interrupted run could be resumed. Raises ArgumentError for an unknown preset, ConvbenchError where another run
    is going on, StorageError where results cannot be written.
    """
    chosen = get_preset(preset)
    root = find_root(root)
    name = asv_machine()
    config, commit, notes = _repository(root)
    groups = list(_groups(chosen, bench))
    if not groups:
        raise ArgumentError(
            f"no cell of preset {preset!r} matches {bench!r}; cells look like this: "
            f"image.Image.time_execute('numba-direct', 1024, 7, 'float32', 'cpu', 1)"
        )
    folder = root / "results" / name
    with Session.begin(folder, preset, (commit, str(bench)), fresh) as session:
        evidence = EvidenceFile(recorded.evidence_path(folder, commit, ENVIRONMENT))
        began = now()
        before = machine.warnings()
        about = {
            "kind": "run",
            "key": session.run,
            "run": session.run,
            "preset": preset,
            "started": began,
            "finished": None,
        }
        about |= {"versions": machine.versions(), "machine": machine.describe(), "warnings": before + notes}
        evidence.append(about)
        known = {e["key"] for e in evidence.entries() if e["kind"] == "cell" and e["run"] == session.run}
        todo = [(layout, problem, _missing(layout, problem, backends, known)) for layout, problem, backends in groups]
        total = sum(len(backends) for *_, backends in groups)
        resumed = total - sum(len(backends) for *_, backends in todo)
        _measure([group for group in todo if group[2]], preset, evidence, session.run, progress, resumed, total)
        if progress:
            progress(total, total, "asv records the results")
        _record(root, config, chosen, bench, name)
        evidence.append({**about, "finished": now(), "warnings": sorted({*before, *machine.warnings(), *notes})})
    keys = {cell_key(layout, b.name, problem) for layout, problem, backends in groups for b in backends}
    latest = {e["key"]: e for e in evidence.entries() if e["kind"] == "cell" and e["key"] in keys}
    counts = Counter(e["status"] for e in latest.values())
    failed = [f"{e['key']}: {e['reason']}" for e in latest.values() if e["status"] == "failed"]
    return Outcome(dict(counts), failed, resumed, before + notes, evidence.path, commit)


def publish(root: Path | None = None) -> Path:
    """Let asv write its pages to reports/asv; returns their index. Raises ConvbenchError with asv's words if it fails."""
    root = find_root(root)
    config, _, _ = _repository(root)
    done = subprocess.run(
        [sys.executable, "-m", "asv", "publish", "--config", str(config)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConvbenchError(f"asv publish failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    return root / "reports" / "asv" / "index.html"


def _groups(preset: Preset, bench: str | None) -> Iterator[Group]:
    """(layout, problem, backends) of a preset, those cells only that match the pattern."""
    try:
        pattern = re.compile(bench or "")
    except re.error as error:
        raise ArgumentError(f"--bench is not a regular expression: {error}, got {bench!r}") from None
    for piece in preset.slices:
        for problem in piece.problems():
            backends = [b for b in piece.backends() if pattern.search(piece.cell_name(b, problem))]
            if backends:
                yield piece.layout, problem, backends


def _missing(layout: str, problem: Problem, backends: list[Backend], known: set[str]) -> list[Backend]:
    return [b for b in backends if cell_key(layout, b.name, problem) not in known]


def _measure(
    groups: list[Group], preset: str, evidence: EvidenceFile, run: str, progress: Progress | None, done: int, total: int
) -> None:
    """Send group after group to a worker; replace it when it dies or hangs."""
    worker: _Worker | None = None
    try:
        for layout, problem, backends in groups:
            left = list(backends)
            while left:
                worker = worker or _Worker(evidence.path, preset, run)
                size = "x".join(map(str, problem.image_shape))
                where = f"{layout} {size}, k = {problem.kernel_shape[-1]}, {problem.dtype}"

                def tell(text: str, where: str = where) -> None:
                    if progress:
                        progress(done, total, f"{where}: {text}")

                culprit, why = worker.measure(layout, problem, left, tell)
                if culprit is None:
                    done += len(left)
                    break
                worker = worker.end()
                backend = get_backend(culprit)
                cell = Cell(culprit, backend.family, problem, "failed", why)
                evidence.append(cell_entry(layout, cell, run, backend.library, backend.version()))
                left.remove(backend)
                done += 1
    finally:
        if worker:
            worker.end()


class _Worker:
    """A process that measures groups; nothing a backend does to it reaches the run."""

    def __init__(self, evidence: Path, preset: str, run: str) -> None:
        context = multiprocessing.get_context("spawn")  # frameworks have threads, which a fork would lose
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, evidence, preset, run), daemon=True)
        self.process.start()
        theirs.close()

    def measure(
        self, layout: str, problem: Problem, backends: list[Backend], tell: Callable[[str], None]
    ) -> tuple[str | None, str]:
        """Measure a group; returns the backend that killed the worker and how, or (None, '')."""
        at = backends[0].name
        try:
            self.pipe.send((layout, problem, [b.name for b in backends]))
            while self.pipe.poll(SILENCE_SECONDS):
                kind, text = self.pipe.recv()
                if kind == "done":
                    return None, ""
                if kind == "error":
                    raise ConvbenchError(text)
                at = text.rpartition(" ")[2] if text.rpartition(" ")[2] in {b.name for b in backends} else at
                tell(text)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self.process.join(5)
            return at, f"the process died (exit code {self.process.exitcode}) while this backend was running"
        return at, f"no sign of life for {SILENCE_SECONDS:g} s while this backend was running"

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, path: Path, preset: str, run: str) -> None:
    """The worker's loop."""
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    evidence, chosen = EvidenceFile(path), get_preset(preset)
    while True:
        try:
            layout, problem, names = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            recorded.measure_group(
                layout, problem, [get_backend(n) for n in names], chosen, evidence, run,
                progress=lambda done, total, text: pipe.send(("progress", text)),
            )  # fmt: skip
            pipe.send(("done", ""))
        except KeyboardInterrupt:
            return
        except ConvbenchError as error:
            pipe.send(("error", str(error)))


def _record(root: Path, config: Path, preset: Preset, bench: str | None, machine_name: str) -> None:
    """Let asv collect the recorded cells: its processes find them measured, and take some milliseconds each."""
    command = [
        sys.executable,
        "-m",
        "asv",
        "run",
        "--config",
        str(config),
        "-E",
        "installed",
        "--set-commit-hash",
        "HEAD",
    ]
    command += ["--machine", machine_name, "--record-samples", "--launch-method", "forkserver"]
    for regex in [bench] if bench else [s.regex() for s in preset.slices]:
        command += ["--bench", regex]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):  # 2: some cell failed, which the results say themselves
        raise ConvbenchError(
            f"asv could not record the results (exit status {done.returncode}); they are kept in the evidence file, run "
            f"the same command again:\n{(done.stdout + done.stderr).strip()[-2000:]}"
        )


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _repository(root: Path) -> tuple[Path, str, list[str]]:
    """asv's configuration, the commit that results are kept under, and what the user should know about it.

    Without a repository or without commits, results are kept under the only commit of a small repository of our own.
    """
    commit = _git(root, "rev-parse", "HEAD")
    if commit and _git(root, "rev-parse", "--show-toplevel") == str(root.resolve()):
        dirty = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "convbench", "benchmarks")
        notes = (
            [f"uncommitted changes are measured and kept under commit {commit[:8]}: commit them first"] if dirty else []
        )
        return root / "asv.conf.json", commit, notes
    stand_in = root / ".asv" / "unversioned"
    if _git(stand_in, "rev-parse", "HEAD") is None or not (stand_in / ".git").exists():
        stand_in.mkdir(parents=True, exist_ok=True)
        who = ["-c", "user.name=convbench", "-c", "user.email=convbench@localhost"]
        dates = {"GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z"}
        try:
            for step in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "unversioned"]):
                subprocess.run(
                    ["git", *step], cwd=stand_in, check=True, capture_output=True, env={**os.environ, **dates}
                )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConvbenchError(
                f"asv needs git, and it failed ({error}); install git, then run the same command again"
            ) from error
    from asv.util import load_json

    conf = load_json(str(root / "asv.conf.json"), js_comments=True)
    conf |= {"repo": str(stand_in)} | {
        k: str(root / conf[k]) for k in ("benchmark_dir", "env_dir", "results_dir", "html_dir")
    }
    path = root / ".asv" / "unversioned.conf.json"
    atomic_write(path, json.dumps(conf))
    commit = _git(stand_in, "rev-parse", "HEAD") or ""
    note = f"no git commit here: results are kept under the label 'unversioned' ({commit[:8]}); commit to track changes"
    return path, commit, [note]
