"""What backends share whose library runs in a worker: see _remote.py for this side of it, _remote_worker.py for that.

Requires a POSIX system. load and store copy the array through memory that both processes see; execute leaves its
result in the worker, and is timed there.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import ClassVar

from convbench.backends._remote import CALL_SECONDS, Kept, Setup, Worker
from convbench.backends._remote_registry import worker_for
from convbench.backends.base import Backend, Plan
from convbench.errors import UnsupportedError
from convbench.problem import Array, Problem

_SLOWEST = 2e7
"""Products a second: no backend here is as slow, so a call that is slower hangs."""
_LONGEST = 86400.0
GUIDE = "docs/remote-workers.md says how to set it up"


class RemoteBackend(Backend):
    """Needs the file of its library's worker side, and may choose interpreter and environment."""

    remote = True
    worker_library: ClassVar[str]
    """A file beside this one; docs/remote-workers.md says what is in it."""

    def limits(self, problem: Problem) -> str | None:
        return None if os.name == "posix" else f"{self.name} runs in a process that only a POSIX system can start"

    def interpreter(self) -> str:
        return sys.executable

    def environment(self) -> dict[str, str]:
        """Variables that the worker has besides those of this process."""
        return {}

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        python = self.interpreter()
        library = Path(__file__).parent / self.worker_library
        setup = Setup(python, library, tuple(self.environment().items()), foreign=python != sys.executable)
        try:
            worker = worker_for(setup)
        except UnsupportedError as error:
            raise UnsupportedError(f"{self.library} does not work in {python}: {error}; {GUIDE}") from error
        return RemotePlan(problem, kernel, worker)


class RemotePlan(Plan):
    """A plan in a worker."""

    def __init__(self, problem: Problem, kernel: Array, worker: Worker) -> None:
        super().__init__(problem)
        self.worker = worker
        task = {
            "image_shape": problem.image_shape,
            "kernel_shape": problem.kernel_shape,
            "output_shape": problem.output_shape,
            "dtype": problem.dtype,
            "mode": problem.mode,
            "padding": problem.padding,
        }
        self.kept = worker.send("plan", kernel, self.limit(), task=task)

    def limit(self, number: int = 1) -> float:
        """Seconds that *number* executions may take."""
        products = float(math.prod(self.problem.kernel_shape)) * math.prod(self.problem.output_shape)
        return min(CALL_SECONDS + number * products / _SLOWEST, _LONGEST)

    def load(self, image: Array) -> Kept:
        return self.worker.send("load", image, self.limit(), plan=self.kept.number)

    def execute(self, data: Kept) -> Kept:
        return Kept(self.worker, self.worker.ask("execute", self.limit(), plan=self.kept.number, data=data.number))

    def store(self, result: Kept) -> Array:
        shape, dtype = self.problem.output_shape, self.problem.dtype
        return self.worker.fetch("store", shape, dtype, self.limit(), plan=self.kept.number, result=result.number)

    def timed(self, data: Kept) -> Timed:
        return Timed(self, data)


class Timed:
    """An execution to be sampled, by the worker's clock."""

    def __init__(self, plan: RemotePlan, data: Kept) -> None:
        self.plan, self.data = plan, data

    def __call__(self) -> Kept:
        return self.plan.execute(self.data)

    def seconds(self, number: int) -> float:
        plan = self.plan
        numbers = {"plan": plan.kept.number, "data": self.data.number, "number": number}
        taken: float = plan.worker.ask("time", plan.limit(number), **numbers)
        return taken
