"""What each section of a page says, as plain values for the template."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from convbench.analysis.crossover import Crossing, winners
from convbench.analysis.envelope import Span, envelope
from convbench.analysis.schema import family_order
from convbench.report import words
from convbench.report.palette import family_class
from convbench.report.sets import SET, Set

SEPARABLE = frozenset({"separable"})
# The crossover that matters to whoever has a kernel that is not separable.
MAIN_PAIR = ("direct", "fft")
Spans = dict[tuple[Any, ...], list[Span]]


def answer_rows(found: Set, every: Spans, without: Spans) -> list[dict[str, str]]:
    """The answer for each image size: with a separable kernel, and with any other."""
    return [
        {
            "image": words.shape(found.layout, n),
            "separable": words.spans(every.get(found.group(n), [])),
            "other": words.spans(without.get(found.group(n), [])),
        }
        for n in found.images
    ]


def both_envelopes(cells: pd.DataFrame, crossings: pd.DataFrame) -> tuple[Spans, Spans]:
    """The leading families with all contestants, and without the separable family."""
    return envelope(cells, crossings), envelope(cells, crossings, SEPARABLE)


def marks(key: tuple[Any, ...], *envelopes: Spans) -> list[Crossing]:
    """The changes of lead to mark in a panel, each once."""
    found = [span.until for spans in envelopes for span in spans.get(key, []) if span.until]
    return list(dict.fromkeys(found))


def winner_map(found: Set, without: Collection[str] = ()) -> dict[str, Any] | None:
    """Rows (image sizes) of cells (kernel sizes), each with its winner; None if there is nothing left."""
    won = winners(found.rows[~found.rows["family"].isin(list(without))])
    if won.empty:
        return None
    kernels = sorted({int(k) for k in won["kernel"]})
    by_place = {(r.image, r.kernel): r for r in won.itertuples()}
    rows = [
        {"image": words.shape(found.layout, n), "cells": [_map_cell(by_place.get((n, k))) for k in kernels]}
        for n in sorted({int(n) for n in won["image"]})
    ]
    return {"kernels": kernels, "rows": rows}


def _map_cell(row: Any) -> dict[str, str] | None:
    if row is None:
        return None
    told = f"{row.backend}, {row.family}: {words.seconds(row.execute_s)}"
    if isinstance(row.runner_up, str) and math.isfinite(row.ratio):
        told += f"; next family: {row.runner_up} ({row.runner_up_family}), {row.ratio:.2f} times its time"
    return {
        "family": row.family,
        "css": family_class(row.family),
        "backend": row.backend,
        "time": words.seconds(row.execute_s),
        "tied": "≈ " if row.tied else "",
        "told": told + ("; the intervals overlap" if row.tied else ""),
    }


def crossover_tables(crossings: pd.DataFrame, order: list[Set]) -> list[dict[str, Any]]:
    """A table for each set, its pairs of families in order, direct against fft first."""
    families = family_order(pd.concat([crossings["family_a"], crossings["family_b"]]))
    shown = crossings[crossings["kernels"] > 0]

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        pair = (row["family_a"], row["family_b"])
        return (pair != MAIN_PAIR, families.index(pair[0]), families.index(pair[1]), row["image"])

    tables = []
    for one in order:
        rows = [r for r in shown.to_dict("records") if all(r[name] == getattr(one, name) for name in SET)]
        if rows:
            told = [_crossover_row(r) for r in sorted(rows, key=place)]
            tables.append({"title": one.title, "slug": one.slug, "rows": told})
    return tables


def crossover_overview(crossings: pd.DataFrame, order: list[Set]) -> list[dict[str, Any]]:
    """For each layout, where fft overtakes direct: rows are sets, columns image sizes."""
    a, b = MAIN_PAIR
    rows = crossings[(crossings["family_a"] == a) & (crossings["family_b"] == b) & (crossings["kernels"] > 0)]
    overviews = []
    for layout in dict.fromkeys(s.layout for s in order):
        part = rows[rows["layout"] == layout]
        images = sorted({int(n) for n in part["image"]})
        by_place = {(*_set_key(r), r["image"]): _crossover_row(r) for r in part.to_dict("records")}
        told = [
            {"title": s.title, "cells": [by_place.get((*_set_key(vars(s)), n)) for n in images]}
            for s in order
            if s.layout == layout
        ]
        told = [row for row in told if any(row["cells"])]
        if told:
            overviews.append({"images": [words.shape(layout, n) for n in images], "rows": told})
    return overviews


def _set_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in SET)


def _crossover_row(row: dict[str, Any]) -> dict[str, Any]:
    told = {
        "a": row["family_a"],
        "b": row["family_b"],
        "css_a": family_class(row["family_a"]),
        "css_b": family_class(row["family_b"]),
        "image": words.shape(row["layout"], row["image"]),
        "n": row["image"],
        "range": f"{row['kernel_min']:.0f} to {row['kernel_max']:.0f}",
        "statement": row["statement"] if row["others"] or not row["kernel"] > 0 else "",
        "more": len(row["others"]),
        "leader": "" if row["kernel"] > 0 else _leader(row),
        "bar": None,
        "kernel": "",
        "k": "",
        "interval": "",
        "between": "",
    }
    if math.isnan(row["kernel"]):
        return told
    crossing = Crossing(**{name: row[name] for name in Crossing.__dataclass_fields__})
    lower, upper = math.log(row["kernel_min"]), math.log(row["kernel_max"])

    def place(k: float) -> float:
        return round(100 * min(max((math.log(k) - lower) / (upper - lower), 0), 1), 1) if k > 0 else 0.0

    low, high = place(crossing.low), place(crossing.high) if math.isfinite(crossing.high) else 100.0
    return told | {
        "kernel": words.digits(crossing.kernel),
        "k": f"{crossing.kernel:.4g}",
        "interval": words.interval(crossing),
        "upwards": crossing.faster_below == row["family_a"],
        "between": f"{crossing.below:.0f} and {crossing.above:.0f}",
        "bar": {"at": place(crossing.kernel), "low": low, "width": round(high - low, 1)},
    }


def _leader(row: dict[str, Any]) -> str:
    """The family that leads throughout, where there is no crossover."""
    return next(
        (f for f in (row["family_a"], row["family_b"]) if row["statement"].startswith(f"{f} is faster")), "none"
    )
