"""What was measured, a line for every cell and round, so that a run that was stopped goes on: .asv/track/A-B.jsonl."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from convbench.evidence import EvidenceFile, now
from convbench.files import locked
from convbench.tracking.sides import ROLES, Out, Sampled
from convbench.tracking.verdicts import Round


def alone(folder: Path) -> AbstractContextManager[None]:
    """One track at a time in a clone; raises ConvbenchError for a second one."""
    busy = f"another `convbench track` measures in this clone ({folder}), and two at once would disturb each other"
    return locked(folder, f"{busy}; wait for it to end")


class Journal:
    """Rounds of one pair of packages. Lines of another pair, machine, Python or convbench are kept and not used.

    What cannot be run is not asked again, unless that was an accident, as a process that did not start.

    same: what all rounds must have in common. about: what else is known of the run. fresh: use none that are there.
    """

    def __init__(self, path: Path, same: list[str], about: Mapping[str, Any], fresh: bool) -> None:
        self.path, self.file = path, EvidenceFile(path)
        entries = list(self.file.entries())
        runs = [e for e in entries if e["kind"] == "run" and e.get("same") == same and not fresh]
        self.run: str = runs[-1]["run"] if runs else uuid.uuid4().hex[:12]
        if not runs:
            self.file.append({"kind": "run", "run": self.run, "started": now(), "same": same, **about})
        mine = [e for e in entries if e.get("run") == self.run]
        self.rounds: dict[str, list[Round]] = {}
        for entry in mine:
            if entry["kind"] == "round":
                samples = {role: tuple(entry["samples"][role]) for role in ROLES}
                self.rounds.setdefault(entry["key"], []).append(Sampled(samples).medians)
        self.found = sum(map(len, self.rounds.values()))
        self.out = {e["key"]: Out("n/a", e["reason"], True) for e in mine if e["kind"] == "out" and e["lasting"]}

    def append(self, key: str, found: Sampled | Out) -> None:
        """Keep a round of a cell, or why it has none."""
        entry: dict[str, Any]
        if isinstance(found, Out):
            entry = {"kind": "out", "verdict": found.verdict, "reason": found.reason, "lasting": found.lasting}
        else:
            entry = {"kind": "round", "samples": found.samples}
            self.rounds.setdefault(key, []).append(found.medians)
        self.file.append({"key": key, "run": self.run, "time": now(), **entry})
