"""The section on speed and accuracy: the error that the gate saw against the time, per dtype, and what methods cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convbench.analysis.accuracy import BOUND, ULP, digits, points, statement
from convbench.report import sets, words
from convbench.report.breakeven import KERNELS, nearest
from convbench.report.figures import HEIGHT, WIDTH, canvas, place_name, time_axis
from convbench.report.palette import FAINT, INK, PAPER, SOFT, Style, family_class
from convbench.report.sets import Set
from convbench.report.svg import RC, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Limits = tuple[float, float]
# A name's places beside its point, in viewBox units: below and to the left first, where no point can be.
_BESIDE = np.array([(x, y) for y in (-15, -26, 15, 26) for x in (-22, -11, 0, 11, 22)] + [(30, 0), (-30, 0)])

# Sets that differ from the usual one in these alone have panels of their own.
_FREE = ("dtype", "device")
_AXES = {ULP: "largest error seen, ulp", BOUND: "largest error seen / its bound"}
_MEASURES = {ULP: "Error in units in the last place", BOUND: "Error / bound"}


def section(
    found: Sequence[Set], look: Mapping[str, Style], reduced: pd.DataFrame | None = None
) -> dict[str, Any] | None:
    """What accuracy.html shows: the usual set and those of other dtypes and devices; None where no error is known.

    reduced: cells of reduced precision, which are shown here beside those of their set.
    """
    usual = {name: value for name, value in sets.USUAL.items() if name not in _FREE}
    chosen = [s for s in found if all(getattr(s, name) == value for name, value in usual.items())] or found[:1]
    made = [one for i, s in enumerate(chosen) if (one := _set(s, look, f"acc{i}", reduced))]
    if not made:
        return None
    return {"sets": made, "ulp": any(one["ulp"] for one in made), "reduced": any(one["reduced"] for one in made)}


def _set(one: Set, look: Mapping[str, Style], prefix: str, reduced: pd.DataFrame | None) -> dict[str, Any] | None:
    image, rows = sets.main_image(one), one.rows
    if reduced is not None and len(reduced):
        here = np.logical_and.reduce([reduced[name] == getattr(one, name) for name in sets.SET])
        rows = pd.concat([rows, reduced[here]])
    rows = rows[rows["image"] == image]
    known = {measure: points(rows, measure) for measure in (ULP, BOUND)}
    sizes = sorted({int(k) for table in known.values() for k in table["kernel"]})
    if not sizes:
        return None
    kernels = nearest(sizes, KERNELS)
    shown = {m: table[table["kernel"].isin(kernels)] for m, table in known.items() if len(table)}
    times = pd.concat([table["execute_s"] for table in shown.values()])
    # nothing lies below and left of the front: room there for the names on it
    across = (float(times.min()) / 3, float(times.max()) * 1.5)
    measures = []
    for measure, table in shown.items():
        panels = []
        for k in kernels:
            here = table[table["kernel"] == k]
            if len(here):
                title = (
                    f"{one.title}, {words.shape(one.layout, image)}, k = {k}: {_MEASURES[measure].lower()}, and time"
                )
                svg = _panel(here, look, measure, (across, _limits(table["error"])), f"{prefix}-{measure[6]}{k}", title)
                panels.append({"kernel": k, "svg": svg, "title": title})
        measures.append({"name": _MEASURES[measure], "panels": panels})
    last = {m: table[table["kernel"] == kernels[-1]] for m, table in shown.items()}
    drawn = {backend for table in shown.values() for backend in table["backend"]}
    return {
        "title": one.title,
        "slug": one.slug,
        "size": words.shape(one.layout, image),
        "what": words.things(one.layout, one.dtype, image),
        "kernel": kernels[-1],
        "ulp": ULP in shown,
        "reduced": any(table["reduced"].any() for table in shown.values()),
        "statement": statement(last[ULP]) if ULP in last else "",
        "measures": measures,
        "legend": sets.legend({b: style for b, style in look.items() if b in drawn}, f"{prefix}-w"),
        "rows": _rows(last),
    }


def _limits(errors: pd.Series) -> Limits:
    """Limits of an error axis that hold every error, the largest with room above; an exact result lies on the edge."""
    positive = errors[errors > 0]
    if positive.empty:
        return 0.1, 1.0
    low, high = float(positive.min()), float(positive.max())
    room = max((high / low) ** 0.12, 1.3)
    return low / room, high * room


def _panel(
    rows: pd.DataFrame, look: Mapping[str, Style], measure: str, limits: tuple[Limits, Limits], prefix: str, title: str
) -> str:
    """Error against time, log-log, one marker a backend; in ulp with the front and the names of those on it.

    rows: from analysis.accuracy.points, of one question. limits: of time and of error.
    """
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure, axes = canvas(WIDTH, HEIGHT, left=54, right=12, bottom=40, top=8)
        axes.set_yscale("log")
        time_axis(axes.xaxis, limits[0])
        axes.set(xlim=limits[0], ylim=limits[1])
        _error_axis(axes, limits[1])
        places = np.column_stack([rows["execute_s"], rows["error"].clip(lower=limits[1][0])])
        for row, (x, y) in zip(rows.itertuples(), places, strict=True):
            style = look[str(row.backend)]
            (marker,) = axes.plot(
                [x], [y], style.marker, color=style.colour, markersize=7, markeredgewidth=1.4 if row.reduced else 0.8,
                markerfacecolor=PAPER if row.reduced else style.colour,
                markeredgecolor=style.colour if row.reduced else PAPER, zorder=4,
            )  # fmt: skip
            marker.set_gid(f"class:b b{style.slot}:{_told(row, measure)}")
            marker.set_clip_on(False)
        if measure == ULP:
            _front(axes, rows, places, limits)
        axes.set_xlabel("time for one image", color=INK)
        axes.set_ylabel(_AXES[measure], color=INK, labelpad=3)
        axes.grid(color=FAINT, linewidth=0.8)
        return inline(figure, prefix, title)


def _front(axes: Axes, rows: pd.DataFrame, places: Any, limits: tuple[Limits, Limits]) -> None:
    """The step line that nobody is below and left of, and the names of the points on it."""
    on = rows["front"].to_numpy()
    x, y = places[on].T
    axes.plot(
        [x[0], *x, limits[0][1]], [limits[1][1], *y, y[-1]], color=SOFT, linewidth=1.3, drawstyle="steps-post", zorder=1
    )
    steps = axes.transData.transform(
        np.column_stack([[x[0], *np.repeat([*x[1:], limits[0][1]], 2)][: 2 * len(x)], np.repeat(y, 2)])
    )
    along = np.vstack([np.linspace(a, b, max(int(np.abs(b - a).max() / 3), 2)) for a, b in itertools.pairwise(steps)])
    obstacles = np.vstack([along, _around(axes.transData.transform(places))])
    for name, point in zip(rows.loc[on, "backend"], places[on], strict=True):
        obstacles = np.vstack([obstacles, place_name(axes, tuple(point), str(name), obstacles, _BESIDE)])


def _around(places: Any) -> Any:
    """Points that stand for the markers: to cover one is worse than a stretch of line."""
    ring = np.stack(np.meshgrid([-4, 0, 4], [-4, 0, 4]), axis=-1).reshape(-1, 2)
    return (places[:, None, :] + ring).reshape(-1, 2)


def _told(row: Any, measure: str) -> str:
    unit = "ulp" if measure == ULP else "of the bound"
    reduced = ", reduced precision" if row.reduced else ""
    return f"{row.backend}: {words.seconds(row.execute_s)}, {words.digits(row.error, 2)} {unit}{reduced}"


def _error_axis(axes: Axes, limits: Limits) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    decades = math.log10(limits[1] / limits[0])
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 3 else (1.0, 3.0) if decades > 1.5 else (1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _rows(last: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """The points of the larger kernel as a table, fastest first."""
    names = ["backend", "family", "execute_s", "reduced"]
    table = last.get(BOUND, last.get(ULP))
    merged = table[names].assign(bound=table[BOUND])
    if ULP in last:
        more = digits(last[ULP])[["backend", "error", "digits", "front"]]
        merged = merged.merge(more, how="left", on="backend")
    merged = merged.reindex(columns=[*names, "bound", "error", "digits", "front"])
    return [
        {
            "backend": row.backend,
            "css": family_class(row.family),
            "family": row.family,
            "time": words.seconds(row.execute_s),
            "seconds": row.execute_s,
            "ulp": words.digits(row.error, 2),
            "digits": f"{row.digits:+.1f}".replace("-", "−") if math.isfinite(row.digits) else "",
            "bound": words.digits(row.bound, 2),
            "front": row.front is True,
            "reduced": bool(row.reduced),
        }
        for row in merged.itertuples()
    ]
