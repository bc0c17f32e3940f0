"""The overview: which one should I use? A chooser, winner maps and crossover bands; then the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from convbench.analysis.chooser_table import chooser_table
from convbench.analysis.table import Results
from convbench.errors import ArgumentError
from convbench.report import about, accuracy, breakeven, devices, figures, machine_page, sections, sets, words
from convbench.report.data import SetData
from convbench.report.place import Place
from convbench.report.sets import Set

# Machines whose maps are on the page itself, and how much of their tables: the page stays below 1.5 MB.
MAPS = 8
TABLE_BYTES = 500_000


def context(results: Results, places: list[Place], data: Mapping[str, list[SetData]]) -> dict[str, Any]:
    """All that the template of the overview needs besides the tables of the chooser and of the backends."""
    main = places[0]
    return {
        "main": main,
        "maps": [_map(place, data[place.slug], f"b{i}") for i, place in enumerate(places[:MAPS])],
        "answer": machine_page.answer(main),
        "families": machine_page.families(main),
        "machines": [_machine(place) for place in places],
        "breakeven": breakeven.section(main.sets, main.look, main.noise),
        "accuracy": accuracy.section(main.sets, main.look, main.reduced),
        "devices": devices.section(main),
        "legend": sets.legend(main.look),
        "counts": about.counts(pd.concat([place.cells[["status"]] for place in places])),
        "left_out": _left_out(places),
        "problems": results.problems,
        "commits": int(results.cells["commit"].nunique()),
    }


def choosers(results: Results, places: list[Place]) -> dict[str, dict[str, Any]]:
    """The table of every place where something was measured, by the place's slug."""
    found = {}
    for place in places:
        if place.sets:
            try:
                found[place.slug] = chooser_table(results, place.where)
            except ArgumentError:  # nothing that a chooser may use
                continue
    return found


def _map(place: Place, data: list[SetData], prefix: str) -> dict[str, Any]:
    """The winner maps of a place's usual set, for separable and for other kernels, and its crossover band."""
    found: dict[str, Any] = {"place": place, "title": "", "any": None, "separable": None, "band": "", "state": {}}
    if not place.sets:
        return found
    one = place.sets[0]
    bands = sections.band(place.crossings, one)
    title = f"Where fft overtakes direct, {one.title}, {place.label}"
    rest = place.rest_of(one)
    return found | {
        "title": one.title,
        "layout": one.layout,
        "state": {"layout": one.layout, "dtype": one.dtype, "device": one.device, "threads": one.threads},
        "separable": _turned(sections.winner_map(one, one.rows)) if len(rest) < len(one.rows) else None,
        "any": _turned(sections.winner_map(one, rest)),
        "band": figures.band_panel(bands, f"{prefix}-band", title) if bands else "",
        "band_title": title,
        "band_told": _band_told(bands, one),
    }


def _turned(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """The map with kernel sizes down and image sizes across: that fits a column, and a phone."""
    if found is None:
        return None
    columns = [row["cells"] for row in found["rows"]]
    return {
        "heads": [row["image"] for row in found["rows"]],
        "images": found["images"],
        "rows": [{"kernel": k, "cells": [c[i] for c in columns]} for i, k in enumerate(found["kernels"])],
    }


def _band_told(bands: list[dict[str, Any]], one: Set) -> str:
    """The band over all image sizes in one sentence."""
    found = [c for band in bands for c in band["crossings"][:1]]
    if not found:
        leaders = {band["leader"] for band in bands}
        return f"{leaders.pop()} leads at every size measured" if len(leaders) == 1 else "no crossover was measured"
    low = max(min(c.low for c in found), min(band["low"] for band in bands))
    high = min(max(c.high for c in found), max(band["high"] for band in bands))
    least, most = (words.kernel_size(k) for k in (low, high))
    return f"fft overtakes direct between k = {least} and {most}, all image sizes and the noise included"


def _machine(place: Place) -> dict[str, Any]:
    counts = about.counts(place.cells)
    cores = ""
    for run in place.runs:
        machine = run.get("machine")
        cores = str(machine.get("cores") or cores) if isinstance(machine, dict) else cores
    return {
        "place": place,
        "cpu": place.cpu,
        "cores": cores,
        "counts": counts,
        "backends": place.rows["backend"].nunique(),
        "sets": len(place.sets),
        "noise": f"{words.percent(place.noise.floor)}" + ("" if place.noise.calibrated else " (assumed)"),
        "pairs": place.noise.pairs,
        "warnings": len(about.facts(place.machine, place.runs)["warnings"]),
    }


def _left_out(places: list[Place]) -> list[dict[str, Any]]:
    """What was left out anywhere, with the machines."""
    cells = pd.concat([p.cells[["status", "reason", "backend", "machine"]] for p in places], ignore_index=True)
    return about.not_shown(cells)
