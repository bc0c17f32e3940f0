"""Files: written whole or not at all, read with errors that say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np

from convbench.errors import ArgumentError, ConvbenchError, StorageError
from convbench.problem import Array

_REMEDY = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f) or write elsewhere",
    errno.EROFS: "write to another folder",
    errno.EACCES: "change its permissions or write to another folder",
    errno.EPERM: "change its permissions or write to another folder",
    errno.EISDIR: "give the name of a file, not of a folder",
    errno.ENOTDIR: "a part of the path is a file; give another path",
    errno.EEXIST: "a part of the path is a file; give another path",
    errno.ENAMETOOLONG: "give a shorter name",
}


def cache_folder() -> Path:
    """The user's folder for what can be made again: compiled functions, FFTW wisdom."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("convbench", appauthor=False))


@contextlib.contextmanager
def locked(folder: Path, busy: str) -> Iterator[None]:
    """Hold a folder, made if it is missing, against other processes; busy: what to say where one holds it.

    Raises ConvbenchError with that, StorageError if the folder cannot be written.
    """
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ConvbenchError(busy) from None
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}; make it writable and run again") from error
    try:
        yield
    finally:
        lock.release()


def atomic_write(path: str | os.PathLike[str], data: bytes | str) -> Path:
    """Write the whole file or leave what was there: a temporary file in the same folder, then os.replace.

    data: bytes, or text written as UTF-8. Missing folders are made; a symbolic link keeps pointing at the file.
    Returns the path. Raises StorageError that names the path, the cause and what to do; the old file is then still
    there, and the temporary one is not.
    """
    path = Path(path)
    payload = data.encode() if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        if target.is_dir():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not os.access(target, os.W_OK):
            raise OSError(errno.EACCES, "the file is read-only")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _removed_on_failure(temporary), open(temporary, "xb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
            if target.exists():
                os.chmod(temporary, target.stat().st_mode & 0o7777)
            os.replace(temporary, target)
    except OSError as error:
        _cannot("write", path, error, "; what was there before is unchanged")
    return path


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # also Ctrl-C
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def read_bytes(what: str, path: str | os.PathLike[str]) -> bytes:
    """The whole file; *what* names it in errors.

    Raises ArgumentError where there is no such file or it is empty or a folder, StorageError where it cannot be read.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        here = str(Path.cwd())
        raise ArgumentError(f"{what} file not found: {str(path)!r} (looked from {here!r}); check the path") from None
    except IsADirectoryError:
        raise ArgumentError(f"{what} must be a file, got the folder {str(path)!r}; give a file in it") from None
    except ValueError as error:  # a null character in the name
        raise ArgumentError(f"{what} path {str(path)!r} is not a path: {error}") from None
    except OSError as error:
        _cannot("read", path, error)
    if not data:
        raise ArgumentError(f"{what} file {str(path)!r} is empty (0 bytes); write it again")
    return data


def read_npy(what: str, path: str | os.PathLike[str]) -> Array:
    """The array in a .npy file, never unpickled; *what* names it in errors.

    Raises ArgumentError where the file is missing, is no .npy file, is cut short, or holds Python objects.
    """
    import io

    data, name = read_bytes(what, path), f"{what} file {str(path)!r}"
    fix = "write it with numpy.save(path, array)"
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # a damaged header makes numpy raise errors of many kinds
        if "Object arrays" in str(error):
            raise ArgumentError(f"{name} holds Python objects, not numbers; {fix}, with a numeric array") from None
        if data[:6] != b"\x93NUMPY":
            raise ArgumentError(f"{name} is not a .npy file; {fix}") from None
        raise ArgumentError(f"{name} is damaged or cut short ({error}); {fix} again") from None
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"{name} is an .npz archive of several arrays, not one array; {fix}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _cannot(verb: str, path: Path, error: OSError, after: str = "") -> NoReturn:
    cause = error.strerror or str(error)
    remedy = _REMEDY.get(error.errno or 0, "check the disk and try again")
    raise StorageError(f"cannot {verb} {str(path)!r}: {cause}{after}; {remedy}") from error
