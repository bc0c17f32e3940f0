"""Overlap-save: a tile of input is transformed as if it were circular; what wrapped around is thrown away.

Strips does images, Segments does signals; each fills its own part of the output with its own scratch, so that several
can work at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbench.problem import Array, Problem

Fft = Callable[..., Any]


def _spectrum(kernel: Array, tile: tuple[int, ...], real: bool) -> Array:
    """The kernel's transform along every axis on which it is longer than 1, with the inverse's 1/N folded in."""
    wide: Array = kernel.astype(np.result_type(kernel.dtype, np.float64))
    for axis in reversed(range(kernel.ndim)):
        if kernel.shape[axis] > 1:
            half = real and axis == kernel.ndim - 1
            wide = (np.fft.rfft if half else np.fft.fft)(wide, tile[axis], axis=axis) / tile[axis]
    return wide.astype(np.result_type(kernel.dtype, np.complex64))


def _nothing() -> None:
    """The transform along an axis on which the kernel has length 1."""


class Strips:
    """Rows `rows` of the output, one tile after another down every column of tiles.

    Rows are transformed before columns. A tile shares its first kernel rows - 1 with the one above: their transforms
    are carried over, so that along columns nothing is transformed twice by rows.
    """

    def __init__(self, problem: Problem, kernel: Array, tile: tuple[int, int], rows: range, fft: Fft) -> None:
        real = not problem.is_complex
        (height, width), (k1, k2) = tile, kernel.shape
        self.rows, self.top = rows, problem.output_start[0]
        self.kept, self.step = k1 - 1, height - k1 + 1
        self.columns = column_tiles(problem, width)
        self.kernel = _spectrum(kernel, tile, real)
        length = (width + 1) // 2 if real and k2 == 1 else width // 2 + 1 if real else width
        self.spectra = aligned((height, length), self.kernel.dtype)
        # Where nothing is transformed by rows, two real columns pass for one complex column.
        self.samples = self.spectra.view(problem.dtype)[:, :width] if INPLACE or k2 == 1 or not real else aligned((height, width), problem.dtype)
        self.carry = np.empty_like(self.spectra[: self.kept])
        self.head = self.forward = self.backward = self.down = self.up = _nothing
        old, new = slice(self.kept), slice(self.kept, None)
        if k2 > 1:
            self.forward = fft(self.samples[new], self.spectra[new], (1,)).execute
            self.backward = fft(self.spectra[new], self.samples[new], (1,), inverse=True).execute
            if k1 > 1:
                self.head = fft(self.samples[old], self.spectra[old], (1,)).execute
        if k1 > 1:
            self.down = fft(self.spectra, self.spectra, (0,)).execute
            self.up = fft(self.spectra, self.spectra, (0,), inverse=True).execute

    def run(self, image: Array, out: Array) -> None:
        kept, spectra, samples = self.kept, self.spectra, self.samples
        for source, inside, target, result in self.columns:
            self._load(samples[:kept], image[:, source], self.rows.start + self.top - kept, inside)
            self.head()
            for row in range(self.rows.start, self.rows.stop, self.step):
                if row > self.rows.start:
                    spectra[:kept] = self.carry
                self._load(samples[kept:], image[:, source], row + self.top, inside)
                self.forward()
                self.carry[:] = spectra[self.step :]
                self.down()
                np.multiply(spectra, self.kernel, out=spectra)
                self.up()
                self.backward()
                count = min(self.step, self.rows.stop - row)
                out[row : row + count, target] = samples[kept : kept + count, result]

    @staticmethod
    def _load(samples: Array, image: Array, first: int, inside: slice) -> None:
        """Image rows from *first* on, with zeros where there is no image."""
        start = min(max(0, -first), len(samples))
        stop = max(start, min(len(samples), len(image) - first))
        samples[:start] = 0
        samples[stop:] = 0
        samples[start:stop, : inside.start] = 0
        samples[start:stop, inside.stop :] = 0
        samples[start:stop, inside] = image[first + start : first + stop]
INPLACE=False

def aligned(shape, dtype):
    import pyfftw
    return pyfftw.zeros_aligned(shape, dtype, n=64)

def column_tiles(problem: Problem, width: int) -> list[tuple[slice, slice, slice, slice]]:
    """For every tile along a row: its image columns, where they go in the tile, output columns, where these are in it."""
    from convbench.backends._fft_size import circular_sizes
    n, k, start, size = problem.image_shape[1], problem.kernel_shape[1], problem.output_start[1], problem.output_shape[1]
    if width >= circular_sizes(problem)[1]:
        return [(slice(0, n), slice(0, n), slice(0, size), slice(start, start + size))]
    tiles, step = [], width - k + 1
    for column in range(0, size, step):
        first, count = column + start - (k - 1), min(step, size - column)
        left, right = max(0, -first), min(width, n - first)
        tiles.append((slice(first + left, first + right), slice(left, right), slice(column, column + count), slice(k - 1, k - 1 + count)))
    return tiles
