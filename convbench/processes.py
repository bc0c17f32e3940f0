"""The same cells measured in several processes, side by side in each: where memory and code lie differs."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType

from convbench.backends import get_backend
from convbench.backends.base import Backend
from convbench.cell import Cell, measure_cells
from convbench.measure import Rule
from convbench.problem import Problem

QUIET = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "passive",
    "KINETO_LOG_LEVEL": "99",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS": "0",
}
"""Environment of a process that measures: libraries keep to the threads they are told; idle threads do not spin, which
would slow down whichever backend is sampled next; torch's profiler tells the terminal nothing; JAX leaves the others
memory on the device; numba does not warn of small grids."""


class Processes:
    """Spawned processes that stay, each to measure every group that is asked for; a context manager.

    budget: seconds that one execution may take. rule: of one process.
    """

    def __init__(self, count: int, rule: Rule, budget: float) -> None:
        self.rule, self.budget = rule, budget
        self.context = multiprocessing.get_context("spawn")  # frameworks have threads, which a fork would lose
        self.pools = [self._pool() for _ in range(count)]

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, self.context, _begin)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pool in self.pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def measure(self, problem: Problem, backends: Sequence[Backend]) -> list[Cell]:
        """A cell of each backend from the first process, then one from each further process of those that are ok.

        A backend that ends its process is a failed cell; the others are then measured one by one.
        """
        found: list[Cell] = []
        left = [backend.name for backend in backends]
        for number in range(len(self.pools)):
            cells = self._in_process(number, problem, left)
            found += cells
            left = [cell.backend for cell in cells if cell.status == "ok"]
            if not left:
                break
        return found

    def _in_process(self, number: int, problem: Problem, names: list[str]) -> list[Cell]:
        try:
            return self.pools[number].submit(_measure, problem, names, self.rule, self.budget).result()
        except BrokenProcessPool:
            self.pools[number] = self._pool()
            if len(names) == 1:
                why = "the process died while this backend was running"
                return [Cell(names[0], get_backend(names[0]).family, problem, "failed", why)]
            return [cell for name in names for cell in self._in_process(number, problem, [name])]


def keep_libraries_quiet() -> None:
    """For a process that measures: what QUIET says, where the user says nothing else."""
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)


def _begin() -> None:
    keep_libraries_quiet()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks


def _measure(problem: Problem, names: list[str], rule: Rule, budget: float) -> list[Cell]:
    backends, image, kernel = (
        [get_backend(n) for n in names],
        problem.image(),
        problem.kernel(separable=problem.ndim > 1),
    )
    return measure_cells(problem, backends, image, kernel, budget=budget, rule=rule, zero_mean=True, once=False)
