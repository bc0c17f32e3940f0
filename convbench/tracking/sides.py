"""Both commits measured: three processes a round, a cell gated in all of them, then sampled in turn."""

from __future__ import annotations

import contextlib
import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from convbench.backends._remote import Kept, Setup, Worker
from convbench.backends._remote_plan import RemotePlan
from convbench.backends.base import Backend, Plan, Rounding
from convbench.cell import gated
from convbench.errors import ArgumentError, ConvbenchError
from convbench.gate import check
from convbench.judge import Judge
from convbench.measure import Rule, sample
from convbench.problem import Array, Problem
from convbench.processes import QUIET
from convbench.tracking._library import FOLDER
from convbench.tracking.commits import Commit
from convbench.tracking.environment import Environment
from convbench.tracking.verdicts import Round
from convbench.verdict import Verdict

Role = Literal["base", "new", "control"]
ROLES: tuple[Role, ...] = ("base", "new", "control")
LIBRARY = Path(__file__).with_name("_library.py")

# A process is one observation, however long it is sampled; but where others share the processor, samples scatter more
# than processes do, and the median of a few of them says little. As many for each of the three.
RULE = Rule(warmup=0.01, least=15, most=17, noise=0.0, patience=1000, seconds=0.12, hard_seconds=0.6)
MORE = 20.0
"""Times the budget, which A must keep, that B may take: what becomes slower is to be found, not left out."""


@dataclass(frozen=True)
class Sampled:
    """Seconds a call, the samples of each process."""

    samples: dict[Role, tuple[float, ...]]

    @property
    def medians(self) -> Round:
        base, new, control = (float(np.median(self.samples[role])) for role in ROLES)
        return base, new, control


@dataclass(frozen=True)
class Out:
    """A cell that is not compared.

    wrong: it failed the gate or raised. no longer runs: A does, and B cannot or takes far too long. n/a: A cannot be
    run or takes too long, or one has no process. lasting: it is so whenever the same packages are asked.
    """

    verdict: Literal["wrong", "no longer runs", "n/a"]
    reason: str
    lasting: bool = False


class Fault(NamedTuple):
    """Why a commit has no plan. n/a: it cannot, as it says; lost: its process does not start; the others as in Cell."""

    status: Literal["failed", "n/a", "skipped", "lost"]
    reason: str


class CommitBackend(Backend):
    """What the gate knows of today's backend; the plans are another commit's, in a worker."""

    remote: ClassVar[bool] = True

    def __init__(self, today: Backend, worker: Worker) -> None:
        self.today, self.worker = today, worker
        for name in (
            *("name", "family", "library", "module", "rounding", "ndims", "dtypes", "devices"),
            *("threaded", "deterministic"),
        ):
            setattr(self, name, getattr(today, name))

    def rounding_of(self, problem: Problem) -> Rounding:
        return self.today.rounding_of(problem)

    def unsupported(self, problem: Problem) -> str | None:
        return None  # the commit says, when it is asked for a plan

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return CommitPlan(problem, kernel, self.worker, self.name)


class CommitPlan(RemotePlan):
    """A plan of a commit's backend of that name."""

    def __init__(self, problem: Problem, kernel: Array, worker: Worker, backend: str) -> None:
        Plan.__init__(self, problem)
        self.worker = worker
        names = ("image_shape", "kernel_shape", "dtype", "mode", "device", "threads")
        task = {"backend": backend} | {name: getattr(problem, name) for name in names}
        self.kept: Kept = worker.send("plan", kernel, self.limit(), task=task)


class Sides:
    """Base, new and control, each in a fresh process; used as a context, once a round.

    caches: a folder for what the commits keep of compiled functions. What FFTW learnt is forgotten: which of its
    algorithms it takes is decided by measurement, so that it is to be decided anew in every process, like all else that
    chance decides.
    """

    def __init__(
        self, base: Commit, new: Commit, environment: Environment, caches: Path, order: random.Random | None = None
    ) -> None:
        self.commits: dict[Role, Commit] = {"base": base, "new": new, "control": base}
        self.environment, self.caches = environment, caches
        self.order = order or random.Random()
        self.workers: dict[Role, Worker] = {}

    def __enter__(self) -> Sides:
        try:
            for role in self.shuffled():
                self.worker(role)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self.workers.values():
            worker.bye() if kind is None else worker.end()
        self.workers.clear()

    def worker(self, role: Role) -> Worker:
        """The process of a role; one that died is replaced. Raises ArgumentError for a commit that cannot be used."""
        known = self.workers.get(role)
        if known is not None and known.alive:
            return known
        if known is not None:
            known.end()
        commit = self.commits[role]
        cache = self.caches / f"{commit.tree}-{role}"
        for learnt in cache.rglob("*.wisdom"):
            with contextlib.suppress(OSError):
                learnt.unlink()
        path = [str(commit.folder)]
        if not self.environment.foreign and os.environ.get("PYTHONPATH"):
            path.append(os.environ["PYTHONPATH"])
        variables = {name: os.environ.get(name, value) for name, value in QUIET.items()} | self.environment.variables
        variables |= {
            "PYTHONPATH": os.pathsep.join(path),
            "XDG_CACHE_HOME": str(cache),
            FOLDER: str(commit.folder),
        }
        setup = Setup(self.environment.python, LIBRARY, tuple(variables.items()), self.environment.foreign)
        try:
            self.workers[role] = Worker(setup)
        except ConvbenchError as error:
            self.workers.pop(role, None)
            raise ArgumentError(
                f"{commit.given} ({commit.label}) cannot be tracked: {error}; give another commit"
                + ("" if self.environment.foreign else ", or leave out --here")
            ) from error
        return self.workers[role]

    def shuffled(self) -> list[Role]:
        """The roles in random order."""
        return self.order.sample(ROLES, len(ROLES))


class Bench:
    """Gates and samples cells; what it learnt of the commits on small problems it keeps from round to round.

    budget: seconds that one execution may take in A; see MORE.
    """

    def __init__(self, budget: float, rule: Rule = RULE) -> None:
        self.budget, self.rule = budget, rule
        self._small: dict[tuple[object, ...], Verdict] = {}
        self._affordable: set[tuple[object, ...]] = set()

    def take(self, sides: Sides, backend: Backend, judge: Judge, known: bool = False) -> Sampled | Out:
        """One round of a cell, with the image and kernel that the judge has. known: others were measured before."""
        plans: dict[Role, Plan] = {}
        faults: dict[Role, Fault] = {}
        order = sides.shuffled()
        if not known and not self._affords(sides, "base", backend, judge.problem):
            order.sort(key=lambda role: role != "base")  # what A cannot afford could take long in the others
        for role in order:
            found = self._gated(sides, role, backend, judge, known)
            if isinstance(found, Plan):
                plans[role] = found
                continue
            faults[role] = found
            if role == "base" and found.status in ("skipped", "lost"):
                break
        if faults:
            return _out(faults, sides.commits)

        def fail(role: str, error: Exception) -> None:
            faults[role] = Fault("failed", f"raised {type(error).__name__}: {error}")  # type: ignore[index]

        calls: dict[str, Callable[[], object]] = {}
        for role, plan in plans.items():
            try:
                calls[role] = plan.timed(plan.load(judge.main.image))
            except ConvbenchError as error:  # the worker's, or of one that died
                fail(role, error)
        timings = sample(calls, self.rule, seed=sides.order.randrange(2**32), failed=fail)
        if faults:
            return _out(faults, sides.commits)
        return Sampled({role: timings[role].samples for role in ROLES})

    def _affords(self, sides: Sides, role: Role, backend: Backend, problem: Problem) -> bool:
        """Whether the budget was enough before."""
        return (sides.commits[role].tree, backend.name, problem) in self._affordable

    def _gated(self, sides: Sides, role: Role, backend: Backend, judge: Judge, known: bool) -> Plan | Fault:
        """A plan that nothing is wrong with, or why there is none."""
        tree, problem = sides.commits[role].tree, judge.problem
        budget = self.budget if role == "base" else MORE * self.budget
        if known or self._affords(sides, role, backend, problem):
            budget = math.inf

        def certify(backend: Backend, problem: Problem) -> Verdict:
            """As convbench.cell.certify, once for each commit."""
            where = (problem.ndim, problem.mode, problem.dtype, problem.device, problem.threads)
            key = (tree, backend.name, *where)
            if key not in self._small:
                ndim, mode, dtype, device, threads = where
                self._small[key] = check(backend, ndim, (mode,), (dtype,), device, threads)
            return self._small[key]

        try:
            subject = CommitBackend(backend, sides.worker(role))
        except ArgumentError as error:  # it could be started before; so it is this machine, not the commit
            return Fault("lost", str(error))
        cell, plan = gated(subject, problem, judge.main.kernel, budget, certify, judge)
        if plan is None:
            return Fault(cell.status, cell.reason or "")  # type: ignore[arg-type]  # ok has a plan
        self._affordable.add((tree, backend.name, problem))
        return plan


def _out(faults: Mapping[Role, Fault], commits: Mapping[Role, Commit]) -> Out:
    """Say in which commit a cell is wrong, or why it cannot be run; base and control are one commit."""
    statuses = {fault.status for fault in faults.values()}
    verdict: Literal["wrong", "no longer runs", "n/a"] = "n/a"
    if "failed" in statuses:
        verdict = "wrong"
    elif set(faults) == {"new"} and "lost" not in statuses:
        verdict = "no longer runs"
    told: dict[str, list[str]] = {}
    for role in ROLES:
        if role in faults and (verdict == "wrong") == (faults[role].status == "failed"):
            names = told.setdefault(faults[role].reason, [])
            names += {"B" if role == "new" else "A"} - set(names)
    labels = {"A": commits["base"].label, "B": commits["new"].label}
    where = {reason: " and ".join(f"{name} ({labels[name]})" for name in names) for reason, names in told.items()}
    reason = "; ".join(f"{verdict} in {place}: {reason}" for reason, place in where.items())
    return Out(verdict, reason, lasting=verdict == "n/a" and statuses == {"n/a"})
