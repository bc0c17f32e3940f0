"""The section on devices: who wins at each size, processor or device, with the data there and with transfers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from convbench.analysis.devices import HOST, KINDS, best_by_device, overtakes
from convbench.report import words
from convbench.report.palette import family_class
from convbench.report.place import Place
from convbench.report.sections import SEPARABLE

_TOLD = {
    "resident": "The image is on the device already, and the result stays there",
    "transfers": "The image comes from host memory, and the result goes back there",
}


def section(place: Place) -> dict[str, Any] | None:
    """What devices.html shows of images; None where no device and processor were measured on the same sizes."""
    best = best_by_device(place.cells[place.cells["layout"] == "image"], SEPARABLE)
    table = overtakes(best)
    if table.empty:
        return None
    found = []
    for (dtype, device), rows in table.groupby(["dtype", "device"], sort=False):
        here = best[(best["dtype"] == dtype) & best["device"].isin([HOST, device])]
        maps = [_map(here[here["kind"] == kind], rows[rows["kind"] == kind], kind, str(device)) for kind in KINDS]
        found.append({
            "title": f"Images, {dtype}, {device} or processor", "device": str(device),
            "maps": [one for one in maps if one],
        })  # fmt: skip
    return {"sets": sorted(found, key=lambda one: words.dtype_place(str(one["title"]).split(", ")[1]))}


def _map(best: pd.DataFrame, rows: pd.DataFrame, kind: str, device: str) -> dict[str, Any] | None:
    """Image sizes down, kernel sizes across; the sizes that both were measured at only."""
    counts = best.groupby(["image", "kernel"])["device"].nunique()
    both = counts[counts > 1].index
    if both.empty:
        return None
    images, kernels = (sorted({int(pair[i]) for pair in both}) for i in (0, 1))
    cells = {(int(r.image), int(r.kernel)): [] for r in best.itertuples()}  # type: dict[tuple[int, int], list[Any]]
    for row in best.sort_values("seconds", kind="stable").itertuples():
        cells[int(row.image), int(row.kernel)].append(row)
    return {
        "kind": kind,
        "told": _TOLD[kind],
        "kernels": kernels,
        "rows": [
            {
                "image": words.shape("image", n),
                "cells": [_cell(cells[n, k], device) if (n, k) in set(both) else None for k in kernels],
            }
            for n in images
        ],
        "from": [
            {"kernel": int(row.kernel), "told": _from(row)} for row in rows.sort_values("kernel").itertuples()
        ],
    }  # fmt: skip


def _cell(ranked: list[Any], device: str) -> dict[str, Any]:
    first, second = ranked[:2]
    times = second.seconds / first.seconds
    return {
        "css": family_class(str(first.family)),
        "device": first.device == device,
        "where": device if first.device == device else "processor",
        "backend": first.backend,
        "times": f"{words.digits(times, 2)} ×",
        "told": f"{first.backend} ({first.device}) {words.seconds(first.seconds)}; "
        f"{second.backend} ({second.device}, {words.thread_words(second.threads)}) {words.seconds(second.seconds)}",
    }


def _from(row: Any) -> str:
    """From which image size on the device pays, in words."""
    if row.leads == HOST:
        return f"never, up to {words.shape('image', int(row.largest))}"
    if pd.isna(row.from_image):
        return f"always, from {words.shape('image', int(row.smallest))} on"
    return f"from about {row.from_image:.0f}² on (between {int(row.below)}² and {int(row.above)}²)"
