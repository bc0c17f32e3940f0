"""The roofline model: how much of the machine's measured peak a cell reaches (Williams, Waterman and Patterson, 2009).

A cell's operations are nominal, those of its family's textbook method, and its bytes the least that must move. With
the ceilings that were measured for its dtype and number of threads, nothing but these decides how quick it can be.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from convbench.ceilings import Place
from convbench.problem import EVERY_DTYPE, Problem

Ceilings = Mapping[str, float]

COLUMNS = ("intensity", "attained", "ceiling", "share")
_REAL = {"complex64": "float32", "complex128": "float64"}
_METHODS = ("direct", "separable", "fft")
# Where image and output lie: the first cache that holds both, with its bandwidth, else memory.
_LEVELS = (("l2_bytes", "copy_l2"), ("l3_bytes", "copy_l3"))


def counted_as(family: str, backend: str) -> str | None:
    """Whose operations count, direct, separable or fft: the family's; a framework's by its name; else None."""
    if family == "framework":
        return next((k for k in ("fft", "separable") if k in backend), "direct")
    return family if family in _METHODS else None


def textbook(method: str, problem: Problem, rank: int = 1) -> float:
    """Floating-point operations of one convolution by the textbook.

    direct: 2 k1 k2 an output (mode full: an image sample), separable: 2 (k1 + k2) for each of `rank` passes, at most as
    many as direct; four times that for complex numbers. fft: two transforms at n + k - 1, 2.5 N log2 N each (complex:
    5), and 6 for each product of theirs; no transform along an axis on which the kernel has length 1. The kernel's own
    transform is in the plan.
    """
    parts, taps = 2 if problem.is_complex else 1, math.prod(problem.kernel_shape)
    if method == "fft":
        lengths = [n for n, k in zip(problem.full_shape, problem.kernel_shape, strict=True) if k > 1]
        return parts * math.prod(problem.full_shape) * (5 * math.log2(math.prod(lengths)) + 3)
    if method == "separable" and problem.ndim == 2:
        taps = min(taps, rank * sum(problem.kernel_shape))
    return 2.0 * parts**2 * taps * math.prod(map(min, problem.image_shape, problem.output_shape))


def least_bytes(problem: Problem) -> int:
    """The least that must move: the image read once, the output written once."""
    return (math.prod(problem.image_shape) + math.prod(problem.output_shape)) * np.dtype(problem.dtype).itemsize


def operations(method: str, layout: str, image: int, kernel: int, dtype: str) -> float:
    """`textbook`, of a cell of a table: mode same, n x n or n samples."""
    return textbook(method, _problem(layout, image, kernel, dtype))


def bytes_moved(layout: str, image: int, dtype: str) -> int:
    """`least_bytes`, of a cell of a table."""
    return least_bytes(_problem(layout, image, 1, dtype))


def peak(method: str, dtype: str) -> str:
    """The name of the ceiling of a method's arithmetic."""
    return f"{'fft' if method == 'fft' else 'fma'}_{_REAL.get(dtype, dtype)}"


def ceiling(method: str, intensity: float, moved: float, dtype: str, known: Ceilings) -> float | None:
    """GFLOP/s that the machine allows: its peak for this dtype, or what it can move, whichever is less.

    intensity: operations a byte. moved: bytes of image and output. None where the ceilings needed are not known.
    """
    most = known.get(peak(method, dtype))
    rate = known.get(bandwidth(moved, known))
    return None if most is None or rate is None else min(most, intensity * rate)


def bandwidth(moved: float, known: Ceilings) -> str:
    """The name of the bandwidth that counts for so many bytes: of the smallest cache with room for more, or memory."""
    return next((name for size, name in _LEVELS if moved < known.get(size, 0) and name in known), "copy")


def roofline(cells: pd.DataFrame, ceilings: Mapping[Place, Ceilings]) -> pd.DataFrame:
    """The cells with the columns intensity (FLOP/byte), attained, ceiling (GFLOP/s) and share (attained / ceiling).

    ceilings: by number of threads, or device. NaN where something is not known: another family, dtype or layout, no
    ceilings for so many threads or of the device, no time.
    """
    names = ["layout", "image", "kernel", "dtype", "device", "threads", "family", "backend", "execute_s"]
    rows = [_row(ceilings, *values) for values in cells[names].itertuples(index=False, name=None)]
    return cells.assign(**pd.DataFrame(rows, index=cells.index, columns=list(COLUMNS), dtype=float))


def _row(
    ceilings: Mapping[Place, Ceilings],
    layout: str, image: int, kernel: int, dtype: str, device: str, threads: int, family: str, backend: str,
    seconds: float,
) -> tuple[float | None, ...]:  # fmt: skip
    method = counted_as(family, backend)
    if method is None or dtype not in EVERY_DTYPE or layout not in ("image", "signal", "rows"):
        return (None,) * len(COLUMNS)
    work, moved = operations(method, layout, image, kernel, dtype), bytes_moved(layout, image, dtype)
    most = ceiling(method, work / moved, moved, dtype, ceilings.get(threads if device == "cpu" else device, {}))
    attained = work / seconds / 1e9 if seconds > 0 else None
    return work / moved, attained, most, attained / most if attained and most else None


@functools.lru_cache(maxsize=4096)  # a table has few shapes, and many rows of each
def _problem(layout: str, image: int, kernel: int, dtype: str) -> Problem:
    if layout == "signal":
        return Problem((int(image),), (int(kernel),), dtype)
    return Problem((int(image), int(image)), (int(kernel) if layout == "image" else 1, int(kernel)), dtype)
