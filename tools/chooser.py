"""How good is the chooser? Its regret on problems whose sizes are not in the table, beside SciPy's chooser.

    python tools/chooser.py [--table FILE | --results DIR] [--limit N] [--out reports]
    python tools/chooser.py --stored [--results DIR]

Every problem is gated and timed by cell.measure_cells, all plausible backends side by side. Regret is the time of what
was chosen over that of the best, minus 1: of what `recommend` says (amortised and for one image), of convolve's choice
with the table and without it (the cost model), and of scipy.signal.choose_conv_method between its own two methods. A
choice skipped for the budget of an execution counts as if it took the budget; those that have no time for another
reason (the gate, planning) are counted beside the regrets. Each problem is written as soon as it is measured; what is
there already is not measured again. --stored times nothing: it leaves sizes of the grid out of stored results and asks
for them.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from convbench import api, console, machine, recommendation
from convbench.analysis.recommend import Chooser, Estimate, Question, modelled
from convbench.backends import get_backend
from convbench.cell import Cell, measure_cells
from convbench.evidence import now
from convbench.files import atomic_write
from convbench.grid import get_preset
from convbench.problem import Problem

IMAGES = ((192, 192), (360, 360), (384, 384), (480, 640), (700, 700), (1000, 1000), (1448, 1448))
KERNELS = (4, 6, 8, 10, 13, 17, 18, 19, 25, 27, 37, 51, 80)
ALWAYS = (
    *("numba-direct", "numba-separable", "pyfftw", "pyfftw-overlap", "scipy-direct", "scipy-fft"),
    *("opencv-filter2d", "opencv-sepfilter2d"),
)
PLAUSIBLE = 4.0
BUDGET = 0.25
SCIPY = {"direct": "scipy-direct", "fft": "scipy-fft"}
RULE = get_preset("quick").rule


@dataclass(frozen=True)
class Asked:
    """A problem that is held out."""

    problem: Problem
    separable: bool

    @property
    def label(self) -> str:
        sizes = ("x".join(map(str, shape)) for shape in (self.problem.image_shape, self.problem.kernel_shape))
        return f"{' '.join(sizes)} {self.problem.dtype}{' separable' if self.separable else ''}"

    def question(self, images: int | None) -> Question:
        p = self.problem
        return Question(p.image_shape, p.kernel_shape, p.dtype, p.mode, p.device, p.threads, self.separable, images)

    def kernel(self) -> np.ndarray:
        return self.problem.kernel(separable=self.separable)

    @property
    def traits(self) -> tuple[object, ...]:
        """In what it may be like others."""
        p = self.problem
        return p.image_shape, p.kernel_shape[0], p.dtype, f"separable {self.separable}"


def held_out() -> list[Asked]:
    """Some sixty problems, every size with others, in an order of which any start is a fair sample."""
    found = []
    for (a, image), (b, k) in itertools.product(enumerate(IMAGES), enumerate(KERNELS)):
        if (a + 2 * b) % 3 != 1:
            problem = Problem(image, (k, k), ("float32", "float64")[(a + b) % 2])
            found.append(Asked(problem, separable=(a + b // 2) % 3 == 0))
    random.Random(0).shuffle(found)
    return balanced(found)


def balanced(every: list[Asked]) -> list[Asked]:
    """Next always the one whose image, kernel, dtype and kind have come up least, each by its share in the whole."""
    shares, seen = Counter(trait for asked in every for trait in asked.traits), Counter[object]()
    rest, found = every.copy(), list[Asked]()
    while rest:
        found.append(min(rest, key=lambda asked: sum((seen[t] + 1) / shares[t] for t in asked.traits)))
        rest.remove(found[-1])
        seen.update(found[-1].traits)
    return found


# -- measuring -----------------------------------------------------------------------------------------------------


def candidates(asked: Asked, chooser: Chooser) -> list[str]:
    """What may be best by the table, amortised or once, and what is always timed; in this process only."""
    names = {name for name in recommendation.installed() if not get_backend(name).remote}
    found = set(ALWAYS) & names
    for images in (None, 1):
        found |= {one.backend for one in ranked(asked, images, chooser, names) if one.cost <= PLAUSIBLE - 1}
    found |= {api.choose(asked.problem, asked.kernel(), expect) for expect in expectations(chooser).values()} & names
    return sorted(name for name in found if asked.separable or get_backend(name).family != "separable")


def ranked(asked: Asked, images: int | None, chooser: Chooser, names: Collection[str]) -> list[Estimate]:
    """As `recommend` answers."""
    question = asked.question(images)
    return chooser.rank(question, names) or modelled(question, names, chooser.ceilings)


def expectations(chooser: Chooser) -> dict[str, Callable[[Problem], api.Expected]]:
    """How convolve decides: with the table, and without it."""
    return {
        "convolve, with the table": functools.partial(api.expected, decider=api.deciding(chooser)),
        "convolve, by the cost model": api.by_cost_model,
    }


def measured(asked: Asked, names: Collection[str]) -> dict[str, Any]:
    """The times of one problem, as they are kept."""
    problem = asked.problem
    backends = [get_backend(name) for name in names]
    cells = measure_cells(problem, backends, problem.image(), asked.kernel(), budget=BUDGET, rule=RULE, zero_mean=True)
    return {
        "label": asked.label,
        "measured_at": now(),
        "budget_s": BUDGET,
        "times": {cell.backend: times(cell) for cell in cells if cell.status == "ok" and cell.execute},
        "left_out": {cell.backend: f"{cell.status}: {cell.reason}" for cell in cells if cell.status != "ok"},
    }


def times(cell: Cell) -> dict[str, float]:
    assert cell.execute is not None
    once = cell.one_shot.median if cell.one_shot else math.nan
    found = {
        "execute_s": cell.execute.median,
        "low_s": cell.execute.low,
        "high_s": cell.execute.high,
        "one_shot_s": once,
    }
    return {name: float(f"{value:.5g}") for name, value in found.items()}


# -- scoring -------------------------------------------------------------------------------------------------------


class Score(NamedTuple):
    """The regret of a choice; None where it has no time. least: it is at least that, as the budget was too small."""

    regret: float | None
    least: bool = False


def scored(asked: Asked, cell: Mapping[str, Any], chooser: Chooser) -> dict[str, Score]:
    """Regret by who chose, among all that were to be timed."""
    from scipy.signal import choose_conv_method

    execute, once = (
        {name: t[what] for name, t in cell["times"].items() if t[what] > 0} for what in ("execute_s", "one_shot_s")
    )
    late = {name for name, why in cell["left_out"].items() if why.startswith("skipped")}
    names, budget = {*cell["times"], *cell["left_out"]}, cell.get("budget_s", BUDGET)

    def score(chosen: str | None, among: Mapping[str, float]) -> Score:
        best = min(among.values(), default=math.nan)
        if chosen in late and among:
            return Score(max(budget / best - 1, 0.0), least=True)
        return Score(among[chosen] / best - 1 if chosen in among else None)

    def first(images: int | None) -> str | None:
        found = ranked(asked, images, chooser, names)
        return found[0].backend if found else None

    found = {"recommend, amortised": score(first(None), execute), "recommend, one image": score(first(1), once)}
    kernel = asked.kernel()
    for what, expect in expectations(chooser).items():
        found[f"{what}, one image"] = score(api.choose(asked.problem, kernel, expect), once)
    image = np.zeros(asked.problem.image_shape, asked.problem.dtype)  # only its shape and dtype count
    own = SCIPY[choose_conv_method(image, kernel, mode="same")]
    found["scipy.signal.choose_conv_method, over the best of all"] = score(own, execute)
    pair = {name: execute[name] for name in SCIPY.values() if name in execute}
    settled = pair.keys() | late >= set(SCIPY.values())  # what is over the budget is behind what is not
    better = score(own, pair) if settled else Score(None)
    return found | {"scipy.signal.choose_conv_method, over the better of its two": better}


def summary(scores: list[dict[str, Score]]) -> list[dict[str, Any]]:
    """Mean, median, 95th percentile and worst of each regret, in %; how many are at least so much, and have no time."""
    rows = []
    for what in dict.fromkeys(name for one in scores for name in one):
        own = [one[what] for one in scores if what in one]
        values = 100 * np.array([one.regret for one in own if one.regret is not None])
        row = {"chosen by": what, "problems": len(values), "at least": sum(one.least for one in own)}
        row["untimed"] = len(own) - len(values)
        figures = {
            "mean": np.mean,
            "median": np.median,
            "95th percentile": lambda v: np.percentile(v, 95),
            "worst": np.max,
        }
        rows.append(row | {name: round(float(f(values)), 2) if len(values) else None for name, f in figures.items()})
    return rows


def drawn(rows: list[dict[str, Any]], title: str) -> Table:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{v:.1f} %" if isinstance(v, float) else str("" if v is None else v) for v in row.values()))
    return table


# -- stored results ------------------------------------------------------------------------------------------------


def stored(results: Path) -> Iterator[tuple[str, list[dict[str, Score]]]]:
    """For every machine and commit, images and kernels of the grid left out in turn (never the outermost)."""
    from convbench.analysis.chooser_table import chooser_table
    from convbench.analysis.schema import WHERE
    from convbench.analysis.table import read_results

    found = read_results(results)
    usual = found.cells[(found.cells["threads"] == 1) & (found.cells["device"] == "cpu")]
    for where, cells in usual[usual["layout"] == "image"].groupby(list(WHERE), sort=True):
        scores = []
        for dtype, axis in itertools.product(cells["dtype"].unique(), ("kernel", "image")):
            own = cells[cells["dtype"] == dtype]
            for size in sorted(own[axis].unique())[1:-1]:
                table = chooser_table(replace(found, cells=own[own[axis] != size]), where)
                here = own[(own[axis] == size) & (own["status"] != "no evidence")]
                for (n, k), rows in here.groupby(["image", "kernel"]):
                    scores += [stored_scores(Chooser(table), rows, int(n), int(k), s) for s in (False, True)]
        if any(scores):
            yield " ".join(where), scores


def stored_scores(chooser: Chooser, rows: pd.DataFrame, n: int, k: int, separable: bool) -> dict[str, Score]:
    """As `scored`, of one cell; a choice that was skipped there has no time."""
    from convbench.analysis.schema import measured

    rows = rows if separable else rows[rows["family"] != "separable"]
    found = {}
    for images, column in ((None, "execute_s"), (1, "one_shot_s")):
        timed = measured(rows)
        own = {name: s for name, s in zip(timed["backend"], timed[column], strict=True) if s > 0}
        question = Question((n, n), (k, k), str(rows["dtype"].iloc[0]), separable=separable, images=images)
        ranked = chooser.rank(question, set(rows["backend"]))
        if ranked and own:
            what, first = f"recommend, {'one image' if images else 'amortised'}", ranked[0].backend
            regret = own[first] / min(own.values()) - 1 if first in own else None
            found[f"{what}, separable" if separable else what] = Score(regret)
    return found


# -- the command ---------------------------------------------------------------------------------------------------


@click.command()
@click.option(
    "--table", type=click.Path(path_type=Path), help="A chooser's table; by default as `convbench recommend`."
)
@click.option("--results", type=click.Path(path_type=Path), help="Make the table of this folder of results.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many problems, for trying.")
@click.option("--fresh", is_flag=True, help="Measure all again.")
@click.option("--stored", "from_stored", is_flag=True, help="Time nothing: leave sizes out of stored results.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("reports"), show_default=True)
def main(
    table: Path | None, results: Path | None, limit: int | None, fresh: bool, from_stored: bool, out: Path
) -> None:
    """Score the chooser, and SciPy's, by regret on problems that are not in the table."""
    screen = Console(width=130)
    if from_stored:
        for where, scores in stored(results or Path("results")):
            screen.print(drawn(summary(scores), f"{where}: regret on sizes left out of the grid"))
        return
    chooser, notes = recommendation.find(table, results)
    if chooser is None:
        raise click.ClickException("there is no table: `convbench run` measures, --table or --results names one")
    path = out / f"regret-{machine.machine_name()}.json"
    kept = {} if fresh else earlier(path)
    every = held_out()[:limit]
    warnings = console.warn()
    with console.progress(lines=True) as progress:
        for number, asked in enumerate(every):
            progress(number, len(every), asked.label)
            names = candidates(asked, chooser)
            before = kept.get(asked.label)
            if before is None or not set(names) <= {*before["times"], *before["left_out"]}:
                kept[asked.label] = measured(asked, names)
                write(path, kept, chooser, [*notes, *warnings])
        progress(len(every), len(every), "done")
    screen.print(write(path, kept, chooser, [*notes, *warnings]))
    screen.print(f"wrote {path} and {path.with_suffix('.txt')}")


def earlier(path: Path) -> dict[str, Any]:
    """What was measured before, by label."""
    if not path.exists():
        return {}
    try:
        return {cell["label"]: cell for cell in json.loads(path.read_text())["cells"]}
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{path} is damaged ({error!r}); move it away, or give another --out") from error


def write(path: Path, kept: Mapping[str, Any], chooser: Chooser, notes: list[str]) -> Table:
    """Write all that is known, as JSON and as text; returns the table of scores."""
    known = {asked.label: asked for asked in held_out()}
    scores = {label: scored(known[label], cell, chooser) for label, cell in kept.items() if label in known}
    cells = [
        {**kept[label], "regret": {what: one.regret for what, one in found.items()}} for label, found in scores.items()
    ]
    rows = summary(list(scores.values()))
    made_of = {name: chooser.table.get(name) for name in ("machine", "commit", "date", "measured", "convbench")}
    facts = machine.describe()
    title = f"regret on {len(cells)} of {len(known)} problems whose sizes are not in the table"
    data = {
        "machine": facts, "versions": machine.versions(), "written_at": now(), "table": made_of, "notes": notes,
        "scores": rows, "cells": cells,
    }  # fmt: skip
    atomic_write(path, json.dumps(data, indent=1) + "\n")
    text = Console(width=130, record=True, file=io.StringIO())
    text.print(f"convbench's chooser, {now()}, {facts['machine']}: {facts['cpu']}, {facts['cores']}")
    text.print(f"table: {', '.join(f'{name} {value}' for name, value in made_of.items())}")
    for note in dict.fromkeys(notes):
        text.print(f"note: {note}")
    table = drawn(rows, title)
    text.print(table)
    text.print(
        f"at least: of the problems, so many where what was chosen takes longer than {BUDGET:g} s, which counts as "
        "that; untimed: choices that could not be timed, beside the problems"
    )
    text.print("\nThe worst choices of `recommend`, amortised:")
    amortised = "recommend, amortised"
    worst = sorted(cells, key=lambda cell: -(cell["regret"][amortised] or 0))[:10]
    for cell in worst:
        if (cell["regret"][amortised] or 0) > 0:
            best = min(cell["times"], key=lambda name: cell["times"][name]["execute_s"])
            text.print(f"- {cell['label']}: {100 * cell['regret'][amortised]:.0f} % over {best}")
    lines = (line.rstrip() for line in text.export_text().splitlines())
    atomic_write(path.with_suffix(".txt"), "".join(f"{line}\n" for line in lines))
    return table


if __name__ == "__main__":
    main()
