"""torch's operators and, on a device, the kernels that ran there: torch.profiler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.missing import Missing
from convbench.report.words import percent

KERNELS = "kernels on the device"
_MOST = 8
_SECONDS, _EXECUTIONS = 0.1, 100
"""Of executions that are watched, and how many those are at most: each leaves an event for every operator."""
_NOTHING = 0.005
"""Shares below this are not shown."""


def of_torch(case: Case) -> Iterator[Fact | Missing]:
    """Operators with their share of the host's time, and kernels with their share of the device's."""
    events, count = _events(case)
    told = [(e.key, e.self_cpu_time_total, e.count) for e in events if _on_host(e) and e.self_cpu_time_total > 0]
    yield _fact("torch's operators", "of self CPU time", told, count)
    if case.subject.problem.device != "cpu":
        yield _kernels(events, count)


def of_device(case: Case) -> Iterator[Fact | Missing]:
    """Kernels of any library: torch.profiler sees, through CUPTI, all that this process launches."""
    try:
        import torch
    except ModuleNotFoundError:
        torch = None
    if torch is None or torch.version.cuda is None:
        why = "kernels are watched through torch.profiler, which needs torch, built for CUDA"
        yield Missing(KERNELS, why, "install a CUDA build of torch, or run convbench under `nsys profile`")
        return
    yield _kernels(*_events(case))


def _events(case: Case) -> tuple[list[Any], int]:
    """torch.profiler's averages over some executions, and how many those were."""
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it writes to the terminal when it starts
    activities = [ProfilerActivity.CPU]
    if case.subject.problem.device != "cpu":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        count = case.execute(_SECONDS, _EXECUTIONS)
    return list(profiler.key_averages()), count


def _on_host(event: Any) -> bool:
    return str(event.device_type).endswith("CPU")


def _kernels(events: list[Any], count: int) -> Fact | Missing:
    told = [(e.key, e.self_device_time_total, e.count) for e in events if not _on_host(e)]
    if not told:
        return Missing(KERNELS, "torch.profiler saw none: CUPTI may be in use by another tool", "end the other tool")
    return _fact(KERNELS, "of the device's time", told, count)


def _fact(what: str, of_what: str, told: list[tuple[str, float, int]], count: int) -> Fact:
    """told: name, microseconds and calls."""
    total = sum(time for _, time, _ in told) or 1.0
    shares = sorted(((time / total, name, calls / count) for name, time, calls in told), reverse=True)
    shown = [one for one in shares if one[0] >= _NOTHING][:_MOST]
    value = ", ".join(f"{name} {percent(share)}" for share, name, _ in shown[:3])
    details = tuple(
        f"{name}: {percent(share)} {of_what}, {calls:.4g} calls an execution" for share, name, calls in shown
    )
    return Fact(what, value, "torch.profiler", details)
