"""What a choice costs: the winner of every cell, who cannot be told from it, and the regret of all others."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from convbench.analysis.noise import Noise, Rounds
from convbench.analysis.schema import GROUP, measured

QUESTION = (*GROUP, "kernel")
"""What is asked: cells that differ in nothing but the backend."""


def regret(cells: pd.DataFrame, noise: Noise, without: Collection[str] = ()) -> pd.DataFrame:
    """The measured cells with what choosing each costs, best first within every question.

    Adds rank (1 is the best), best (the winner's backend), best_s, regret (time over the best, minus 1), smallest (the
    relative difference below which this cell and the winner are a tie) and tied (they are; the winner is, with itself).
    without: families to leave out, e.g. {"separable"} for a kernel that is not.
    """
    rows = measured(cells)
    rows = rows[~rows["family"].isin(list(without))]
    rows = rows.sort_values([*QUESTION, "execute_s", "backend"], kind="stable").reset_index(drop=True)
    groups = rows.groupby(list(QUESTION), sort=False, dropna=False)
    place = groups.cumcount().to_numpy()
    first = np.flatnonzero(place == 0)[groups.ngroup().to_numpy()] if len(rows) else place
    samples, processes = _samples(rows)
    rounds = Rounds.of(samples, processes, list(rows["groups"]) if "groups" in rows else None)
    distance, error = rounds.against(rounds, first)
    times = rows["execute_s"].to_numpy()
    limit = np.where(np.isfinite(error), noise.limits(error), np.inf)
    return rows.assign(
        rank=place + 1,
        best=rows["backend"].to_numpy()[first],
        best_s=times[first],
        regret=times / times[first] - 1,
        smallest=np.expm1(limit),
        tied=(distance <= limit) | (place == 0),
    )


def _samples(rows: pd.DataFrame) -> tuple[list[list[float]], list[list[int]]]:
    """Each row's samples and their processes; where asv kept no samples, three that have its median and interval."""
    ends = rows[["execute_low_s", "execute_s", "execute_high_s"]].fillna(0).to_numpy().tolist()
    samples, processes = [], []
    for kept, sizes, (low, middle, high) in zip(rows["samples"], rows["processes"], ends, strict=True):
        known = kept or [low or middle, middle, high or middle]
        samples.append(known)
        processes.append(sizes if kept and sum(sizes) == len(kept) else [len(known)])
    return samples, processes
