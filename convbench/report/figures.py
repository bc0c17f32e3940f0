"""The figures: time against kernel size, crossover bands, one-shot beside amortised time, and rooflines."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.crossover import Crossing, family_best
from convbench.report.palette import FAINT, FAMILY_COLOURS, INK, PAPER, SOFT, Style
from convbench.report.svg import RC, inline
from convbench.report.words import kernel_size, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Units of the viewBox; the page shows a panel about this many pixels wide, so 11-unit text is 11-pixel text.
WIDTH, HEIGHT = 360, 290
_INCH = 72
Points = npt.NDArray[np.float64]
# A crossover's label takes the first of these places around its ring, in viewBox units, that covers least.
LABEL_OFFSETS = np.array([(x, y) for y in (-18, 18, -32, 32, -46) for x in (0, 26, -26, 44, -44)])
LABEL_HALF = np.array([24, 8])
# Bars shorter than this lie behind their marker.
BAR_SEEN = 4


def canvas(width: float, height: float, left: float, right: float, bottom: float, top: float) -> tuple[Figure, Axes]:
    """A figure whose axes leave these margins, all in viewBox units; no pyplot, so nothing is kept alive."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _INCH, height / _INCH), dpi=_INCH)
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    axes = figure.add_axes(box)
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(which="both", colors=SOFT, length=3, labelcolor=INK)
    axes.set_axisbelow(True)
    return figure, axes


def time_panel(
    rows: pd.DataFrame,
    styles: Mapping[str, Style],
    marks: Iterable[Crossing],
    limits: tuple[float, float],
    prefix: str,
    title: str,
) -> str:
    """Time against kernel size for one group of cells, log-log, with intervals, as SVG.

    rows: measured cells of one group. marks: crossovers to point out. limits: of the time axis, shared by a figure.
    """
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure, axes = canvas(WIDTH, HEIGHT, left=48, right=10, bottom=40, top=8)
        best = family_best(rows)
        leading = set(best["backend"])
        for backend, group in rows.sort_values("kernel").groupby("backend", sort=True):
            _line(axes, group, styles[str(backend)], limits, strong=backend in leading)
        kernels = sorted({int(k) for k in rows["kernel"]})
        kernel_axis(axes, kernels)
        time_axis(axes.yaxis, limits)
        axes.set_ylim(*limits)
        obstacles = drawn_points(axes)
        for mark in marks:
            obstacles = np.vstack([obstacles, _mark(axes, mark, best, obstacles)])
        axes.set_xlabel("kernel size k", color=INK)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        return inline(figure, prefix, title)


def _line(axes: Axes, group: pd.DataFrame, style: Style, limits: tuple[float, float], strong: bool) -> None:
    k, t = group["kernel"].to_numpy(), group["execute_s"].to_numpy()
    low, high = group["execute_low_s"].to_numpy(), group["execute_high_s"].to_numpy()
    seen = np.log(high / low) / math.log(limits[1] / limits[0]) * HEIGHT > BAR_SEEN
    k_seen, low, high, gap = k[seen], low[seen], high[seen], np.full(int(seen.sum()), np.nan)
    gid = f"class:b b{style.slot}:{style.backend}"
    bars = axes.plot(
        np.column_stack([k_seen, k_seen, gap]).ravel(),
        np.column_stack([low, high, gap]).ravel(),
        color=style.colour,
        linewidth=1,
    )
    line = axes.plot(
        k,
        t,
        color=style.colour,
        linewidth=2 if strong else 1.1,
        dashes=style.dashes,
        marker=style.marker,
        markersize=5 if strong else 3.6,
        markeredgewidth=0.9,
        markerfacecolor=style.colour if strong else PAPER,
        markeredgecolor=PAPER if strong else style.colour,
        zorder=3 if strong else 2,
    )
    for artist in (*bars, *line):
        artist.set_gid(gid)
        artist.set_clip_on(False)


def _mark(axes: Axes, crossing: Crossing, best: pd.DataFrame, obstacles: Points) -> Points:
    """A ring where one family overtakes another, with its interval and its kernel size; returns what it covers."""
    of_family = best[best["family"] == crossing.faster_below].set_index("kernel")["execute_s"]
    x = np.log([crossing.below, crossing.above])
    time = math.exp(
        np.interp(math.log(crossing.kernel), x, np.log(of_family.reindex([crossing.below, crossing.above])))
    )
    if not math.isfinite(time):
        return np.empty((0, 2))
    left, right = axes.get_xlim()
    ends = [min(max(end, left), right) for end in (crossing.low, crossing.high)]
    axes.plot(ends, [time, time], color=INK, linewidth=1.4, zorder=5)
    axes.plot([crossing.kernel], [time], "o", ms=8, mfc="none", mec=INK, mew=1.4, zorder=5)
    return place_name(axes, (crossing.kernel, time), f"k ≈ {kernel_size(crossing.kernel)}", obstacles)


def place_name(
    axes: Axes, point: tuple[float, float], text: str, obstacles: Points, offsets: Points = LABEL_OFFSETS
) -> Points:
    """A bold name beside a point, where it covers the least of the obstacles; returns what is covered now.

    obstacles: points in viewBox units, (m, 2). offsets: places to try, the first ones first; for a long name their
    distances are stretched to the side.
    """
    half = np.array([max(LABEL_HALF[0], 3.6 * len(text)), LABEL_HALF[1]])
    place = axes.transData.transform(point)
    offset = min(offsets * (half / LABEL_HALF), key=lambda o: _covered(place + o, axes, obstacles, half))
    style = {"ha": "center", "va": "center", "color": INK, "fontweight": "bold", "zorder": 6}
    axes.annotate(text, point, offset, textcoords="offset points", **style).set_gid("class:mark:")
    x, y = half - 2
    grid = np.stack(np.meshgrid(np.linspace(-x, x, 9), np.linspace(-y, y, 4)), axis=-1).reshape(-1, 2)
    return np.vstack([place + offset + grid, place[None] + grid / 3])


def _covered(centre: Points, axes: Axes, obstacles: Points, half: Points) -> float:
    """How much a label centred here would cover; leaving the axes is worse than anything."""
    inside = axes.bbox.contains(*(centre - half)) and axes.bbox.contains(*(centre + half))
    return float((np.abs(obstacles - centre) < half).all(axis=1).sum()) + (0 if inside else 1e6)


def drawn_points(axes: Axes) -> Points:
    """Points along every line drawn so far, in viewBox units, about three apart."""
    points = []
    for line in axes.lines:
        at = axes.transData.transform(np.column_stack(line.get_data()))
        at = at[np.isfinite(at).all(axis=1)]
        steps = np.linspace(0, 1, 12)[:, None, None]
        points.append((at[:-1] + (at[1:] - at[:-1]) * steps).reshape(-1, 2))
    return np.vstack(points) if points else np.empty((0, 2))


def kernel_axis(axes: Axes, kernels: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    axes.set_xscale("log")
    spread = 1.06 if len(kernels) > 1 else 2
    axes.set_xlim(kernels[0] / spread, kernels[-1] * spread)
    room = math.log(max(kernels[-1] / kernels[0], 1.01)) / 9  # about nine labels fit
    shown = [kernels[0]]
    for k in kernels[1:]:
        if math.log(k / shown[-1]) >= room:
            shown.append(k)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
    axes.xaxis.set_minor_locator(
        FixedLocator([k for k in kernels if k not in shown]) if kernels != shown else NullLocator()
    )
    axes.xaxis.set_minor_formatter(NullFormatter())


def time_axis(axis: Any, limits: tuple[float, float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    axis.axes.set_yscale("log") if axis.axis_name == "y" else axis.axes.set_xscale("log")
    decades = math.log10(limits[1] / limits[0])
    axis.set_major_locator(
        LogLocator(subs=(1.0,) if decades > 2 else (1.0, 3.0) if decades > 1 else (1, 1.5, 2, 3, 5, 7))
    )
    axis.set_major_formatter(lambda value, _: _tick(value))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _tick(value: float) -> str:
    number, _, unit = seconds(value).partition(" ")
    return f"{float(number):g} {unit}"


def time_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits of a time axis that hold every interval, with room below for the names of crossovers."""
    ends = rows[["execute_s", "execute_low_s", "execute_high_s"]].to_numpy()
    low, high = float(np.nanmin(ends)), float(np.nanmax(ends)) * 1.2
    return low / max((high / low) ** 0.1, 1.2), high


def one_shot_panel(
    rows: pd.DataFrame, styles: Mapping[str, Style], limits: tuple[float, float], prefix: str, title: str
) -> str:
    """Amortised (filled) and one-shot (open) time of every backend in one cell, best one-shot first, as SVG."""
    import matplotlib as mpl

    rows = rows.sort_values("one_shot_s", ascending=False)
    with mpl.rc_context(RC):
        figure, axes = canvas(WIDTH, 20 * len(rows) + 46, left=112, right=14, bottom=34, top=6)
        time_axis(axes.xaxis, limits)
        axes.set_xlim(*limits)
        for y, row in enumerate(rows.itertuples()):
            style = styles[str(row.backend)]
            found = [
                *axes.plot([row.execute_s, row.one_shot_s], [y, y], color=style.colour, linewidth=1.6),
                *axes.plot([row.execute_s], [y], "o", color=style.colour, markersize=6.5),
                *axes.plot([row.one_shot_s], [y], "o", mfc=PAPER, mec=style.colour, mew=1.6, markersize=6.5),
            ]
            for artist in found:
                artist.set_gid(f"class:b b{style.slot}:{style.backend}")
                artist.set_clip_on(False)
        axes.set_yticks(range(len(rows)), list(rows["backend"]))
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(color=FAINT, linewidth=0.8)
        return inline(figure, prefix, title)


def band_panel(bands: Sequence[Mapping[str, Any]], prefix: str, title: str) -> str:
    """Where fft overtakes direct, a row for each image size: thick where one leads, thin within the interval, as SVG.

    bands: from sections.band.
    """
    import matplotlib as mpl

    ends = [end for band in bands for end in (band["low"], band["high"])]
    with mpl.rc_context(RC):
        figure, axes = canvas(WIDTH, 30 * len(bands) + 44, left=82, right=12, bottom=38, top=8)
        kernel_axis(axes, _round_sizes(min(ends), max(ends)))
        axes.set_ylim(len(bands) - 0.4, -0.6)
        for y, band in enumerate(bands):
            _band(axes, y, band)
        axes.set_yticks(range(len(bands)), [band["size"] for band in bands])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("kernel size k", color=INK)
        return inline(figure, prefix, title)


def _band(axes: Axes, y: float, band: Mapping[str, Any]) -> None:
    def lead(start: float, end: float, family: str) -> None:
        if end > start:
            axes.plot([start, end], [y, y], color=FAMILY_COLOURS.get(family, SOFT), linewidth=7, solid_capstyle="butt")

    def ends(c: Crossing) -> tuple[float, float]:
        return max(c.low, band["low"]), min(c.high, band["high"])

    at = band["low"]
    for crossing in band["crossings"]:
        low, high = ends(crossing)
        lead(at, low, crossing.faster_below)
        # neither leads here: thin, and in both colours
        axes.plot([low, high], [y, y], color=FAMILY_COLOURS[crossing.faster_above], linewidth=2.2)
        axes.plot([low, high], [y, y], color=FAMILY_COLOURS[crossing.faster_below], linewidth=2.2, dashes=(2, 2))
        at = high
    last = band["crossings"][-1].faster_above if band["crossings"] else band["leader"]
    lead(at, band["high"], last)
    for crossing in band["crossings"]:
        axes.plot([crossing.kernel], [y], "o", ms=8, mfc=PAPER, mec=INK, mew=1.4, zorder=5)
        text = f"k ≈ {kernel_size(crossing.kernel)}"
        style = {"ha": "center", "va": "center", "color": INK, "fontweight": "bold", "zorder": 6}
        axes.annotate(text, (crossing.kernel, y), (0, 13), textcoords="offset points", **style).set_gid("class:mark:")


def _round_sizes(low: float, high: float) -> list[int]:
    """Kernel sizes to label between these, ends included."""
    inner = [k for k in (3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if low * 1.2 < k < high / 1.2]
    return sorted({int(low), *inner, int(high)})


def roofline_panel(
    rows: pd.DataFrame,
    styles: Mapping[str, Style],
    known: Mapping[str, float],
    counts: str,
    limits: tuple[tuple[float, float], tuple[float, float]],
    prefix: str,
    title: str,
) -> str:
    """Attained rate against arithmetic intensity for one group of cells, below the machine's ceilings, as SVG, log-log.

    rows: float32 cells with the columns of analysis.roofline. known: ceilings; counts: the name of the bandwidth that
    limits these cells, drawn bold. limits: of intensity, FLOP/byte, and of rate, GFLOP/s.
    """
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure, axes = canvas(WIDTH, HEIGHT, left=48, right=10, bottom=40, top=8)
        axes.set(xscale="log", yscale="log", xlim=limits[0], ylim=limits[1])
        draw_roofs(axes, known, counts)
        for backend, group in rows.sort_values("kernel").groupby("backend", sort=True):
            style = styles[str(backend)]
            (line,) = axes.plot(
                group["intensity"], group["attained"], color=style.colour, linewidth=0.8, dashes=style.dashes,
                marker=style.marker, markersize=4.6, markeredgewidth=0.6, markeredgecolor=PAPER, zorder=3,
            )  # fmt: skip
            line.set_gid(f"class:b b{style.slot}:{style.backend}")
        for axis in (axes.xaxis, axes.yaxis):
            decade_axis(axis)
        axes.set_xlabel("arithmetic intensity, FLOP / byte", color=INK)
        axes.set_ylabel("GFLOP / s", color=INK, labelpad=1)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        return inline(figure, prefix, title)


def draw_roofs(axes: Axes, known: Mapping[str, float], counts: str) -> None:
    """The ceilings: what each bandwidth allows, rising to the peaks of FMA and FFT, with their names along them."""
    left, right = axes.get_xlim()
    peak, fft = known["fma_float32"], known.get("fft_float32")
    (x0, y0), (x1, y1) = axes.transData.transform([(1, 1), (10, 10)])
    along = {"rotation": math.degrees(math.atan2(y1 - y0, x1 - x0)), "rotation_mode": "anchor", "va": "bottom"}
    above = {"ha": "right", "va": "bottom"}

    def line(start: float, rate: float, colour: str, name: str, **style: Any) -> None:
        axes.plot([start, right], [rate, rate], color=colour, zorder=2, **style)
        label(name, (right, rate), (0, 3), colour, above)

    def label(text: str, at: tuple[float, float], offset: tuple[int, int], colour: str, style: dict[str, Any]) -> None:
        axes.annotate(text, at, offset, textcoords="offset points", color=colour, **style).set_gid("class:mark:")

    for name, text in (("copy_l2", "L2"), ("copy_l3", "L3"), ("copy", "memory")):
        if name in known:
            rate, colour, width = known[name], *((INK, 1.8) if name == counts else (SOFT, 0.9))
            axes.plot([left, peak / rate], [left * rate, peak], color=colour, linewidth=width, zorder=2)
            label(f"{text} {rate:.0f} GB/s", (left, left * rate), (10, 20), colour, along)
    fastest = max(rate for name, rate in known.items() if name.startswith("copy"))
    line(peak / fastest, peak, INK, f"FMA {peak:.0f} GFLOP/s", linewidth=1.8)
    if fft:
        line(fft / known[counts], fft, FAMILY_COLOURS["fft"], f"FFT {fft:.0f} GFLOP/s", linewidth=1.2, dashes=(5, 3))


def decade_axis(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    axis.set_major_locator(LogLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def swatch(style: Style, prefix: str) -> str:
    """A legend entry's little line, as SVG; the name stands beside it."""
    return _swatch(style.colour, style.marker, style.dashes).replace(_ANY_PREFIX, prefix)


_ANY_PREFIX = "any-prefix"


@functools.cache  # a few dozen different ones, in every legend of every page
def _swatch(colour: str, marker: str, dashes: tuple[float | None, ...]) -> str:
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure, axes = canvas(34, 12, left=0, right=0, bottom=0, top=0)
        axes.set_axis_off()
        axes.set(xlim=(0, 34), ylim=(0, 12))
        axes.plot([1, 33], [6, 6], color=colour, linewidth=1.8, dashes=dashes)
        axes.plot([17], [6], marker, color=colour, markersize=6, markeredgecolor=PAPER, markeredgewidth=0.8)
        return inline(figure, _ANY_PREFIX, "").replace('role="img" aria-label=""', 'aria-hidden="true"')
