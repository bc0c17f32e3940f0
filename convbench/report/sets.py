"""The sets of a page: cells that share a figure, in the order a reader wants them, and their figures drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from convbench.analysis.crossover import Crossing
from convbench.analysis.roofline import Ceilings, bandwidth, bytes_moved
from convbench.analysis.schema import GROUP, family_order, measured
from convbench.report import figures, words
from convbench.report.palette import Style, family_class, styles

SET = ("layout", "dtype", "device", "threads")
# What is asked first: a common image on one core. Nearest to this is what the first paragraph answers.
USUAL = {"layout": "image", "dtype": "float32", "device": "cpu", "threads": 1}
USUAL_IMAGE = 1024
# Kernel sizes whose one-shot times are drawn: enough to see the trend, few enough to read.
ONE_SHOT_KERNELS = 3


@dataclass(frozen=True, eq=False)
class Set:
    """Cells that share a figure: same layout, dtype, device and threads."""

    layout: str
    dtype: str
    device: str
    threads: int
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        return words.set_title(self.layout, self.dtype, self.device, self.threads)

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.layout}-{self.dtype}-{self.device}-{self.threads}".lower())

    @property
    def images(self) -> list[int]:
        return sorted({int(n) for n in self.rows["image"]})

    def group(self, image: int) -> tuple[Any, ...]:
        """The key, in GROUP order, of the cells with this image size."""
        first = self.rows[self.rows["image"] == image].iloc[0]
        return tuple(first[name] for name in GROUP)


def sets(rows: pd.DataFrame) -> list[Set]:
    """The sets of these rows, the usual question first, then by layout, dtype, device and threads."""
    groups = rows.groupby(list(SET), sort=True)
    found = [Set(str(key[0]), str(key[1]), str(key[2]), int(key[3]), rows) for key, rows in groups]
    layouts = list(words.LAYOUTS)

    def rank(s: Set) -> tuple[Any, ...]:
        unusual = sum(getattr(s, name) != value for name, value in USUAL.items())
        place = layouts.index(s.layout) if s.layout in layouts else len(layouts)
        return (unusual > 0, place, words.dtype_place(s.dtype), s.device, s.threads)

    return sorted(found, key=rank)


def main_image(found: Set) -> int:
    """The image size that the first paragraph speaks of: the nearest to the usual one, on a log scale."""
    usual = USUAL_IMAGE if found.layout != "signal" else USUAL_IMAGE**2 // 16
    return min(found.images, key=lambda n: abs(math.log(n / usual)))


def draw(one: Set, look: Mapping[str, Style], marks: Mapping[int, list[Crossing]], prefix: str) -> dict[str, Any]:
    """A set's panels and one-shot panels; marks: the crossovers to point out, by image size."""
    limits = figures.time_limits(one.rows)
    panels = []
    for n in one.images:
        rows = one.rows[one.rows["image"] == n]
        size = words.shape(one.layout, n)
        title = f"{one.title}, {size}: time against kernel size for {rows['backend'].nunique()} backends"
        svg = figures.time_panel(rows, look, marks[n], limits, f"{prefix}-{n}", title)
        panels.append({"size": size, "svg": svg, "title": title})
    image = main_image(one)
    return {
        "panels": panels,
        "one_shot_size": words.shape(one.layout, image),
        "one_shots": _one_shots(one, image, look, prefix),
    }


def leave_to_script(one: Set, marks: Mapping[int, list[Crossing]]) -> dict[str, Any]:
    """A set's panels to be drawn by the page when they are looked at: many panels cost more than they tell."""
    return {
        "panels": [
            {
                "size": words.shape(one.layout, n), "svg": "", "image": n,
                "title": f"{one.title}, {words.shape(one.layout, n)}: time against kernel size",
                "marks": [[round(m.kernel, 2), m.faster_below, m.faster_above] for m in marks[n]],
            }
            for n in one.images
        ],
        "one_shot_size": "", "one_shots": [],
    }  # fmt: skip


def rooflines(
    found: list[Set], look: Mapping[str, Style], ceilings: Mapping[int | str, Ceilings]
) -> dict[str, Any] | None:
    """The panels of the usual cells (one thread, float32) below the ceilings; None where either is not there.

    The rows of the sets have the columns of analysis.roofline.
    """
    known = ceilings.get(1, {})
    one = next((s for s in found if all(getattr(s, name) == value for name, value in USUAL.items())), None)
    if one is None or not {"fma_float32", "copy"} <= known.keys():
        return None
    rows = one.rows.dropna(subset=["share"])
    if rows.empty:
        return None
    low, high = rows[["intensity", "attained"]].min(), rows[["intensity", "attained"]].max()
    ridge = min(known["fma_float32"] / rate for name, rate in known.items() if name.startswith("copy"))
    limits = (  # the slopes have to be seen, also where all points lie to the right of them
        (min(low["intensity"] / 2, ridge / 12), high["intensity"] * 1.5),
        (low["attained"] / 1.5, max(high["attained"], known["fma_float32"]) * 1.6),
    )
    panels = []
    for n in one.images:
        size = words.shape(one.layout, n)
        counts = bandwidth(bytes_moved(one.layout, n, one.dtype), known)
        title = f"{one.title}, {size}: attained rate against arithmetic intensity, below the ceilings"
        here = rows[rows["image"] == n]
        svg = figures.roofline_panel(here, look, known, counts, limits, f"r{n}", title)
        panels.append({"size": size, "svg": svg, "title": title})
    shown = {name: style for name, style in look.items() if name in set(rows["backend"])}
    return {"title": one.title, "panels": panels, "legend": legend(shown, "v")}


def _one_shots(one: Set, image: int, look: Mapping[str, Style], prefix: str) -> list[dict[str, Any]]:
    rows = one.rows[(one.rows["image"] == image) & (one.rows["one_shot_s"] > 0)]
    kernels = sorted({int(k) for k in rows["kernel"]})
    if not kernels:
        return []
    chosen = sorted({kernels[int(i)] for i in np.linspace(0, len(kernels) - 1, ONE_SHOT_KERNELS).round()})
    shown = rows[rows["kernel"].isin(chosen)][["execute_s", "one_shot_s"]].to_numpy()
    limits = (float(shown.min()) / 1.4, float(shown.max()) * 1.4)
    return [
        {
            "kernel": k,
            "title": f"{one.title}, k = {k}: amortised and one-shot time",
            "svg": figures.one_shot_panel(
                rows[rows["kernel"] == k],
                look,
                limits,
                f"{prefix}-o{k}",
                f"{one.title}, k = {k}: amortised and one-shot time",
            ),
        }
        for k in chosen
    ]


def styles_of(cells: pd.DataFrame) -> dict[str, Style]:
    shown = measured(cells, reduced=True)
    order = family_order(shown["family"])
    pairs = {(f, b) for f, b in zip(shown["family"], shown["backend"], strict=True)}
    return styles(sorted(pairs, key=lambda p: (order.index(p[0]) if p[0] in order else len(order), p[1])))


def legend(look: Mapping[str, Style], prefix: str = "w") -> list[dict[str, Any]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for style in look.values():
        entry = {"backend": style.backend, "slot": style.slot, "svg": figures.swatch(style, f"{prefix}{style.slot}")}
        grouped.setdefault(style.family, []).append(entry)
    return [{"family": f, "css": family_class(f), "backends": entries} for f, entries in grouped.items()]
