"""How long a backend takes from nothing to a first result, in a process of its own: importing, compiling, planning."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from dataclasses import replace

from convbench.backends import get_backend
from convbench.backends.base import Backend
from convbench.problem import Problem

TINY = 8
"""Length of the image that a backend starts on: next to no work."""
SECONDS = 120.0
"""Beyond this a start is given up, and not known."""


def cold_start(backend: Backend, problem: Problem) -> float | None:
    """Seconds that a fresh process takes for the first result of this dtype on a tiny image; None where it fails.

    Starting Python and importing NumPy are not counted. What compilers and FFTW keep on disk is used.
    """
    return _cold_start(backend.name, problem.ndim, problem.dtype, problem.device)


@functools.cache
def _cold_start(name: str, ndim: int, dtype: str, device: str) -> float | None:
    command = [sys.executable, "-m", "convbench.coldstart", name, str(ndim), dtype, device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
        return float(done.stdout.split()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def main() -> None:
    name, ndim, dtype, device = sys.argv[1:]
    problem = Problem((TINY,) * int(ndim), (3,) * int(ndim), dtype, "same", device)
    image, kernel = problem.image(), problem.kernel(separable=problem.ndim > 1)
    start = time.perf_counter()
    get_backend(name).plan(replace(problem), kernel)(image)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
