"""Scratch memory with the FFTW plans bound to it, handed on from a plan that is gone to the next of the same geometry.

Only the kernel's transform differs between two such plans; the rest costs more than the convolution of a small image.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

MOST_BYTES = 48 << 20
"""Kept idle, all together; the longest idle go first."""


class Workspace(Protocol):
    @property
    def nbytes(self) -> int:
        """Bytes of its scratch memory."""


W = TypeVar("W", bound=Workspace)

_idle: OrderedDict[Hashable, list[Workspace]] = OrderedDict()
_lock = threading.Lock()


def lend(owner: object, key: Hashable, make: Callable[[], W]) -> W:
    """An idle workspace of that key or a new one; it is the owner's alone, and idle again when the owner is gone."""
    with _lock:
        idle = _idle.get(key)
        found = idle.pop() if idle else None
        if idle is not None and not idle:
            del _idle[key]
    workspace: W = found or make()  # type: ignore[assignment]
    weakref.finalize(owner, _give_back, key, workspace).atexit = False
    return workspace


def _give_back(key: Hashable, workspace: Workspace) -> None:
    with _lock:
        _idle.setdefault(key, []).append(workspace)
        _idle.move_to_end(key)
        while sum(w.nbytes for idle in _idle.values() for w in idle) > MOST_BYTES:
            oldest = next(iter(_idle))
            _idle[oldest].pop()
            if not _idle[oldest]:
                del _idle[oldest]
