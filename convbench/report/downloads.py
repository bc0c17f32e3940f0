"""The table to download as JSON: what the pages show; analysis.export writes all commits as CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from convbench.analysis.schema import CELL
from convbench.files import atomic_write
from convbench.report import words
from convbench.report.place import Place

CHUNK = 20_000
"""Rows that are turned into text at once."""


def write_json(places: Iterable[Place], path: Path) -> Path:
    """Write the cells that the pages show, with their samples, rank and regret, as a list of objects; NaN is null."""
    parts = [part for part in _parts(places) if part]
    return atomic_write(path, "[\n" + ",\n".join(parts) + "\n]\n")


def _parts(places: Iterable[Place]) -> Iterator[str]:
    """Lists of objects without their brackets."""
    for place in places:
        decided = place.rows[[*CELL, "rank", "best", "regret", "tied", "smallest"]]
        cells = place.cells.merge(decided, how="left", on=list(CELL))
        for start in range(0, len(cells), CHUNK):
            part = cells.iloc[start : start + CHUNK]
            # 15 places behind the point: nanoseconds keep six digits
            yield str(part.to_json(orient="records", double_precision=15, date_format="iso"))[1:-1]


def size(path: Path) -> str:
    """'1.1 MiB'."""
    return words.size_bytes(float(path.stat().st_size)) if path.is_file() else ""
