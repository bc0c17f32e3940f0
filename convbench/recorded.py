"""What an asv benchmark returns: the recorded figures of a cell, measured now if this run has not yet measured it."""

from __future__ import annotations

import hashlib
import math
import os
import time
import uuid
import zlib
from pathlib import Path
from typing import Any

from convbench.backends import get_backend
from convbench.backends.base import Backend
from convbench.cell import Start, certify, measure_cells
from convbench.cuda.cards import cards_of
from convbench.entries import cell_entry, cell_key, gate_entry, gate_key, pair_entry, run_entry
from convbench.errors import GateError
from convbench.evidence import SUFFIX, EvidenceFile
from convbench.grid import Preset, get_preset, problem_of
from convbench.problem import Problem
from convbench.verdict import Failure, Verdict

PAIRS = 2
"""Backends of each group that are timed twice: an A/A pair costs as much as a cell."""
REPEATED = 1.0
"""Seconds that a profiler looks on."""
QUICK = 5.0
"""Pairs take at most this times the quickest."""
# Set for benchmark processes by whoever starts them: which run this is, its preset, where its evidence goes.
RUN, PRESET, FOLDER = "CONVBENCH_RUN", "CONVBENCH_PRESET", "CONVBENCH_EVIDENCE_DIR"
NOTHING_NEW = "CONVBENCH_NOTHING_NEW"
"""Set where cells are to be found measured, or to be n/a: no benchmark process measures then."""


def evidence_path(folder: Path, commit: str, environment: str) -> Path:
    """Where the evidence of a commit and environment is kept: beside asv's file of the same name."""
    if len(environment) >= 128:  # as asv shortens it
        environment = f"env-{hashlib.md5(environment.encode()).hexdigest()}"
    return folder / f"{commit[:8]}-{environment}{SUFFIX}"


def current_evidence() -> EvidenceFile:
    """The evidence file of this benchmark process, from what asv and the run have put into its environment."""
    import platform

    here = Path(os.environ.get("ASV_CONF_DIR", "."))
    folder = Path(os.environ.get(FOLDER, here / "results" / platform.node()))
    commit, environment = os.environ.get("ASV_COMMIT", "unknown"), os.environ.get("ASV_ENV_NAME", "unknown")
    return EvidenceFile(evidence_path(folder, commit, environment))


def recorded(
    layout: str, backend: str, image: int, kernel: int, dtype: str, device: str, threads: int
) -> dict[str, Any]:
    """The evidence entry of a cell whose status is ok.

    Raises NotImplementedError with the reason for a cell that is n/a or skipped (asv shows n/a), GateError for one
    that failed (asv shows failed, exit status 2).
    """
    problem = problem_of(layout, image, kernel, dtype, device, threads)
    evidence, run = current_evidence(), os.environ.get(RUN, "single")
    entry = evidence.find("cell", cell_key(layout, backend, problem), run)
    if entry is None and NOTHING_NEW in os.environ:
        raise NotImplementedError("not measured yet: the run was given no more time")
    if entry is None:
        preset = get_preset(os.environ.get(PRESET, "quick"))
        if evidence.find("run", run, run) is None:  # asv began this run, not `convbench run`, which knows more of it
            evidence.append(run_entry(run, preset.name, cards=cards_of()))
        entry = _measured(layout, problem, get_backend(backend), preset, evidence, run)
    if entry["status"] == "failed":
        raise GateError(entry["reason"])
    if entry["status"] != "ok":
        raise NotImplementedError(entry["reason"])
    return entry


def _measured(
    layout: str, problem: Problem, backend: Backend, preset: Preset, evidence: EvidenceFile, run: str
) -> dict[str, Any]:
    """The entry of a cell, measured here; of one on a device in a spawned process: asv forks this one, and CUDA would
    not survive a fork."""
    if problem.device == "cpu" or backend.unsupported(problem):
        return measure_group(layout, problem, [backend], preset, evidence, run)[0]
    from convbench.suite import Workers

    workers = Workers(preset, evidence, run)
    try:
        workers.measure(0, layout, problem, [backend], None, lambda text: None)
    finally:
        workers.end()
    entry = evidence.find("cell", cell_key(layout, backend.name, problem), run)
    assert entry is not None
    return entry


def repeat(
    figure: str, layout: str, backend: str, image: int, kernel: int, dtype: str, device: str, threads: int
) -> None:
    """Do what a figure is the time of ("execute", "one_shot" or "plan") for a second, for a profiler to look at."""
    problem = problem_of(layout, image, kernel, dtype, device, threads)
    chosen, data, taps = get_backend(backend), problem.image(), problem.kernel(separable=True)
    plan = chosen.plan(problem, taps)
    loaded = plan.load(data)
    end = time.perf_counter() + REPEATED
    while time.perf_counter() < end:
        if figure != "execute":
            plan = chosen.plan(problem, taps)
        if figure == "one_shot":
            loaded = plan.load(data)
        if figure != "plan":
            plan.execute(loaded)
            plan.wait()


def measure_group(
    layout: str,
    problem: Problem,
    backends: list[Backend],
    preset: Preset,
    evidence: EvidenceFile,
    run: str,
    process: int = 0,
    twins: list[str] | None = None,
    start: Start | None = None,
    progress: Any = None,
) -> list[dict[str, Any]]:
    """Measure these backends on one problem side by side, two of them as A/A pairs, and append the evidence.

    process: the first (0) also finds one-shots, transfers and memory; the others add samples to the cells that it
    measured. twins: the pairs; some of the quickest by default. start: how long a cold start takes. The kernel is an
    outer product (rank 1), so that separable methods compete on the same data.
    """

    def certified(backend: Backend, problem: Problem) -> Verdict:
        known = evidence.find("gate", gate_key(backend.name, problem), run)
        if known and known["status"] == "ok":
            return Verdict(backend.name, checks=known["checks"], worst=known["error_over_bound"])
        if known and known["status"] == "failed":
            return Verdict(backend.name, [Failure("gate", None, known["reason"])])
        verdict = certify(backend, problem)
        evidence.append(gate_entry(verdict, problem, run))
        return verdict

    def pairs(seconds: dict[str, float]) -> list[str]:
        """Others in every group, so that all methods take part: but quick ones, which all processes measure."""
        if twins is not None:
            return twins
        quick = [name for name, taken in seconds.items() if taken <= QUICK * min(seconds.values())]
        return sorted(quick, key=lambda name: zlib.crc32(cell_key(layout, name, problem).encode()))[:PAIRS]

    cells = measure_cells(
        problem,
        backends,
        problem.image(),
        problem.kernel(separable=True),
        budget=math.inf if process else preset.budget,
        rule=preset.rule,
        certify=certified,
        zero_mean=True,
        once=process == 0,
        start=start,
        twins=pairs if len(backends) > 1 or twins else None,
        progress=progress,
    )
    group = uuid.uuid4().hex[:12]
    entries = [
        cell_entry(layout, cell, run, backend.library, backend.version(), process, group)
        for cell, backend in zip(cells, backends, strict=True)
    ]
    twice = [pair_entry(layout, cell, run, process) for cell in cells if cell.again and cell.status == "ok"]
    evidence.append(*entries, *twice)
    return entries
