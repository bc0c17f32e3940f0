"""The section on break-even: time per image against the number of images, and what to use for one, ten, a thousand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.breakeven import (
    STARTS,
    between,
    break_evens,
    cheapest,
    costs,
    family_break_evens,
    sentence,
)
from convbench.analysis.noise import UNCALIBRATED, Noise
from convbench.report import sets, words
from convbench.report.figures import HEIGHT, WIDTH, canvas, drawn_points, place_name, time_axis
from convbench.report.palette import FAINT, INK, PAPER, Style, family_class
from convbench.report.sections import MAIN_PAIR, SEPARABLE
from convbench.report.sets import Set
from convbench.report.svg import RC, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

# What is drawn: one kernel size on each side of the usual crossover from direct to fft.
KERNELS = (7, 31)
IMAGES = (1, 10, 1000)
START_MEANS = {"warm": "warm: the library is loaded, the kernel is new", "cold": "cold: a fresh process"}
_N: Floats = np.geomspace(1, 1000, 61)
_MARKED = slice(0, None, 20)


def section(found: Sequence[Set], look: Mapping[str, Style], noise: Noise = UNCALIBRATED) -> dict[str, Any] | None:
    """What breakeven.html shows: the usual set, or the first, and those of other devices; None without any times."""
    chosen = [s for s in found if all(getattr(s, n) == v for n, v in sets.USUAL.items() if n != "device")] or found[:1]
    made = [one for i, s in enumerate(chosen) if (one := _set(s, look, noise, f"even{i}"))]
    return {"sets": made, "cold": any(one["cold"] for one in made)} if made else None


def _set(one: Set, look: Mapping[str, Style], noise: Noise, prefix: str) -> dict[str, Any] | None:
    image = sets.main_image(one)
    rows = one.rows[one.rows["image"] == image]
    table = costs(rows)
    if table.empty:
        return None
    starts = [s for s in STARTS if s in set(table["start"])]
    left_out = SEPARABLE if set(table["family"]) - SEPARABLE else frozenset()
    steps = break_evens(rows, left_out, noise=noise)
    kernels = nearest(sorted({int(k) for k in table["kernel"]}), KERNELS)
    means = {k: _means(table[table["kernel"] == k]) for k in kernels}
    limits = _limits([mean for of in means.values() for mean in of.values()])
    figures = []
    for k in kernels:
        panels = []
        for start in (s for s in starts if (k, s) in {(k, key[0]) for key in means[k]}):
            title = f"{one.title}, {words.shape(one.layout, image)}, k = {k}, {start}: time per image against images"
            lines = {backend: mean for (s, _, backend), mean in means[k].items() if s == start}
            here = steps[(steps["kernel"] == k) & (steps["start"] == start)]
            svg = _panel(lines, look, here, left_out, limits, f"{prefix}-{k}-{start}", title)
            panels.append({"start": START_MEANS[start], "svg": svg, "title": title})
        told = [f"{r.start}: {sentence(r)}" for r in steps[steps["kernel"] == k].itertuples()]
        figures.append({"kernel": k, "panels": panels, "told": told})
    drawn = {backend for k in kernels for (_, _, backend) in means[k]}
    tables = [_table("Any kernel", rows, left_out, starts, noise)]
    if left_out and left_out & set(table["family"]):
        tables.append(_table("Separable kernel", rows, frozenset(), starts, noise, pairs=False))
    return {
        "title": one.title,
        "slug": one.slug,
        "what": words.things(one.layout, one.dtype, image),
        "size": words.shape(one.layout, image),
        "threads": words.thread_words(one.threads),
        "device": one.device,
        "cold": "cold" in starts,
        "starts": starts,
        "figures": figures,
        "legend": sets.legend({b: style for b, style in look.items() if b in drawn}, f"{prefix}-w"),
        "tables": tables,
        "images": IMAGES,
    }


def nearest(there: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Of the sizes that there are those nearest to the ones wanted, on a log scale, each once."""
    return sorted({min(there, key=lambda k: abs(math.log(k / w))) for w in wanted})


def _means(table: pd.DataFrame) -> dict[tuple[str, str, str], Floats]:
    """(start, family, backend) -> seconds per image at _N, for those that are the best of their family somewhere."""
    means = {
        (str(r.start), str(r.family), str(r.backend)): (r.first_s + (_N - 1) * r.each_s) / _N
        for r in table.itertuples()
    }
    best: dict[tuple[str, str], Floats] = {}
    for (start, family, _), mean in means.items():
        best[start, family] = np.minimum(best.get((start, family), mean), mean)
    return {key: mean for key, mean in means.items() if (mean <= best[key[:2]]).any()}


def _limits(means: Sequence[Floats]) -> tuple[float, float]:
    low, high = min(float(m.min()) for m in means), max(float(m.max()) for m in means) * 1.2
    return low / max((high / low) ** 0.1, 1.2), high


def _panel(
    lines: Mapping[str, Floats],
    look: Mapping[str, Style],
    steps: pd.DataFrame,
    left_out: frozenset[str],
    limits: tuple[float, float],
    prefix: str,
    title: str,
) -> str:
    """Seconds per image against the number of images, log-log; bold where a backend leads, rings at the break-evens.

    lines: seconds at _N by backend. steps: the changes of lead. left_out: families that do not take part in the lead.
    """
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure, axes = canvas(WIDTH, HEIGHT, left=48, right=12, bottom=40, top=8)
        axes.set_xscale("log")
        axes.set_xlim(0.93, 1080)
        time_axis(axes.yaxis, limits)
        axes.set_ylim(*limits)
        _count_axis(axes)
        taking_part = [b for b in lines if look[b].family not in left_out]
        envelope = np.min([lines[b] for b in taking_part], axis=0)
        for backend, mean in lines.items():
            _line(axes, mean, look[backend], envelope if backend in taking_part else None)
        obstacles = drawn_points(axes)
        told = (steps["images"] <= _N[-1]) & np.isfinite(steps["high"])  # what may never come is no point to mark
        for row in steps[told].itertuples():
            at = (float(row.images), math.exp(np.interp(math.log(row.images), np.log(_N), np.log(envelope))))
            ends = [min(max(end, 1), _N[-1]) for end in (row.low, row.high)]
            axes.plot(ends, [at[1], at[1]], color=INK, linewidth=1.4, zorder=5)
            axes.plot([at[0]], [at[1]], "o", ms=8, mfc="none", mec=INK, mew=1.4, zorder=5)
            obstacles = np.vstack([obstacles, place_name(axes, at, f"N = {row.images:.0f}", obstacles)])
        axes.set_xlabel("number of images N", color=INK)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        return inline(figure, prefix, title)


def _line(axes: Axes, mean: Floats, style: Style, envelope: Floats | None) -> None:
    drawn = axes.plot(
        _N, mean, color=style.colour, linewidth=1.1, dashes=style.dashes, zorder=2,
    )  # fmt: skip
    drawn += axes.plot(
        _N[_MARKED], mean[_MARKED], style.marker, color=style.colour, markersize=4.6, markeredgewidth=0.8,
        markeredgecolor=PAPER, zorder=4,
    )  # fmt: skip
    if envelope is not None and (mean <= envelope).any():
        leads = mean <= envelope
        leads[:-1] |= leads[1:]  # up to the change of lead, from both sides
        leads[1:] |= mean[:-1] <= envelope[:-1]
        drawn += axes.plot(
            _N, np.where(leads, mean, np.nan), color=style.colour, linewidth=3.4, solid_capstyle="round", zorder=3
        )
    for artist in drawn:
        artist.set_gid(f"class:b b{style.slot}:{style.backend}")
        artist.set_clip_on(False)


def _count_axis(axes: Axes) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    axes.xaxis.set_major_locator(FixedLocator([1, 3, 10, 30, 100, 300, 1000]))
    axes.xaxis.set_major_formatter(lambda n, _: f"{n:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _table(
    caption: str, rows: pd.DataFrame, left_out: frozenset[str], starts: Sequence[str], noise: Noise, pairs: bool = True
) -> dict[str, Any]:
    """For each kernel size: what to use for so many images, and from how many on fft beats direct."""
    best = {(int(r["kernel"]), str(r["start"])): r for r in cheapest(rows, left_out, IMAGES, noise).to_dict("records")}
    compared = rows if pairs else rows.iloc[:0]
    pair = {(int(r.kernel), str(r.start)): r for r in family_break_evens(compared, *MAIN_PAIR, noise).itertuples()}
    kernels = sorted({k for k, _ in best})
    return {
        "caption": caption,
        "pairs": bool(pair),
        "rows": [
            {
                "kernel": k,
                "cells": [_choice(best.get((k, start)), n) for start in starts for n in IMAGES],
                "pairs": [_pair(pair.get((k, start))) for start in starts],
            }
            for k in kernels
        ],
    }


def _choice(row: Mapping[str, Any] | None, n: int) -> dict[str, Any] | None:
    if row is None:
        return None
    ties = int(row[f"ties_{n}"])
    others = f"; {ties} other{'s' if ties > 1 else ''} cannot be told from it" if ties else ""
    return {
        "backend": row[f"backend_{n}"],
        "css": family_class(row[f"family_{n}"]),
        "time": words.seconds(row[f"seconds_{n}"]),
        "tied": "≈ " if ties else "",
        "told": f"{row[f'backend_{n}']}, {row[f'family_{n}']}: {words.seconds(row[f'seconds_{n}'])} an image{others}",
    }


def _pair(row: Any) -> dict[str, Any] | None:
    """From how many images on fft beats direct, or the other way round, in a few words."""
    if row is None:
        return None
    told = {"told": sentence(row), "interval": "", "tied": "≈ " if row.low < row.high == math.inf else ""}
    if row.images == math.inf:
        return told | {"text": f"{row.before_family} always", "css": family_class(row.before_family)}
    text = f"{row.family} from {row.images:.0f} on"
    return told | {"text": text, "css": family_class(row.family), "interval": between(row.low, row.high)}
