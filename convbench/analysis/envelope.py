"""The answer as ranges of kernel size: which family leads from where to where."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

from convbench.analysis.crossover import Crossing, winners
from convbench.analysis.schema import GROUP


@dataclass(frozen=True)
class Span:
    """A run of neighbouring kernel sizes at which one family leads.

    kernels: the measured sizes. backends: the fastest at each. until: where the next family takes over, if one does.
    """

    family: str
    kernels: tuple[int, ...]
    backends: tuple[str, ...]
    until: Crossing | None


def envelope(
    cells: pd.DataFrame, crossings: pd.DataFrame, without: Collection[str] = ()
) -> dict[tuple[Any, ...], list[Span]]:
    """The spans of each group (its key in GROUP order), from the smallest kernel to the largest.

    crossings: from `crossovers(cells)`. without: families to leave out, e.g. {"separable"} for a kernel that is not.
    """
    between = _by_step(crossings)
    won = winners(cells[~cells["family"].isin(list(without))])
    return {
        key: _spans(group.sort_values("kernel"), between.get(key, {}))
        for key, group in won.groupby(list(GROUP), sort=True)
    }


def _by_step(crossings: pd.DataFrame) -> dict[tuple[Any, ...], dict[tuple[str, str, int], Crossing]]:
    """(group) -> (faster below, faster above, measured size below) -> Crossing."""
    steps: dict[tuple[Any, ...], dict[tuple[str, str, int], Crossing]] = {}
    fields = list(Crossing.__dataclass_fields__)
    for row in crossings[crossings["kernel"].notna()].to_dict("records"):
        first = Crossing(**{f: row[f] for f in fields} | {"below": int(row["below"]), "above": int(row["above"])})
        steps.setdefault(tuple(row[g] for g in GROUP), {}).update(
            {(c.faster_below, c.faster_above, c.below): c for c in (first, *row["others"])}
        )
    return steps


def _spans(group: pd.DataFrame, steps: dict[tuple[str, str, int], Crossing]) -> list[Span]:
    spans: list[Span] = []
    run: list[tuple[int, str]] = []
    rows = list(zip(group["kernel"], group["family"], group["backend"], strict=True))
    for i, (kernel, family, backend) in enumerate(rows):
        run.append((int(kernel), backend))
        following = rows[i + 1] if i + 1 < len(rows) else None
        if following is not None and following[1] == family:
            continue
        until = None
        if following is not None:
            until = steps.get((family, following[1], int(kernel))) or _somewhere(family, following, int(kernel))
        spans.append(Span(family, tuple(k for k, _ in run), tuple(b for _, b in run), until))
        run = []
    return spans


def _somewhere(family: str, following: tuple[int, str, str], kernel: int) -> Crossing:
    """A change of lead between two sizes, where one of the families was not measured at both: no more is known."""
    above = int(following[0])
    return Crossing(math.sqrt(kernel * above), kernel, above, kernel, above, family, following[1])
