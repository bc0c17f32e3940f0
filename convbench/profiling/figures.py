"""The figures of a profile: the cell below the roofline, and how its time grows.

As the report's: SVG that takes its colours from the page, light or dark, or a PNG on light ground.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.profiling.against import Against
from convbench.profiling.scaling import Point, Scaling
from convbench.profiling.scaling_words import APART
from convbench.report.figures import (
    HEIGHT,
    WIDTH,
    canvas,
    decade_axis,
    draw_roofs,
    drawn_points,
    kernel_axis,
    place_name,
    time_axis,
)
from convbench.report.palette import FAINT, FAMILY_COLOURS, INK, OTHER_COLOUR, PAPER, SOFT
from convbench.report.svg import RC, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, BOTTOM = 56, 12, 40
"""Margins of a scaling."""
SHARE_HEIGHT, GAP = 100, 30
"""Of the panel below the times, with the gap above it."""
SAME = 1.15
"""Two points nearer than this factor are drawn as one."""
_LIGHT = {INK: "#1b1d1f", SOFT: "#5f6367", FAINT: "#dfded7", PAPER: "#fdfdfb"}
"""What a page's style sheet says in its light theme."""
_COLOURED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def roofline_figure(found: Against, prefix: str) -> str:
    """Attained rate against arithmetic intensity, by the textbook and as implemented, below the ceilings; log-log SVG.

    prefix: unique on the page.
    """
    return _svg(lambda: _roofline(found), prefix, f"{found.label}: below the roofline. {found.sentence}")


def roofline_png(found: Against) -> bytes:
    return _png(lambda: _roofline(found))


def scaling_figure(found: Scaling, prefix: str) -> str:
    """Time against the axis with its fit and theory, and below it the share of the roofline where it is known; SVG.

    prefix: unique on the page.
    """
    return _svg(lambda: _scaling(found), prefix, f"{found.label}: scaling with {found.axis}. {found.verdict}")


def scaling_png(found: Scaling) -> bytes:
    return _png(lambda: _scaling(found))


# -- the roofline ------------------------------------------------------------------------------------------------


def _roofline(found: Against) -> Figure:
    figure, axes = canvas(WIDTH, HEIGHT, left=48, right=10, bottom=40, top=8)
    roofs = {name: rate for name, rate in found.known.items() if name.startswith("copy")}
    slowest, fastest = min(roofs.values()), max(roofs.values())
    # the report draws float32; these are the ceilings of the cell's own dtype
    roofs["fma_float32"] = top = found.known.get(f"fma_{found.dtype}", found.peak)
    fft = found.known.get(f"fft_{found.dtype}")
    if fft and found.method == "fft":
        roofs["fft_float32"] = fft
    points = found.points
    x, y = zip(*points.values(), strict=True)
    left = min(*x, top / fastest) / 4
    # low enough for the slopes and their names to be seen
    axes.set(xscale="log", xlim=(left, max(*x, top / slowest) * 4))
    axes.set(yscale="log", ylim=(min(*(rate / 2 for rate in y), left * slowest * 0.8), max(*y, top) * 1.8))
    draw_roofs(axes, roofs, found.level)
    intensity, attained = points["textbook"]
    reachable = attained / found.share
    axes.plot([intensity, intensity], [attained, reachable], color=SOFT, linewidth=1, dashes=(1.5, 2), zorder=2)
    _points(axes, points, FAMILY_COLOURS.get(found.family, OTHER_COLOUR), found.backend)
    for axis in (axes.xaxis, axes.yaxis):
        decade_axis(axis)
    axes.set_xlabel("arithmetic intensity, FLOP / byte", color=INK)
    axes.set_ylabel("GFLOP / s", color=INK, labelpad=1)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    return figure


def _points(axes: Axes, points: dict[str, tuple[float, float]], colour: str, backend: str) -> None:
    """Filled by the textbook, open as implemented; one marker where they are the same."""
    pair = list(points.values())
    if len(pair) == 2 and all(abs(math.log(a / b)) < math.log(SAME) for a, b in zip(*pair, strict=True)):
        points = {backend: pair[0]}
    for i, point in enumerate(points.values()):
        axes.plot(
            *([value] for value in point), color=colour, linestyle="none", marker="os"[i], markersize=7, zorder=5,
            markerfacecolor=PAPER if i else colour, markeredgecolor=colour if i else PAPER,
            markeredgewidth=1.6 if i else 0.9,
        )  # fmt: skip
    obstacles = drawn_points(axes)
    for name, point in points.items():
        obstacles = np.vstack([obstacles, place_name(axes, point, name, obstacles)])


# -- scaling -----------------------------------------------------------------------------------------------------


def _scaling(found: Scaling) -> Figure:
    shares = [(p.value, p.share) for p in found.points if p.share is not None]
    below = SHARE_HEIGHT if shares else 0
    figure, axes = canvas(WIDTH, HEIGHT + below, left=LEFT, right=RIGHT, bottom=BOTTOM + below, top=8)
    values, times = [p.value for p in found.points], [p.median for p in found.points]
    colour, lines = FAMILY_COLOURS.get(found.family, OTHER_COLOUR), _lines(found)
    ends = [end for p in found.points for end in (p.low, p.high)]
    ends += [float(end) for line in lines for end in (min(line.times), max(line.times))]
    limits = (min(ends) / 1.6, max(ends) * 1.6)
    kernel_axis(axes, values)
    time_axis(axes.yaxis, limits)
    axes.set_ylim(*limits)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    for line in lines:
        axes.plot(line.values, line.times, color=line.colour or colour, linewidth=1.3, dashes=line.dashes, zorder=2)
    for p in found.points:
        axes.plot([p.value, p.value], [p.low, p.high], color=colour, linewidth=1.2, zorder=3)
    axes.plot(values, times, "o", color=colour, markersize=6, markeredgecolor=PAPER, markeredgewidth=0.9, zorder=4)
    obstacles = drawn_points(axes)
    for line in lines:
        obstacles = np.vstack([obstacles, place_name(axes, line.place, line.name, obstacles)])
    lowest = _shares(figure, axes, shares, colour) if shares else axes
    lowest.set_xlabel(_AXES[found.axis], color=INK)
    return figure


_AXES = {"threads": "threads p", "image": "image size n", "kernel": "kernel size k"}


@dataclass(frozen=True)
class _Line:
    """A curve with its name, which stands at this part of its length; colour: '' for the backend's."""

    name: str
    values: Sequence[float]
    times: Sequence[float]
    at: float
    colour: str = ""
    dashes: tuple[float | None, float | None] = (None, None)

    @property
    def place(self) -> tuple[float, float]:
        i = round(self.at * (len(self.values) - 1))
        return float(self.values[i]), float(self.times[i])


def _lines(found: Scaling) -> list[_Line]:
    """The fit, and theory through the points."""
    if found.grown is None:
        return []
    points, s = found.points, found.symbol
    x = [float(value) for value in np.geomspace(points[0].value, points[-1].value, 60)]
    if found.axis == "threads":
        first = points[0].median * points[0].value
        lines = [_Line("ideal", x, [first / value for value in x], 0.4, INK, (5, 3))]
        if found.amdahl:
            lines.append(_Line("Amdahl's law", x, [found.amdahl.at(value) for value in x], 1))
        return lines
    lines = [_Line(f"{s}^{found.grown.exponent:.2f}", x, [found.grown.at(value) for value in x], 1)]
    values, theory, done = [p.value for p in points], found.theory, found.implemented
    if theory is not None:
        times = _through(points, [p.operations for p in points])
        lines.append(_Line(f"theory {s}^{theory:.2f}", values, times, 0, INK, (5, 3)))
    if theory is not None and done is not None and abs(done - theory) > APART:
        times = _through(points, [p.operations_done for p in points])
        lines.append(_Line(f"as implemented {s}^{done:.2f}", values, times, 0.5, SOFT, (1.5, 2)))
    return lines


def _through(points: Sequence[Point], counts: Sequence[float | None]) -> list[float]:
    """Times in proportion to the operations, through the middle of the measured ones."""
    known = np.array(counts, float)
    return [float(time) for time in known * np.exp(np.mean(np.log([p.median for p in points]) - np.log(known)))]


def _shares(figure: Figure, above: Axes, shares: Sequence[tuple[int, float]], colour: str) -> Axes:
    """A panel of the shares of the roofline, below the times."""
    height = HEIGHT + SHARE_HEIGHT
    box = (LEFT / WIDTH, BOTTOM / height, (WIDTH - LEFT - RIGHT) / WIDTH, (SHARE_HEIGHT - GAP) / height)
    axes = figure.add_axes(box, sharex=above)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(SOFT)
    axes.tick_params(which="both", colors=SOFT, length=3, labelcolor=INK)
    above.tick_params(axis="x", which="both", labelbottom=False)
    axes.plot(*zip(*shares, strict=True), color=colour, marker="o", markersize=4.5, linewidth=1.2, zorder=3)
    axes.set_ylim(0, max(1.0, *(share for _, share in shares)) * 1.08)
    axes.yaxis.set_ticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.text(0, 1.06, "share of the roofline", transform=axes.transAxes, color=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    return axes


# -- output ------------------------------------------------------------------------------------------------------


def _svg(draw: Callable[[], Figure], prefix: str, title: str) -> str:
    import matplotlib as mpl

    with mpl.rc_context(RC):
        return inline(draw(), prefix, title)


def _png(draw: Callable[[], Figure]) -> bytes:
    """In the colours of a light page, at twice the size."""
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure = draw()
        figure.draw_without_rendering()  # makes the ticks, which have colours too
        for artist in figure.findobj():
            _lighten(artist)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=2 * figure.dpi, facecolor=_LIGHT[PAPER])
        return buffer.getvalue()


def _lighten(artist: Any) -> None:
    """Replace the colours that stand for a page's."""
    from matplotlib.colors import is_color_like, to_hex

    for name in _COLOURED:
        if hasattr(artist, f"get_{name}"):
            colour = getattr(artist, f"get_{name}")()
            if is_color_like(colour) and to_hex(colour) in _LIGHT:
                getattr(artist, f"set_{name}")(_LIGHT[to_hex(colour)])
