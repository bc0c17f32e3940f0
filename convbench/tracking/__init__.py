"""track: which of two commits is faster, cell by cell, with a verdict that can be trusted. See docs/tracking.md.

commits.py takes the two packages, environment.py the Python that both run in, sides.py gates and samples them in fresh
processes round by round, verdicts.py says what the rounds mean, pursue.py which cells need more of them, gone.py which
cells B has no longer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import convbench
from convbench import machine
from convbench.backends import get_backend
from convbench.cell import Progress
from convbench.entries import cell_key
from convbench.errors import ArgumentError, UnsupportedError
from convbench.grid import Preset, get_preset
from convbench.judge import Judge
from convbench.problem import Problem
from convbench.repository import find_root
from convbench.suite import groups_of
from convbench.tracking import environment as environments
from convbench.tracking._library import BACKENDS
from convbench.tracking.commits import Commit, digest, unpack
from convbench.tracking.gone import gone
from convbench.tracking.journal import Journal, alone
from convbench.tracking.pursue import pursue
from convbench.tracking.sides import Bench, Out, Sides
from convbench.tracking.tracked import COLUMNS, Row, Tracked
from convbench.tracking.verdicts import LEAST_ROUNDS, Finding, Round

__all__ = ["COLUMNS", "MARGIN", "ROUNDS", "Row", "Tracked", "relative", "track"]

ROUNDS = 24
MARGIN = 0.05
FOLDER = Path(".asv") / "track"
"""Below the project's root; git does not see it, and neither asv nor the report looks there."""

MEASURING = (
    *("tracking/*.py", "backends/_remote*.py", "backends/base.py", "bounds.py", "cell.py", "cuda/*.py", "gate.py"),
    *("hygiene.py", "judge.py", "measure.py", "oracle.py", "problem.py", "processes.py", "stages.py", "verdict.py"),
)
"""What decides how a round is measured, in this package: rounds that differ in it are not put together."""

Cell = tuple[str, str, Problem]
"""Layout, backend, problem."""


def track(
    base: str,
    new: str = "HEAD",
    *,
    preset: str = "quick",
    bench: str | None = None,
    backends: Sequence[str] = (),
    rounds: int = ROUNDS,
    budget: float | None = None,
    margin: float = MARGIN,
    here: bool = False,
    fresh: bool = False,
    progress: Progress | None = None,
    root: Path | None = None,
) -> Tracked:
    """Compare the commit *new* (B) with the commit *base* (A) on the cells of a preset.

    base, new: what git takes for a commit, or "worktree" for the files as they are. bench: a regular expression that
    cells, written as asv writes them, must match. rounds: the most that a cell gets. budget: seconds of measuring in
    all. margin: relative difference up to which two times are the same. here: in the Python that is running, not in the
    environment that asv builds. What was measured before of the same two packages, here, is used again, unless *fresh*.
    Raises ArgumentError for bad arguments and commits that cannot be compared, ConvbenchError where another track is
    going on or the environment cannot be built, UnsupportedError where no cell can be run, StorageError where nothing
    can be written.
    """
    tell = progress or (lambda done, total, text: None)
    if os.name != "posix":
        raise UnsupportedError("track runs commits in processes that only a POSIX system can start")
    if rounds < LEAST_ROUNDS:
        raise ArgumentError(f"rounds must be at least {LEAST_ROUNDS}, got {rounds}: one tells nothing of the next")
    if not 0 < margin < 1:
        raise ArgumentError(f"margin must lie between 0 and 1, got {margin:g}; 0.05 is 5 %")
    chosen = get_preset(preset)
    cells = _cells(chosen, bench, backends)
    root = find_root(root)
    folder = root / FOLDER
    with alone(folder):
        pair = unpack(root, base, folder / "trees"), unpack(root, new, folder / "trees")
        if not here:
            tell(0, len(cells), "asv prepares the environment: minutes if it is not there yet")
        place = environments.here() if here else environments.built_by_asv(root)
        sides = Sides(*pair, place, folder / "caches")
        with sides:  # which tells whether both can be used at all, and what is installed
            journal = _journal(folder, sides, fresh)
            lost = gone(chosen, bench, backends, sides)
        notes = _notes(*pair, journal.found, len(journal.rounds))
        if not journal.found:
            tell(0, len(cells), "rounds begin")
        work = _Work(cells, sides, journal, Bench(chosen.budget))
        until = math.inf if budget is None else time.monotonic() + budget
        findings, calibration, out = pursue(
            [key for key in cells if key not in journal.out],
            {key: tuple(found) for key, found in journal.rounds.items()},
            work.take,
            rounds=rounds,
            margin=margin,
            stop=lambda: time.monotonic() > until,
            progress=progress,
        )
    out |= {key: found for key, found in journal.out.items() if key in cells}
    taken = {key: found[:rounds] for key, found in journal.rounds.items()}
    rows = [_row(cell, findings.get(key), out.get(key), taken.get(key, [])) for key, cell in cells.items()]
    rows += [_row(cell, None, found, []) for cell, found in lost if cell_key(*cell) not in cells]
    if all(row.verdict == "n/a" for row in rows):
        raise UnsupportedError(f"no cell can be run in both commits; the first: {rows[0].name}: {rows[0].reason}")
    return Tracked(*pair, rows, margin, calibration, notes, work.measured, str(journal.path.relative_to(root)))


class _Work:
    """Measures rounds of cells and keeps what was measured."""

    def __init__(self, cells: Mapping[str, Cell], sides: Sides, journal: Journal, bench: Bench) -> None:
        self.cells, self.sides, self.journal, self.bench = cells, sides, journal, bench
        self.measured = 0

    def take(self, keys: list[str]) -> Iterator[tuple[str, Round | Out]]:
        """One more round of each, in fresh processes; problem by problem, in random order."""
        problems: dict[Problem, list[str]] = {}
        for key in keys:
            problems.setdefault(self.cells[key][2], []).append(key)
        order = self.sides.order
        with self.sides as sides:
            for problem in order.sample(list(problems), len(problems)):
                judge = Judge(problem, problem.kernel(separable=True), problem.image(), zero_mean=True)
                for key in order.sample(problems[problem], len(problems[problem])):
                    known = key in self.journal.rounds
                    found = self.bench.take(sides, get_backend(self.cells[key][1]), judge, known)
                    self.journal.append(key, found)
                    if isinstance(found, Out):
                        yield key, found
                    else:
                        self.measured += 1
                        yield key, found.medians


def _cells(preset: Preset, bench: str | None, backends: Sequence[str]) -> dict[str, Cell]:
    """The cells that were asked for, by key."""
    wanted = {get_backend(name).name for name in backends}
    cells = {
        cell_key(layout, backend.name, problem): (layout, backend.name, problem)
        for layout, problem, found in groups_of(preset, bench)
        for backend in found
        if not wanted or backend.name in wanted
    }
    if not cells:
        asked = [f"matches {bench!r}"] if bench else []
        asked += [f"is of {', '.join(sorted(wanted))}"] if wanted else []
        raise ArgumentError(
            f"no cell of preset {preset.name!r} {' and '.join(asked)}; cells look like this: "
            f"image.Image.time_execute('numba-direct', 1024, 7, 'float32', 'cpu', 1)"
        )
    return cells


def _journal(folder: Path, sides: Sides, fresh: bool) -> Journal:
    """What both commits, whose processes run, are known by."""
    versions = {name: found for name, found in sides.worker("new").versions.items() if name != BACKENDS}
    base, new = sides.commits["base"], sides.commits["new"]
    measuring = digest(Path(convbench.__file__).parent, *MEASURING)
    installed = hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()[:12]
    same = [base.tree, new.tree, machine.machine_name(), sides.environment.name, installed, measuring]
    about = {"base": base.about(), "new": new.about(), "machine": machine.describe(), "versions": versions}
    return Journal(folder / f"{base.label}-{new.label}.jsonl", same, about, fresh)


def _notes(base: Commit, new: Commit, rounds: int, cells: int) -> list[str]:
    notes = []
    if base.tree == new.tree:
        notes.append("both packages are the same, file by file: an A/A test, in which every difference is an accident")
    if rounds:
        notes.append(f"{rounds} rounds of {cells} cells were measured before and are used again; --fresh measures anew")
    return notes


def _row(cell: Cell, found: Finding | None, out: Out | None, rounds: Sequence[Round]) -> Row:
    if out is not None:
        return Row(*cell, out.verdict, out.reason)
    if found is None:
        return Row(*cell, "cannot tell", "cannot tell: no time left for it", rounds=len(rounds))
    base = statistics.median(seconds for first, _, control in rounds for seconds in (first, control))
    new = statistics.median(second for _, second, _ in rounds)
    return Row(*cell, found.verdict, "", base, new, found.ratio, found.low, found.high, found.rounds)


def relative(given: str) -> float:
    """A relative difference written as "5%" or "0.05"; raises ArgumentError."""
    try:
        text = given.strip()
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ArgumentError(f"a margin is a relative difference such as 5% or 0.05, got {given!r}") from None
