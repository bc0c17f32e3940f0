"""The columns of the table of cells, and which rows may be shown."""

from __future__ import annotations

import pandas as pd

# One benchmark cell: what was convolved, by whom, and how.
CELL = ("layout", "backend", "image", "kernel", "dtype", "mode", "device", "threads")
# Where a cell was measured.
WHERE = ("machine", "commit", "env")
# Cells that differ in nothing but backend and kernel size: one panel of a figure, one row of a winner map.
GROUP = (*WHERE, "layout", "image", "dtype", "mode", "device", "threads")
# Order of the families on every page; families of other packages follow in alphabetical order.
FAMILIES = ("direct", "separable", "fft", "framework")

TEXT = ("layout", "backend", "dtype", "mode", "device")
WHOLE = ("image", "kernel", "threads")
SECONDS = (
    "execute_s", "execute_low_s", "execute_high_s", "one_shot_s", "plan_s", "load_s", "store_s",
    "first_plan_s", "first_execute_s", "cold_s", "wall_s", "graph_s",
)  # fmt: skip
COLUMNS = (
    *WHERE, "date", "layout", "backend", "family", "library", "library_version",
    "image", "kernel", "dtype", "mode", "device", "threads",
    "status", "reason", *SECONDS, "peak_memory_bytes", "error_over_bound", "error_ulp", "worst_index",
    "input_sha256", "stopped", "clock", "samples", "processes", "groups", "measured_at",
)  # fmt: skip
# A/A pairs: a cell sampled twice, under two names.
PAIR_COLUMNS = (*WHERE, *CELL, "samples_a", "processes_a", "samples_b", "processes_b")


def fits(name: str, value: object) -> bool:
    """Whether this can be the value of a column of CELL: text, or a positive whole number that a table can hold."""
    if name in WHOLE:
        return type(value) is int and 0 < value < 2**53
    return type(value) is str


def measured(cells: pd.DataFrame, reduced: bool = False) -> pd.DataFrame:
    """The rows that may be shown as a measurement: evidence says ok, and there is a time.

    No evidence, no point on a plot. reduced: also those of reduced precision, which compete with no other: their
    results are worse than the dtype says.
    """
    time = cells["execute_s"]
    rows = cells[(cells["status"] == "ok") & (time > 0) & (time < float("inf"))]
    return rows if reduced else rows[~of_reduced_precision(rows["backend"])]


REDUCED = "tf32"
"""What the name of a backend says whose factors are rounded to TF32."""


def of_reduced_precision(backends: pd.Series) -> pd.Series:
    """Which names say so."""
    return backends.str.contains(REDUCED, case=False, regex=False)


def family_order(families: pd.Series) -> list[str]:
    """The families that occur, in the order of every page."""
    found = {str(f) for f in families.unique()} - {""}
    return [f for f in FAMILIES if f in found] + sorted(found - set(FAMILIES))
