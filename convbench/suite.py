"""Run a preset: measure group by group in a worker process, then let asv record what was measured.

A group is all backends on one problem, timed side by side; several workers measure it, one after the other, each in its
own process. A worker writes evidence after every group; when it dies, the backend that killed it becomes a failed cell,
and the rest of the group is measured by a new worker.
"""

from __future__ import annotations

import functools
import math
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convbench import machine, recorded
from convbench.backends import get_backend
from convbench.backends.base import Backend
from convbench.ceilings import FILE, Place, read_cards, read_ceilings
from convbench.cell import GROWS_WITH_AREA, Cell, Progress
from convbench.cuda.cards import asked_for, cards_of, same_cards
from convbench.disturbance import changes
from convbench.entries import cell_entry, cell_key, run_entry
from convbench.errors import ArgumentError, ConvbenchError
from convbench.evidence import EvidenceFile, merged, now
from convbench.grid import Preset, Slice, get_preset
from convbench.problem import Problem
from convbench.repository import find_root, repository
from convbench.session import Session, asv_machine
from convbench.worker import Result, Worker, result_of

Group = tuple[str, Problem, list[Backend]]
Known = dict[str, dict[int, Result]]

RIVALS = 10.0
"""Cells that take longer than this times the best of their group are measured by one process: they lose anyway."""

STEADY = 0.9
"""A ratio to the best below this share of that at the next smaller kernel is falling: that method may catch up."""

CEILINGS_SECONDS = 120.0
"""Beyond this the measurement of the ceilings is given up: it takes 10 s."""

ENVIRONMENT = f"installed-py{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Outcome:
    """What a run did: cells by status, how many an interrupted session had measured before, how many are left for the
    next because the time was up, warnings, and where things are."""

    counts: dict[str, int]
    failed: list[str]
    resumed: int
    left: int
    warnings: list[str]
    evidence: Path
    commit: str


def run(
    preset: str,
    bench: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    root: Path | None = None,
    devices: Sequence[str] = (),
    minutes: float = math.inf,
) -> Outcome:
    """Gate and time the cells of a preset and record them with asv.

    bench: a regular expression that cells, written as asv writes them, must match. fresh: start anew even if an
    interrupted run could be resumed. devices: those that take cuda:0's place. minutes: after so many no further group
    is begun; what was measured is recorded, and the same call goes on with the rest.
    Raises ArgumentError for an unknown preset and for a device that there is not, ConvbenchError where another run is
    going on or a device is another card than before, StorageError where results cannot be written.
    """
    begin = time.monotonic()
    chosen = get_preset(preset, devices)
    asked_for(devices)
    root = find_root(root)
    name = asv_machine()
    config, commit, notes = repository(root)
    groups = list(groups_of(chosen, bench))
    if not groups:
        raise ArgumentError(
            f"no cell of preset {preset!r} matches {bench!r}; cells look like this: "
            f"image.Image.time_execute('numba-direct', 1024, 7, 'float32', 'cpu', 1)"
        )
    folder = root / "results" / name
    cards = cards_of({problem.device for _, problem, _ in groups})
    with Session.begin(folder, preset, (commit, str(bench), *devices), fresh) as session:
        evidence = EvidenceFile(recorded.evidence_path(folder, commit, ENVIRONMENT))
        if cards:
            same_cards(cards, evidence.entries(), evidence.path.name)
        before = machine.warnings()
        conditions = machine.conditions()
        begun = evidence.find("run", session.run, session.run) or {}  # of a session that is resumed
        conditions, warned = begun.get("before", conditions), {*begun.get("warnings", []), *before, *notes}
        facts = machine.describe() | {f"{place} measured": card for place, card in cards.items()}
        about = run_entry(session.run, preset, machine=facts, cards=cards, before=conditions, warnings=sorted(warned))
        about["started"] = begun.get("started", about["started"])
        evidence.append(about)
        known = _known(evidence, session.run)
        total = sum(len(backends) for *_, backends in groups)
        resumed = sum(cell_key(layout, b.name, problem) in known for layout, problem, bs in groups for b in bs)
        needed: set[Place] = {problem.threads for _, problem, _ in groups if problem.device == "cpu"}
        at = functools.partial(progress, resumed, total) if progress else lambda text: None
        notes += _measure_ceilings(needed, cards, folder, root, at)
        left = _measure(groups, chosen, evidence, session.run, progress, known, begin + 60 * minutes)
        session.complete = not left
        if progress:
            progress(total - left, total, "asv records the results")
        _record(root, config, _measured_part(chosen, groups, known), bench, name)
        after = machine.conditions()
        told = sorted({*warned, *machine.warnings(), *notes, *changes(conditions, after)})
        evidence.append({**about, "finished": None if left else now(), "after": after, "warnings": told})
    keys = {cell_key(layout, b.name, problem) for layout, problem, backends in groups for b in backends}
    latest: dict[str, list[Any]] = {}
    for entry in evidence.entries():
        if entry["kind"] == "cell" and entry["run"] == session.run and entry["key"] in keys:
            latest.setdefault(entry["key"], []).append(entry)
    cells = [merged(lines) for lines in latest.values()]
    counts = Counter(cell["status"] for cell in cells)
    failed = [f"{cell['key']}: {cell['reason']}" for cell in cells if cell["status"] == "failed"]
    return Outcome(dict(counts), failed, resumed, left, told, evidence.path, commit)


def publish(root: Path | None = None) -> Path:
    """Let asv write its pages to reports/asv and return their index; raises ConvbenchError with asv's words."""
    root = find_root(root)
    config, _, _ = repository(root)
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


def groups_of(preset: Preset, bench: str | None) -> Iterator[Group]:
    """(layout, problem, backends) of a preset, those cells only that match the pattern."""
    try:
        pattern = re.compile(bench or "")
    except re.error as error:
        raise ArgumentError(
            f"--bench takes a regular expression, got {bench!r}: {error}; escape . ( [ with \\"
        ) from None
    for piece in preset.slices:
        for problem in piece.problems():
            backends = [b for b in piece.backends() if pattern.search(piece.cell_name(b, problem))]
            if backends:
                yield piece.layout, problem, backends


def _measure_ceilings(
    threads: set[Place], cards: Mapping[str, str], folder: Path, root: Path, tell: Callable[[str], object]
) -> list[str]:
    """Measure, in a process of its own, the ceilings that the machine has not yet: of so many threads, of these cards.

    Returns what the user should know; the run goes on without them.
    """

    def missing() -> list[str]:
        try:
            known = set(read_ceilings(folder / FILE, folder.name))
        except (ValueError, OSError):
            known = set()
        measured = read_cards(folder / FILE)
        others = {place for place, card in cards.items() if measured.get(place, card) != card}
        return sorted(map(str, (threads | cards.keys()) - (known - others)))

    places = missing()
    if not places:
        return []
    tell("ceilings of this machine, once: about 10 s")
    command = [sys.executable, "-m", "convbench", "machine", "--ceilings", "--json"]
    command += [text for place in places for text in ("--threads" if place.isdigit() else "--device", place)]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=CEILINGS_SECONDS)
        told = done.stderr.replace(str(root), ".").splitlines() or [f"exit status {done.returncode}"]
    except subprocess.TimeoutExpired:
        told = [f"no answer in {CEILINGS_SECONDS:g} s"]
    if not missing():
        return [line.removeprefix("Warning: ") for line in told[:-1]]
    return [f"no ceilings, so that the report shows no share of them: {told[-1]}; run `convbench machine --ceilings`"]


def _known(evidence: EvidenceFile, run: str) -> Known:
    """What the run has measured: each cell's result, by process."""
    known: Known = {}
    for entry in evidence.entries():
        if entry["kind"] == "cell" and entry["run"] == run:
            known.setdefault(entry["key"], {})[entry.get("process", 0)] = result_of(entry)
    return known


def _measure(
    groups: list[Group],
    preset: Preset,
    evidence: EvidenceFile,
    run: str,
    progress: Progress | None,
    known: Known,
    deadline: float = math.inf,
) -> int:
    """Send every group to each worker in turn, what it has not measured yet.

    deadline: by time.monotonic, nothing is begun after it. Returns how many cells are then left, or not through.
    """
    workers, hopeless = Workers(preset, evidence, run), _Hopeless(preset.hopeless)
    total = sum(len(backends) for *_, backends in groups)
    done = left = 0
    try:
        for layout, problem, backends in groups:
            size = "x".join(map(str, problem.image_shape))
            where = f"{layout} {size}, k = {problem.kernel_shape[-1]}, {problem.dtype}"
            found = {b.name: known.setdefault(cell_key(layout, b.name, problem), {}) for b in backends}

            def tell(text: str, where: str = where, done: int = done) -> None:
                if progress:
                    progress(done, total, f"{where}: {text}")

            for backend in backends:
                why = hopeless.why(layout, problem, backend)
                if why and not found[backend.name]:
                    cell = Cell(backend.name, backend.family, problem, "skipped", why)
                    evidence.append(cell_entry(layout, cell, run, backend.library, backend.version()))
                    found[backend.name][0] = Result("skipped")
            for process in range(preset.processes):
                rivals = _rivals(found) if process else set(found)
                twins = [name for name, results in found.items() if 0 in results and results[0].twin]
                missing = [b for b in backends if process not in found[b.name] and b.name in rivals]
                if missing and time.monotonic() > deadline:
                    left += len(missing)
                    break
                results = workers.measure(process, layout, problem, missing, twins if process else None, tell)
                for name, result in results.items():
                    found[name][process] = result
            hopeless.note(layout, problem, _ratios(backends, found))
            done += len(backends)
    finally:
        workers.end()
    return left


def _measured_part(preset: Preset, groups: list[Group], known: Known) -> Preset:
    """The preset without the images of which nothing was measured: asv would ask for each of their cells."""
    there = {
        (layout, problem.image_shape[-1], problem.dtype, problem.device, problem.threads)
        for layout, problem, backends in groups
        if any(known.get(cell_key(layout, b.name, problem)) for b in backends)
    }

    def images(piece: Slice) -> tuple[int, ...]:
        rest = [(dtype, piece.device, piece.threads) for dtype in piece.dtypes]
        return tuple(n for n in piece.images if any((piece.layout, n, *one) in there for one in rest))

    return replace(preset, slices=tuple(replace(p, images=images(p)) for p in preset.slices if images(p)))


class Workers:
    """A process for each number; one that dies or hangs is replaced."""

    def __init__(self, preset: Preset, evidence: EvidenceFile, run: str) -> None:
        self.preset, self.evidence, self.run = preset, evidence, run
        self.running: dict[int, Worker] = {}

    def measure(
        self,
        process: int,
        layout: str,
        problem: Problem,
        backends: list[Backend],
        twins: list[str] | None,
        tell: Callable[[str], None],
    ) -> dict[str, Result]:
        """The result of every backend; what ends its process has failed, and the others are measured by a new one."""
        found: dict[str, Result] = {}
        left = list(backends)
        while left:
            if process not in self.running:
                self.running[process] = Worker(self.evidence.path, self.preset.name, self.run, process)
            results, culprit, why = self.running[process].measure(layout, problem, left, twins, tell)
            found |= results
            if culprit is None:
                break
            self.running.pop(process).end()
            backend = get_backend(culprit)
            cell = Cell(culprit, backend.family, problem, "failed", why)
            self.evidence.append(cell_entry(layout, cell, self.run, backend.library, backend.version(), process))
            found[culprit] = Result("failed")
            left.remove(backend)
        return found

    def end(self) -> None:
        for worker in self.running.values():
            worker.end()


class _Hopeless:
    """Methods that fell behind by a factor and do not catch up as the kernel grows: larger ones are not measured."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.ratios: dict[tuple[object, ...], float] = {}
        self.reasons: dict[tuple[object, ...], str] = {}

    def why(self, layout: str, problem: Problem, backend: Backend) -> str | None:
        return self.reasons.get(_series(layout, problem, backend.name))

    def note(self, layout: str, problem: Problem, ratios: dict[str, float]) -> None:
        """ratios: to the best, at this kernel size; sizes are to come in ascending order."""
        for name, ratio in ratios.items():
            series = _series(layout, problem, name)
            if self.factor < ratio < math.inf and ratio >= STEADY * self.ratios.get(series, math.inf):
                behind = f"{ratio:.0f} times slower than the best already at k = {problem.kernel_shape[-1]}"
                self.reasons[series] = f"{behind}, and falling behind; `--preset full` times it"
            self.ratios[series] = ratio


def _series(layout: str, problem: Problem, backend: str) -> tuple[object, ...]:
    """What cells have in common that differ in their kernel only."""
    return (layout, problem.image_shape, problem.dtype, problem.device, problem.threads, backend)


def _rivals(found: dict[str, dict[int, Result]]) -> set[str]:
    """The cells of a group that are worth a second process: nothing was wrong with them, and they may be the best."""
    well = [name for name, results in found.items() if results and all(r.status == "ok" for r in results.values())]
    times = {name: found[name][0].seconds for name in well if 0 in found[name]}
    best = min(times.values(), default=math.inf)
    return {name for name, seconds in times.items() if seconds <= RIVALS * best < math.inf}


def _ratios(backends: list[Backend], found: dict[str, dict[int, Result]]) -> dict[str, float]:
    """Time over the best of those that take any kernel, of the methods whose cost grows with the kernel's area."""
    times = {b.name: found[b.name][0].seconds for b in backends if 0 in found[b.name]}
    best = min((times[b.name] for b in backends if b.name in times and b.family != "separable"), default=math.inf)
    grows = [b.name for b in backends if b.family in GROWS_WITH_AREA and times.get(b.name, math.inf) < math.inf]
    return {name: times[name] / best for name in grows}


def _record(root: Path, config: Path, preset: Preset, bench: str | None, machine_name: str) -> None:
    """Let asv collect the recorded cells: its processes find them measured, and take some milliseconds each."""
    if not preset.slices:
        return
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
    for piece in preset.slices:
        command += ["--bench", f"^(?=.*(?:{bench or ''})){piece.regex().removeprefix('^')}"]
    environment = {**os.environ, recorded.NOTHING_NEW: "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):  # 2: some cell failed, which the results say themselves
        raise ConvbenchError(
            f"asv could not record the results (exit status {done.returncode}); they are kept in the evidence file; "
            f"run the same command again:\n{(done.stdout + done.stderr).strip()[-2000:]}"
        )
