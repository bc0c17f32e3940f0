"""The table of every measured cell with its backends ranked, as compact data for the page's script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from convbench.analysis.roofline import Ceilings, roofline
from convbench.analysis.schema import WHOLE, measured
from convbench.report import words
from convbench.report.palette import family_class

# Beyond this the page would weigh more than it tells; the slowest of each cell are left to the downloads.
MOST_ROWS = 12_000
KEYS = ("layout", "image", "kernel", "dtype", "device", "threads")
_PLACE = ["layout", "dtype", "device", "threads", "image", "kernel"]
_NUMBERS = (
    "execute_s", "execute_low_s", "execute_high_s", "one_shot_s", "plan_s", "peak_memory_bytes",
    "error_over_bound",
)  # fmt: skip


def ranked(cells: pd.DataFrame, ceilings: Mapping[int, Ceilings]) -> pd.DataFrame:
    """The measured cells with rank and ratio to the best among the backends of the same cell, and analysis.roofline."""
    rows = roofline(measured(cells), ceilings).sort_values([*_PLACE, "execute_s"], kind="stable")
    groups = rows.groupby(_PLACE, sort=False)["execute_s"]
    return rows.assign(rank=groups.cumcount() + 1, ratio=rows["execute_s"] / groups.transform("min"))


def shown_keys(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The columns that tell cells apart; a column that says the same in every row is left out."""
    labels = {"image": "Image n", "kernel": "Kernel k", "dtype": "dtype"}
    return [
        {"name": name, "label": labels.get(name, name.capitalize()), "number": name in WHOLE}
        for name in KEYS
        if name in ("image", "kernel") or rows[name].nunique() > 1
    ]


def payload(rows: pd.DataFrame) -> dict[str, Any]:
    """Columns for the script: text as indexes into lists of words, numbers to four digits, NaN as null."""
    kept = rows if len(rows) <= MOST_ROWS else rows[rows["rank"] <= _last_rank(rows)]
    data: dict[str, Any] = {"words": {}, "columns": {}, "rows": len(kept), "of": len(rows)}
    for name in (*KEYS, "backend", "family"):
        codes, values = pd.factorize(kept[name], sort=True)
        data["words"][name] = values.tolist()
        data["columns"][name] = codes.tolist()
    data["words"]["css"] = [family_class(f) for f in data["words"]["family"]]
    for name in (*_NUMBERS, "ratio", *(["share"] if kept["share"].notna().any() else [])):
        data["columns"][name] = [None if v != v else float(f"{v:.4g}") for v in kept[name].tolist()]
    data["columns"]["rank"] = kept["rank"].tolist()
    return data


def _last_rank(rows: pd.DataFrame) -> int:
    """The largest rank such that the rows up to it are few enough; at least the winners are kept."""
    counts = rows["rank"].value_counts().sort_index().cumsum()
    fitting = counts[counts <= MOST_ROWS]
    return int(fitting.index[-1]) if len(fitting) else 1


def first_rows(rows: pd.DataFrame, **cell: Any) -> list[dict[str, str]]:
    """The ranking of one cell in words, for the page as it is before, or without, the script."""
    chosen = rows
    for name, value in cell.items():
        chosen = chosen[chosen[name] == value]
    return [
        {
            **{name: str(getattr(r, name)) for name in (*KEYS, "backend", "family", "rank")},
            "css": family_class(r.family),
            "time": words.seconds(r.execute_s),
            "interval": words.seconds_between(r.execute_low_s, r.execute_high_s),
            "ratio": f"{r.ratio:.2f}" if r.ratio < 100 else f"{r.ratio:.0f}",
            "share": words.percent(r.share),
            "one_shot": words.seconds(r.one_shot_s),
            "plan": words.seconds(r.plan_s),
            "memory": words.size_bytes(r.peak_memory_bytes),
            "error": words.digits(r.error_over_bound, 2),
        }
        for r in chosen.itertuples()
    ]
