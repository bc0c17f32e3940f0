"""A process that does nothing but execute one plan again and again, for tools that watch a process from outside.

    python -m convbench.profiling.workload FOLDER SECONDS

FOLDER holds what `prepare` wrote. The process plans, loads and warms up, prints "ready PID", then executes for SECONDS
and prints "done N", N executions.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convbench.backends import get_backend
from convbench.backends.base import Plan
from convbench.problem import Problem
from convbench.processes import keep_libraries_quiet
from convbench.profiling.child import piped
from convbench.profiling.subject import Subject

WARM_UP = 0.1  # seconds


def prepare(subject: Subject, folder: Path) -> None:
    """Write what the process needs into a folder."""
    wide = np.complex128 if subject.problem.is_complex else np.float64  # .npy has no bfloat16
    np.save(folder / "image.npy", subject.image.astype(wide))
    np.save(folder / "kernel.npy", subject.kernel.astype(wide))
    told = {"backend": subject.backend.name, "problem": dataclasses.asdict(subject.problem)}
    (folder / "subject.json").write_text(json.dumps(told), encoding="utf-8")


def read(folder: Path) -> Subject:
    """What `prepare` wrote."""
    told = json.loads((folder / "subject.json").read_text(encoding="utf-8"))
    shapes = {key: tuple(told["problem"][key]) for key in ("image_shape", "kernel_shape")}
    problem = Problem(**told["problem"] | shapes)
    image, kernel = (np.load(folder / name).astype(problem.dtype) for name in ("image.npy", "kernel.npy"))
    return Subject(get_backend(told["backend"]), problem, image, kernel)


def command(folder: Path, seconds: float) -> list[str]:
    """What starts the process."""
    return [sys.executable, "-m", "convbench.profiling.workload", str(folder), f"{seconds:g}"]


def start(folder: Path, seconds: float, environment: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    """The process, its output piped. environment: added to this process's."""
    return piped(command(folder, seconds), environment)


def main(folder: Path, seconds: float) -> int:
    """Say ready, execute for so long, at least once; returns how often."""
    _arrange_with_linux()
    subject = read(folder)
    plan = subject.plan()
    data = plan.load(subject.image)
    repeat(plan, data, WARM_UP)
    print("ready", os.getpid(), flush=True)
    return execute_repeatedly(plan, data, seconds)


def _arrange_with_linux() -> None:
    """Any process may look into this one, not only those that started it (kernel.yama.ptrace_scope is 1 on many
    systems), and this one ends with its parent, even if that is killed: man 2 PR_SET_PTRACER, PR_SET_PDEATHSIG.

    A kernel that knows nothing of the first refuses, which does no harm.
    """
    if sys.platform.startswith("linux"):
        set_ptracer, by_anyone, set_parent_death_signal = 0x59616D61, ctypes.c_ulong(-1), 1
        prctl = ctypes.CDLL(None).prctl
        prctl(set_ptracer, by_anyone)
        prctl(set_parent_death_signal, signal.SIGKILL)


def execute_repeatedly(plan: Plan, data: Any, seconds: float) -> int:
    """`repeat`, under a name by which tools that see the stack know that the plan was ready."""
    return repeat(plan, data, seconds)


def repeat(plan: Plan, data: Any, seconds: float) -> int:
    """Execute for so long, at least once; returns how often."""
    count, end = 0, time.perf_counter() + seconds
    while not count or time.perf_counter() < end:
        plan.execute(data)
        plan.wait()
        count += 1
    return count


if __name__ == "__main__":
    keep_libraries_quiet()
    print("done", main(Path(sys.argv[1]), float(sys.argv[2])), flush=True)
