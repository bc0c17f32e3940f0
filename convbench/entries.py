"""What a cell and a verdict look like as lines of the evidence file."""

from __future__ import annotations

from typing import Any

from convbench.cell import Cell
from convbench.evidence import PROTOCOL, now
from convbench.machine import versions
from convbench.measure import Timing
from convbench.problem import Problem
from convbench.verdict import Verdict


def cell_key(layout: str, backend: str, problem: Problem) -> str:
    """One string that names a cell of the suite."""
    image, kernel = problem.image_shape[-1], problem.kernel_shape[-1]
    return f"{layout}/{backend}/{image}/{kernel}/{problem.dtype}/{problem.mode}/{problem.device}/{problem.threads}"


def _timing(timing: Timing | None) -> dict[str, Any] | None:
    if timing is None:
        return None
    return {"samples": [float(f"{s:.6g}") for s in timing.samples], "number": timing.number}


def _place(layout: str, cell: Cell, run: str, process: int) -> dict[str, Any]:
    """Which cell a line is about, and which process of which run measured it."""
    p = cell.problem
    return {
        "key": cell_key(layout, cell.backend, p),
        "run": run,
        "process": process,
        "layout": layout,
        "backend": cell.backend,
        "image": p.image_shape[-1],
        "kernel": p.kernel_shape[-1],
        "dtype": p.dtype,
        "mode": p.mode,
        "device": p.device,
        "threads": p.threads,
    }


def cell_entry(
    layout: str,
    cell: Cell,
    run: str,
    library: str,
    library_version: str | None,
    process: int = 0,
    group: str | None = None,
) -> dict[str, Any]:
    """A cell as a line of the evidence file.

    process: which of the run's measuring processes it comes from. group: the same for cells that were sampled side by
    side, whose samples may be compared round by round.
    """
    p = cell.problem
    return {
        "kind": "cell",
        **_place(layout, cell, run, process),
        "group": group,
        "time": now(),
        "family": cell.family,
        "library": library,
        "library_version": library_version,
        "status": cell.status,
        "reason": cell.reason,
        "checks": cell.checks,
        "error_over_bound": cell.error_over_bound,
        "error_ulp": cell.error_ulp,
        "worst_index": cell.worst_index,
        "input_sha256": cell.input_sha256,
        "twin": cell.again is not None,
        "stopped": cell.execute.stopped if cell.execute else None,
        "execute": _timing(cell.execute),
        "one_shot": _timing(cell.one_shot),
        "plan": _timing(cell.plan),
        **{f"{what}_seconds": timing.median for what, timing in cell.clocks.items()},
        **(_on_device(cell) if p.device != "cpu" else {}),
        "startup_seconds": cell.startup_seconds,
        "first_plan_seconds": cell.first_plan_seconds,
        "first_execute_seconds": cell.first_execute_seconds,
        "load_seconds": cell.load_seconds,
        "store_seconds": cell.store_seconds,
        "peak_memory_bytes": cell.peak_memory_bytes,
    }


def _on_device(cell: Cell) -> dict[str, Any]:
    """What only cells on a device have: whose clock execute is, which others are missing, those, the device's state."""
    return {
        "clock": "; ".join((cell.clock, *(f"no {what}: {why}" for what, why in cell.unclocked.items()))),
        "clocks": {what: _timing(timing) for what, timing in cell.clocks.items()},
        "device_state": dict(cell.device_state),
    }


def pair_entry(layout: str, cell: Cell, run: str, process: int = 0) -> dict[str, Any]:
    """The two times of an A/A pair as a line of the evidence file; the first is the cell's own."""
    return {
        "kind": "pair",
        **_place(layout, cell, run, process),
        "execute": _timing(cell.execute),
        "again": _timing(cell.again),
    }


def run_entry(run: str, preset: str, **known: Any) -> dict[str, Any]:
    """A measuring session as a line of the evidence file, begun now; known: what else is known of it."""
    about = {"preset": preset, "protocol": PROTOCOL, "started": now(), "finished": None}
    about |= {"versions": versions(), "machine": {}}
    return {"kind": "run", "key": run, "run": run, **about, **known}


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
