"""The profile of one cell: its parts taken one after another, each by the module of its name; a part may be missing."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.calibration import machine_noise
from convbench.ceilings import FILE, Ceilings, Place, ceilings, read_ceilings
from convbench.cell import Cell, certify, gated
from convbench.errors import ConvbenchError, GateError, UnsupportedError
from convbench.judge import Judge
from convbench.profiling.accounting import Account, Phase, account, first_plan
from convbench.profiling.libraries import marks_within
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

if TYPE_CHECKING:
    from convbench.profiling.against import Against
    from convbench.profiling.algorithm import Fact
    from convbench.profiling.counters import Counters
    from convbench.profiling.memory import Memory
    from convbench.profiling.scaling import Axis, Scaling

Progress = Callable[[int, int, str], None]


@dataclass(eq=False)
class Profile:
    """All that was found out about a cell; what is None or empty is named in `missing`, or was not asked for.

    first_plan: in this process, with loading the library. flame: speedscope's JSON and SVG by their suffix.
    interrupted: the parts after that were not taken.
    """

    subject: Subject
    cell: Cell
    first_plan: Phase | None = None
    account: Account | None = None
    algorithm: list[Fact] = field(default_factory=list)
    against: Against | None = None
    counters: Counters | None = None
    memory: Memory | None = None
    flame: dict[str, str] = field(default_factory=dict)
    scaling: list[Scaling] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    interrupted: bool = False


def profile(subject: Subject, sweeps: Sequence[Axis] = (), progress: Progress | None = None) -> Profile:
    """Gate a cell, then take its profile; Ctrl-C after the gate ends it and leaves what it had.

    sweeps: of threads, image or kernel, see scaling. progress: called as progress(done, total, text).
    Raises GateError if the result is wrong, UnsupportedError if the backend cannot run the problem.
    """
    parts = _parts(subject, sweeps)
    tell = progress or (lambda done, total, text: None)
    tell(0, len(parts) + 1, "gate")
    started = first_plan(subject)
    found = Profile(subject, _gated(subject), started)
    for number, (name, part) in enumerate(parts.items(), start=1):
        tell(number, len(parts) + 1, name)
        try:
            _take(found, name, part)
        except KeyboardInterrupt:
            found.interrupted = True
            left = list(parts)[number - 1 :]
            found.missing += [Missing(each, "interrupted", "the same command takes it again") for each in left]
            break
    tell(len(parts) + 1, len(parts) + 1, "done")
    return found


def _gated(subject: Subject) -> Cell:
    backend, problem = subject.backend, subject.problem
    judge = Judge(problem, subject.kernel, subject.image)
    cell, _ = gated(backend, problem, subject.kernel, math.inf, certify, judge)
    if cell.status == "n/a":
        raise UnsupportedError(f"{backend.name}: {cell.reason}")
    if cell.status != "ok":
        raise GateError(
            f"{backend.name} is wrong here, so it is not profiled: {cell.reason}; `convbench check {backend.name}`"
        )
    return cell


def _parts(subject: Subject, sweeps: Sequence[Axis]) -> dict[str, Callable[[Profile], object]]:
    """What is done, by name; the stages first, as others need the time."""
    from convbench.profiling.against import against
    from convbench.profiling.algorithm import algorithm
    from convbench.profiling.counters import counters
    from convbench.profiling.memory import memory
    from convbench.profiling.scaling import scaling

    parts: dict[str, Callable[[Profile], object]] = {
        "stages": lambda found: account(subject, library=marks_within(subject)),
        "algorithm": lambda found: algorithm(subject),
        "ceilings": lambda found: against(subject, _seconds(found), known_ceilings(subject)),
        "counters": lambda found: counters(subject),
        "memory": lambda found: memory(subject),
        "flame graph": lambda found: _flame(subject),
    }

    def scaled(axis: Axis) -> Callable[[Profile], object]:
        return lambda found: scaling(subject, axis, ceilings=kept_ceilings(), noise=machine_noise())

    return parts | {f"scaling with {axis}": scaled(axis) for axis in sweeps}


def _take(found: Profile, name: str, part: Callable[[Profile], Any]) -> None:
    """Put the result of a part where it belongs; one that raises is missing."""
    try:
        result = part(found)
    except Exception as error:  # a tool that fails must not cost the other parts
        result = Missing(name, f"raised {type(error).__name__}: {' '.join(str(error).split())}")
    for one in result if isinstance(result, list) else [result]:
        if isinstance(one, Missing):
            found.missing.append(one)
        elif name == "algorithm":
            found.algorithm.append(one)
        elif name.startswith("scaling"):
            found.scaling.append(one)
        else:
            setattr(found, _FIELDS[name], one)
            found.missing += getattr(one, "missing", ())


_FIELDS = {
    "stages": "account",
    "ceilings": "against",
    "counters": "counters",
    "memory": "memory",
    "flame graph": "flame",
}


def _seconds(found: Profile) -> float:
    """Of an execution."""
    if found.account is None:
        raise ConvbenchError("the execution was not timed")
    return found.account.execute.median


def _flame(subject: Subject) -> dict[str, str] | Missing:
    from convbench.profiling.flame import flame

    with tempfile.TemporaryDirectory() as folder:
        paths = flame(subject, Path(folder), "flame")
        if isinstance(paths, Missing):
            return paths
        return {path.suffix[1:]: path.read_text(encoding="utf-8") for path in paths}


def kept_ceilings() -> dict[Place, Ceilings]:
    """With this machine's results, by number of threads or device; {} where there are none."""
    from convbench.machine import machine_name
    from convbench.repository import find_root

    try:
        name = machine_name()
        return read_ceilings(find_root() / "results" / name / FILE, name)
    except (ConvbenchError, OSError, ValueError):
        return {}


def known_ceilings(subject: Subject) -> Mapping[str, float]:
    """Of the subject's device or number of threads: kept with this machine's results, else measured now (5 s)."""
    problem = subject.problem
    place, kept = problem.threads if problem.device == "cpu" else problem.device, kept_ceilings()
    if place not in kept:
        from convbench.cuda.ceilings import device_ceilings

        return ceilings(problem.threads) if problem.device == "cpu" else device_ceilings(problem.device)
    return kept[place]
