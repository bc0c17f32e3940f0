"""Writes the table of cells as CSV and Parquet, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from convbench.errors import StorageError


def write_csv(cells: pd.DataFrame, path: str | Path) -> Path:
    """Write the cells as CSV, without the samples (Parquet has them); raises StorageError, leaving any old file."""
    table = cells.drop(columns=["samples"], errors="ignore")
    return write_whole(path, lambda to: table.to_csv(to, index=False, lineterminator="\n"))


def write_parquet(cells: pd.DataFrame, path: str | Path) -> Path:
    """Write the cells as Parquet, samples included; raises StorageError, leaving any old file."""
    return write_whole(path, lambda to: cells.to_parquet(to, index=False))


def write_text(text: str, path: str | Path) -> Path:
    """Write text as UTF-8; raises StorageError, leaving any old file."""
    return write_whole(path, lambda to: to.write_text(text, encoding="utf-8"))  # type: ignore[arg-type,return-value]


def write_whole(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    Readers see the old file or the new, never half of one. Raises StorageError with the path if that fails, with the
    old file as it was.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o644)  # mkstemp's 0600 would keep a web server from reading the page
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; what was there before is unchanged. "
            f"Free some space or give another folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path
