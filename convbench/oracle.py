"""The definition of convolution, twice, and the identities that check an output of any size.

y[i] = sum over d of kernel[d] * image[i - d], zeros outside the image. `paint` scatters: every image sample paints a
scaled kernel onto the output. `gather` sums: every output sample collects its terms. They share no code, so each
checks the other. Both work in a wider type than the data: exact on small integers, and elsewhere with an error that
`unit_roundoff()` bounds.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from convbench.problem import Array, Problem, widened


def widen(array: Array) -> Array:
    """The same values in the widest type of this machine: long double, real or complex."""
    return widened(array).astype(np.clongdouble if array.dtype.kind == "c" else np.longdouble)


def unit_roundoff() -> float:
    """Unit roundoff of the oracle's arithmetic; float64's where the machine has no wider type."""
    return float(np.finfo(np.longdouble).eps) / 2


def paint(image: Array, kernel: Array) -> Array:
    """Full convolution by scattering; image (n,) or (n1, n2), kernel likewise, output n+k-1 in long double."""
    image, kernel = widen(image), widen(kernel)
    shape = tuple(n + k - 1 for n, k in zip(image.shape, kernel.shape, strict=True))
    out = np.zeros(shape, dtype=np.result_type(image, kernel))
    for at in np.ndindex(image.shape):
        out[tuple(slice(i, i + k) for i, k in zip(at, kernel.shape, strict=True))] += image[at] * kernel
    return out


def gather(image: Array, kernel: Array, points: np.typing.NDArray[np.integer[Any]] | None = None) -> Array:
    """Convolution by summing the terms of each output sample, in long double.

    points: (m, ndim) indices into the full output, returns (m,); None for every point, returns the full output.
    """
    shape = tuple(n + k - 1 for n, k in zip(image.shape, kernel.shape, strict=True))
    everywhere = points is None
    if points is None:
        points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, len(shape))
    image, kernel = widen(image), widen(kernel)
    out = np.empty(len(points), dtype=np.result_type(image, kernel))
    for row, point in enumerate(points):
        # kernel index d runs where both d and the image index i - d are inside their arrays
        low = [max(0, int(i) - n + 1) for i, n in zip(point, image.shape, strict=True)]
        high = [min(int(i), k - 1) for i, k in zip(point, kernel.shape, strict=True)]
        taps = kernel[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))]
        window = image[tuple(slice(int(i) - b, int(i) - a + 1) for i, a, b in zip(point, low, high, strict=True))]
        out[row] = np.sum(taps * np.flip(window))
    return out.reshape(shape) if everywhere else out


def spots(problem: Problem, count: int, seed: int) -> np.typing.NDArray[np.intp]:
    """Output indices worth checking: all corners, points on every border, then random ones; (m, ndim), no repeats."""
    rng = np.random.default_rng([seed, *problem.output_shape])
    shape = problem.output_shape
    corners = list(itertools.product(*[{0, n - 1} for n in shape]))
    picks = [np.array(corners, dtype=np.intp)]
    for axis, n in enumerate(shape):
        for edge in (0, n - 1):
            border = rng.integers(0, shape, size=(max(2, count // 8), len(shape)))
            border[:, axis] = edge
            picks.append(border)
    picks.append(rng.integers(0, shape, size=(count, len(shape))))
    return np.unique(np.concatenate(picks), axis=0).astype(np.intp)


class Checksum:
    """Blockwise z-transform identity: a wrong value anywhere in an output of any size shows.

    Over the whole full output, Y(z1, z2) = X(z1, z2) K(z1, z2). Restricted to a block of B1 x B2 output samples that
    starts at s, the sum of z^i y[s + i] equals the sum of x[s - (k-1) + j] g[j] over the block's input window, where
    g[j] = sum of z^i k[i - j + k-1] depends on the kernel only: the same identity, localised, so that one wrong
    sample is not drowned by the rounding of millions. Cost: n^2 (1 + k/B)^2. Works in double precision.
    """

    def __init__(self, problem: Problem, kernel: Array, seed: int) -> None:
        self.problem = problem
        kernel = np.atleast_2d(widened(kernel))
        image_shape, output_shape, start = (
            (fill,) * (2 - problem.ndim) + shape
            for fill, shape in ((1, problem.image_shape), (1, problem.output_shape), (0, problem.output_start))
        )
        # Blocks as large as the kernel bound the cost; 32 at least, so that small kernels do not pay per block.
        self.block = tuple(
            min(size, max(32, 1 << (k - 1).bit_length())) for size, k in zip(output_shape, kernel.shape, strict=True)
        )
        self.window = tuple(b + k - 1 for b, k in zip(self.block, kernel.shape, strict=True))
        # The last block is moved inwards to end with the output, so that blocks are whole and cover every sample.
        self.starts = [
            np.append(np.arange(0, size - b, b), size - b) for size, b in zip(output_shape, self.block, strict=True)
        ]
        self.padding = [
            (k - 1 - s, max(0, s + size - n))
            for n, k, s, size in zip(image_shape, kernel.shape, start, output_shape, strict=True)
        ]
        rng = np.random.default_rng([seed, 7])
        self.powers = [np.exp(1j * rng.uniform(0, 2 * np.pi) * np.arange(b)) for b in self.block]
        self.weights: Array = kernel.astype(np.complex128)
        for axis, (b, k) in enumerate(zip(self.block, kernel.shape, strict=True)):
            # Window sample j meets output sample i of the block through the kernel's sample d = i - j + (k-1).
            taps = np.moveaxis(self.weights, axis, 0)
            spread = np.zeros((b + k - 1, *taps.shape[1:]), np.complex128)
            for d in range(k):
                spread[k - 1 - d : k - 1 - d + b] += np.multiply.outer(self.powers[axis], taps[d])
            self.weights = np.moveaxis(spread, 0, axis)

    def expected(self, image: Array) -> tuple[Array, Array]:
        """The checksum each block must have, and the 2-norm of each block's input window."""
        padded = np.pad(
            np.atleast_2d(widened(image)).astype(np.complex128 if image.dtype.kind == "c" else np.float64), self.padding
        )
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.window)
        sums = np.empty([len(s) for s in self.starts], np.complex128)
        norms = np.empty(sums.shape)
        real, imag = (np.ascontiguousarray(part).ravel() for part in (self.weights.real, self.weights.imag))
        for row, start in enumerate(self.starts[0]):  # a strip at a time: the copy of the windows stays small
            strip = windows[start][self.starts[1]].reshape(len(self.starts[1]), -1)
            sums[row] = strip @ real + 1j * (strip @ imag)
            norms[row] = np.linalg.norm(strip, axis=-1)
        return sums, norms

    def actual(self, output: Array) -> Array:
        """The checksum of each block of an output."""
        output = np.atleast_2d(widened(output))
        sums = np.empty([len(s) for s in self.starts], np.complex128)
        rows = np.stack([self.powers[0].real, self.powers[0].imag])  # real products, which BLAS does best
        for row, start in enumerate(self.starts[0]):
            strip = output[start : start + self.block[0]]
            strip = strip.astype(np.complex128 if strip.dtype.kind == "c" else np.float64)
            real, imag = rows @ strip
            blocks = np.lib.stride_tricks.sliding_window_view(real + 1j * imag, self.block[1])[self.starts[1]]
            sums[row] = blocks @ self.powers[1]
        return sums

    def slices(self, block: tuple[int, ...]) -> tuple[slice, ...]:
        """Where a block lies in the output."""
        both = [slice(int(s[i]), int(s[i]) + b) for i, s, b in zip(block, self.starts, self.block, strict=True)]
        return tuple(both[2 - self.problem.ndim :])
