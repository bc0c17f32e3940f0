"""The impulse response of an identified function, next to the kernel: as text, and as a figure."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np

from convbench.identification.identified import Identified
from convbench.problem import Array


def text(found: Identified) -> str:
    """Kernel, impulse and response side by side, zeros as dots; nothing where the function could not be shown."""
    if found.kernel is None or found.impulse is None or found.response is None:
        return ""
    blocks = [_block(name, array) for name, array in _arrays(found)]
    rows = itertools.zip_longest(*blocks, fillvalue="")
    widths = [max(map(len, block)) for block in blocks]
    return "\n".join("   ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _arrays(found: Identified) -> list[tuple[str, Array]]:
    assert found.kernel is not None
    assert found.impulse is not None
    assert found.response is not None
    return [("kernel", found.kernel), ("impulse", found.impulse), ("response", found.response)]


def _block(name: str, array: Array) -> list[str]:
    rows = [[f"{value:.4g}" if value else "." for value in row] for row in np.atleast_2d(array)]
    width = max((len(value) for row in rows for value in row), default=1)
    return [name, *(" ".join(value.rjust(width) for value in row) for row in rows)]


def figure(found: Identified, form: str = "png") -> bytes:
    """The same as an image: form png or svg."""
    from matplotlib.figure import Figure

    shown = [(name, np.atleast_2d(array)) for name, array in _arrays(found)]
    page: Any = Figure(figsize=(9, 3.2), layout="constrained")
    axes = page.subplots(1, 3, width_ratios=[max(3, array.shape[1]) for _, array in shown])
    largest = max(float(np.abs(array).max(initial=1)) for name, array in shown if name != "impulse")
    for axis, (name, array) in zip(axes, shown, strict=True):
        cells(axis, array, 1.0 if name == "impulse" else largest)
        axis.set_title(f"{name}, {' × '.join(map(str, array.shape))}")
    page.suptitle(found.describe().partition(". ")[0])
    buffer = io.BytesIO()
    page.savefig(buffer, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
    return buffer.getvalue()


def cells(axis: Any, array: Array, largest: float) -> None:
    """Draw an array as a grid of coloured cells with their values."""
    axis.imshow(array, cmap="Blues", vmin=0, vmax=1.6 * largest)
    for (row, column), value in np.ndenumerate(array):
        if value:
            axis.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=9)
    axis.set_xticks(np.arange(array.shape[1] + 1) - 0.5, labels=[])
    axis.set_yticks(np.arange(array.shape[0] + 1) - 0.5, labels=[])
    axis.grid(color="0.75", linewidth=0.8)
    axis.tick_params(length=0)
