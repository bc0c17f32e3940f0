"""A measuring session: one at a time per results folder, resumed if it was interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench import __version__, machine, recorded
from convbench.evidence import PROTOCOL, now
from convbench.files import atomic_write, locked


@dataclass
class Session:
    """run: the id that every line of evidence of this session carries. resumed: an earlier, unfinished one goes on.
    complete: nothing is left for a later one."""

    run: str
    resumed: bool
    complete: bool = True

    @staticmethod
    @contextmanager
    def begin(folder: Path, preset: str, arguments: tuple[str, ...], fresh: bool = False) -> Iterator[Session]:
        """Lock the results folder of a machine for a run; processes started inside find the run in their environment.

        A session that was interrupted is resumed if preset, arguments, source tree and protocol are the same, unless
        *fresh*. Raises ConvbenchError if another run holds the folder, StorageError if it cannot be written.
        """
        busy = (
            f"another run is writing to {folder}; wait for it, or give this one another machine name "
            f"(asv machine --machine NAME --yes, then asv run --machine NAME)"
        )
        with locked(folder, busy):
            file = folder / ".session"
            same = [preset, *arguments, str(PROTOCOL), _sources()]
            last = _read(file)
            resumed = not fresh and bool(last) and not last["finished"] and last["same"] == same
            state: dict[str, Any] = last
            if not resumed:
                state = {"run": uuid.uuid4().hex[:12], "same": same, "started": now(), "finished": None}
            atomic_write(file, json.dumps(state))
            before = {name: os.environ.get(name) for name in (recorded.RUN, recorded.PRESET, recorded.FOLDER)}
            os.environ.update({recorded.RUN: state["run"], recorded.PRESET: preset, recorded.FOLDER: str(folder)})
            try:
                session = Session(state["run"], resumed)
                yield session
            finally:
                for name, value in before.items():
                    os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
            if session.complete:
                atomic_write(file, json.dumps({**state, "finished": now()}))


def asv_machine(name: str | None = None) -> str:
    """This machine's name as asv knows it; a machine that asv has not seen is made known to it, without questions."""
    from asv.machine import Machine, MachineCollection
    from asv.util import UserError

    name = name or machine.machine_name()
    try:
        return str(MachineCollection.load(name)["machine"])
    except UserError:
        facts = machine.describe()
        MachineCollection.save(
            name, {**Machine.get_defaults(), "machine": name, "cpu": facts["cpu"], "blas": facts["blas"]}
        )
        return name


def _read(file: Path) -> dict[str, Any]:
    try:
        state = json.loads(file.read_text())
        return state if {"run", "same", "finished"} <= state.keys() else {}
    except (OSError, ValueError, AttributeError):
        return {}


def _sources() -> str:
    """A hash of this package's code: figures of two versions of it are never mixed in one session."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
