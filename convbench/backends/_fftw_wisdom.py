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
from pathlib import Path

from convbench.errors import StorageError
from convbench.files import atomic_write, cache_folder

_SECONDS = 5.0  # to wait for another process that writes; then this run's wisdom is not kept
_loaded: dict[Path, tuple[int, ...]] = {}


def wisdom_file() -> Path:
    """Where the wisdom of this processor and FFTW version is kept."""
    return cache_folder() / f"fftw-{_maker()}.wisdom"


def load() -> None:
    """Import the file, unless this process has and it is unchanged since."""
    import pyfftw

    path = wisdom_file()
    with contextlib.suppress(OSError):
        state = path.stat()
        version = (state.st_mtime_ns, state.st_size, state.st_ino)
        if _loaded.get(path) != version:
            checksum, _, body = path.read_bytes().partition(b"\n")
            if checksum == _checksum(body):
                pyfftw.import_wisdom(tuple(body.split(b"\0")))  # double, single, long double
            _loaded[path] = version


def save() -> None:
    """Add what this process knows to the file; merge with what other processes wrote meanwhile."""
    import filelock
    import pyfftw

    path = wisdom_file()
    with contextlib.suppress(OSError, StorageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock"), timeout=_SECONDS):
            load()
            body = b"\0".join(pyfftw.export_wisdom())
            atomic_write(path, _checksum(body) + b"\n" + body)


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
