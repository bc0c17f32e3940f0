"""Speed and accuracy together: which backends nobody beats in both, and what a method costs in digits.

Two measures of the error that the gate saw. Error / bound holds every method against the bound of its own rounding
class: it says how near a backend is to being wrong, and must not be compared between methods, whose bounds differ.
Error in ulp, |error| / (eps max |output|), has one unit for all: digits are counted in this measure alone.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from convbench.analysis.regret import QUESTION
from convbench.analysis.schema import REDUCED, family_order, measured

ULP, BOUND = "error_ulp", "error_over_bound"
REFERENCE = "direct"
BLOCKS = "fft in blocks"
SAME_DIGITS = 0.3
"""A factor of two: what the largest errors of equals at some hundred points may differ by, see docs/accuracy.md."""
_FEWEST_BITS = 32


def points(cells: pd.DataFrame, measure: str = ULP) -> pd.DataFrame:
    """The measured cells whose error the gate knows, fastest first within each question.

    measure: ULP or BOUND. Adds error (that column), front (none that is as fast is as accurate) and reduced (calculated
    with fewer bits than float32 has).
    """
    rows = measured(cells, reduced=True)
    rows = rows.assign(error=rows[measure].astype(float) if measure in rows else np.nan)
    rows = rows[np.isfinite(rows["error"]) & (rows["error"] >= 0)]
    rows = rows.sort_values([*QUESTION, "execute_s", "error", "backend"], kind="stable").reset_index(drop=True)
    groups = rows.groupby(list(QUESTION), sort=False, dropna=False)["error"]
    before = groups.cummin().groupby([rows[name] for name in QUESTION], sort=False, dropna=False).shift()
    rows["front"] = ~(rows["error"] >= before)  # the fastest has nobody before it: NaN
    rows["reduced"] = [is_reduced(d, b) for d, b in zip(rows["dtype"], rows["backend"], strict=True)]
    return rows


def is_reduced(dtype: str, backend: str) -> bool:
    """Whether a cell calculates with less than float32: its dtype has fewer bits a part, or its name says TF32."""
    bits = re.search(r"\d+", dtype)
    parts = 2 if dtype.startswith("complex") else 1
    return REDUCED in f"{dtype} {backend}".lower() or (bits is not None and int(bits[0]) // parts < _FEWEST_BITS)


def method(family: str, backend: str) -> str:
    """What a backend is compared as: its family, with overlap-add and overlap-save apart from whole transforms."""
    return BLOCKS if family == "fft" and ("overlap" in backend or backend.endswith("-oa")) else family


def digits(rows: pd.DataFrame) -> pd.DataFrame:
    """The points with the decimal digits that each loses against the fastest direct backend of its question.

    rows: from points(cells, ULP). Adds method, and digits: log10(error / error of that backend), negative where digits
    are gained, NaN where there is no such backend or one of the two errors is zero.
    """
    first = rows[rows["family"] == REFERENCE].drop_duplicates(list(QUESTION))
    errors = first[[*QUESTION, "error"]].rename(columns={"error": "reference"})
    merged = rows.merge(errors, how="left", on=list(QUESTION))
    known = (merged["error"] > 0) & (merged["reference"] > 0)
    ratio = (merged["error"] / merged.pop("reference")).where(known)
    methods = [method(f, b) for f, b in zip(merged["family"], merged["backend"], strict=True)]
    return merged.assign(digits=np.log10(ratio), method=methods)


def statement(rows: pd.DataFrame) -> str:
    """What each method costs in accuracy, in words, for the points of one question; '' where that cannot be told.

    Each method is represented by its fastest backend, and compared with the fastest direct one.
    """
    fastest = digits(rows).drop_duplicates("method")
    reference = fastest[fastest["method"] == REFERENCE]
    order = family_order(fastest["family"])
    others = fastest[(fastest["method"] != REFERENCE) & fastest["digits"].notna()]
    others = others.sort_values("family", key=lambda f: f.map(order.index), kind="stable")
    if reference.empty or others.empty:
        return ""
    one = reference.iloc[0]
    costs = [_cost(row) for row in others.itertuples()]
    listed = f"{', '.join(costs[:-1])} and {costs[-1]}" if len(costs) > 1 else costs[0]
    told = f"{REFERENCE} ({one['backend']}) errs by up to {one['error']:.2g} ulp at the points checked"
    return f"{told}; against it {listed}"


def _cost(row: Any) -> str:
    name = f"{row.method} ({row.backend})"
    if abs(row.digits) < SAME_DIGITS:
        return f"{name} is about as accurate"
    return f"{name} {'loses' if row.digits > 0 else 'gains'} {abs(row.digits):.1f} digits"
