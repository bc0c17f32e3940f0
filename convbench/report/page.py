"""Builds the pages: reads results, draws, fills the template, writes each file whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import convbench
from convbench.analysis.crossover import COVERAGE, crossovers
from convbench.analysis.export import write_csv, write_parquet
from convbench.analysis.schema import WHERE, family_order, measured
from convbench.analysis.table import Progress, Results, Where, read_results
from convbench.files import atomic_write
from convbench.report import about, ranking, sections, sets, words
from convbench.report.palette import family_class
from convbench.report.sections import Spans
from convbench.report.sets import Set

# A page's figures and maps together; sets that would exceed it, the least usual first, go to pages of their own.
FIGURE_BYTES, FURTHER_BYTES = 1_200_000, 2_500_000
MAP_CELL_BYTES = 190


def build_report(results_dir: str | Path, out_dir: str | Path, progress: Progress | None = None) -> Path:
    """Turn a folder of results into pages; returns the path of index.html.

    Writes index.html (the machine measured last), one page for each further machine and environment, cells.csv and
    cells.parquet. The pages need no network. progress: called with (done, total, what is being done).
    Raises StorageError if there are no results or a file cannot be written; old files are then still there, whole.
    """
    out = Path(out_dir)
    tell = progress or (lambda done, total, text: None)
    results = read_results(results_dir, progress=tell)
    places = where_of(results.cells)
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
    found = sets.sets(cells)
    look = sets.styles_of(cells)
    drawn = []
    for i, one in enumerate(found):
        tell(i, len(found), f"draw {one.title}")
        marks = {n: sections.marks(one.group(n), every, without) for n in one.images}
        maps = {"map": sections.winner_map(one), "map_without": sections.winner_map(one, sections.SEPARABLE)}
        drawn.append(sets.draw(one, look, marks, f"s{i}") | maps)
    shown, *further = _shared_out(drawn)
    ceilings = results.ceilings.get(where[0], {})
    rows = ranking.ranked(cells, ceilings)
    name = names[where]
    files = [f"{name.removesuffix('.html')}-figures{i or ''}.html" for i in range(len(further))]
    context: dict[str, Any] = {
        "where": dict(zip(WHERE, where, strict=True)),
        "machine": about.machine_words(results, where),
        "measured": _day(cells),
        "pages": [{"file": n, "label": f"{w[0]}, {w[2]}", "here": w == where} for w, n in names.items()],
        "families": [{"name": f, "css": family_class(f)} for f in family_order(measured(cells)["family"])],
        "answer": _answer(found, every, without),
        "sets": shown,
        "legend": sets.legend(look),
        "further": [{"file": f, **one} for f, shelf in zip(files, further, strict=True) for one in shelf],
        "crossovers": sections.crossover_tables(crossings, found),
        "overview": sections.crossover_overview(crossings, found),
        "coverage": words.unbroken(f"{100 * COVERAGE:g} %"),
        "ceilings": bool(rows["share"].notna().any()),
        "roofline": sets.rooflines(found, look, ceilings),
        "ranking": ranking.payload(rows),
        "shown_keys": ranking.shown_keys(rows),
        "first_rows": _first_rows(found, rows),
        "gate": about.gate_table(_at(results.gate, where)),
        "not_shown": about.not_shown(cells),
        "counts": {s: int(n) for s, n in cells["status"].value_counts().items()},
        "facts": about.facts(results.machines.get(where[0], {}), [run for at, run in results.runs if at == where]),
        "others": about.other_commits(results.cells, where),
        "problems": results.problems,
        "asv": (out / "asv" / "index.html").is_file(),
        "layouts": words.LAYOUT_MEANS,
        "version": convbench.__version__,
    }
    pages = {
        f: render("figures.html", {**context, "sets": s, "back": name}) for f, s in zip(files, further, strict=True)
    }
    return {**pages, name: render("page.html", context)}


def _shared_out(drawn: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The sets page by page, in order: as many as fit on the first, then on further ones; at least one a page."""
    pages: list[list[dict[str, Any]]] = [[]]
    weight = 0
    for one in drawn:
        heavy = sum(len(p["svg"]) for p in one["panels"] + one["one_shots"])
        heavy += sum(MAP_CELL_BYTES * len(m["kernels"]) * len(m["rows"]) for m in (one["map"], one["map_without"]) if m)
        if pages[-1] and weight + heavy > (FIGURE_BYTES if len(pages) == 1 else FURTHER_BYTES):
            pages.append([])
            weight = 0
        pages[-1].append(one)
        weight += heavy
    return pages


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
    text = environment.get_template(template).render(context)
    return text.encode(errors="replace").decode()  # file names need not be valid text


def _answer(found: list[Set], every: Spans, without: Spans) -> dict[str, Any] | None:
    if not found:
        return None
    main = found[0]
    image = sets.main_image(main)
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
    main, image = found[0], sets.main_image(found[0])
    kernels = sorted({int(k) for k in main.rows.loc[main.rows["image"] == image, "kernel"]})
    cell = {name: getattr(main, name) for name in sets.SET}
    return ranking.first_rows(rows, **cell, image=image, kernel=kernels[len(kernels) // 2])


def _at(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    here = np.logical_and.reduce([table[name] == value for name, value in zip(WHERE, where, strict=True)])
    return table[here].reset_index(drop=True)


def _day(cells: pd.DataFrame) -> str:
    last = cells["measured_at"].max()
    last = cells["date"].max() if pd.isna(last) else last
    return "" if pd.isna(last) else f"{last:%Y-%m-%d}"


def where_of(cells: pd.DataFrame) -> list[Where]:
    """(machine, commit, env) of each page: the newest commit of every machine and environment, last measured first."""
    seen = cells.groupby(list(WHERE), sort=True).agg(date=("date", "max"), at=("measured_at", "max")).reset_index()
    newest = seen.sort_values(["date", "at"], na_position="first").drop_duplicates(["machine", "env"], keep="last")
    newest = newest.sort_values(["at", "date"], na_position="first", ascending=True)[::-1]
    return [(r.machine, r.commit, r.env) for r in newest.itertuples()]
