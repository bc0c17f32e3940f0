"""The worker's side of a library for tests: convolves in plain NumPy, and misbehaves on demand."""

import os
import signal
import sys
import time

import numpy

print("printed on import")


class UnsupportedError(Exception):
    pass


def versions():
    act(os.environ.get("REMOTE_LIBRARY_START"))
    return {"numpy": numpy.__version__}


def plan(task, kernel):
    calls = []

    def execute(image):
        act(task.get("act"))
        calls.append(1)
        return len(calls) * image if task.get("counts") else convolved(image, kernel, task["padding"])

    return numpy.copy, execute, numpy.asarray


def act(what):
    if what == "print":
        print("x" * 300000)
        os.system("echo from a child")
        os.write(1, b"from below\n")
    elif what == "raise":
        raise ValueError("no such luck, in two\nlines")
    elif what == "refuse":
        raise UnsupportedError("not on a Tuesday")
    elif what == "exit":
        sys.exit("had enough")
    elif what == "die":
        sys.stderr.write("a word\n" * 20 + "the last word\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        time.sleep(600)


def convolved(image, kernel, padding):
    padded = numpy.pad(image, padding, "constant")
    sizes = [n - k + 1 for n, k in zip(padded.shape, kernel.shape)]  # noqa: B905
    found = numpy.zeros(sizes, image.dtype)
    for at in numpy.ndindex(*kernel.shape):
        window = tuple(slice(i, i + n) for i, n in zip(at, sizes))  # noqa: B905
        found += padded[window] * kernel[tuple(-1 - i for i in at)]
    return found
