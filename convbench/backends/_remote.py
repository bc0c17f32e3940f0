"""A library in a process of its own: another interpreter, or another environment, than this process has.

Requires a POSIX system. The other end is _remote_worker.py; docs/remote-workers.md describes what passes between them.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import select
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from convbench.errors import ConvbenchError, UnsupportedError
from convbench.problem import Array, Shape

PROTOCOL = 1
START_SECONDS = 120.0
"""Time to start an interpreter and import a library: 15 s are common where neither is in the disk's cache."""
CALL_SECONDS = 200.0
"""Time for a command, unless it is known to take long: less than a run waits for a process that measures."""
_EXIT_SECONDS = 2.0
_TAIL = 4096  # bytes kept of what the worker wrote to standard error last ...
_LINES = 8  # ... and lines of it that an error shows
_LONGEST = 2000  # characters of a library's own message


class RemoteError(ConvbenchError):
    """A worker answered with an error, or does not answer."""


@dataclass(frozen=True)
class Setup:
    """What makes two plans share a worker: interpreter, file of the library, and environment variables.

    foreign: the interpreter is not this one, so that variables which are meant for this one are kept from it.
    """

    python: str
    library: Path
    environment: tuple[tuple[str, str], ...] = ()
    foreign: bool = False

    def variables(self) -> dict[str, str]:
        hidden = ("PYTHONPATH", "PYTHONHOME") if self.foreign else ()
        return {k: v for k, v in os.environ.items() if k not in hidden} | dict(self.environment)


class Kept:
    """An object in the worker; it is dropped there some time after it is dropped here."""

    def __init__(self, worker: Worker, number: int) -> None:
        self.worker, self.number = worker, number

    def __del__(self) -> None:
        self.worker.garbage.append(self.number)


class Worker:
    """A running worker. Raises RemoteError if it cannot be started, UnsupportedError if its library says so."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.owner, self.lock = setup, os.getpid(), threading.RLock()
        self.garbage: list[int] = []
        self.received = self.tail = b""
        self.area, self.memory = _nameless_file(), mmap.mmap(-1, 1)
        script = Path(__file__).with_name("_remote_worker.py")
        try:
            self.process = subprocess.Popen(
                [setup.python, str(script), str(setup.library), str(self.area.fileno())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                pass_fds=[self.area.fileno()], env=setup.variables(),
                start_new_session=True,  # Ctrl-C is for this process, which then ends the worker
            )  # fmt: skip
        except OSError as error:
            self.area.close()
            raise RemoteError(f"{setup.python} cannot be run: {error}") from error
        try:
            found = self._exchange("hello", START_SECONDS, {})
            if found["protocol"] != PROTOCOL:
                raise RemoteError(f"the worker speaks protocol {found['protocol']}, this is {PROTOCOL}")
        except BaseException:
            self.end()
            raise
        self.versions: dict[str, str] = found["versions"]

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def send(self, do: str, array: Array, limit: float = CALL_SECONDS, **fields: Any) -> Kept:
        """A command that takes an array and makes an object."""
        self._check()
        with self.lock:
            room, place = self._room(array.shape, array.dtype)
            room[...] = array
            return Kept(self, self.ask(do, limit, array=place, **fields))

    def fetch(self, do: str, shape: Shape, dtype: str, limit: float = CALL_SECONDS, **fields: Any) -> Array:
        """A command that returns an array."""
        self._check()
        with self.lock:
            room, place = self._room(shape, np.dtype(dtype))
            self.ask(do, limit, array=place, **fields)
            return room.copy()

    def ask(self, do: str, limit: float = CALL_SECONDS, **fields: Any) -> Any:
        """The answer to a command; limit in seconds.

        Raises UnsupportedError if the library's answer is one, RemoteError for its other errors, and if there is no
        answer, after which this worker has ended.
        """
        self._check()
        with self.lock:
            numbers, self.garbage = self.garbage, []
            if numbers:
                self._exchange("drop", limit, {"numbers": numbers})
            return self._exchange(do, limit, fields)

    def bye(self) -> None:
        """Ask the worker to end, and see to it."""
        with contextlib.suppress(ConvbenchError):
            self.ask("bye", _EXIT_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_SECONDS)
        self.end()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Close this process's ends; a worker that runs ends by itself once every copy of them is closed."""
        for file in (self.process.stdin, self.process.stdout, self.process.stderr, self.area):
            if file:
                file.close()

    def _check(self) -> None:
        if not self.alive:
            ended = f"has ended (exit code {self.process.returncode}){self._last_words()}"
            why = ended if self.owner == os.getpid() else "belongs to the process that this one was forked from"
            raise RemoteError(f"the worker of this plan {why}; {self._advice('')}")

    def _room(self, shape: Shape, dtype: np.dtype[Any]) -> tuple[Array, dict[str, Any]]:
        """An array in the memory that both sides see, and how to tell the worker of it."""
        samples = math.prod(shape)
        size = samples * dtype.itemsize
        if len(self.memory) < size:
            try:
                if hasattr(os, "posix_fallocate"):  # so that a lack of room is an error here, and not a crash later
                    os.posix_fallocate(self.area.fileno(), 0, size)
                else:
                    os.ftruncate(self.area.fileno(), size)
            except OSError as error:
                raise RemoteError(f"no room for {size / 1e6:.0f} MB to be shared with the worker: {error}") from error
            self.memory = mmap.mmap(self.area.fileno(), size)
        return np.frombuffer(self.memory, dtype, samples).reshape(shape), {"shape": shape, "dtype": dtype.name}

    def _exchange(self, do: str, limit: float, fields: dict[str, Any]) -> Any:
        try:
            self._write(json.dumps({"do": do, **fields}).encode() + b"\n")
            answer = json.loads(self._line(do, limit))
        except BaseException as error:  # Ctrl-C too: what the worker answers later belongs to no command
            self.end()
            if isinstance(error, ValueError):
                raise RemoteError(f"{self.setup.python} does not answer as a worker does: {error}") from error
            raise
        if "error" in answer:
            kind, message = answer["error"]
            if kind == "UnsupportedError":
                raise UnsupportedError(message)
            raise RemoteError(f"{kind}: {message[-_LONGEST:]}")
        return answer["ok"]

    def _write(self, data: bytes) -> None:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either, and that is noticed
            while data:
                data = data[os.write(self.process.stdin.fileno(), data) :]

    def _line(self, do: str, limit: float) -> bytes:
        """The answer to a command; what the worker writes to standard error meanwhile is read as well."""
        assert self.process.stdout
        assert self.process.stderr
        answers, errors = self.process.stdout.fileno(), self.process.stderr.fileno()
        waiter = select.poll()
        waiter.register(answers, select.POLLIN)
        waiter.register(errors, select.POLLIN)
        until = time.monotonic() + limit
        while b"\n" not in self.received:
            ready = waiter.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ready:
                raise RemoteError(f"no answer to {do!r} for {limit:g} s{self._last_words()}; {self._advice(do)}")
            for file, _ in ready:
                said = os.read(file, 1 << 16)
                if file == answers:
                    self.received += said
                    if not said:
                        raise RemoteError(self._obituary(do))
                elif said:
                    self.tail = (self.tail + said)[-_TAIL:]
                else:
                    waiter.unregister(errors)
        line, _, self.received = self.received.partition(b"\n")
        return line

    def _obituary(self, do: str) -> str:
        assert self.process.stderr
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_SECONDS)
        os.set_blocking(self.process.stderr.fileno(), False)  # a child of the worker may hold the other end
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self.process.stderr.fileno(), 1 << 16):
                self.tail = (self.tail + said)[-_TAIL:]
        code = self.process.returncode
        return f"the worker ended (exit code {code}) at {do!r}{self._last_words()}; {self._advice(do)}"

    def _last_words(self) -> str:
        lines = self.tail.decode(errors="replace").strip().splitlines()[-_LINES:]
        return ", having written: " + " | ".join(lines) if lines else ""

    def _advice(self, do: str) -> str:
        if do == "hello":
            return f"import the library in {self.setup.python} to see more"
        return "make the plan anew, which starts another worker"


def _nameless_file() -> IO[bytes]:
    """An open file without a name, so that nothing can be left of it; in memory where the system allows."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("convbench"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
