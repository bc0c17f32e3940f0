"""A process that is watched from outside: what it prints, with a time limit, and its end with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from convbench.errors import ConvbenchError
from convbench.processes import QUIET

LIMIT = 180.0
"""Seconds that a process may need to plan and to warm up, and beyond its time for the last execution."""
LINES = 6  # of what a process said last


class ChildError(ConvbenchError):
    """A process that was to execute died, hangs, or said something else."""


class HungError(ChildError):
    """It was not done in time."""


def piped(command: Sequence[str], environment: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    """A process whose output can be read, with libraries that keep quiet. environment: added to this process's."""
    surroundings = {**QUIET, **os.environ, **environment}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=surroundings)


class Child:
    """A process whose output is read with a time limit; at the end it is killed, with all that it started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.late = False
        self.said: deque[str] = deque(maxlen=LINES)
        self.reader = threading.Thread(target=self._read_errors, daemon=True)  # a full pipe would stop it
        self.reader.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def lines(self, limit: float = LIMIT) -> Iterator[str]:
        """What it prints until it ends. Raises ChildError if it does not end within so many seconds, or not well."""
        timer = threading.Timer(limit, self._time_out)
        timer.start()
        try:
            for line in self.process.stdout or ():  # noqa: UP028  it would close the pipe
                yield line
            code = self.process.wait()
        finally:
            timer.cancel()
        if code or self.late:
            raise (HungError if self.late else ChildError)(self.obituary(limit))

    def expect(self, word: str, limit: float = LIMIT) -> str:
        """What follows that word at the beginning of a line. Raises ChildError if that does not come in time."""
        for line in self.lines(limit):
            if line.startswith(f"{word} "):
                return line.removeprefix(word).strip()
        raise ChildError(f"the process ended without {word!r}{self.last_words()}")

    def last_words(self) -> str:
        """What it wrote to standard error last, to be put after a sentence."""
        self.reader.join(1.0)  # one that it started may hold the other end
        return last_lines(self.said)

    def obituary(self, limit: float) -> str:
        code = self.process.returncode
        if self.late:
            return f"the process was not done after {limit:g} s, and was ended{self.last_words()}"
        how = f"was killed by signal {-code}" if code < 0 else f"failed with exit status {code}"
        return f"the process {how}{self.last_words()}"

    def descendants(self) -> list[int]:
        """Processes that it started, such as a backend's that works in one of its own."""
        import psutil

        with contextlib.suppress(psutil.Error):
            return [one.pid for one in psutil.Process(self.process.pid).children(recursive=True)]
        return []

    def end(self) -> None:
        for pid in self.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def _time_out(self) -> None:
        self.late = True
        self.end()

    def _read_errors(self) -> None:
        self.said.extend(line.strip() for line in self.process.stderr or () if line.strip())


def last_lines(said: Iterable[str]) -> str:
    """The last of what a process said, to be put after a sentence."""
    lines = [line.strip() for line in said if line.strip()][-LINES:]
    return f", having written: {' | '.join(lines)}" if lines else ""
