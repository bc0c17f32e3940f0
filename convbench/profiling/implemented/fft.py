"""Transforms: one of the whole image, or many of its tiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from convbench.problem import Problem
from convbench.profiling.implemented.work import Traffic, Work, by, image_and_output, size, work
from convbench.stages import CROP, FORWARD_FFT, INVERSE_FFT, KERNEL_TRANSFORM, MULTIPLY, PAD


def fftw(plan: Any) -> Work:
    """pyfftw, and pyfftw-overlap, which transforms everything at once where that is quicker."""
    from convbench.backends.pyfftw_overlap import OverlapPlan

    if isinstance(plan, OverlapPlan):
        return _tiles(plan)
    sizes = plan.workspace.sizes
    return _one_fft(plan.problem, sizes, f"one FFT of {by(sizes)}", in_place=True)


def ducc(plan: Any) -> Work:
    """Its padding writes the image alone: the zeros stay."""
    sizes = plan.padded.shape if plan.axes else plan.problem.image_shape
    return _one_fft(plan.problem, sizes, f"one FFT of {by(sizes)}", zeros_stay=True)


def torch_fft(plan: Any) -> Work:
    """Tensors are (1, 1, *image_shape)."""
    sizes = list(plan.problem.image_shape)
    for axis, length in zip(plan.where["dim"], plan.where["s"], strict=True):
        sizes[axis - 2] = length
    return _one_fft(plan.problem, sizes, f"one FFT of {by(sizes)}")


def scipy_fft(plan: Any) -> Work:
    """fftconvolve: at the next length of small factors, along axes on which neither image nor kernel has length 1."""
    from scipy.fft import next_fast_len

    problem = plan.problem
    axes, sizes = _longer_than_one(problem), list(problem.full_shape)
    for axis in axes:
        sizes[axis] = next_fast_len(sizes[axis], not problem.is_complex)
    how = f"one FFT of {by(sizes)}, the kernel's in each call"
    return _one_fft(problem, sizes, how, axes, kernel_too=True)


def scipy_oa(plan: Any) -> Work:
    """oaconvolve, as in SciPy 1.17: blocks of the image, and sums where their convolutions overlap."""
    from scipy.signal._signaltools import _calc_oa_lens

    problem = plan.problem
    if any(k > n for n, k in zip(problem.image_shape, problem.kernel_shape, strict=True)):
        raise NotImplementedError("where the kernel is the longer one, SciPy cuts it as well")
    axes, sizes, blocks = _longer_than_one(problem), list(problem.image_shape), []
    for axis in axes:
        n = sizes[axis]
        block, overlap, step, _ = _calc_oa_lens(n, problem.kernel_shape[axis])
        steps = math.ceil((n + 1) / step) if n > step else 1
        steps += n > step and (block - overlap) * steps < problem.full_shape[axis]
        sizes[axis] = steps * block
        blocks.append(block)
    if sizes == [n if axis not in axes else blocks[axes.index(axis)] for axis, n in enumerate(problem.image_shape)]:
        return scipy_fft(plan)  # one block: so does SciPy
    how = f"overlap-add with blocks of {by(blocks)}, the kernel's transform in each call"
    return _one_fft(problem, sizes, how, axes, blocks, kernel_too=True)


def jax_fft(plan: Any) -> Work:
    """At n + k - 1, along all axes."""
    problem = plan.problem
    products = all(1 in pair for pair in zip(problem.image_shape, problem.kernel_shape, strict=True))
    how = f"one FFT of {by(problem.full_shape)}, the kernel's in each call"
    axes = [] if products else list(range(problem.ndim))
    return _one_fft(problem, problem.full_shape, how, axes, kernel_too=True)


def _longer_than_one(problem: Problem) -> list[int]:
    pairs = zip(problem.image_shape, problem.kernel_shape, strict=True)
    return [axis for axis, pair in enumerate(pairs) if 1 not in pair]


def _transform(problem: Problem, samples: float, lengths: Sequence[int]) -> float:
    """Operations of the transforms of so many samples, each along axes of these lengths."""
    return 2.5 * (2 if problem.is_complex else 1) * samples * math.log2(math.prod(lengths))


def _one_fft(
    problem: Problem, sizes: Sequence[int], how: str, axes: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None, *, in_place: bool = False, kernel_too: bool = False, zeros_stay: bool = False,
) -> Work:  # fmt: skip
    """Image and product transformed at these sizes, along the axes on which the kernel is longer than 1 unless told.

    lengths: of the transforms, where the sizes are multiples of them. kernel_too: it is transformed in each call.
    zeros_stay: padding writes the image alone.
    """
    image, output = size(problem, problem.image_shape), size(problem, problem.output_shape)
    axes = [axis for axis, k in enumerate(problem.kernel_shape) if k > 1] if axes is None else axes
    if not axes:
        products = math.prod(problem.image_shape) * (6 if problem.is_complex else 1)
        return work(problem, products, [Traffic(MULTIPLY.name, image + output, image + output)], "a product a sample")
    lengths = [sizes[axis] for axis in axes] if lengths is None else lengths
    kept = list(lengths)  # of a transform of real data, half
    if not problem.is_complex:
        kept[-1] = kept[-1] // 2 + 1
    each = np.result_type(problem.dtype, np.complex64).itemsize
    padded, kernel = size(problem, sizes), math.prod(kept) * each
    spectrum = math.prod(sizes) // math.prod(lengths) * kernel
    through = padded + (2 * len(axes) - 1) * spectrum
    moved = {
        PAD: image + (image if zeros_stay else padded),
        FORWARD_FFT: through,
        MULTIPLY: 2 * spectrum + kernel,
        INVERSE_FFT: through,
        CROP: 2 * output,
    }
    operations = 2 * _transform(problem, math.prod(sizes), lengths) + 6 * spectrum / each
    if kernel_too:
        taps, alone = size(problem, problem.kernel_shape), size(problem, lengths)
        operations += _transform(problem, math.prod(lengths), lengths)
        moved[KERNEL_TRANSFORM] = taps + 2 * alone + (2 * len(axes) - 1) * kernel
    among = image + output + spectrum + kernel + (0 if in_place else 2 * padded)
    return work(problem, operations, [Traffic(stage.name, total, among) for stage, total in moved.items()], how)


# -- overlap-save ------------------------------------------------------------------------------------------------


def _tiles(plan: Any) -> Work:
    """All tiles of all threads: image and output far away, the scratch memory near."""
    from convbench.backends._overlap import Strips

    problem, far = plan.problem, image_and_output(plan.problem)
    near = float(sum(worker.nbytes for worker in plan.workers))
    operations, inner, outer = 0.0, Counter[str](), Counter[str]()
    for worker in plan.workers:
        done, moved, read = (_strips if isinstance(worker, Strips) else _segments)(problem, worker)
        operations += done
        inner.update(moved)
        outer[PAD.name] += read
    outer[CROP.name] = inner[CROP.name] = size(problem, problem.output_shape)
    traffic = [Traffic(stage, total, near) for stage, total in inner.items()]
    traffic += [Traffic(stage, total, far) for stage, total in outer.items()]
    return work(problem, operations, traffic, f"overlap-save with tiles of {by(plan.workers[0].tile)}, all of them")


def _strips(problem: Problem, w: Any) -> tuple[float, dict[str, int], int]:
    """Operations, bytes moved within the scratch memory by stage, and bytes read of the image."""
    (height, width), (k1, k2) = w.tile, problem.kernel_shape
    across, down = len(w.columns), math.ceil(len(w.rows) / w.step)
    tiles, loaded = across * down, across * (w.shared + down * w.step)
    kept = tiles * w.step  # rows that are transformed back
    line, half = size(problem, (width,)), w.spectra.nbytes // height
    operations = 6.0 * tiles * w.spectra.size
    forward, inverse = 2 * tiles * w.carry.nbytes, 0
    if k2 > 1:
        operations += _transform(problem, (loaded + kept) * width, [width])
        forward, inverse = forward + loaded * (line + half), kept * (line + half)
    if k1 > 1:
        operations += 2 * _transform(problem, tiles * height * width, [height])
        forward, inverse = forward + 2 * tiles * w.spectra.nbytes, inverse + 2 * tiles * w.spectra.nbytes
    first = w.rows.start + w.top - w.shared
    rows = min(problem.image_shape[0], first + loaded // across) - max(0, first)
    columns = sum(len(range(*source.indices(problem.image_shape[1]))) for source, *_ in w.columns)
    moved = {
        PAD.name: loaded * line + 2 * across * (down - 1) * w.carry.nbytes,
        FORWARD_FFT.name: forward,
        MULTIPLY.name: tiles * (2 * w.spectra.nbytes + w.kernel.nbytes),
        INVERSE_FFT.name: inverse,
    }
    return operations, moved, size(problem, (max(0, rows), columns))


def _segments(problem: Problem, w: Any) -> tuple[float, dict[str, int], int]:
    """As _strips, for signals."""
    count, length = w.results.shape
    blocks = math.ceil(len(w.span) / (count * w.step))
    operations = blocks * (2 * _transform(problem, count * length, [length]) + 6.0 * w.spectra.size)
    through, loaded = blocks * (w.results.nbytes + w.spectra.nbytes), blocks * w.signal.nbytes
    moved = {
        PAD.name: loaded,
        FORWARD_FFT.name: through,
        MULTIPLY.name: blocks * (2 * w.spectra.nbytes + w.kernel.nbytes),
        INVERSE_FFT.name: through,
    }
    return operations, moved, min(loaded, size(problem, problem.image_shape))
