"""Writes the table of cells as CSV and Parquet, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from convbench.files import atomic_write


def write_csv(cells: pd.DataFrame, path: str | Path) -> Path:
    """Write the cells as CSV, without the samples (Parquet has them); raises StorageError, leaving any old file.

    Lists are written as Python does it, times in UTC, what is not known as nothing.
    """
    from pyarrow import csv

    plain = cells.drop(columns=["samples"], errors="ignore")
    lists = [name for name in plain if plain[name].dtype == object]
    texts = {name: ["" if v is None or v is pd.NA or v != v else str(v) for v in plain[name]] for name in lists}
    buffer = io.BytesIO()
    csv.write_csv(_arrow(plain.assign(**texts)), buffer, csv.WriteOptions(quoting_style="needed"))
    return atomic_write(path, _content(buffer))


def write_parquet(cells: pd.DataFrame, path: str | Path) -> Path:
    """Write the cells as Parquet, samples included; raises StorageError, leaving any old file."""
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(_arrow(cells), buffer, compression="zstd")
    return atomic_write(path, _content(buffer))


def _arrow(cells: pd.DataFrame) -> Any:
    import pyarrow

    return pyarrow.Table.from_pandas(cells, preserve_index=False)


def _content(buffer: io.BytesIO) -> Any:
    """What was written, without a copy of it: it may be some hundred megabytes."""
    return buffer.getbuffer()
