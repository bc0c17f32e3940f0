"""Split a 2-D kernel into 1-D passes: kernel = sum of column ⊗ row, as few as the dtype can tell apart."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from convbench.errors import ArgumentError, UnsupportedError
from convbench.problem import HALF, Array, unit_roundoff, widened

Pass = tuple[Array, Array]


def separate(kernel: Array, rtol: float | None = None) -> list[Pass]:
    """The (column, row) pairs whose outer products add up to the kernel; at least one pair, the largest first.

    kernel: 1-D (becomes one row) or 2-D, real or complex; the factors have its dtype (float64 for integers, float32 for
    16-bit numbers).
    rtol: what may be left out, in Frobenius norm relative to the kernel's; by default what rounding the kernel to
    its dtype may have added. A rank-1 kernel of integers, or of integers over a power of two, is split exactly.
    Raises ArgumentError for a kernel that is empty, not finite, or has more than two axes.
    """
    kernel = np.atleast_1d(np.asarray(kernel))
    real = kernel.dtype.kind in "fc" or kernel.dtype.name in HALF
    kernel = kernel if real else kernel.astype(np.float64)
    u, kernel = unit_roundoff(kernel.real.dtype), widened(kernel)
    if kernel.ndim > 2 or kernel.size == 0 or not np.isfinite(kernel).all():
        raise ArgumentError(f"kernel must be finite with 1 or 2 axes and not empty, got shape {kernel.shape}")
    one = np.ones(1, kernel.dtype)
    if kernel.ndim == 1 or kernel.shape[0] == 1:
        return [(one, kernel.ravel())]
    if kernel.shape[1] == 1:
        return [(kernel.ravel(), one)]
    largest = np.abs(kernel).max()
    if largest == 0:
        return [(np.zeros_like(kernel[:, 0]), np.zeros_like(kernel[0]))]

    # In double precision and scaled to about 1: no product overflows, and only the result is rounded to the dtype.
    scale = 2.0 ** int(np.frexp(largest)[1] - 1)
    scaled = (kernel / scale).astype(np.result_type(kernel.dtype, np.float64))
    found = _integer_pass(scaled) or _pivot_pass(scaled, 4 * u if rtol is None else rtol)
    passes = [found] if found else _svd_passes(scaled, _default_rtol(kernel, u) if rtol is None else rtol)
    return [(column.astype(kernel.dtype), (row * scale).astype(kernel.dtype)) for column, row in passes]


def separable_rank(kernel: Array, rtol: float | None = None) -> int:
    """How many separable passes the kernel takes: its numerical rank, but 1 for a kernel of zeros."""
    return len(separate(kernel, rtol))


def worthwhile(rank: int, kernel_shape: tuple[int, ...]) -> bool:
    """Whether that many separable passes cost less than the direct sum.

    A pass runs at about half the arithmetic rate of a direct sum (it moves the image twice), hence the 2; one
    pass is always taken: such a kernel is separable.
    """
    if rank == 1 or len(kernel_shape) == 1:
        return True
    rows, columns = kernel_shape
    return 2 * rank * (rows + columns) <= rows * columns


def worthwhile_passes(kernel: Array) -> list[Pass]:
    """separate(kernel); raises UnsupportedError where the passes would not pay."""
    passes = separate(kernel)
    if not worthwhile(len(passes), kernel.shape):
        shape = "x".join(map(str, kernel.shape))
        raise UnsupportedError(
            f"kernel is not separable: rank {len(passes)} of {min(kernel.shape)} ({shape}); {len(passes)} separable "
            f"passes would cost more than the direct sum; use a direct or FFT backend"
        )
    return passes


def _default_rtol(kernel: Array, u: float) -> float:
    # Rounding a kernel of exact rank r to its dtype adds at most u in relative Frobenius norm; the 4 leaves room for
    # having been computed in that dtype. The second term is what the SVD itself adds, as in numpy's matrix_rank.
    return 4 * u + max(kernel.shape) * float(np.finfo(np.float64).eps)


def _integer_pass(kernel: Array) -> Pass | None:
    """The exact split of a rank-1 kernel of (Gaussian) integers times a power of two, or None."""
    integers = kernel * 2.0**25  # at most 2**26 each, so that products of two are exact in double precision
    if not np.array_equal(_rint(integers), integers):
        return None
    i, j = np.unravel_index(int(np.abs(integers).argmax()), kernel.shape)
    # Over its greatest common divisor the column is primitive, and so divides every row of a rank-1 kernel exactly.
    column = _rint(integers[:, j] / functools.reduce(_gcd, integers[:, j].tolist()))
    row = _rint(integers[i] / column[i])
    return (column, row * 2.0**-25) if np.array_equal(np.multiply.outer(column, row), integers) else None


def _rint(values: Array) -> Array:
    return np.rint(values.real) + 1j * np.rint(values.imag) if np.iscomplexobj(values) else np.rint(values)


def _gcd(a: Any, b: Any) -> Any:
    """Euclid's algorithm on floats or complex numbers that hold integers."""
    while b:
        q = a / b
        q = complex(round(q.real), round(q.imag)) if isinstance(q, complex) else float(round(q))
        a, b = b, a - q * b
    return a


def _pivot_pass(kernel: Array, rtol: float) -> Pass | None:
    """The row and the column through the largest element, if their product is the kernel element by element."""
    i, j = np.unravel_index(int(np.abs(kernel).argmax()), kernel.shape)
    column, row = kernel[:, j], kernel[i] / kernel[i, j]
    allowed = rtol * np.abs(kernel) + np.finfo(np.float32).tiny * rtol
    return (column, row) if (np.abs(np.multiply.outer(column, row) - kernel) <= allowed).all() else None


def _svd_passes(kernel: Array, rtol: float) -> list[Pass]:
    left, sigma, right = np.linalg.svd(kernel, full_matrices=False)
    tail = np.sqrt(np.cumsum(sigma[::-1] ** 2)[::-1])  # tail[r]: what r passes leave out
    rank = max(1, int(np.count_nonzero(tail > rtol * tail[0])))
    return [(left[:, r] * sigma[r], right[r]) for r in range(rank)]
