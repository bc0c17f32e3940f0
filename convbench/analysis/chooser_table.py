"""The chooser's table: all that a decision needs of one machine's measurements, small enough to hand to others.

It is a dict of plain lists, strings and numbers, so that it can be kept as JSON; docs/recommend.md describes it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from convbench import __version__
from convbench.analysis.chooser_model import features, kinds
from convbench.analysis.medians import MEDIAN_ERROR
from convbench.analysis.noise import FEW_SAMPLES_ERROR, Noise, calibrate
from convbench.analysis.recommend import FORMAT, VERSION, cell_shapes
from convbench.analysis.regret import regret
from convbench.analysis.schema import WHERE
from convbench.analysis.table import Results, Where
from convbench.cost import DESKTOP
from convbench.errors import ArgumentError

Floats = npt.NDArray[np.float64]
Table = dict[str, Any]

SET = ("layout", "dtype", "device", "threads")
WITHIN = 3.0
"""A backend that is nowhere in a set within this factor of the best is left out of it."""
_INTERVAL = 2 * 2.576  # how many standard errors the 99 % interval of a median is wide
# Below 8 samples it is their range, which is so many standard deviations wide (of normal samples, on average).
_RANGE = {2: 1.128, 3: 1.693, 4: 2.059, 5: 2.326, 6: 2.534, 7: 2.704}
_BARE = Noise(0, 0.0, 1.0, 0.0)  # its limits are the standard errors themselves
# Where there are too few sizes to try: how wrong interpolation, and the next step outside the grid, are taken to be.
_UNTRIED, _UNTRIED_OUTSIDE = 0.25, 0.35
_BETTER = 0.95  # a kind of method that is not the family's own has to be that much less wrong


def newest(cells: pd.DataFrame, machine: str | None = None) -> Where:
    """Machine, commit and environment that were measured last, of that machine or of any.

    Raises ArgumentError where there are none, naming the machines there are.
    """
    rows = cells if machine is None else cells[cells["machine"] == machine]
    if rows.empty:
        there = ", ".join(sorted(map(str, cells["machine"].unique()))) or "none"
        raise ArgumentError(f"no results of machine {machine!r}; there are: {there}. `convbench run` measures this one")
    last = rows.sort_values(["date", "measured_at"], kind="stable", na_position="first").iloc[-1]
    return tuple(str(last[name]) for name in WHERE)  # type: ignore[return-value]


def chooser_table(results: Results, where: Where | None = None) -> Table:
    """The table of one machine, commit and environment (by default the newest).

    Raises ArgumentError where nothing was measured there.
    """
    where = where or newest(results.cells)
    cells = _at(results.cells, where)
    noise = calibrate(_at(results.pairs, where))
    facts, versions = _facts(results, where)
    ceilings = results.ceilings.get(where[0], {}).get(1, {})
    table: Table = {
        "format": FORMAT,
        "version": VERSION,
        "convbench": __version__,
        **dict(zip(WHERE, where, strict=True)),
        "cpu": facts,
        "date": _day(cells["date"].max()),
        "measured": _day(cells["measured_at"].max()),
        "versions": versions,
        "mode": "same",
        "noise": {"floor": _round(noise.floor, 3), "excess": _round(noise.excess, 3)}
        | {"quantile": _round(noise.quantile, 3), "pairs": noise.pairs},
        "ceilings": {name: _round(ceilings[name]) for name in DESKTOP if ceilings.get(name, 0) > 0},
        "left_out": {"never_within": WITHIN, "backends": []},
        "backends": {},
        "sets": [],
    }
    same = cells[(cells["mode"] == "same") & (cells["status"] != "no evidence")]
    for key, rows in same.groupby(list(SET), sort=True):
        one = _set(dict(zip(SET, key, strict=True)), rows)
        if one["backends"]:
            table["sets"].append(one)
    if not table["sets"]:
        raise ArgumentError(f"nothing was measured at {' '.join(where)}: no table; `convbench run` measures")
    kept = {name for one in table["sets"] for name in one["backends"]}
    table["left_out"]["backends"] = sorted({name for one in table["sets"] for name in one["left_out"]} - kept)
    for name, rows in same[same["backend"].isin(kept)].groupby("backend", sort=True):
        first = rows.iloc[0]
        table["backends"][str(name)] = {"family": str(first["family"]), "library": str(first["library"])}
        table["backends"][str(name)]["separable_only"] = str(first["family"]) == "separable"
    return table


def cells_of(table: Mapping[str, Any]) -> int:
    """How many cells of the table are measured."""
    surfaces = (entry["execute"]["us"] for one in table["sets"] for entry in one["backends"].values())
    return sum(value is not None for us in surfaces for row in us for value in row)


# -- one set -----------------------------------------------------------------------------------------------------


def _set(key: Mapping[str, Any], rows: pd.DataFrame) -> Table:
    timed = regret(rows, _BARE)
    timed = timed.assign(error=_standard_errors(timed), apart=_apart(timed))
    images, kernels = (sorted({int(v) for v in timed[name]}) for name in ("image", "kernel"))
    found: Table = {
        **{name: int(value) if name == "threads" else str(value) for name, value in key.items()},
        "images": images,
        "kernels": kernels,
        "left_out": [],
        "backends": {},
    }
    grids: dict[str, tuple[str, dict[str, Floats]]] = {}
    for name, own in timed.groupby("backend", sort=True):
        place = [images.index(n) for n in own["image"]], [kernels.index(k) for k in own["kernel"]]
        once = own["one_shot_s"].fillna(own["plan_s"] + own["execute_s"])
        columns = {"execute": own["execute_s"], "one_shot": once, "error": own["error"], "apart": own["apart"]}
        planes = {what: np.full((len(images), len(kernels)), np.nan) for what in columns}
        for what, values in columns.items():
            planes[what][place] = values.where(np.isfinite(values) & (values >= 0), np.nan)
        grids[str(name)] = (str(own["family"].iloc[0]), planes)
    contenders = _contenders(grids)
    layout = str(key["layout"])
    for name, (family, planes) in grids.items():
        if name not in contenders:
            found["left_out"].append(name)
            continue
        fit = [_surface(layout, family, images, kernels, planes[what]) for what in ("execute", "one_shot")]
        entry: Table = {"execute": fit[0], "one_shot": fit[1]}
        for what in ("error", "apart"):
            percent = np.nan_to_num(planes[what], nan=0.0) * 100
            entry[f"{what}_pct"] = [[_plain(_round(e, 2)) for e in row] for row in percent]
        refused = rows[(rows["backend"] == name) & rows["status"].isin(["failed", "n/a"])]
        entry["refused"] = [
            [images.index(n), kernels.index(k)]
            for n, k in zip(refused["image"], refused["kernel"], strict=True)
            if n in images and k in kernels
        ]
        found["backends"][name] = entry
    return found


def _standard_errors(rows: pd.DataFrame) -> pd.Series:
    """Of the logarithm of each time: what its interval says, or how much the medians of processes scatter, if more."""
    width, counts = np.log(rows["execute_high_s"] / rows["execute_low_s"]), rows["samples"].map(len)
    within = (width / counts.map(_wide)).where(np.isfinite(width) & (counts != 1), FEW_SAMPLES_ERROR)
    between = [_between(s, p) for s, p in zip(rows["samples"], rows["processes"], strict=True)]
    return within.clip(lower=pd.Series(between, index=rows.index))


def _wide(samples: int) -> float:
    """How many standard errors of the median its interval is wide, of so many samples; 0: asv kept none."""
    return _RANGE[samples] * math.sqrt(samples) / MEDIAN_ERROR if samples in _RANGE else _INTERVAL


def _apart(rows: pd.DataFrame) -> pd.Series:
    """Each backend's share in the standard errors of comparing its cell with others, which are sampled side by side.

    rows: as `regret` has them, `smallest` from the standard errors alone. The hypotenuse of two shares is the error of
    their comparison: that with the best is as regret has it; the best's own share is half of the least variance.
    """
    error = np.log1p(rows["smallest"]).where(rows["rank"] > 1)
    error = error.where(np.isfinite(error) | (rows["rank"] == 1), FEW_SAMPLES_ERROR)
    best = error.groupby([rows["image"], rows["kernel"]]).transform("min").fillna(0.0) / math.sqrt(2)
    return np.sqrt(error**2 - best**2).where(rows["rank"] > 1, best)


def _between(samples: Sequence[float], processes: Sequence[int]) -> float:
    """The standard error that the medians of several processes show; 0 for one."""
    if len(processes) < 2 or sum(processes) != len(samples):
        return 0.0
    ends = list(itertools.accumulate(processes))
    parts = [samples[end - size : end] for end, size in zip(ends, processes, strict=True) if size]
    if len(parts) < 2:
        return 0.0
    logs = [math.log(statistics.median(part)) for part in parts]
    mean = sum(logs) / len(logs)
    return math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1) / len(logs))


def _contenders(grids: Mapping[str, tuple[str, Mapping[str, Floats]]]) -> set[str]:
    """The backends that are somewhere within reach of the best of all, or of the best for any kernel."""
    kept: set[str] = set()
    for group in (set(grids), {name for name, (family, _) in grids.items() if family != "separable"}):
        for what in ("execute", "one_shot"):
            planes = {name: grids[name][1][what] for name in group}
            if planes:
                best = np.fmin.reduce(list(planes.values()))
                with np.errstate(invalid="ignore"):
                    kept |= {name for name, plane in planes.items() if (plane <= WITHIN * best).any()}
    return kept


def _surface(layout: str, family: str, images: list[int], kernels: list[int], seconds: Floats) -> Table | None:
    """Times with the model that explains them best, and how wrong interpolating the rest is; None without any time."""
    known = np.argwhere(np.isfinite(seconds) & (seconds > 0))
    if not len(known):
        return None
    micro = np.array([[_round(s * 1e6) if math.isfinite(s) else math.nan for s in row] for row in seconds])
    best: tuple[float, Table] | None = None
    for kind in kinds(family):
        rows = np.array([features(kind, *cell_shapes(layout, images[i], kernels[j])) for i, j in known])
        use = _tellable(len({i for i, _ in known}), len({j for _, j in known}))
        times = micro[tuple(known.T)]
        coefficients = np.zeros(3)
        coefficients[use] = nnls(rows[:, use] / times[:, None], np.ones(len(times)))[0]
        coefficients = np.array([_round(c, 6) for c in coefficients])
        ratios = np.full(seconds.shape, np.nan)
        ratios[tuple(known.T)] = np.log(times / (rows @ coefficients))
        inner = [_left_out(ratios, images), _left_out(ratios.T, kernels)]
        edges = np.concatenate([_edges(ratios), _edges(ratios.T)])
        total = _rms(np.concatenate([*inner, edges]), _UNTRIED)
        if best is None or total < _BETTER * best[0]:
            errors = [_rms(inner[0], _UNTRIED), _rms(inner[1], _UNTRIED), _rms(edges, _UNTRIED_OUTSIDE)]
            surface = {
                "us": [[_plain(v) for v in row] for row in micro],
                "model": kind,
                "coefficients": [_plain(c) for c in coefficients],
                "wrong_pct": [_round(100 * e, 2) for e in errors],
            }
            best = total, surface
    assert best is not None
    return best[1]


def _tellable(images: int, kernels: int) -> list[int]:
    """Which features can be told apart: with one image size samples moved stand for the fixed cost too."""
    return [0] if kernels == 1 else [0, 1] if images == 1 else [0, 1, 2]


def _left_out(ratios: Floats, sizes: list[int]) -> Floats:
    """What interpolation between the neighbours along axis 0 is off by, for every cell that has two."""
    at = np.log(np.array(sizes, float))
    share = ((at[1:-1] - at[:-2]) / (at[2:] - at[:-2]))[:, None] if len(at) > 2 else np.zeros((0, 1))
    off = ratios[1:-1] - ((1 - share) * ratios[:-2] + share * ratios[2:])
    return off[np.isfinite(off)]


def _edges(ratios: Floats) -> Floats:
    """What keeping the ratio of the outermost cells but one is off by at the outermost."""
    if len(ratios) < 2:
        return np.zeros(0)
    off = np.concatenate([ratios[0] - ratios[1], ratios[-1] - ratios[-2]])
    return off[np.isfinite(off)]


def _rms(off: Floats, untried: float) -> float:
    return float(np.sqrt(np.mean(off**2))) if len(off) else untried


# -- about the table ---------------------------------------------------------------------------------------------


def _at(frame: pd.DataFrame, where: Where) -> pd.DataFrame:
    for name, value in zip(WHERE, where, strict=True):
        frame = frame[frame[name] == value]
    return frame


def _facts(results: Results, where: Where) -> tuple[str, dict[str, str]]:
    """The processor in words, and the versions of what was timed: the last run's."""
    cpu, versions = str(results.machines.get(where[0], {}).get("cpu") or ""), dict[str, str]()
    runs = [record for place, record in results.runs if place == where]
    for record in sorted(runs, key=lambda r: str(r.get("started"))):
        machine, found = record.get("machine"), record.get("versions")
        if isinstance(machine, dict):
            cpu = str(machine.get("cpu") or cpu)
        if isinstance(found, dict):
            versions |= {str(k): str(v) for k, v in found.items()}
    return cpu, dict(sorted(versions.items()))


def _day(when: Any) -> str:
    return "" if pd.isna(when) else f"{when:%Y-%m-%d}"


def _round(value: float, digits: int = 4) -> float:
    return float(f"{value:.{digits}g}")


def _plain(value: float) -> float | int | None:
    """As short as JSON can be: null for NaN, no '.0'."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else float(value)
