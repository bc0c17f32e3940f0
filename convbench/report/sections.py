"""What each section of a page says, as plain values for the template."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from convbench.analysis.crossover import Crossing
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


def winner_map(one: Set, rows: pd.DataFrame) -> dict[str, Any] | None:
    """Rows (image sizes) of cells (kernel sizes), each with its winner and who ties with it; None where none is left.

    rows: cells of this set with the columns of analysis.regret.
    """
    if rows.empty:
        return None
    kernels = sorted({int(k) for k in rows["kernel"]})
    cells: dict[tuple[int, int], dict[str, Any]] = {}
    shown = rows.sort_values(["image", "kernel", "rank"], kind="stable")
    columns = ["image", "kernel", "backend", "family", "execute_s", "regret", "tied", "smallest"]
    for image, kernel, *values in shown[columns].itertuples(index=False, name=None):
        place = cells.setdefault((image, kernel), {})
        _see(place, *values)
    images = sorted({image for image, _ in cells})
    return {
        "kernels": kernels,
        "images": images,
        "rows": [
            {
                "n": n,
                "image": words.shape(one.layout, n),
                "cells": [_told(cells[n, k]) if (n, k) in cells else None for k in kernels],
            }
            for n in images
        ],
    }


def _see(
    place: dict[str, Any], backend: str, family: str, seconds: float, cost: float, tied: bool, smallest: float
) -> None:
    """Take in a row of a cell, best first."""
    if not place:
        place |= {"backend": backend, "family": family, "seconds": seconds, "equals": [], "rival": None, "next": None}
        return
    if tied:
        place["equals"].append(backend)
    if family != place["family"] and place["next"] is None:
        place["next"] = (backend, family, cost, smallest)
        if tied:
            place["rival"] = (backend, family)


def _told(place: dict[str, Any]) -> dict[str, Any]:
    told = f"{place['backend']}, {place['family']}: {words.seconds(place['seconds'])}"
    if place["equals"]:
        told += f"; a tie with {words.joined(place['equals'])}"
    if place["next"] and not place["rival"]:
        backend, family, cost, smallest = place["next"]
        told += f"; next family: {backend} ({family}), {_slower(cost)} (ties end at {words.percent(smallest)})"
    rival, family = place["rival"] or ("", "")
    return {
        "family": place["family"], "css": family_class(place["family"]), "backend": place["backend"],
        "time": words.seconds(place["seconds"]), "told": told, "rival": rival,
        "rival_css": family_class(family) if rival else "", "equals": len(place["equals"]),
    }  # fmt: skip


def _slower(regret: float) -> str:
    """'28 % slower', '4.2 times its time'."""
    return f"{words.cost(regret)} {'slower' if regret < 1 else 'its time'}"


def costs(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """What it costs to use one backend for everything: of each, its wins, ties and regret over these cells.

    rows: cells of a set with the columns of analysis.regret. The least mean regret first, but those that cover every
    cell before those that do not: a mean over easy cells flatters.
    """
    if rows.empty:
        return []
    total = len(rows[["image", "kernel"]].drop_duplicates())
    groups = rows.assign(won=rows["rank"] == 1).groupby(["family", "backend"], sort=True)
    told = groups.agg(
        cells=("regret", "size"),
        wins=("won", "sum"),
        ties=("tied", "sum"),
        mean=("regret", "mean"),
        worst=("regret", "max"),
    )
    told["high"] = groups["regret"].quantile(0.95)
    where = rows.loc[groups["regret"].idxmax(), ["image", "kernel", "best"]]
    found = [
        {
            "backend": str(r.Index[1]), "family": str(r.Index[0]), "css": family_class(str(r.Index[0])), "of": total,
            "cells": int(r.cells), "wins": int(r.wins), "ties": int(r.ties), "mean": float(r.mean),
            "high": float(r.high), "worst": float(r.worst), "where": f"n = {w.image}, k = {w.kernel}", "best": w.best,
        }
        for r, w in zip(told.itertuples(), where.itertuples(), strict=True)
    ]  # fmt: skip
    return sorted(found, key=lambda c: (c["cells"] < total, c["mean"]))


def band(crossings: pd.DataFrame, one: Set) -> list[dict[str, Any]]:
    """Where fft overtakes direct at each image size of a set: for figures.band_panel."""
    a, b = MAIN_PAIR
    rows = crossings[(crossings["family_a"] == a) & (crossings["family_b"] == b) & (crossings["kernels"] > 1)]
    own = [r for r in rows.to_dict("records") if all(r[name] == getattr(one, name) for name in SET)]
    return [
        {
            "size": words.shape(r["layout"], r["image"]), "low": r["kernel_min"], "high": r["kernel_max"],
            "crossings": [
                Crossing(**{name: r[name] for name in Crossing.__dataclass_fields__}), *r["others"]
            ] if r["kernel"] > 0 else [],
            "leader": "" if r["kernel"] > 0 else _leader(r),
        }
        for r in sorted(own, key=lambda r: r["image"])
    ]  # fmt: skip


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
