"""Compiled functions on disk, in the user's cache folder: from the second process on, nothing is compiled.

A file's name is made of everything that the machine code depends on: these modules' source, the constants that the
function was made for, its argument types, numba and LLVM, Python and the processor. A file that is damaged, or that
this numba cannot read, is removed and made anew.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from convbench.errors import StorageError
from convbench.files import atomic_write, cache_folder

_SOURCES = ("_numba_cache.py", "_numba_kernels.py", "_numba_tile.py")
_DIGEST = hashlib.sha256


def inlined(function: Callable[..., None], name: str, *constants: int) -> Callable[..., None]:
    """numba.njit for a function that becomes part of those that call it, and whose closure holds these constants."""
    made: Callable[..., None] = numba.njit(nogil=True, inline="always")(_named(function, name, constants))
    return made


def cached(function: Callable[..., None], name: str, *constants: int) -> Callable[..., None]:
    """numba.njit without the interpreter lock, kept on disk; the name and the constants as for `inlined`."""
    made: Any = numba.njit(nogil=True)(_named(function, name, constants))
    made._cache = _Disk(function.__qualname__)
    return made  # type: ignore[no-any-return]


def _named(function: Callable[..., None], name: str, constants: tuple[int, ...]) -> Callable[..., None]:
    """With a qualified name of its own, of which numba makes symbols.

    Two of the same name, one compiled here and one read from disk, would be taken for each other.
    """
    function.__qualname__ = "_".join([name, *map(str, constants)])
    return function


@functools.cache
def _made_by() -> str:
    here = Path(__file__).parent
    code = b"".join((here / name).read_bytes() for name in _SOURCES)
    return repr((_DIGEST(code).hexdigest(), numba.__version__, llvmlite.__version__, platform.python_version()))


class _Disk(_Cache):
    """What numba asks of a cache; one file for each function and list of argument types."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = True

    @property
    def cache_path(self):
        return str(cache_folder() / "numba")

    def enable(self):
        self.enabled = True

    def disable(self):
        self.enabled = False

    def flush(self):
        for path in Path(self.cache_path).glob(f"{self.name}-*.bin"):
            path.unlink(missing_ok=True)

    def _path(self, sig, codegen):
        key = _DIGEST(repr((_made_by(), sig, codegen.magic_tuple())).encode()).hexdigest()
        return Path(self.cache_path) / f"{self.name}-{key[:24]}.bin"

    def load_overload(self, sig, target_context):
        """The compiled function, or None."""
        if not self.enabled:
            return None
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        try:
            data = path.read_bytes()
        except OSError:
            return None
        digest, payload = data[:32], data[32:]
        if _DIGEST(payload).digest() == digest:
            with contextlib.suppress(Exception):  # whatever is wrong with it, compiling is the cure
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def save_overload(self, sig, data):
        """Keep a compiled function; a folder that cannot be written costs the next process a compilation."""
        if not self.enabled:
            return
        payload: Any = dumps(data._reduce())
        with contextlib.suppress(StorageError):
            atomic_write(self._path(sig, data.codegen), _DIGEST(payload).digest() + payload)
