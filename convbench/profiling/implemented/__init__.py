"""What an execution does as it is implemented: its operations, and the bytes that each stage reads and writes.

Every element of an array counts once for each stage that reads or writes it, however often loops come back to it from
the nearest cache. A transform of N samples along axes of lengths L counts 2.5 N log2(product of L) operations, 5 for
complex data, as the ceilings do; it goes through its array once for each axis. Only what convbench's own code or an
open algorithm decides is counted: what a library does inside of one call is not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convbench.profiling.implemented import fft, sums
from convbench.profiling.implemented.work import Traffic, Work
from convbench.profiling.subject import Subject

__all__ = ["Traffic", "Work", "implemented"]

_COUNTS: dict[str, Callable[[Any], Work | None]] = {
    "numba-direct": sums.numba,
    "numba-separable": sums.numba,
    "ndimage-separable": sums.ndimage_passes,
    "opencv-sepfilter2d": sums.opencv_passes,
    "torch": sums.torch_conv,
    "pyfftw": fft.fftw,
    "pyfftw-overlap": fft.fftw,
    "ducc0-fft": fft.ducc,
    "torch-fft": fft.torch_fft,
    "scipy-fft": fft.scipy_fft,
    "scipy-oa": fft.scipy_oa,
    "jax-fft": fft.jax_fft,
}


def implemented(subject: Subject) -> Work | None:
    """What the subject's own plan does; None for backends of which it is not known. Raises what the backend raises."""
    count = _COUNTS.get(subject.backend.name)
    return count(subject.plan()) if count else None
