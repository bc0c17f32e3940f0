"""Writes the table of cells as CSV and Parquet, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from convbench.files import atomic_write


def write_csv(cells: pd.DataFrame, path: str | Path) -> Path:
    """Write the cells as CSV, without the samples (Parquet has them); raises StorageError, leaving any old file."""
    return atomic_write(path, cells.drop(columns=["samples"], errors="ignore").to_csv(index=False, lineterminator="\n"))


def write_parquet(cells: pd.DataFrame, path: str | Path) -> Path:
    """Write the cells as Parquet, samples included; raises StorageError, leaving any old file."""
    buffer = io.BytesIO()
    cells.to_parquet(buffer, index=False)
    return atomic_write(path, buffer.getvalue())
