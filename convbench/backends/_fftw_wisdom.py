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
from collections.abc import Iterator
from pathlib import Path

from convbench.errors import StorageError
from convbench.files import atomic_write

_SECONDS = 5.0  # to wait for another process that writes; then this run's wisdom is not kept


def wisdom_file() -> Path:
    """Where the wisdom of this processor and FFTW version is kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("convbench", appauthor=False)) / f"fftw-{_maker()}.wisdom"


@contextlib.contextmanager
def kept_wisdom() -> Iterator[None]:
    """Plan within: what other runs learnt is known, and what is learnt here is kept for them."""
    import filelock
    import pyfftw

    path = wisdom_file()
    _learn(path)
    before = pyfftw.export_wisdom()
    yield
    if pyfftw.export_wisdom() == before:
        return
    with contextlib.suppress(OSError, StorageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock"), timeout=_SECONDS):
            _learn(path)  # what another process wrote meanwhile: merge, never lose
            body = b"\0".join(pyfftw.export_wisdom())
            atomic_write(path, _checksum(body) + b"\n" + body)


def _learn(path: Path) -> None:
    import pyfftw

    try:
        checksum, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return
    if checksum == _checksum(body):
        pyfftw.import_wisdom(tuple(body.split(b"\0")))  # double, single, long double


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
