"""torch: overlap-save with torch.fft on CUDA (cuFFT), many tiles in one batch.

Requires torch, built for CUDA. The image is cut into overlapping tiles, which are transformed as if they were circular;
what wrapped around is thrown away. Batches are small enough for the device's second-level cache. Which tile is quickest
depends on the device: a plan tries some sizes, the whole image among them, once for a geometry.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from convbench.backends._fft import circular_sizes, good_size
from convbench.backends._torch import TorchBackend, TorchPlan
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.cuda.clock import Hot
from convbench.problem import Array, Problem, Shape
from convbench.stages import CROP, FORWARD_FFT, INVERSE_FFT, KERNEL_TRANSFORM, MULTIPLY, PAD, Rounds

_TILES = (64, 128, 256, 512, 1024, 2048)
_TRIED = 4
"""Tile sizes that are tried: those with the least work."""
_BATCH = 8 << 20
"""Samples transformed at once: their spectra, twice, fit in some 64 MB of cache in single precision."""


class TorchOverlap(TorchBackend):
    name = "torch-overlap"
    family = "fft"
    rounding = "fft"
    devices = ("cuda",)
    convention = Convention(flips=True, offset="0", boundary="wrap")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return OverlapPlan(problem, kernel, _best_tile(problem))


class OverlapPlan(TorchPlan):
    """tile: its lengths on the axes on which the kernel is longer than 1, whole lengths elsewhere."""

    def __init__(self, problem: Problem, kernel: Array, tile: Shape) -> None:
        super().__init__(problem)
        fft = self.torch.fft
        self.cut = [axis for axis, k in enumerate(problem.kernel_shape) if k > 1]
        self.lengths = [tile[axis] for axis in self.cut]
        steps = [t - k + 1 for t, k in zip(tile, problem.kernel_shape, strict=True)]
        self.steps = [steps[axis] for axis in self.cut]
        self.counts = [
            -(-problem.output_shape[axis] // step) if axis in self.cut else n
            for axis, (n, step) in enumerate(zip(problem.image_shape, steps, strict=True))
        ]
        sides = [(0, 0)] * problem.ndim
        for axis, step, length in zip(self.cut, self.steps, self.lengths, strict=True):
            before = problem.kernel_shape[axis] - 1 - problem.output_start[axis]
            span = (self.counts[axis] - 1) * step + length
            sides[axis] = (before, max(0, span - before - problem.image_shape[axis]))
        self.sides = [side for pair in reversed(sides) for side in pair]
        # trailing axes hold the tiles; afterwards each goes back beside the axis that counts them
        trailing = {axis: problem.ndim + i for i, axis in enumerate(self.cut)}
        self.order = [a for axis in range(problem.ndim) for a in (axis, trailing.get(axis)) if a is not None]
        self.where = {"s": self.lengths, "dim": [-i for i in range(len(self.cut), 0, -1)]}
        self.forward, self.inverse = (fft.fftn, fft.ifftn) if problem.is_complex else (fft.rfftn, fft.irfftn)
        self.marks = Rounds(FORWARD_FFT, MULTIPLY, INVERSE_FFT, CROP)
        self.kept = tuple(slice(problem.kernel_shape[axis] - 1, None) for axis in self.cut)
        across = math.prod(self.counts[1:]) * math.prod(self.lengths)
        self.batch = max(1, _BATCH // across)
        flat = self.tensor(kernel)[0, 0].reshape([problem.kernel_shape[axis] for axis in self.cut])
        with KERNEL_TRANSFORM:
            self.kernel = self.forward(flat, **self.where, norm="forward") if self.cut else flat

    def convolve(self, data: Any) -> Any:
        if not self.cut:
            return data * self.kernel
        shape = self.problem.output_shape
        with PAD:
            tiles = self.torch.nn.functional.pad(data, self.sides)[0, 0]
            for axis, step, length in zip(self.cut, self.steps, self.lengths, strict=True):
                tiles = tiles.unfold(axis, length, step)
        found = data.new_empty(shape)
        high = self.steps[0] if self.cut[0] == 0 else 1
        batches = range(0, self.counts[0], self.batch)
        for first, (forward_fft, multiply, inverse_fft, crop) in zip(batches, self.marks.of(len(batches)), strict=True):
            with forward_fft:
                spectrum = self.forward(tiles[first : first + self.batch], **self.where)
            with multiply:
                spectrum *= self.kernel
            with inverse_fft:
                parts = self.inverse(spectrum, **self.where, norm="forward")[(..., *self.kept)]
            with crop:
                joined = parts.permute(self.order)
                sizes = [n * s for n, s in zip(parts.shape[: self.problem.ndim], self._widths(), strict=True)]
                rows = slice(first * high, min(first * high + sizes[0], shape[0]))
                rest = tuple(slice(n) for n in shape[1:])
                found[(rows, *rest)] = joined.reshape(sizes)[(slice(rows.stop - rows.start), *rest)]
        return found[None, None]

    def _widths(self) -> list[int]:
        """Output samples of a tile, by axis."""
        widths = dict(zip(self.cut, self.steps, strict=True))
        return [widths.get(axis, 1) for axis in range(self.problem.ndim)]


@functools.lru_cache(maxsize=256)
def _best_tile(problem: Problem) -> Shape:
    """The quickest of some tiles on this device."""
    image, kernel = problem.image(), problem.kernel()
    tiles = candidates(problem)
    if len(tiles) == 1:
        return tiles[0]
    taken: dict[Shape, float] = {}
    for tile in tiles:
        plan = OverlapPlan(problem, kernel, tile)
        call = plan.timed(plan.load(image))
        assert isinstance(call, Hot)
        call.seconds(2)
        taken[tile] = min(call.seconds(3) for _ in range(3))
    return min(taken, key=lambda tile: taken[tile])


def candidates(problem: Problem) -> list[Shape]:
    """The whole image, and the tiles with the least arithmetic, the same length on each axis where that is possible."""
    whole = tuple(
        good_size(n) if k > 1 else own
        for n, k, own in zip(circular_sizes(problem), problem.kernel_shape, problem.image_shape, strict=True)
    )
    found = {tile for length in _TILES if (tile := _cut(problem, whole, length)) is not None} - {whole}
    return [whole, *sorted(found, key=lambda tile: _work(problem, tile))[: _TRIED - 1]]


def _cut(problem: Problem, whole: Shape, length: int) -> Shape | None:
    """Tiles of this length on every axis on which the image is longer; None if the kernel leaves too little of them."""
    tile = tuple(min(length, n) if k > 1 else n for n, k in zip(whole, problem.kernel_shape, strict=True))
    fits = all(t >= 2 * k or t == n for t, k, n in zip(tile, problem.kernel_shape, whole, strict=True))
    return tile if fits else None


def _work(problem: Problem, tile: Shape) -> float:
    """Samples that are transformed, times the logarithm of a transform's length."""
    shapes = zip(tile, problem.kernel_shape, problem.output_shape, strict=True)
    counts = [-(-n // (t - k + 1)) if k > 1 else 1 for t, k, n in shapes]
    return math.prod(counts) * math.prod(tile) * math.log2(math.prod(tile) + 1)
