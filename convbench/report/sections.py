"""What each section of a page says, as plain values for the template."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from convbench.analysis.crossover import Crossing, winners
from convbench.analysis.envelope import Span, envelope
from convbench.analysis.schema import GROUP, WHERE, family_order, measured
from convbench.report import words
from convbench.report.palette import family_class

SET = ("layout", "dtype", "device", "threads")
SEPARABLE = frozenset({"separable"})
# What is asked first: a common image on one core. Nearest to this is what the first paragraph answers.
USUAL = {"layout": "image", "dtype": "float32", "device": "cpu", "threads": 1}
USUAL_IMAGE = 1024
# The crossover that matters to whoever has a kernel that is not separable.
MAIN_PAIR = ("direct", "fft")
Spans = dict[tuple[Any, ...], list[Span]]


@dataclass(frozen=True, eq=False)
class Set:
    """Cells that share a figure: same layout, dtype, device and threads."""

    layout: str
    dtype: str
    device: str
    threads: int
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        return words.set_title(self.layout, self.dtype, self.device, self.threads)

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.layout}-{self.dtype}-{self.device}-{self.threads}".lower())

    @property
    def images(self) -> list[int]:
        return sorted({int(n) for n in self.rows["image"]})

    def group(self, image: int) -> tuple[Any, ...]:
        """The key, in GROUP order, of the cells with this image size."""
        first = self.rows[self.rows["image"] == image].iloc[0]
        return tuple(first[name] for name in GROUP)


def sets(cells: pd.DataFrame) -> list[Set]:
    """The sets that hold measurements, the usual question first, then by layout, dtype, device and threads."""
    found = [Set(*map(_plain, key), rows) for key, rows in measured(cells).groupby(list(SET), sort=True)]
    layouts = list(words.LAYOUTS)

    def rank(s: Set) -> tuple[Any, ...]:
        unusual = sum(getattr(s, name) != value for name, value in USUAL.items())
        place = layouts.index(s.layout) if s.layout in layouts else len(layouts)
        return (unusual > 0, place, s.dtype != USUAL["dtype"], s.dtype, s.device, s.threads)

    return sorted(found, key=rank)


def main_image(found: Set) -> int:
    """The image size that the first paragraph speaks of: the nearest to the usual one, on a log scale."""
    usual = USUAL_IMAGE if found.layout != "signal" else USUAL_IMAGE**2 // 16
    return min(found.images, key=lambda n: abs(math.log(n / usual)))


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
    return next((f for f in (row["family_a"], row["family_b"]) if row["statement"].startswith(f"{f} is faster")), "none")


def gate_table(gate: pd.DataFrame) -> dict[str, Any] | None:
    """Backends against dtype and axes: ok with the worst error over bound, n/a, failed; and the reasons."""
    if gate.empty:
        return None
    columns = sorted({(str(d), int(n)) for d, n in zip(gate["dtype"], gate["ndim"].fillna(0), strict=True)})
    rows, reasons = [], []
    for backend, judged in gate.groupby("backend", sort=True):
        places = {key: part for key, part in judged.groupby(["dtype", "ndim"])}
        rows.append({"backend": backend, "cells": [_gate_cell(places.get(column)) for column in columns]})
        faults = judged[(judged["status"] != "ok") & (judged["reason"] != "")]
        for (status, reason), part in faults.groupby(["status", "reason"], sort=True):
            where = words.joined(sorted(set(part["dtype"])))
            reasons.append({"backend": backend, "status": status, "reason": reason, "where": where})
    return {
        "columns": [f"{dtype}, {ndim}-D" for dtype, ndim in columns],
        "rows": rows,
        "reasons": sorted(reasons, key=lambda r: (r["status"] != "failed", r["backend"])),
        "checks": int(gate["checks"].fillna(0).sum()),
    }


def _gate_cell(judged: pd.DataFrame | None) -> dict[str, str]:
    if judged is None:
        return {"status": "not judged", "css": "none", "error": "", "told": ""}
    seen = set(judged["status"])
    status = next((s for s in ("failed", "ok", "n/a") if s in seen), str(judged["status"].iloc[0]))
    worst = judged["error_over_bound"].max()
    example = judged.loc[judged["error_over_bound"].idxmax(), "worst"] if worst == worst else ""
    return {
        "status": status,
        "css": {"ok": "ok", "failed": "bad"}.get(status, "none"),
        "error": words.digits(worst, 2) if status != "n/a" else "",
        "told": f"{int(judged['checks'].fillna(0).sum())} checks; worst: {example}" if example else "",
    }


def not_shown(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Cells that are not shown, grouped by status and reason; reasons that differ only in numbers are one."""
    rows = cells[cells["status"] != "ok"]
    alike = rows["reason"].str.replace(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?", "0", regex=True)
    groups = []
    for (status, _), part in rows.groupby(["status", alike], sort=True):
        reasons = part["reason"].unique()
        groups.append({
            "status": status, "count": len(part), "backends": words.joined(sorted(set(part["backend"]))),
            "reason": reasons[0] or "no reason was given", "more": len(reasons) - 1,
        })  # fmt: skip
    order = {"failed": 0, "no evidence": 1, "skipped": 2, "n/a": 3}
    return sorted(groups, key=lambda g: (order.get(g["status"], 9), -g["count"]))


def facts(machine: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What is known of the machine (asv's file, then the last run's), the versions, the runs and their warnings."""
    known = {k: v for k, v in machine.items() if k not in ("version",)}
    versions: dict[str, str] = {}
    told, warned = [], []
    for run in sorted(runs, key=lambda r: str(r.get("started"))):
        known |= _strings(run.get("machine"))
        versions |= _strings(run.get("versions"))
        told.append({name: str(run.get(name) or "") for name in ("run", "preset", "started", "finished")})
        warnings = run.get("warnings")
        warned += [str(w) for w in warnings] if isinstance(warnings, list) else []
    return {
        "machine": {str(k): str(v) for k, v in known.items() if str(v)},
        "versions": dict(sorted(versions.items())),
        "runs": told,
        "warnings": list(dict.fromkeys(warned)),
    }


def _strings(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def where_of(cells: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(machine, commit, env) of each page: the newest commit of every machine and environment, latest measured first."""
    seen = cells.groupby(list(WHERE), sort=True).agg(date=("date", "max"), at=("measured_at", "max")).reset_index()
    newest = seen.sort_values(["date", "at"], na_position="first").drop_duplicates(["machine", "env"], keep="last")
    newest = newest.sort_values(["at", "date"], na_position="first", ascending=True)[::-1]
    return [(r.machine, r.commit, r.env) for r in newest.itertuples()]
