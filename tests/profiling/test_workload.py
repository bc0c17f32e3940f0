"""The process that executes again and again ends with whoever watches it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from convbench.backends import get_backend
from convbench.problem import Problem
from convbench.profiling import workload
from convbench.profiling.subject import Subject

WATCH = """
import sys
from pathlib import Path
from convbench.profiling import workload
with workload.start(Path(sys.argv[1]), 60) as process:
    print(process.stdout.readline(), end="", flush=True)
    process.wait()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_it_does_not_outlive_one_that_is_killed(tmp_path: Path) -> None:
    problem = Problem((64,), (5,))
    workload.prepare(Subject(get_backend("numpy"), problem, problem.image(), problem.kernel()), tmp_path)
    with subprocess.Popen([sys.executable, "-c", WATCH, tmp_path], stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        said, pid = watcher.stdout.readline().split()
        assert said == "ready"
        executing = psutil.Process(int(pid))
        watcher.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while _executes(executing):
        assert time.monotonic() < end, "it still executes"
        time.sleep(0.1)


def _executes(process: psutil.Process) -> bool:
    """A zombie does not: in a container there may be nobody who reaps it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
