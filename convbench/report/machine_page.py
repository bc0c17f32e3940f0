"""The page of a machine: who leads where, by how much, how that is known, and what was left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convbench.analysis.crossover import COVERAGE
from convbench.analysis.schema import WHERE, family_order
from convbench.analysis.table import Progress, Results
from convbench.report import about, ranking, sections, sets, words
from convbench.report.data import SetData
from convbench.report.palette import family_class
from convbench.report.place import Place

# What is drawn beforehand: more than this, the least usual sets first, is left to the page's script, which draws a set
# when it is looked at. A panel of 25 backends weighs 25 kB and takes a quarter of a second.
FIGURE_BYTES = 700_000
FIGURES = 24


def context(results: Results, place: Place, data: list[SetData], tell: Progress) -> dict[str, Any]:
    """All that the template of a machine's page needs."""
    keys = {(one.layout, one.dtype, one.device, one.threads): one.key for one in data}
    shown = figure_sets(place, keys, tell)
    last = place.runs[-1] if place.runs else {}
    return {
        "where": dict(zip(WHERE, place.where, strict=True)),
        "place": place,
        "noise": words.noise(place.noise),
        "families": families(place),
        "answer": answer(place),
        "sets": shown,
        "keys": {s["slug"]: s["key"] for s in shown},
        "unmeasured": [one.told for one in data if one.key not in {s["key"] for s in shown}],
        "legend": sets.legend(place.look),
        "crossovers": sections.crossover_tables(place.crossings, place.sets),
        "overview": sections.crossover_overview(place.crossings, place.sets),
        "coverage": words.unbroken(f"{100 * COVERAGE:g} %"),
        "ceilings": bool(place.rows["share"].notna().any()),
        "roofline": sets.rooflines(place.sets, place.look, place.ceilings),
        "first_rows": _first_rows(place),
        "backends": sorted(set(place.rows["backend"])),
        "gate": about.gate_table(place.gate),
        "not_shown": about.not_shown(place.cells),
        "counts": about.counts(place.cells),
        "facts": about.facts(place.machine, place.runs),
        "preset": str(last.get("preset") or "standard"),
        "others": about.other_commits(results.cells, place.where),
        "problems": results.problems,
    }


def figure_sets(place: Place, keys: dict[tuple[str, str, str, int], str], tell: Progress) -> list[dict[str, Any]]:
    """Every measured set with its maps and costs, and its figures: drawn while there is room, else left to the page."""
    shown: list[dict[str, Any]] = []
    weight = count = 0
    for i, one in enumerate(place.sets):
        tell(i, len(place.sets), f"draw {place.label}: {one.title}")
        marks = {n: sections.marks(one.group(n), place.every, place.without) for n in one.images}
        wanted = len(one.images) + sets.ONE_SHOT_KERNELS
        lazy = bool(shown) and (count + wanted > FIGURES or weight > FIGURE_BYTES)
        figures = sets.leave_to_script(one, marks) if lazy else sets.draw(one, place.look, marks, f"s{i}")
        if not lazy:
            count += wanted
            weight += sum(len(p["svg"]) for p in figures["panels"] + figures["one_shots"])
        rest, (costs, without) = place.rest_of(one), place.costs[i]
        separable = len(rest) < len(one.rows)
        shown.append({
            "title": one.title, "slug": one.slug, "layout": one.layout,
            "key": keys[one.layout, one.dtype, one.device, one.threads],
            "state": {"layout": one.layout, "dtype": one.dtype, "device": one.device, "threads": one.threads},
            "means": words.LAYOUT_MEANS.get(one.layout, ""), "lazy": lazy, **figures,
            "map": sections.winner_map(one, one.rows),
            "map_without": sections.winner_map(one, rest) if separable else None,
            "costs": costs,
            "costs_without": without if separable else [],
        })  # fmt: skip
    return shown


def families(place: Place) -> list[dict[str, str]]:
    return [{"name": f, "css": family_class(f)} for f in family_order(place.rows["family"])]


def answer(place: Place) -> dict[str, Any] | None:
    """The usual question answered in words, and every size of every set; None where nothing was measured."""
    if not place.sets:
        return None
    main = place.sets[0]
    image = sets.main_image(main)
    key = main.group(image)
    return {
        "what": words.things(main.layout, main.dtype, image),
        "threads": words.thread_words(main.threads),
        "device": main.device,
        "separable": words.spans(place.every.get(key, [])),
        "other": words.spans(place.without.get(key, [])),
        "crossings": [
            {"a": c.faster_below, "b": c.faster_above, "k": words.digits(c.kernel), "interval": words.interval(c)}
            for c in sections.marks(key, place.without)
        ],
        "has_separable": "separable" in set(main.rows["family"]),
        "sets": [
            {"title": s.title, "rows": sections.answer_rows(s, place.every, place.without)} for s in place.sets
        ],
    }  # fmt: skip


def _first_rows(place: Place) -> list[dict[str, str]]:
    if not place.sets:
        return []
    main, image = place.sets[0], sets.main_image(place.sets[0])
    kernels = sorted({int(k) for k in main.rows.loc[main.rows["image"] == image, "kernel"]})
    kernel = kernels[len(kernels) // 2]
    return ranking.first_rows(main.rows[(main.rows["image"] == image) & (main.rows["kernel"] == kernel)])


def has_asv(out: Path) -> bool:
    return (out / "asv" / "index.html").is_file()
