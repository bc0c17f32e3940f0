"""Why a cell is as fast as it is: stages, algorithm, ceilings, counters, memory, time line, scaling.

stages.py marks what the backends do; accounting.py times it; algorithm, against.py, counters.py, memory.py, flame.py
and scaling.py each find one part out; profile.py puts them together, versus.py sets two beside each other; tables.py
says it in words.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbench.errors import ArgumentError

if TYPE_CHECKING:
    from convbench.profiling.profile import Profile
    from convbench.profiling.tables import Table
    from convbench.profiling.versus import Versus

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Profiles:
    """One profile, or two and what sets them apart. command: what takes them again."""

    profiles: tuple[Profile, ...]
    versus: Versus | None
    command: str

    @property
    def interrupted(self) -> bool:
        return any(profile.interrupted for profile in self.profiles)

    def tables(self) -> list[Table]:
        """Those of each profile, then the two side by side."""
        from convbench.profiling import tables

        found = [table for profile in self.profiles for table in tables.tables(profile)]
        return found + (tables.side_by_side(self.versus, *self.profiles) if self.versus else [])

    def as_dict(self) -> dict[str, Any]:
        """For JSON: seconds and bytes."""
        from convbench.profiling.export import as_dict, plain

        versus = plain(self.versus) | {"sentence": self.versus.sentence} if self.versus else None
        return {"command": self.command, "profiles": [as_dict(p) for p in self.profiles], "versus": versus}

    def write(self, folder: Path) -> list[Path]:
        """The page and the JSON in a folder; returns their paths. Raises StorageError where one cannot be written."""
        from convbench.files import atomic_write
        from convbench.report.profile_page import page, stem

        name = stem(self.profiles) + ("-interrupted" if self.interrupted else "")  # beside a whole one, not over it
        paths = [folder / f"{name}.html", folder / f"{name}.json"]
        atomic_write(paths[0], page(self.profiles, self.versus, self.command))
        atomic_write(paths[1], json.dumps(self.as_dict()) + "\n")
        return paths


def profiles(
    backends: Sequence[str],
    images: Sequence[str],
    kernels: Sequence[str],
    sweeps: Sequence[Any] = (),
    progress: Progress | None = None,
    **settings: Any,
) -> Profiles:
    """One profile, or two and their comparison if backends, images or kernels are two; what is one counts for both.

    images, kernels, settings: see subject.subject_of. sweeps: "threads", "image", "kernel". progress: called as
    progress(done, total, text).
    Raises ArgumentError for arguments that do not fit, UnsupportedError and GateError as profile.profile.
    """
    from convbench.calibration import machine_noise
    from convbench.profiling.profile import profile
    from convbench.profiling.subject import subject_of
    from convbench.profiling.versus import versus

    given = {"backends": backends, "images": images, "kernels": kernels}
    for what, texts in given.items():
        if not 1 <= len(texts) <= 2:
            raise ArgumentError(f"a profile takes one or two {what}, got {len(texts)}: {', '.join(texts)}")
    count = max(map(len, given.values()))
    chosen = zip(*(list(itertools.islice(itertools.cycle(texts), count)) for texts in given.values()), strict=True)
    subjects = [subject_of(*texts, **settings) for texts in chosen]
    found: list[Profile] = []
    for number, subject in enumerate(subjects):
        found.append(profile(subject, sweeps, _part(progress, number, count)))
        if found[-1].interrupted:
            break
    both = len(found) == 2 and all(p.account for p in found)
    between = versus(found[0], found[1], machine_noise()) if both else None
    return Profiles(tuple(found), between, _command(given, sweeps, settings))


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """The progress of one profile as part of all."""
    if progress is None or count == 1:
        return progress
    return lambda done, total, text: progress(number * total + done, count * total, f"{number + 1} of {count}: {text}")


def _command(given: dict[str, Sequence[str]], sweeps: Sequence[str], settings: dict[str, Any]) -> str:
    """The command line that asks for this."""
    import shlex

    words = ["convbench", "profile", *given["backends"]]
    options = [("image", given["images"]), ("kernel", given["kernels"]), ("sweep", sweeps)]
    options += [(name, [value]) for name, value in settings.items()]
    for name, values in options:
        for value in values:
            words += [f"--{name}", str(value)]
    return shlex.join(words)
