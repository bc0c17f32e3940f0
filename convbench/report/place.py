"""A place is what a page speaks of: one machine and environment at its newest commit, with all that follows from it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convbench.analysis.crossover import crossovers
from convbench.analysis.noise import Noise, calibrate
from convbench.analysis.regret import regret
from convbench.analysis.roofline import Ceilings, roofline
from convbench.analysis.schema import GROUP, WHERE, measured, of_reduced_precision
from convbench.analysis.table import Results, Where
from convbench.report import sections, sets
from convbench.report.names import Names
from convbench.report.palette import Style
from convbench.report.sections import Spans
from convbench.report.sets import Set


@dataclass(frozen=True, eq=False)
class Place:
    """Everything that is decided about one machine, commit and environment.

    slug: its name in files. label: its name for readers. cells: all of them. rows: the measured ones, with the columns
    of analysis.regret and analysis.roofline. rest: the same without the separable family, for a kernel that is not.
    reduced: the measured ones of reduced precision, which take no part in these.
    every, without: who leads where, with and without that family. look: how each backend is drawn.
    """

    where: Where
    slug: str
    label: str
    cells: pd.DataFrame
    rows: pd.DataFrame
    rest: pd.DataFrame
    reduced: pd.DataFrame
    noise: Noise
    crossings: pd.DataFrame
    every: Spans
    without: Spans
    sets: list[Set]
    look: dict[str, Style]
    ceilings: Mapping[int | str, Ceilings]
    machine: dict[str, Any]
    runs: list[dict[str, Any]]
    gate: pd.DataFrame

    @functools.cached_property
    def costs(self) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """sections.costs of each set, for separable and for other kernels."""
        return [(sections.costs(one.rows), sections.costs(self.rest_of(one))) for one in self.sets]

    def rest_of(self, one: Set) -> pd.DataFrame:
        """The rows of `rest` of a set: those that count for a kernel that is not separable."""
        return self._rest_by_set.get((one.layout, one.dtype, one.device, one.threads), self.rest.iloc[:0])

    @functools.cached_property
    def _rest_by_set(self) -> dict[Any, pd.DataFrame]:
        return dict(list(self.rest.groupby(list(sets.SET), sort=True)))

    @property
    def page(self) -> str:
        return f"machine-{self.slug}.html"

    @property
    def day(self) -> str:
        """When its last cell was measured, else the commit's date; '' where neither is known."""
        last = self.cells["measured_at"].max()
        last = self.cells["date"].max() if pd.isna(last) else last
        return "" if pd.isna(last) else f"{last:%Y-%m-%d}"

    @property
    def cpu(self) -> str:
        return str(self.machine.get("cpu") or "")


def named(places: list[Where]) -> dict[Where, tuple[str, str]]:
    """The slug and the label of each place; the environment is in the label where a machine has several."""
    names = Names()
    machines = [machine for machine, _, _ in places]
    return {
        (machine, commit, env): (
            names.new(f"{machine}-{env}"),
            machine if machines.count(machine) == 1 else f"{machine}, {env}",
        )
        for machine, commit, env in places
    }


def decide(results: Results, where: Where, slug: str, label: str) -> Place:
    """All that the pages say of a place."""
    cells = at(results.cells, where)
    noise = calibrate(at(results.pairs, where))
    ceilings = results.ceilings.get(where[0], {})
    crossings = crossovers(contenders(cells), excess=noise.excess)
    every, without = sections.both_envelopes(cells, crossings)
    rows = roofline(regret(cells, noise), ceilings)
    all_measured = measured(cells, reduced=True)
    return Place(
        where=where, slug=slug, label=label, cells=cells, rows=rows,
        rest=regret(cells, noise, sections.SEPARABLE),
        reduced=all_measured[of_reduced_precision(all_measured["backend"])], noise=noise, crossings=crossings,
        every=every, without=without, sets=sets.sets(rows), look=sets.styles_of(cells), ceilings=ceilings,
        machine=results.machines.get(where[0], {}), runs=[dict(run) for w, run in results.runs if w == where],
        gate=at(results.gate, where),
    )  # fmt: skip


def contenders(cells: pd.DataFrame) -> pd.DataFrame:
    """The measured cells without those that are never the fastest of their family, whatever samples are drawn again.

    A cell whose fastest sample is slower than the slowest sample of another in its family changes no crossover.
    """
    rows = measured(cells)
    lowest = np.array([min(s, default=0.0) for s in rows["samples"]])
    highest = pd.Series([max(s, default=np.inf) for s in rows["samples"]], rows.index)
    least = highest.groupby([rows[name] for name in (*GROUP, "kernel", "family")], dropna=False).transform("min")
    return rows[lowest <= least.to_numpy()]


def at(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows that were measured there."""
    if table.empty:
        return table
    here = np.logical_and.reduce([(table[name] == value).to_numpy() for name, value in zip(WHERE, where, strict=True)])
    return table[here].reset_index(drop=True)


def where_of(cells: pd.DataFrame) -> list[Where]:
    """(machine, commit, env) of each page: the newest commit of every machine and environment, last measured first."""
    seen = cells.groupby(list(WHERE), sort=True).agg(date=("date", "max"), at=("measured_at", "max")).reset_index()
    newest = seen.sort_values(["date", "at"], na_position="first").drop_duplicates(["machine", "env"], keep="last")
    newest = newest.sort_values(["at", "date"], na_position="first", ascending=True)[::-1]
    return [(r.machine, r.commit, r.env) for r in newest.itertuples()]
