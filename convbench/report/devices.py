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
    for dtype, device in sorted(set(zip(table["dtype"], table["device"], strict=True)), key=_place):
        rows = table[(table["dtype"] == dtype) & (table["device"] == device)]
        here = best[(best["dtype"] == dtype) & best["device"].isin([HOST, device])]
        maps = [_map(here[here["kind"] == kind], rows[rows["kind"] == kind], kind, device) for kind in KINDS]
        title = f"Images, {dtype}, {device} or processor"
        found.append({"title": title, "device": device, "maps": [one for one in maps if one]})
    return {"sets": found}


def _place(pair: tuple[str, str]) -> tuple[Any, ...]:
    """A sort key: dtypes as people think of them, then devices."""
    return words.dtype_place(pair[0]), pair[1]


def _map(best: pd.DataFrame, rows: pd.DataFrame, kind: str, device: str) -> dict[str, Any] | None:
    """Image sizes down, kernel sizes across; the sizes that both were measured at only."""
    ranked = best.sort_values("seconds", kind="stable").groupby(["image", "kernel"])
    cells = {(int(n), int(k)): list(rows.itertuples()) for (n, k), rows in ranked if rows["device"].nunique() > 1}
    if not cells:
        return None
    images, kernels = (sorted({pair[i] for pair in cells}) for i in (0, 1))
    return {
        "kind": kind,
        "told": _TOLD[kind],
        "kernels": kernels,
        "rows": [
            {
                "image": words.shape("image", n),
                "cells": [_cell(cells[n, k], device) if (n, k) in cells else None for k in kernels],
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
