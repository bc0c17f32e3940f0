"""Every backend on the user's own image and kernel: gated, timed, ranked."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.backends import FAMILIES, Backend, get_backend, list_backends
from convbench.errors import ArgumentError, UnsupportedError
from convbench.files import atomic_write
from convbench.images import channels, write_image
from convbench.problem import Array, Mode, Problem, as_data

if TYPE_CHECKING:
    from convbench.cell import Cell

Progress = Callable[[int, int, str], None]

LOGARITHMIC = 20
"""Times that span more than this are drawn on a logarithmic axis, where the quick ones can still be told apart."""
_WORST_FIRST = ("failed", "skipped", "n/a", "ok")


@dataclass(frozen=True)
class Row:
    """One backend on the whole image: seconds are summed over the channels; what was not measured is None.

    rank: 1 for the least time. time, low, high: execute alone, the median and the sums of the bounds of its 99 %
    intervals. ratio: time over the best time. mpixel_per_s: image pixels, all channels, in millions a second.
    one_shot: plan + execute. error_over_bound: the largest seen by the gate, 1 is the limit.
    """

    backend: str
    family: str
    status: str
    reason: str | None = None
    rank: int | None = None
    time: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    mpixel_per_s: float | None = None
    one_shot: float | None = None
    plan_seconds: float | None = None
    load_seconds: float | None = None
    store_seconds: float | None = None
    error_over_bound: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """The ranked rows, and what they were measured on; problem is that of one channel."""

    image: Array
    kernel: Array
    problem: Problem
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        return next((row for row in self.rows if row.rank == 1), None)

    def result(self) -> Array:
        """The convolution by the best backend: (H, W) or (H, W, C), of the mode's size."""
        if self.best is None:
            reasons = "; ".join(f"{row.backend}: {row.reason}" for row in self.rows)
            raise UnsupportedError(
                f"no backend gave a right result: {reasons}. `convbench list` shows what is installed"
            )
        plan = get_backend(self.best.backend).plan(self.problem, self.kernel)
        planes = [np.array(plan(plane)) for plane in channels(self.image)]
        return planes[0] if self.image.ndim == 2 else np.stack(planes, axis=-1)

    def as_dict(self) -> dict[str, Any]:
        """The table and its circumstances for JSON; seconds, bytes."""
        from convbench import machine

        return {
            "image_shape": list(self.image.shape),
            "kernel_shape": list(self.kernel.shape),
            **{key: getattr(self.problem, key) for key in ("dtype", "mode", "device", "threads")},
            "machine": machine.machine_name(),
            "versions": machine.versions(),
            "rows": [{k: _plain(v) for k, v in dataclasses.asdict(row).items()} for row in self.rows],
        }


def compare(
    image: Array,
    kernel: Array,
    backends: Sequence[str] | None = None,
    *,
    mode: Mode = "same",
    dtype: str = "float32",
    threads: int = 1,
    device: str = "cpu",
    budget: float = 10.0,
    progress: Progress | None = None,
) -> Comparison:
    """Gate and time backends on this image, channel by channel, and rank them by the time to execute.

    image: (H, W) or (H, W, C); kernel: two axes. backends: names, all by default. budget: seconds that one execution
    may take; slower backends are skipped. progress is called as progress(done, total, text).
    Raises ArgumentError for arguments that do not fit.
    """
    from convbench.cell import measure_cells

    image, kernel = np.asarray(image), as_data("kernel", kernel)
    if image.ndim not in (2, 3) or image.size == 0:
        raise ArgumentError(f"an image has shape (height, width) or (height, width, channels), got {image.shape}")
    if kernel.ndim != 2:
        raise ArgumentError(f"kernel must have 2 axes, got shape {kernel.shape}; kernel[numpy.newaxis] filters rows")
    if not (math.isfinite(budget) and budget > 0):
        raise ArgumentError(f"budget must be a number of seconds above 0, got {budget!r}")
    chosen = list_backends() if not backends else [get_backend(name) for name in dict.fromkeys(backends)]
    problem = Problem(image.shape[:2], kernel.shape, dtype, mode, device, threads)
    kernel = _converted("kernel", kernel, problem)
    planes = [_converted(f"image channel {c}", as_data("image", p), problem) for c, p in enumerate(channels(image))]
    measured = [
        measure_cells(problem, chosen, plane, kernel, budget=budget, progress=_part(progress, c, len(planes)))
        for c, plane in enumerate(planes)
    ]
    rows = [_row(b, [next(x for x in cells if x.backend == b.name) for cells in measured], problem) for b in chosen]
    stack = planes[0] if image.ndim == 2 else np.stack(planes, axis=-1)
    return Comparison(stack, kernel, problem, _ranked(rows))


def save(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write result.npy, result.png, figure.png and table.json into a folder; returns their paths.

    Raises StorageError where one cannot be written.
    """
    folder = Path(folder)
    result = comparison.result()
    paths = [folder / name for name in ("result.npy", "result.png", "figure.png", "table.json")]
    write_image(paths[0], result)
    shown = np.abs(result) if np.iscomplexobj(result) else result
    write_image(paths[1], shown if shown.ndim == 2 or shown.shape[2] == 3 else shown[:, :, 0])
    atomic_write(paths[2], figure(comparison, result))
    atomic_write(paths[3], json.dumps(comparison.as_dict(), indent=1) + "\n")
    return paths


def figure(comparison: Comparison, result: Array) -> bytes:
    """PNG: image, kernel and result above, times by backend below, coloured by family."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from convbench.report.palette import FAMILY_COLOURS, OTHER_COLOUR

    page: Any = Figure(figsize=(10, 8), layout="constrained")
    axes = page.subplot_mosaic([["image", "kernel", "result"], ["times", "times", "times"]])
    for name, data in (("image", comparison.image), ("kernel", comparison.kernel), ("result", result)):
        shown = _picture(data)
        axes[name].imshow(**shown)
        one = ", channel 1" if data.ndim > shown["X"].ndim else ""
        axes[name].set_title(f"{name}, {' × '.join(map(str, data.shape))}{one}")
        axes[name].set_axis_off()
    rows = [row for row in comparison.rows if row.rank]
    times = [1e3 * (row.time or 0) for row in rows]
    spread = [[t - 1e3 * (r.low or 0) for t, r in zip(times, rows, strict=True)]]
    spread.append([1e3 * (r.high or 0) - t for t, r in zip(times, rows, strict=True)])
    colours = [FAMILY_COLOURS.get(r.family, OTHER_COLOUR) for r in rows]
    bars = axes["times"].barh([r.backend for r in rows], times, xerr=np.maximum(spread, 0), color=colours)
    axes["times"].bar_label(bars, [f"{time:.3g} ms" for time in times], padding=4)
    axes["times"].margins(x=0.12)
    if times and max(times) > LOGARITHMIC * min(times):
        axes["times"].set_xscale("log")
        axes["times"].set_xlim(left=min(times) / 2, right=max(times) * 4)
    axes["times"].invert_yaxis()
    axes["times"].set_xlabel("time to execute, ms (bars: median; whiskers: 99 % interval)")
    seen = [family for family in FAMILIES if any(r.family == family for r in rows)]
    if seen:
        axes["times"].legend(handles=[Patch(color=FAMILY_COLOURS[f], label=f) for f in seen], title="family")
    p = comparison.problem
    page.suptitle(f"mode {p.mode}, {p.dtype}, {p.device}, {p.threads} thread{'s' * (p.threads > 1)}")
    buffer = io.BytesIO()
    page.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _picture(data: Array) -> dict[str, Any]:
    """Arguments of imshow: colours in [0, 1], or grey between the extremes, or blue to red about zero where signed."""
    data = np.abs(data) if np.iscomplexobj(data) else data
    if data.ndim == 3 and data.shape[2] == 3 and data.min() > -1e-3:
        return {"X": np.clip(data, 0, 1)}
    data = data if data.ndim == 2 else data[:, :, 0]
    largest = float(np.abs(data).max()) or 1.0
    signed = float(data.min()) < -1e-3 * largest
    return {"X": data, "cmap": "RdBu_r" if signed else "gray", "vmin": -largest if signed else 0.0, "vmax": largest}


def _converted(what: str, data: Array, problem: Problem) -> Array:
    if not np.can_cast(data.dtype, problem.dtype, casting="same_kind"):
        raise ArgumentError(
            f"{what} is {data.dtype} and cannot become {problem.dtype} without loss; use a complex dtype"
        )
    return np.ascontiguousarray(data, dtype=problem.dtype)


def _part(progress: Progress | None, channel: int, count: int) -> Progress | None:
    """The progress of one channel as part of the whole."""
    if progress is None or count == 1:
        return progress
    where = f"channel {channel + 1} of {count}: "
    return lambda done, total, text: progress(channel * total + done, count * total, where + text)


def _row(backend: Backend, cells: Sequence[Cell], problem: Problem) -> Row:
    worst = min(cells, key=lambda cell: _WORST_FIRST.index(cell.status))
    errors = [cell.error_over_bound for cell in cells if cell.error_over_bound is not None]
    row = Row(backend.name, backend.family, worst.status, worst.reason, error_over_bound=max(errors, default=None))
    timings = [cell.execute for cell in cells if cell.execute is not None]
    if worst.status != "ok" or len(timings) < len(cells):
        return row
    time = sum(t.median for t in timings)
    return dataclasses.replace(
        row,
        time=time,
        low=sum(t.low for t in timings),
        high=sum(t.high for t in timings),
        mpixel_per_s=math.prod(problem.image_shape) / time / 1e6,
        one_shot=_total([cell.one_shot.median if cell.one_shot else None for cell in cells]),
        plan_seconds=_total([cell.plan_seconds for cell in cells]),
        load_seconds=_total([cell.load_seconds for cell in cells]),
        store_seconds=_total([cell.store_seconds for cell in cells]),
        peak_memory_bytes=max((c.peak_memory_bytes for c in cells if c.peak_memory_bytes is not None), default=None),
    )


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _ranked(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The timed rows by time, then the others in the order they came."""
    timed = sorted((row for row in rows if row.time is not None), key=lambda row: row.time or 0.0)
    best = timed[0].time if timed else None
    ranks = enumerate(timed, start=1)
    ranked = [dataclasses.replace(row, rank=i, ratio=(row.time or 0.0) / (best or 1.0)) for i, row in ranks]
    return (*ranked, *(row for row in rows if row.time is None))


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
