"""One cell of the suite: a backend on a problem, gated, then timed; and the cells of one problem side by side."""

from __future__ import annotations

import functools
import math
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.cuda.clock import Hot, clocks, settle
from convbench.cuda.facts import device
from convbench.cuda.faults import DeviceLostError, lost, out_of_memory
from convbench.errors import GateError, UnsupportedError
from convbench.gate import check
from convbench.judge import Judge
from convbench.measure import Rule, Timing, sample
from convbench.problem import Array, Problem
from convbench.verdict import Verdict

if TYPE_CHECKING:
    from convbench.cuda.stream import Stream

Status = Literal["ok", "failed", "n/a", "skipped"]
Progress = Callable[[int, int, str], None]
Certify = Callable[[Backend, Problem], Verdict]
Start = Callable[[Backend, Problem], float | None]
Key = tuple[str, str]  # a backend, and what of it is timed: TIMED, AGAIN, or a clock of cuda/clock.py
Twins = Callable[[dict[str, float]], Collection[str]]

# A probe image this many multiply-adds large takes some 10 ms with a slow direct method: cheap next to what it saves.
PROBE_TERMS = 2e7
PROBE_SECONDS = 0.1
# Methods whose cost grows with the kernel's area; the others are never slow enough to be worth a prediction.
GROWS_WITH_AREA = ("direct", "framework")
ONE_SHOT_SECONDS = 0.15
"""Time for repeating plan + execute, per cell."""
MOST_ONE_SHOTS = 5
TIMED, AGAIN = "", "again"


@dataclass(frozen=True)
class Cell:
    """What is known of a backend on a problem.

    status: ok (gated and timed), failed (wrong, or raised: never timed), n/a (cannot run), skipped (over the budget).
    Seconds and bytes; execute and one_shot are per call. again: the second half of an A/A pair, another plan.
    clocks: on a device, the same by other clocks: cold, wall, graph (see cuda/clock.py); unclocked: why one is missing.
    clock: who told the time, the device's own events or the host. device_state: its clocks, power and temperature when
    its last sample had been taken.
    startup_seconds: from nothing to a first result on a tiny problem, see coldstart: importing and compiling.
    first_plan_seconds, first_execute_seconds: of this problem, the library loaded. error_ulp: see Verdict.
    """

    backend: str
    family: str
    problem: Problem
    status: Status
    reason: str | None = None
    error_over_bound: float | None = None
    error_ulp: float | None = None
    worst_index: tuple[int, ...] | None = None
    input_sha256: str | None = None
    checks: int = 0
    execute: Timing | None = None
    again: Timing | None = None
    clocks: Mapping[str, Timing] = field(default_factory=dict)
    unclocked: Mapping[str, str] = field(default_factory=dict)
    clock: str = "host"
    device_state: Mapping[str, Any] = field(default_factory=dict)
    one_shot: Timing | None = None
    plan: Timing | None = None
    startup_seconds: float | None = None
    first_plan_seconds: float | None = None
    first_execute_seconds: float | None = None
    load_seconds: float | None = None
    store_seconds: float | None = None
    peak_memory_bytes: int | None = None

    @property
    def plan_seconds(self) -> float | None:
        return self.plan.median if self.plan else None


@functools.cache
def _certified(backend: Backend, ndim: int, mode: str, dtype: str, device: str, threads: int) -> Verdict:
    return check(backend, ndim=ndim, modes=(mode,), dtypes=(dtype,), device=device, threads=threads)


def certify(backend: Backend, problem: Problem) -> Verdict:
    """The verdict on small problems of this dtype, mode, device and thread count; once per process."""
    return _certified(backend, problem.ndim, problem.mode, problem.dtype, problem.device, problem.threads)


def measure_cells(
    problem: Problem,
    backends: Iterable[Backend],
    image: Array,
    kernel: Array,
    *,
    budget: float = 10.0,
    rule: Rule | None = None,
    certify: Certify = certify,
    zero_mean: bool = False,
    once: bool = True,
    start: Start | None = None,
    twins: Twins | None = None,
    progress: Progress | None = None,
) -> list[Cell]:
    """Gate every backend on this problem and time those that are right, side by side in random order.

    budget: seconds that one execution may take; infinite: nothing is predicted. zero_mean: image is zero-mean random
    data (a sharper checksum bound). once: also find what is done once: one-shots, transfers, memory. start: how long a
    cold start takes.
    twins: given the backends that will be timed, with the seconds of their first execution, those to be A/A pairs.
    Returns one Cell per backend, in the order given; a backend that raises becomes a failed cell, never an exception.
    """
    chosen = list(backends)
    total = 2 * len(chosen)
    judge = Judge(problem, kernel, image, zero_mean=zero_mean)
    cells: dict[str, Cell] = {}
    plans: dict[Key, Plan] = {}
    for number, backend in enumerate(chosen):
        if progress:
            progress(number, total, f"gate {backend.name}")
        cells[backend.name], plan = gated(backend, problem, kernel, budget, certify, judge)
        if plan is not None:
            plans[backend.name, TIMED] = plan
    doubled = twins({name: cells[name].first_execute_seconds or 0.0 for name, _ in plans}) if twins else ()
    for backend in chosen:
        if (backend.name, TIMED) in plans and backend.name in doubled:
            if progress:
                progress(len(chosen), total, f"gate {backend.name}")
            twin, plan = gated(backend, problem, kernel, math.inf, certify, judge)
            if plan is None:
                cells[backend.name] = twin
                del plans[backend.name, TIMED]
            else:
                plans[backend.name, AGAIN] = plan
    finished = [len(chosen)]

    def fail(key: Key, error: Exception) -> None:
        cells[key[0]] = _fallen(cells[key[0]], error)
        plans.pop((key[0], TIMED), None)

    def advance(key: Key) -> None:
        finished[0] += key[1] == TIMED
        if progress:
            progress(finished[0], total, f"timed {key[0]}")

    calls: dict[Key, Callable[[], object]] = {}
    for key, plan in list(plans.items()):
        try:
            call = plan.timed(plan.load(image))
            if isinstance(call, Hot):
                if not calls:
                    settle(call)
                if once and key[1] == TIMED:
                    found, missing = clocks(call, plan.store)
                    calls |= {(key[0], what): clock for what, clock in found.items()}
                    cells[key[0]] = replace(cells[key[0]], unclocked=missing, clock=call.stream.clock)
            calls[key] = call
        except Exception as error:
            fail(key, error)
    timings = sample(calls, rule, done=advance, failed=fail)
    there = device(problem.device) if calls and problem.device != "cpu" else None
    calls.clear()  # what a plan holds passes on to the next one, once the plan is gone
    for backend in chosen:
        plans.pop((backend.name, AGAIN), None)
        if (backend.name, TIMED) in plans:
            plan = plans.pop((backend.name, TIMED))
            try:
                own = {what: timing for (name, what), timing in timings.items() if name == backend.name}
                cell = replace(cells[backend.name], execute=own.pop(TIMED), again=own.pop(AGAIN, None), clocks=own)
                cell = replace(cell, device_state=there.state if there else {})
                if once:
                    cell = replace(cell, **_transfers(plan, image))
                stream = plan.stream
                del plan
                cells[backend.name] = (
                    replace(cell, **_one_shots(backend, problem, image, kernel, stream)) if once else cell
                )
                if start:
                    cells[backend.name] = replace(cells[backend.name], startup_seconds=start(backend, problem))
            except Exception as error:
                fail((backend.name, TIMED), error)
    if progress:
        progress(total, total, "done")
    return [cells[backend.name] for backend in chosen]


def gated(
    backend: Backend, problem: Problem, kernel: Array, budget: float, certify: Certify, judge: Judge
) -> tuple[Cell, Plan | None]:
    """Judge a backend on this very problem; the plan is returned only if nothing was wrong."""
    cell = Cell(backend.name, backend.family, problem, "n/a")
    reason = backend.unsupported(problem)
    if reason:
        return replace(cell, reason=reason), None
    try:
        expected = _predict(backend, problem, kernel) if budget < math.inf else 0.0
        if expected > budget:
            why = f"over the time budget: {expected:.2g} s predicted from a smaller image, budget {budget:g} s"
            return replace(cell, status="skipped", reason=why), None
        start = time.perf_counter()
        plan = backend.plan(problem, kernel)
        planned = time.perf_counter() - start
        data = plan.load(judge.main.image)
        start = time.perf_counter()
        plan.execute(data)
        plan.wait()
        executed = time.perf_counter() - start
        del data
        small = certify(backend, problem)
        if small.failures:
            raise GateError(str(small.failures[0]))
        verdict = judge.judge(plan, backend)
        cell = replace(
            cell,
            error_over_bound=max(verdict.worst, small.worst),
            worst_index=verdict.worst_index,
            input_sha256=verdict.input_sha256,
            checks=verdict.checks + small.checks,
            error_ulp=verdict.ulp,
        )
        if verdict.failures:
            raise GateError(str(verdict.failures[0]))
    except UnsupportedError as unsupported:
        return replace(cell, reason=str(unsupported)), None
    except GateError as wrong:
        return replace(cell, status="failed", reason=f"gate: {wrong}"), None
    except Exception as error:  # one backend's crash must not cost the others their cells
        return _fallen(cell, error), None
    return replace(cell, status="ok", first_plan_seconds=planned, first_execute_seconds=executed), plan


def _fallen(cell: Cell, error: Exception) -> Cell:
    """What becomes of a cell that raised; a device without room for it makes it n/a.

    Raises DeviceLostError where nothing more can be done on its device in this process.
    """
    problem = cell.problem
    if problem.device != "cpu":
        if lost(error):
            raise DeviceLostError(f"{problem.device} was lost: {_raised(error)}") from error
        if out_of_memory(error):
            own, known = problem.least_bytes / 2**20, device(problem.device)
            free = f", of which {known.free_bytes / 2**20:.0f} MiB are free" if known and known.free_bytes else ""
            why = f"out of memory on {problem.device}{free}; image, kernel and result alone take {own:.0f} MiB"
            return replace(cell, status="n/a", reason=why)
    return replace(cell, status="failed", reason=_raised(error))


def _raised(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"raised {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"


def _predict(backend: Backend, problem: Problem, kernel: Array) -> float:
    """Seconds that one execution will take, extrapolated from a smaller image with the same kernel; 0 if surely few."""
    if backend.family not in GROWS_WITH_AREA:
        return 0.0
    work = float(math.prod(problem.kernel_shape)) * math.prod(problem.output_shape)
    if work < 10 * PROBE_TERMS:
        return 0.0
    # As large as the kernel at least: some methods skip what falls outside the image, others do not.
    shrink = (PROBE_TERMS / work) ** (1 / problem.ndim)
    shape = tuple(
        min(n, max(k, round(n * shrink))) for n, k in zip(problem.image_shape, problem.kernel_shape, strict=True)
    )
    probe = replace(problem, image_shape=shape)
    plan = backend.plan(probe, kernel)
    data = plan.load(probe.image())
    spent: list[float] = []
    while len(spent) < 2 or (len(spent) < 5 and sum(spent) < PROBE_SECONDS):  # the least of some: one call may be cold
        start = time.perf_counter()
        plan.execute(data)
        plan.wait()
        spent.append(time.perf_counter() - start)
    return min(spent) * math.prod(problem.output_shape) / math.prod(probe.output_shape)


def _transfers(plan: Plan, image: Array) -> dict[str, Any]:
    """Seconds of load and store, medians of 5: on the host they should be views."""
    result = plan.execute(plan.load(image))
    plan.wait()
    times: dict[str, list[float]] = {"load_seconds": [], "store_seconds": []}
    for _ in range(5):
        for name, step, argument in (("load_seconds", plan.load, image), ("store_seconds", plan.store, result)):
            start = time.perf_counter()
            step(argument)
            plan.wait()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def _one_shots(
    backend: Backend, problem: Problem, image: Array, kernel: Array, stream: Stream | None
) -> dict[str, Any]:
    """Plan and plan + execute, repeated with warm caches; and the memory that one of them needs, on its device.

    These are times as seen from here: with a remote backend, what passes between the processes is part of them.
    """
    planned: list[float] = []
    whole: list[float] = []

    def one_shot() -> object:
        start = time.perf_counter()
        plan = backend.plan(problem, kernel)
        data = plan.load(image)
        middle = time.perf_counter()
        result = plan.execute(data)
        plan.wait()
        end = time.perf_counter()
        planned.append(middle - start)
        whole.append(end - start)
        return plan, data, result

    memory = None
    if not backend.remote:
        memory = stream.peak_memory(one_shot) if stream else peak_memory(one_shot)
    while len(whole) < MOST_ONE_SHOTS and (sum(whole) < ONE_SHOT_SECONDS or len(whole) < 2):
        one_shot()
    stopped = f"{len(whole)} one-shots"
    return {
        "plan": Timing(tuple(planned), 1, stopped),
        "one_shot": Timing(tuple(whole), 1, stopped),
        "peak_memory_bytes": memory,
    }


def peak_memory(call: Callable[[], object]) -> int | None:
    """Bytes by which a call raises the process's resident memory at its peak; None where Linux's /proc is missing."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not sys.platform.startswith("linux") or not reset.exists():
        return None
    trim()

    def read(field: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024

    try:
        reset.write_text("5")  # sets the high-water mark to what is resident now
        before = read("VmRSS")
        kept = call()
        peak = read("VmHWM")
    except (OSError, StopIteration):
        return None
    del kept
    return max(0, peak - before)


def trim() -> None:
    """Give free heap memory back to the system, so that reusing it counts."""
    import ctypes

    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return
