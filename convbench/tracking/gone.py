"""Cells that the convbench that measures does not know of, since their backend was taken away: A runs them, B cannot.

Every commit's process declares its backends when it starts, as _library.py writes them down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import cast

from convbench.backends._remote import Worker
from convbench.backends.base import Backend
from convbench.errors import ConvbenchError
from convbench.grid import Preset, Slice
from convbench.problem import Problem
from convbench.tracking._library import BACKENDS
from convbench.tracking.sides import CommitPlan, Out, Sides

Cell = tuple[str, str, Problem]


@dataclass(frozen=True)
class Declared:
    """What a commit says of a backend."""

    name: str
    ndims: tuple[int, ...]
    dtypes: tuple[str, ...]
    devices: tuple[str, ...]
    threaded: bool

    def takes(self, problem: Problem) -> bool:
        kind = problem.device.partition(":")[0]
        fits = problem.ndim in self.ndims and problem.dtype in self.dtypes and kind in self.devices
        return fits and (self.threaded or problem.threads == 1)


def declared(worker: Worker) -> dict[str, Declared]:
    """The backends of a worker's commit, by name."""
    return {entry["name"]: Declared(**entry) for entry in json.loads(worker.versions.get(BACKENDS, "[]"))}


def gone(preset: Preset, bench: str | None, wanted: Collection[str], sides: Sides) -> list[tuple[Cell, Out]]:
    """The cells of a preset that only A takes, and of which today's convbench knows nothing; n/a where A cannot either.

    sides: their processes run. A is asked for one plan of each backend, layout, dtype, device and thread count.
    """
    old, new = (declared(sides.worker(role)) for role in ("base", "new"))  # type: ignore[arg-type]
    label, found, asked = sides.commits["new"].label, [], {}
    for piece, name, problem in _missing(preset, bench, old, new):
        if wanted and name not in wanted:
            continue
        kind = (name, piece.layout, problem.dtype, problem.device, problem.threads)
        if kind not in asked:
            asked[kind] = _plans(sides, name, problem)
        lacks = f"has no backend {name}" if name not in new else f"{name} does not take such cells"
        out = Out("no longer runs", f"no longer runs in B ({label}): {lacks}")
        if asked[kind]:
            out = Out("n/a", asked[kind])
        found.append(((piece.layout, name, problem), out))
    return list({repr(cell): (cell, out) for cell, out in found}.values())  # pieces of a preset may share a cell


def _missing(
    preset: Preset, bench: str | None, old: dict[str, Declared], new: dict[str, Declared]
) -> Iterator[tuple[Slice, str, Problem]]:
    pattern = re.compile(bench or "")
    for piece in preset.slices:
        today = {backend.name for backend in piece.backends()}
        for problem in piece.problems():
            for name, backend in old.items():
                if name in today or not backend.takes(problem) or (name in new and new[name].takes(problem)):
                    continue
                if pattern.search(piece.cell_name(cast(Backend, backend), problem)):  # the name is all it needs
                    yield piece, name, problem


def _plans(sides: Sides, name: str, problem: Problem) -> str:
    """Why A has no plan; empty if it has one."""
    try:
        CommitPlan(problem, problem.kernel(separable=True), sides.worker("base"), name)
    except ConvbenchError as error:
        return f"n/a in A ({sides.commits['base'].label}): {error}"
    return ""
