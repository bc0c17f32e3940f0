"""What a library writes of itself where an environment variable asks it to: run where the variable can be set in time.

Libraries read such variables when they are loaded, so a process of its own executes the plan: the workload, or for a
backend whose library runs in a worker, another worker.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from convbench.backends import _remote_plan
from convbench.backends._remote import Setup, Worker
from convbench.backends._remote_plan import RemoteBackend, RemotePlan
from convbench.errors import ConvbenchError
from convbench.profiling import workload
from convbench.profiling.algorithm.fact import Case
from convbench.profiling.child import Child

SECONDS = 0.2
"""Of executions that are watched."""
_START = 60.0
"""Seconds for a process to load its library and to plan."""


@dataclass(frozen=True)
class Watched:
    """Lines that were written before the first execution that was watched, and during all of them; how many those were.

    folder: where the library was told to leave files, {folder} in the environment.
    """

    before: tuple[str, ...]
    during: tuple[str, ...]
    count: int
    folder: Path


@contextmanager
def watched(case: Case, environment: Mapping[str, str]) -> Iterator[Watched]:
    """Execute the case elsewhere, with these variables set; raises ConvbenchError where that fails."""
    with tempfile.TemporaryDirectory(prefix="convbench-") as name:
        folder = Path(name)
        variables = {key: value.replace("{folder}", name) for key, value in environment.items()}
        backend = case.subject.backend
        look = _worker if isinstance(backend, RemoteBackend) else _process
        yield look(case, variables, folder)


def _process(case: Case, variables: Mapping[str, str], folder: Path) -> Watched:
    workload.prepare(case.subject, folder)
    with Child(workload.start(folder, SECONDS, variables)) as child:
        lines = [line.rstrip("\n") for line in child.lines(_START + 20 * max(SECONDS, case.seconds))]
    ready = next((number for number, line in enumerate(lines) if line.startswith("ready ")), None)
    done = next((line for line in lines if line.startswith("done ")), None)
    if ready is None or done is None:
        raise ConvbenchError("the process that was watched did not say that it executed")
    return Watched(tuple(lines[:ready]), tuple(lines[ready + 1 :]), int(done.split()[1]), folder)


def _worker(case: Case, variables: Mapping[str, str], folder: Path) -> Watched:
    """One execution: a worker's library writes to where only the last few lines are kept."""
    backend, problem = case.subject.backend, case.subject.problem
    assert isinstance(backend, RemoteBackend)
    python = backend.interpreter()
    library = Path(_remote_plan.__file__).parent / backend.worker_library
    own = backend.environment()
    flags = " ".join(filter(None, (own.get("XLA_FLAGS"), variables.get("XLA_FLAGS"))))  # the one that holds many
    environment = own | dict(variables) | ({"XLA_FLAGS": flags} if flags else {})
    worker = Worker(Setup(python, library, tuple(environment.items()), foreign=python != sys.executable))
    try:
        plan = RemotePlan(problem, case.subject.kernel, worker)
        data = plan.load(case.subject.image)
        plan.execute(data)
        before, worker.tail = worker.tail, b""
        plan.execute(data)
        worker.ask("drop", numbers=[])  # what was written meanwhile arrives before this is answered
        return Watched(_lines(before), _lines(worker.tail), 1, folder)
    finally:
        worker.bye()


def _lines(written: bytes) -> tuple[str, ...]:
    return tuple(written.decode(errors="replace").splitlines())
