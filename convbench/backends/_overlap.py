"""Overlap-save: a tile of input is transformed as if it were circular; what wrapped around is thrown away.

Strips does images, Segments does signals; each fills its own part of the output from its own scratch, so that several
can work at once.
"""

from __future__ import annotations

import math

import numpy as np

from convbench.backends._fft import circular_sizes, kernel_transform
from convbench.backends._fftw import Fft, nothing
from convbench.backends._memory import spread
from convbench.backends._overlap_tiles import CACHED
from convbench.problem import Array, Problem, Shape
from convbench.stages import CROP, FORWARD_FFT, INVERSE_FFT, MULTIPLY, PAD, Rounds


class Strips:
    """Output rows *rows*, one tile after another down every column of tiles.

    Tiles are transformed by rows, then by columns. A tile shares its first kernel rows - 1 with the one above: their
    transforms are carried over, so that no row is transformed twice.
    """

    def __init__(self, problem: Problem, tile: Shape, rows: range, fft: Fft) -> None:
        (height, width), (k1, k2) = tile, problem.kernel_shape
        real = not problem.is_complex
        self.rows, self.top = rows, problem.output_start[0]
        self.shared, self.step = k1 - 1, height - k1 + 1
        self.columns, self.tile = column_tiles(problem, width), tile
        length = width if not real else width // 2 if k2 == 1 else width // 2 + 1
        self.spectra = spread((height, length), np.result_type(problem.dtype, np.complex64))
        self.kernel = self.spectra[:0]
        # Without a transform by rows, two real samples of a row pass for a complex one.
        self.samples = spread(tile, problem.dtype) if real and k2 > 1 else self.spectra.view(problem.dtype)
        self.carry = np.empty_like(self.spectra[: self.shared])
        self.marks = Rounds(PAD, FORWARD_FFT, MULTIPLY, INVERSE_FFT, CROP)
        self.head = self.forward = self.down = self.up = self.backward = nothing
        old, new = slice(self.shared), slice(self.shared, None)
        if k2 > 1:
            self.forward = fft(self.samples[new], self.spectra[new], (1,))
            self.backward = fft(self.spectra[new], self.samples[new], (1,), inverse=True)
            if k1 > 1:
                self.head = fft(self.samples[old], self.spectra[old], (1,))
        if k1 > 1:
            self.down = fft(self.spectra, self.spectra, (0,))
            self.up = fft(self.spectra, self.spectra, (0,), inverse=True)

    @property
    def nbytes(self) -> int:
        return self.spectra.nbytes + self.samples.nbytes + self.carry.nbytes + self.kernel.nbytes

    def use(self, kernel: Array) -> None:
        """Convolve with this kernel from now on."""
        if 1 in kernel.shape:
            self.kernel = kernel_transform(kernel, self.tile)
            return
        self.samples[:] = 0
        self.samples[: kernel.shape[0], : kernel.shape[1]] = kernel / kernel.real.dtype.type(math.prod(self.tile))
        for transform in (self.head, self.forward, self.down):
            transform()
        if self.kernel.shape != self.spectra.shape:
            self.kernel = spread(self.spectra.shape, self.spectra.dtype)
        self.kernel[:] = self.spectra

    def run(self, image: Array, out: Array) -> None:
        shared, spectra, samples = self.shared, self.spectra, self.samples
        rows = range(self.rows.start, self.rows.stop, self.step)
        marks = iter(self.marks.of(len(self.columns) * len(rows)))
        for source, inside, target, result in self.columns:
            columns = image[:, source]
            for row, stages in zip(rows, marks, strict=False):
                pad, forward_fft, multiply, inverse_fft, crop = stages
                first = row == self.rows.start
                with pad:
                    if first:
                        _load(samples[:shared], columns, row + self.top - shared, inside)
                    else:
                        spectra[:shared] = self.carry
                    _load(samples[shared:], columns, row + self.top, inside)
                with forward_fft:
                    if first:
                        self.head()
                    self.forward()
                    self.carry[:] = spectra[self.step :]
                    self.down()
                with multiply:
                    np.multiply(spectra, self.kernel, out=spectra)
                with inverse_fft:
                    self.up()
                    self.backward()
                with crop:
                    count = min(self.step, self.rows.stop - row)
                    out[row : row + count, target] = samples[shared : shared + count, result]


class Segments:
    """Output samples *span* of a signal, many overlapping segments at a time."""

    def __init__(self, problem: Problem, tile: Shape, span: range, fft: Fft) -> None:
        (length,), (k,) = tile, problem.kernel_shape
        self.step = length - k + 1
        self.marks = Rounds(PAD, FORWARD_FFT, MULTIPLY, INVERSE_FFT, CROP)
        self.span, self.shared, self.first = span, k - 1, problem.output_start[0] - (k - 1)
        count = max(1, min(CACHED // length, -(-len(span) // self.step)))
        self.tile = tile
        self.signal = spread(((count - 1) * self.step + length,), problem.dtype)
        size = self.signal.itemsize
        overlapping = np.lib.stride_tricks.as_strided(self.signal, (count, length), (self.step * size, size))
        spectrum = length if problem.is_complex else length // 2 + 1
        self.spectra = spread((count, spectrum), np.result_type(problem.dtype, np.complex64))
        self.kernel = self.spectra[0]
        self.results = spread((count, length), problem.dtype)
        self.forward = fft(overlapping, self.spectra, (1,))
        self.backward = fft(self.spectra, self.results, (1,), inverse=True)

    @property
    def nbytes(self) -> int:
        return self.signal.nbytes + self.spectra.nbytes + self.results.nbytes + self.kernel.nbytes

    def use(self, kernel: Array) -> None:
        """Convolve with this kernel from now on."""
        self.kernel = kernel_transform(kernel, self.tile)

    def run(self, image: Array, out: Array) -> None:
        useful = self.results[:, self.shared :]
        starts = range(self.span.start, self.span.stop, useful.size)
        for start, (pad, forward_fft, multiply, inverse_fft, crop) in zip(
            starts, self.marks.of(len(starts)), strict=True
        ):
            with pad:
                _load(self.signal[:, None], image[:, None], start + self.first, slice(0, 1))
            with forward_fft:
                self.forward()
            with multiply:
                np.multiply(self.spectra, self.kernel, out=self.spectra)
            with inverse_fft:
                self.backward()
            with crop:
                target = out[start : min(start + useful.size, self.span.stop)]
                rows, rest = divmod(len(target), self.step)
                target[: rows * self.step].reshape(rows, self.step)[...] = useful[:rows]
                target[rows * self.step :] = useful[rows : rows + 1, :rest].ravel()


def _load(samples: Array, image: Array, first: int, inside: slice) -> None:
    """Image rows from *first* on into the columns *inside*, and zeros where there is no image."""
    start = min(max(0, -first), len(samples))
    stop = max(start, min(len(samples), len(image) - first))
    samples[:start] = 0
    samples[stop:] = 0
    samples[start:stop, : inside.start] = 0
    samples[start:stop, inside.stop :] = 0
    samples[start:stop, inside] = image[first + start : first + stop]


def column_tiles(problem: Problem, width: int) -> list[tuple[slice, slice, slice, slice]]:
    """For every tile across: its image columns, where they lie in it, its output columns, where they lie in it."""
    n, k = problem.image_shape[1], problem.kernel_shape[1]
    start, size = problem.output_start[1], problem.output_shape[1]
    if width >= circular_sizes(problem)[1]:
        return [(slice(n), slice(0, n), slice(size), slice(start, start + size))]
    found, step = [], width - k + 1
    for column in range(0, size, step):
        first, count = column + start - (k - 1), min(step, size - column)
        left, right = max(0, -first), min(width, n - first)
        source, inside = slice(first + left, first + right), slice(left, right)
        found.append((source, inside, slice(column, column + count), slice(k - 1, k - 1 + count)))
    return found
