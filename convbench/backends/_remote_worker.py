# ruff: noqa: UP006, UP035 (Python 3.6 has no dict[str, int])
"""The far end of _remote.py: holds a library that convbench's own process cannot hold.

Requires Python 3.6 or newer on a POSIX system, NumPy and the library; imports nothing of convbench:

    python _remote_worker.py LIBRARY.py AREA

LIBRARY.py has `versions()` and `plan(task, kernel)`, AREA is the number of an open file through which arrays go.
Commands arrive on standard input and answers leave where standard output was, one JSON object a line; all that the
library prints goes to standard error. Ends when its parent does. docs/remote-workers.md describes the protocol.
"""

import importlib.util
import json
import mmap
import os
import select
import sys
import threading
import time
from typing import Any, Dict, List

PROTOCOL = 1


class Area:
    """A file that both sides map; it grows, and holds one array at a time, for the length of one command."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.memory: Any = None

    def array(self, shape: List[int], dtype: str) -> Any:
        """An array in the area, to be read or written before the answer is sent."""
        import numpy

        like = numpy.empty(0, dtype)
        samples = 1
        for length in shape:
            samples *= length
        if self.memory is None or len(self.memory) < samples * like.itemsize:
            self.memory = mmap.mmap(self.file, os.fstat(self.file).st_size)
        return numpy.frombuffer(self.memory, like.dtype, samples).reshape(shape)


class Commands:
    """A method for each command; what it returns is the answer. Objects that stay here are known by number."""

    def __init__(self, library: str, area: Area) -> None:
        self.path, self.area = library, area
        self.library: Any = None
        self.kept: Dict[int, Any] = {}
        self.count = 0

    def hello(self) -> Any:
        """Import the library."""
        spec = importlib.util.spec_from_file_location("convbench_remote_library", self.path)
        self.library = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
        spec.loader.exec_module(self.library)  # type: ignore[union-attr]
        python = ".".join(str(part) for part in sys.version_info[:3])
        return {"protocol": PROTOCOL, "python": python, "versions": self.library.versions()}

    def plan(self, task: Any, array: Any) -> int:
        return self._keep(self.library.plan(task, self.area.array(**array).copy()))

    def load(self, plan: int, array: Any) -> int:
        return self._keep(self.kept[plan][0](self.area.array(**array).copy()))

    def execute(self, plan: int, data: int) -> int:
        return self._keep(self.kept[plan][1](self.kept[data]))

    def time(self, plan: int, data: int, number: int) -> float:
        """Seconds of *number* executions; their results are dropped at once, as the sampler drops them."""
        call, given, repeats = self.kept[plan][1], self.kept[data], range(number)
        start = time.perf_counter()
        for _ in repeats:
            call(given)
        return time.perf_counter() - start

    def store(self, plan: int, result: int, array: Any) -> None:
        found, room = self.kept[plan][2](self.kept[result]), self.area.array(**array)
        if (found.shape, found.dtype) != (room.shape, room.dtype):
            wanted, got = ("%s of shape %s" % (a.dtype, a.shape) for a in (room, found))  # noqa: UP031
            raise ValueError("the result should be " + wanted + ", got " + got)
        room[...] = found

    def drop(self, numbers: List[int]) -> None:
        for number in numbers:
            del self.kept[number]

    def bye(self) -> None:
        self.kept.clear()

    def _keep(self, thing: Any) -> int:
        self.count += 1
        self.kept[self.count] = thing
        return self.count


def _end_with_parent(commands: int) -> None:
    """A library that hangs does not outlive the parent: wait for the other end of the pipe to be closed."""
    waiter = select.poll()
    waiter.register(commands, 0)
    waiter.poll()
    os._exit(1)


def main() -> None:
    library, area = os.path.abspath(sys.argv[1]), Area(int(sys.argv[2]))
    here = os.path.dirname(os.path.abspath(__file__))
    # Python put this folder first, where a backend's file could be taken for the library that it is named after.
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != here]
    commands, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(commands.fileno(),), daemon=True).start()
    known = Commands(library, area)
    answer: Dict[str, Any]
    for line in iter(commands.readline, ""):
        request = json.loads(line)
        wanted = request.pop("do")
        try:
            answer = {"ok": getattr(known, wanted)(**request)}
        except (Exception, SystemExit) as error:
            answer = {"error": [type(error).__name__, str(error)]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        if wanted == "bye":
            return


if __name__ == "__main__":
    main()
