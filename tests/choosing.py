"""Tables of cells from known laws of time, for tests of the chooser: the truth is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convbench.analysis.chooser_table import chooser_table
from convbench.analysis.recommend import Chooser
from convbench.analysis.table import Results

IMAGES, KERNELS = (256, 512, 1024, 2048), (3, 5, 7, 11, 15, 21, 31, 63)


@dataclass(frozen=True)
class Law:
    """Seconds of one execution and of a plan for an image and a kernel of these sizes."""

    family: str
    execute: Callable[[int, int], float]
    plan: Callable[[int, int], float] = lambda n, k: 1e-5
    threads: tuple[int, ...] = (1,)


LAWS = {
    "slow": Law("direct", lambda n, k: 4e-11 * n * n * k * k + 1e-6),
    "numba-direct": Law("direct", lambda n, k: 2e-11 * n * n * k * k + 5e-6),
    "numba-separable": Law("separable", lambda n, k: 6e-11 * n * n * k + 9e-6, lambda n, k: 4e-4),
    "pyfftw": Law("fft", lambda n, k: 4e-10 * (n + k // 2) ** 2 * np.log2(n + k // 2) + 2e-5, lambda n, k: 2e-3),
    "scipy-fft": Law("fft", lambda n, k: 9e-10 * (n + k - 1) ** 2 * np.log2(n + k) + 4e-5, lambda n, k: 1e-6),
}


def cells(
    laws: Mapping[str, Law] = LAWS,
    images: Sequence[int] = IMAGES,
    kernels: Sequence[int] = KERNELS,
    *,
    layout: str = "image",
    dtype: str = "float32",
    threads: Iterable[int] = (1,),
    machine: str = "lab",
    commit: str = "01234567",
    date: str = "2026-10-01",
    device: str = "cpu",
    spread: float = 0.01,
    seconds_limit: float = np.inf,
) -> pd.DataFrame:
    """A measured set; what takes longer than seconds_limit was skipped."""
    rows: list[dict[str, Any]] = []
    for (name, law), n, k, used in itertools.product(laws.items(), images, kernels, threads):
        if used not in law.threads:
            continue
        time = law.execute(n, k) / used
        ok = time <= seconds_limit
        rows.append({
            "machine": machine, "commit": commit, "env": "env", "date": pd.Timestamp(date, tz="UTC"),
            "measured_at": pd.Timestamp(date, tz="UTC"), "layout": layout, "backend": name, "family": law.family,
            "library": "numpy", "image": n, "kernel": k, "dtype": dtype, "mode": "same", "device": device,
            "threads": used, "status": "ok" if ok else "skipped", "execute_s": time if ok else np.nan,
            "execute_low_s": time * (1 - spread) if ok else np.nan,
            "execute_high_s": time * (1 + spread) if ok else np.nan,
            "plan_s": law.plan(n, k), "one_shot_s": time + law.plan(n, k) if ok else np.nan, "samples": [],
            "processes": [],
        })  # fmt: skip
    return pd.DataFrame(rows)


def results(*tables: pd.DataFrame, ceilings: Mapping[str, float] | None = None) -> Results:
    machines = {str(name) for table in tables for name in table["machine"]}
    return Results(
        cells=pd.concat(tables, ignore_index=True),
        gate=pd.DataFrame(),
        machines={name: {"cpu": "Zen 9"} for name in machines},
        runs=[],
        problems=[],
        ceilings={name: {1: dict(ceilings)} for name in machines} if ceilings else {},
    )


def table_of(*tables: pd.DataFrame, **more: Any) -> dict[str, Any]:
    return chooser_table(results(*tables, **more))


def chooser_of(*tables: pd.DataFrame, **more: Any) -> Chooser:
    return Chooser(table_of(*tables, **more))
