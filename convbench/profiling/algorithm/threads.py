"""How many threads did the work, and which pools of threads there are."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convbench.backends._remote_plan import RemotePlan
from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.missing import Missing
from convbench.report.words import percent

THREADS, POOLS = "threads that worked", "thread pools"
_PROC = Path("/proc")
_SECONDS = 0.3
"""Of executions that are watched: thirty ticks of the system's clock, where it counts no finer."""
_IDLE = 0.02
"""A thread that worked for a smaller share of the time was only woken."""


@dataclass(frozen=True)
class Worked:
    """A thread of the system: its name, and seconds on a processor."""

    name: str
    seconds: float


def processor_seconds(process: int) -> dict[int, Worked]:
    """Of every thread of a process, by its number; raises psutil.Error where the system does not tell."""
    tasks = _PROC / str(process) / "task"
    if not tasks.is_dir():
        import psutil

        threads = psutil.Process(process).threads()
        return {thread.id: Worked("thread", thread.user_time + thread.system_time) for thread in threads}
    found = {}
    for task in tasks.iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found[int(task.name)] = Worked((task / "comm").read_text().strip(), _on_processor(task))
    return found


def _on_processor(task: Path) -> float:
    """In nanoseconds where the kernel keeps statistics of its scheduler, else in ticks; see proc(5)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        nanoseconds = int((task / "schedstat").read_text().split()[0])
        if nanoseconds:
            return nanoseconds / 1e9
    user, system = (task / "stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def of_system(case: Case) -> Iterator[Fact]:
    """Threads that were on a processor during executions, and how busy that kept the cores."""
    remote = isinstance(case.plan, RemotePlan)
    process = case.plan.worker.process.pid if isinstance(case.plan, RemotePlan) else os.getpid()
    before = processor_seconds(process)
    start = time.perf_counter()
    count = case.execute(_SECONDS)
    taken = time.perf_counter() - start
    after = processor_seconds(process)
    spent = [(now.seconds - (before[n].seconds if n in before else 0.0), now.name) for n, now in after.items()]
    busy = sorted(((seconds / taken, name) for seconds, name in spent if seconds > _IDLE * taken), reverse=True)
    cores, asked = sum(seconds for seconds, _ in spent) / taken, case.subject.problem.threads
    value = f"{len(busy)} of {len(after)}, {cores:.2f} cores busy; asked for {asked}"
    details = tuple(
        f"{name}: on a processor {percent(share)} of the time of {count} executions" for share, name in busy
    )
    yield Fact(THREADS, value, "processor time of each thread" + " of the worker" * remote, details)


def of_pools(case: Case) -> Iterator[Fact | Missing]:
    """The pools that threadpoolctl finds; that one is there does not mean that it worked."""
    if isinstance(case.plan, RemotePlan):
        yield Missing(POOLS, "threadpoolctl sees this process only, and the library runs in a worker")
        return
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    names = dict.fromkeys(f"{pool['internal_api']} ({pool['num_threads']})" for pool in pools)
    details = tuple(dict.fromkeys(map(_described, pools)))
    yield Fact(POOLS, ", ".join(names) or "none", "threadpoolctl, of all that this process has loaded", details)


def _described(pool: dict[str, object]) -> str:
    more = (
        f"{key.replace('_', ' ')} {pool[key]}"
        for key in ("version", "architecture", "threading_layer")
        if pool.get(key)
    )
    return ", ".join((f"{pool['prefix']}: {pool['user_api']}, {pool['num_threads']} threads", *more))
