"""The workers of this process: one for each setup, started when first needed, kept, ended with this process."""

from __future__ import annotations

import atexit
import os
import threading

from convbench.backends._remote import Setup, Worker
from convbench.errors import ConvbenchError, UnsupportedError

_workers: dict[Setup, Worker] = {}
_refused: dict[Setup, str] = {}
_starting = threading.Lock()


def worker_for(setup: Setup) -> Worker:
    """The worker of a setup, started unless it runs.

    Raises UnsupportedError if it cannot be started; that is not tried again in this process.
    """
    with _starting:
        worker = _workers.get(setup)
        if worker is not None and worker.alive:
            return worker
        if setup in _refused:
            raise UnsupportedError(_refused[setup])
        if worker is not None:
            worker.end()
        try:
            worker = _workers[setup] = Worker(setup)
        except ConvbenchError as error:
            _refused[setup] = str(error)
            raise UnsupportedError(str(error)) from error
        return worker


def end_workers() -> None:
    """End all workers of this process; a plan made later starts new ones."""
    for worker in _workers.values():
        worker.bye()
    _workers.clear()


def _after_fork() -> None:
    """A child neither uses its parent's workers nor keeps them alive by holding their pipes open."""
    global _starting
    _starting = threading.Lock()
    for worker in _workers.values():
        worker.close()
    _workers.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, where these backends do not run
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(end_workers)
