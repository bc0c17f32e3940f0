"""What FFT backends share: transform lengths (how short they may be, which are quick) and the kernel's transform."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

from convbench.problem import Array, Problem, Shape

# What one more factor costs, relative to a power of two of about that length; FFTW 3.3.5, 91 lengths from 128 to 1092,
# rows and columns, float32 and float64, on Zen 5. Factors 11 and 13 (1.25 and more) never pay and are left out.
_DEAR = {3: 1.02, 5: 1.01, 7: 1.08}
_FEW_TWOS = 1.04  # for every factor 2 short of 2**5
_ODD = {
    3**a * 5**b * 7**c: _DEAR[3] ** a * _DEAR[5] ** b * _DEAR[7] ** c
    for a, b, c in itertools.product(range(6), range(4), range(3))
    if 3**a * 5**b * 7**c <= 1125
}


@functools.cache
def slowness(length: int) -> float:
    """How much dearer a sample is at this good size than at a power of two."""
    twos = (length & -length).bit_length() - 1
    return _ODD[length >> twos] * _FEW_TWOS ** max(0, min(5, length.bit_length() - 1) - twos)


@functools.cache
def good_size(least: int) -> int:
    """The length from *least* upward that is quickest: a little longer is often much quicker.

    The root: of two axes, one's length adds samples to both transforms, but slows its own only.
    """
    lengths = [odd << max(0, -(-least // odd) - 1).bit_length() for odd in _ODD]
    return min(lengths, key=lambda length: length * math.sqrt(slowness(length)))


def circular_sizes(problem: Problem) -> Shape:
    """Least lengths at which circular convolution is right wherever this mode's output lies.

    Shorter than full convolution (n+k-1) in modes same (n+k//2) and valid (n): what wraps around falls outside.
    """
    return tuple(
        max(n, k, n + k - 1 - start, start + size)
        for n, k, start, size in zip(
            problem.image_shape, problem.kernel_shape, problem.output_start, problem.output_shape, strict=True
        )
    )


def kernel_transform(kernel: Array, sizes: Shape) -> Array:
    """The kernel's transform along the axes on which it is longer than 1, with the inverse's 1/N folded in.

    Real kernels: half of it along the last axis, if that is transformed. Axes of length 1 stay so, to be broadcast.
    """
    import scipy.fft

    found: Array = kernel
    for axis in reversed(range(kernel.ndim)):
        if kernel.shape[axis] > 1:
            half = kernel.dtype.kind == "f" and axis == kernel.ndim - 1
            found = (scipy.fft.rfft if half else scipy.fft.fft)(found, sizes[axis], axis=axis, norm="forward")
    return found.astype(np.result_type(kernel.dtype, np.complex64), copy=False)
