"""The ranking of one cell in words: what a page shows before, or without, its script."""

from __future__ import annotations

import pandas as pd

from convbench.report import words
from convbench.report.palette import family_class

KEYS = ("layout", "image", "kernel", "dtype", "device", "threads")


def first_rows(rows: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of one cell, best first; rows has the columns of analysis.regret and analysis.roofline."""
    return [
        {
            **{name: str(getattr(r, name)) for name in (*KEYS, "backend", "family", "rank")},
            "css": family_class(r.family),
            "time": words.seconds(r.execute_s),
            "interval": words.seconds_between(r.execute_low_s, r.execute_high_s),
            "regret": "best" if r.rank == 1 else f"+{words.cost(r.regret)}" if r.regret < 1 else words.cost(r.regret),
            "tied": "tie" if r.tied and r.rank > 1 else "",
            "share": words.percent(r.share),
            "one_shot": words.seconds(r.one_shot_s),
            "plan": words.seconds(r.plan_s),
            "memory": words.size_bytes(r.peak_memory_bytes),
            "error": words.digits(r.error_over_bound, 2),
        }
        for r in rows.sort_values("rank").itertuples()
    ]
