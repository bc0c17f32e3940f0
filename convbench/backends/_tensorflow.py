"""TensorFlow's start: quiet, and with one thread, for it fixes the number for the process then."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

# What TensorFlow reads when it starts, where nothing else was said.
VARIABLES = {"intra": "TF_NUM_INTRAOP_THREADS", "inter": "TF_NUM_INTEROP_THREADS"}


@functools.cache
def start() -> Any:
    """The module tensorflow, running on one thread if it did not run before."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what it writes later
    with _silence():
        import tensorflow as tf

        one_thread(keep=True)
        tf.config.list_logical_devices()  # starts it
    return tf


def one_thread(keep: bool = False) -> bool:
    """Whether TensorFlow, if imported, runs on one thread, or can still be told to; keep: tell it."""
    if "tensorflow" not in sys.modules:
        return True
    threading = sys.modules["tensorflow"].config.threading
    for kind, variable in VARIABLES.items():
        change = getattr(threading, f"set_{kind}_op_parallelism_threads")
        before = getattr(threading, f"get_{kind}_op_parallelism_threads")()
        if before == 0 and os.environ.get(variable) == "1":
            continue
        try:
            change(1)
        except RuntimeError:  # it runs, with another number
            return False
        if not keep:
            change(before)
    return True


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing reaches stderr: while it starts, TensorFlow 2.21 writes there whatever its log level is."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
