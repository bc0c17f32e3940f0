"""Builds the pages: reads results, draws, fills the template, writes each file whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import convbench
from convbench.analysis.crossover import COVERAGE, crossovers
from convbench.analysis.export import write_csv, write_parquet
from convbench.analysis.schema import WHERE, family_order, measured
from convbench.analysis.table import Results, read_results
from convbench.files import atomic_write
from convbench.report import figures, ranking, sections, words
from convbench.report.palette import Style, family_class, styles
from convbench.report.sections import Set, Spans

Progress = Callable[[int, int, str], None]
Where = tuple[str, str, str]

# A page's figures and maps together; sets that would exceed it, the least usual, go to a page of their own.
FIGURE_BYTES = 1_200_000
MAP_CELL_BYTES = 190
# Kernel sizes whose one-shot times are drawn: enough to see the trend, few enough to read.
ONE_SHOT_KERNELS = 3


def build_report(results_dir: str | Path, out_dir: str | Path, progress: Progress | None = None) -> Path:
    """Turn a folder of results into pages; returns the path of index.html.

    Writes index.html (the machine measured last), one page for each further machine and environment, cells.csv and
    cells.parquet. The pages need no network. progress: called with (done, total, what is being done).
    Raises StorageError if there are no results or a file cannot be written; old files are then still there, whole.
    """
    out = Path(out_dir)
    tell = progress or (lambda done, total, text: None)
    results = read_results(results_dir, progress=tell)
    places = sections.where_of(results.cells)
    tell(0, len(places), "write cells.csv and cells.parquet")
    write_csv(results.cells, out / "cells.csv")
    write_parquet(results.cells, out / "cells.parquet")
    names = _page_names(places)
    for where in reversed(places):  # the index last: it never links to a page that is not there yet
        for name, text in _pages(results, where, names, out, tell).items():
            atomic_write(out / name, text)
    return out / "index.html"


def _page_names(places: list[Where]) -> dict[Where, str]:
    names: dict[Where, str] = {}
    for where in places:
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{where[0]}-{where[2]}").strip("-.")
        name = f"machine-{slug}.html" if names else "index.html"
        while name in names.values():
            name = name.replace(".html", "-2.html")
        names[where] = name
    return names


def _pages(results: Results, where: Where, names: dict[Where, str], out: Path, tell: Progress) -> dict[str, str]:
    """The page of one machine, commit and environment, by file name; with a page of further figures if need be."""
    cells = _at(results.cells, where)
    crossings = crossovers(cells)
    every, without = sections.both_envelopes(cells, crossings)
    found = sections.sets(cells)
    look = _styles(cells)
    drawn, size, further = [], 0, []
    for i, one in enumerate(found):
        tell(i, len(found), f"draw {one.title}")
        figure = _set(one, look, every, without, f"s{i}")
        size += sum(len(p["svg"]) for p in figure["panels"] + figure["one_shots"])
        size += sum(MAP_CELL_BYTES * len(m["kernels"]) * len(m["rows"]) for m in (figure["map"], figure["map_without"]) if m)
        (drawn if size <= FIGURE_BYTES or not drawn else further).append(figure)
    rows = ranking.ranked(cells)
    name = names[where]
    context: dict[str, Any] = {
        "where": dict(zip(WHERE, where, strict=True)),
        "machine": _machine_words(results, where),
        "measured": _day(cells),
        "pages": [{"file": n, "label": f"{w[0]}, {w[2]}", "here": w == where} for w, n in names.items()],
        "families": [{"name": f, "css": family_class(f)} for f in family_order(measured(cells)["family"])],
        "answer": _answer(found, every, without),
        "sets": drawn,
        "legend": _legend(look),
        "further": None,
        "crossovers": sections.crossover_tables(crossings, found),
        "overview": sections.crossover_overview(crossings, found),
        "coverage": words.unbroken(f"{100 * COVERAGE:g} %"),
        "ranking": ranking.payload(rows),
        "shown_keys": ranking.shown_keys(rows),
        "first_rows": _first_rows(found, rows),
        "gate": sections.gate_table(_at(results.gate, where)),
        "not_shown": sections.not_shown(cells),
        "counts": {s: int(n) for s, n in cells["status"].value_counts().items()},
        "facts": sections.facts(results.machines.get(where[0], {}), [r for r in results.runs if _is_at(r, where)]),
        "others": _other_commits(results.cells, where),
        "problems": results.problems,
        "asv": (out / "asv" / "index.html").is_file(),
        "layouts": words.LAYOUT_MEANS,
        "version": convbench.__version__,
    }
    if not further:
        return {name: render("page.html", context)}
    more = f"{name.removesuffix('.html')}-figures.html"
    return {
        more: render("figures.html", {**context, "sets": further, "back": name}),
        name: render("page.html", {**context, "further": {"file": more, "sets": further}}),
    }


def render(template: str, context: dict[str, Any]) -> str:
    """Fill a template of this package; everything from files is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convbench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["unbroken"] = words.unbroken
    return environment.get_template(template).render(context)


def _set(one: Set, look: dict[str, Style], every: Spans, without: Spans, prefix: str) -> dict[str, Any]:
    """A set's panels, winner maps and one-shot panels."""
    limits = figures.time_limits(one.rows)
    panels = []
    for n in one.images:
        rows = one.rows[one.rows["image"] == n]
        marks = sections.marks(one.group(n), every, without)
        size = words.shape(one.layout, n)
        title = f"{one.title}, {size}: time against kernel size for {rows['backend'].nunique()} backends"
        svg = figures.time_panel(rows, look, marks, limits, f"{prefix}-{n}", title)
        panels.append({"size": size, "svg": svg})
    image = sections.main_image(one)
    return {
        "title": one.title,
        "slug": one.slug,
        "means": words.LAYOUT_MEANS.get(one.layout, ""),
        "layout": one.layout,
        "panels": panels,
        "slots": [look[b].slot for b in sorted(set(one.rows["backend"]))],
        "map": sections.winner_map(one),
        "map_without": sections.winner_map(one, sections.SEPARABLE),
        "one_shot_size": words.shape(one.layout, image),
        "one_shots": _one_shots(one, image, look, prefix),
    }


def _one_shots(one: Set, image: int, look: dict[str, Style], prefix: str) -> list[dict[str, Any]]:
    rows = one.rows[(one.rows["image"] == image) & (one.rows["one_shot_s"] > 0)]
    kernels = sorted({int(k) for k in rows["kernel"]})
    if not kernels:
        return []
    chosen = sorted({kernels[int(i)] for i in np.linspace(0, len(kernels) - 1, ONE_SHOT_KERNELS).round()})
    shown = rows[rows["kernel"].isin(chosen)][["execute_s", "one_shot_s"]].to_numpy()
    limits = (float(shown.min()) / 1.4, float(shown.max()) * 1.4)
    return [
        {
            "kernel": k,
            "svg": figures.one_shot_panel(
                rows[rows["kernel"] == k], look, limits, f"{prefix}-o{k}", f"{one.title}, k = {k}: amortised and one-shot time"
            ),
        }
        for k in chosen
    ]


def _answer(found: list[Set], every: Spans, without: Spans) -> dict[str, Any] | None:
    if not found:
        return None
    main = found[0]
    image = sections.main_image(main)
    key = main.group(image)
    return {
        "what": words.things(main.layout, main.dtype, image),
        "threads": words.thread_words(main.threads),
        "device": main.device,
        "separable": words.spans(every.get(key, [])),
        "other": words.spans(without.get(key, [])),
        "crossings": [
            {"a": c.faster_below, "b": c.faster_above, "k": words.digits(c.kernel), "interval": words.interval(c)}
            for c in sections.marks(key, without)
        ],
        "has_separable": "separable" in set(main.rows["family"]),
        "sets": [{"title": s.title, "slug": s.slug, "rows": sections.answer_rows(s, every, without)} for s in found],
    }


def _first_rows(found: list[Set], rows: pd.DataFrame) -> list[dict[str, str]]:
    if not found:
        return []
    main, image = found[0], sections.main_image(found[0])
    kernels = sorted({int(k) for k in main.rows.loc[main.rows["image"] == image, "kernel"]})
    cell = {name: getattr(main, name) for name in sections.SET}
    return ranking.first_rows(rows, **cell, image=image, kernel=kernels[len(kernels) // 2])


def _styles(cells: pd.DataFrame) -> dict[str, Style]:
    shown = measured(cells)
    order = family_order(shown["family"])
    pairs = {(f, b) for f, b in zip(shown["family"], shown["backend"], strict=True)}
    return styles(sorted(pairs, key=lambda p: (order.index(p[0]) if p[0] in order else len(order), p[1])))


def _legend(look: dict[str, Style]) -> list[dict[str, Any]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for style in look.values():
        entry = {"backend": style.backend, "slot": style.slot, "svg": figures.swatch(style, f"w{style.slot}")}
        grouped.setdefault(style.family, []).append(entry)
    return [{"family": f, "css": family_class(f), "backends": entries} for f, entries in grouped.items()]


def _at(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    here = np.logical_and.reduce([table[name] == value for name, value in zip(WHERE, where, strict=True)])
    return table[here].reset_index(drop=True)


def _is_at(record: dict[str, Any], where: Where) -> bool:
    return tuple(record[name] for name in WHERE) == where


def _machine_words(results: Results, where: Where) -> str:
    cpu = str(results.machines.get(where[0], {}).get("cpu") or "")
    return f"{where[0]} ({cpu})" if cpu else where[0]


def _day(cells: pd.DataFrame) -> str:
    last = cells["measured_at"].max()
    last = cells["date"].max() if pd.isna(last) else last
    return "" if pd.isna(last) else f"{last:%Y-%m-%d}"


def _other_commits(cells: pd.DataFrame, where: Where) -> list[dict[str, Any]]:
    same = cells[(cells["machine"] == where[0]) & (cells["env"] == where[2]) & (cells["commit"] != where[1])]
    seen = same.groupby("commit").agg(date=("date", "max"), cells=("status", "size"), ok=("status", lambda s: (s == "ok").sum()))
    return [
        {"commit": r.Index, "date": "" if pd.isna(r.date) else f"{r.date:%Y-%m-%d}", "cells": int(r.cells), "ok": int(r.ok)}
        for r in seen.sort_values("date", ascending=False).itertuples()
    ]
