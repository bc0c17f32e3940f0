"""The roofline model: how much of the machine's measured peak a cell reaches (Williams, Waterman and Patterson, 2009).

A cell's operations are nominal, those of its family's textbook method, and its bytes the least that must move. With
the ceilings that were measured for its dtype and number of threads, nothing but these decides how quick it can be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from convbench.ceilings import Place
from convbench.problem import EVERY_DTYPE

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


def operations(method: str, layout: str, image: int, kernel: int, dtype: str) -> float:
    """Floating-point operations of one convolution, mode same, by the textbook.

    direct: 2 k1 k2 an output, separable: 2 (k1 + k2) at most; four times that for complex numbers. fft: two transforms
    at n + k - 1, 2.5 N log2 N each (complex: 5), and 6 for each product of theirs; no transform along an axis on which
    the kernel has length 1. The kernel's own transform is in the plan.
    """
    (n1, n2), (k1, k2) = _shapes(layout, image, kernel)
    parts = 2 if dtype.startswith("complex") else 1
    if method == "fft":
        samples = (n1 + k1 - 1) * (n2 + k2 - 1)
        together = samples if k1 > 1 else n2 + k2 - 1
        return parts * samples * (5 * math.log2(together) + 3)
    taps = min(k1 * k2, k1 + k2) if method == "separable" else k1 * k2
    return 2.0 * parts**2 * taps * n1 * n2


def bytes_moved(layout: str, image: int, dtype: str) -> int:
    """The least that must move: the image read once, the output written once."""
    return 2 * math.prod(_shapes(layout, image, 1)[0]) * np.dtype(dtype).itemsize


def ceiling(method: str, intensity: float, moved: float, dtype: str, known: Ceilings) -> float | None:
    """GFLOP/s that the machine allows: its peak for this dtype, or what it can move, whichever is less.

    intensity: operations a byte. moved: bytes of image and output. None where the ceilings needed are not known.
    """
    peak = known.get(f"{'fft' if method == 'fft' else 'fma'}_{_REAL.get(dtype, dtype)}")
    rate = known.get(bandwidth(moved, known))
    return None if peak is None or rate is None else min(peak, intensity * rate)


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


def _shapes(layout: str, image: int, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Image and kernel as rows and columns."""
    return (1 if layout == "signal" else image, image), (kernel if layout == "image" else 1, kernel)
