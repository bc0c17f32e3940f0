"""FFTW wisdom (which of its algorithms were quickest here), kept between runs: the second plan of a kind is instant.

One file in the user's cache folder a processor model and FFTW version. It only ever helps: a missing, damaged or
foreign file, or a folder that cannot be written, costs planning time and nothing else. FFTW can turn damaged wisdom
into plans that compute nonsense, so nothing is imported that does not carry its checksum.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from convbench.errors import StorageError
from convbench.files import atomic_write
from convbench.problem import Array

EFFORT = "FFTW_MEASURE"  # patient planning takes ten times as long and gains 5 to 10 %
_SECONDS = 5.0  # to wait for another process that writes; then this run's wisdom is not kept
_known: dict[Path, tuple[int, int, int]] = {}


def wisdom_file() -> Path:
    """Where the wisdom of this processor and FFTW version is kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("convbench", appauthor=False)) / f"fftw-{_maker()}.wisdom"


@contextlib.contextmanager
def planning() -> Iterator[Callable[..., Any]]:
    """Yields a stand-in for pyfftw.FFTW that knows what other runs learnt; what it learns is kept for them."""
    import filelock
    import pyfftw

    learnt = False

    def fft(source: Array, target: Array, axes: tuple[int, ...], inverse: bool = False, threads: int = 1) -> Any:
        nonlocal learnt
        make = functools.partial(
            pyfftw.FFTW, source, target, axes, "FFTW_BACKWARD" if inverse else "FFTW_FORWARD", threads=threads
        )
        try:
            return make(flags=(EFFORT, "FFTW_WISDOM_ONLY"))
        except RuntimeError:
            learnt = EFFORT != "FFTW_ESTIMATE"
            return make(flags=(EFFORT,))

    path = wisdom_file()
    _learn(path)
    yield fft
    if learnt:
        with contextlib.suppress(OSError, StorageError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(path.with_suffix(".lock"), timeout=_SECONDS):
                _learn(path)  # what another process wrote meanwhile: merge, never lose
                body = b"\0".join(pyfftw.export_wisdom())
                atomic_write(path, _checksum(body) + b"\n" + body)


def _learn(path: Path) -> None:
    """Import what is in the file, unless it is the same as last time."""
    import pyfftw

    try:
        state = path.stat()
        version = (state.st_mtime_ns, state.st_size, state.st_ino)
        if _known.get(path) == version:
            return
        checksum, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return
    if checksum == _checksum(body):
        pyfftw.import_wisdom(tuple(body.split(b"\0")))  # double, single, long double
    _known[path] = version


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


@functools.cache
def _maker() -> str:
    """Short name of what the wisdom holds for: another processor's best algorithm need not be this one's."""
    import pyfftw

    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line for line in lines if line.startswith("model name")), processor)
    return hashlib.sha256(f"{platform.machine()} {processor} {pyfftw.fftw_version}".encode()).hexdigest()[:12]
