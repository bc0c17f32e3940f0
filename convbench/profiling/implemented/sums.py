"""Direct sums, and row and column passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convbench.profiling.implemented.work import SCRATCH, Traffic, Work, by, image_and_output, size, work
from convbench.stages import COLUMN_PASS, CONVOLVE, CROP, PAD, ROW_PASS

_CHANNELS = {"AVX512": 16, "AVX2": 8}
"""In a block of oneDNN's float32 arrays, by what torch calls the processor."""
_FEW = 20480
"""Samples: torch leaves no more than that to oneDNN, but where the kernel is longer than 3 both ways."""


def numba(plan: Any) -> Work:
    """numba-direct, and numba-separable, whose kernels of one row or column are direct."""
    from convbench.backends.numba_direct import DirectPlan

    return _direct(plan) if isinstance(plan, DirectPlan) else _passes(plan)


def _direct(plan: Any) -> Work:
    problem, (k1, k2, above, _) = plan.problem, map(int, plan.spec)
    rows, columns = plan.real_shape
    height = (1, *problem.image_shape)[-2]
    top = np.arange(rows) - above
    inside = int(np.maximum(np.minimum(k1, height - top) - np.maximum(0, -top), 0).sum())
    operations = 2.0 * plan.weights.ndim * inside * k2 * columns
    moved = image_and_output(problem)
    how = "a direct sum; kernel rows outside of the image are skipped, columns outside are products with zeros"
    return work(problem, operations, [Traffic(CONVOLVE.name, moved + plan.weights.nbytes, moved)], how)


def _passes(plan: Any) -> Work:
    """Row sums of the rows that the image has, then sums down the columns; further passes add to the output."""
    problem, (k1, k2, above, _) = plan.problem, map(int, plan.spec)
    height, item, far = problem.image_shape[0], plan.real_dtype.itemsize, image_and_output(plan.problem)
    between = output = 0
    for first, last, start, stop in plan.areas:
        rows = min(height, last - above + k1 - 1) - max(0, first - above)
        between, output = between + max(0, rows) * (stop - start), output + (last - first) * (stop - start)
    planes, rank = plan.passes[0][0].ndim, len(plan.passes)
    operations = 2.0 * planes * rank * (k2 * between + k1 * output)
    traffic = [
        Traffic(ROW_PASS, rank * between * item, far),
        Traffic(ROW_PASS, rank * between * item, SCRATCH),
        Traffic(COLUMN_PASS, rank * between * item, SCRATCH),
        Traffic(COLUMN_PASS, (2 * rank - 1) * output * item, far),
    ]
    return work(problem, operations, traffic, f"row and column passes: {rank}; the row sums stay in the cache")


def ndimage_passes(plan: Any) -> Work:
    """Each pass goes over the whole image."""
    problem = plan.problem
    shape = problem.output_shape if problem.mode == "full" else problem.image_shape
    each, parts = size(problem, shape), 2 if problem.is_complex else 1
    passes = [one for pair in plan.terms for one in pair]
    moved = [(COLUMN_PASS if axis == 0 else ROW_PASS, 2 * each) for axis, _ in passes]
    moved += [("sum of passes", 3 * each)] * (len(plan.terms) - 1)
    operations = 2.0 * parts**2 * math.prod(shape) * sum(len(taps) for _, taps in passes)
    traffic = tuple(Traffic(stage, one, 3 * each) for stage, one in moved)
    return Work(operations, traffic, "float64", f"passes over the whole image: {len(passes)}, in double precision")


def opencv_passes(plan: Any) -> Work:
    """OpenCV keeps the row sums of a few rows."""
    problem = plan.problem
    shape = [n + more for n, more in zip(problem.image_shape, (plan.below, plan.right), strict=True)]
    each, rank = size(problem, shape), len(plan.terms)
    operations = 2.0 * math.prod(shape) * sum(row.size + column.size for row, column in plan.terms)
    padding = size(problem, problem.image_shape) + each if plan.below or plan.right else 0
    traffic = [Traffic(PAD.name, padding, 2 * each), Traffic(CONVOLVE.name, (5 * rank - 3) * each, 2 * each)]
    return work(problem, operations, traffic, f"row and column passes: {rank}; the row sums stay in the cache")


def torch_conv(plan: Any) -> Work | None:
    """On the processor, for one kernel, as in torch 2.13: by oneDNN, or unfolded; None for the rest."""
    problem = plan.problem
    if plan.on_cuda or problem.is_complex:
        return None
    kernel, outputs = problem.kernel_shape, problem.output_shape
    strip = plan.terms[0][0].strip(list(outputs), kernel[0])
    samples = math.prod(n + k - 1 for n, k in zip(strip, kernel, strict=True))
    quick = problem.dtype == "float32" and plan.torch.backends.mkldnn.is_available()
    if quick and (samples > _FEW or (problem.ndim == 2 and min(kernel) > 3)):
        return _onednn(plan, strip, samples)
    return _unfolded(plan, strip, samples)


def _onednn(plan: Any, strip: list[int], samples: int) -> Work | None:
    """The one channel of the output is filled up to a block of channels, all of which are summed."""
    problem = plan.problem
    channels = _CHANNELS.get(plan.torch.backends.cpu.get_cpu_capability())
    if channels is None:
        return None
    operations = 2.0 * channels * math.prod(problem.kernel_shape) * math.prod(problem.output_shape)
    blocks = channels * math.prod(strip) * 4
    how = f"direct sums by oneDNN, of {channels} channels of which one is wanted, in strips of {by(strip)}"
    return _strips(plan, operations, strip, samples, blocks, how)


def _unfolded(plan: Any, strip: list[int], samples: int) -> Work:
    """Each output's samples are copied side by side, and multiplied with the kernel as a matrix."""
    problem = plan.problem
    operations = 2.0 * math.prod(problem.kernel_shape) * math.prod(problem.output_shape)
    copied = size(problem, problem.kernel_shape) * math.prod(strip)
    how = f"the image unfolded {math.prod(problem.kernel_shape)}-fold, then matrix products, in strips of {by(strip)}"
    return _strips(plan, operations, strip, samples, copied, how)


def _strips(plan: Any, operations: float, strip: list[int], samples: int, between: int, how: str) -> Work:
    """between: bytes that torch writes and reads again for each strip."""
    problem = plan.problem
    item, output = np.dtype(problem.dtype).itemsize, size(problem, problem.output_shape)
    count = math.prod(problem.output_shape) / math.prod(strip)
    padded, near = samples * item, samples * item + between
    traffic = [
        Traffic(PAD.name, size(problem, problem.image_shape), image_and_output(problem)),
        Traffic(PAD.name, count * padded, near),
        Traffic(CONVOLVE.name, count * (padded + 2 * between) + output, near),
    ]
    if list(problem.output_shape) != strip:
        traffic += [Traffic(CROP.name, output, near), Traffic(CROP.name, output, image_and_output(problem))]
    return work(problem, operations, traffic, how)
