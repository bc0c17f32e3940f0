"""pyFFTW: one FFT of the whole image.

Requires pyfftw. Real transforms for real data, in place, at the shortest length that transforms quickly, and along
no axis on which the kernel has length 1; the kernel's transform and the 1/N of the inverse are done in the plan. FFTW
measures which of its algorithms is quickest (FFTW_MEASURE); what it learns is kept between runs.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from convbench.backends._fft import circular_sizes, good_size, kernel_transform
from convbench.backends._fftw import nothing, planning
from convbench.backends._memory import spread
from convbench.backends._workspaces import lend
from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem
from convbench.stages import CROP, FFT_PLANNING, FORWARD_FFT, INVERSE_FFT, KERNEL_TRANSFORM, MULTIPLY, PAD


class PyfftwWhole(Backend):
    name = "pyfftw"
    family = "fft"
    library = "pyFFTW"
    module = "pyfftw"
    rounding = "fft"
    convention = Convention(flips=True, offset="0", boundary="wrap")
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return WholePlan(problem, kernel)


class WholePlan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.workspace = lend(self, (problem, "whole"), functools.partial(Whole, problem))
        with KERNEL_TRANSFORM:
            self.workspace.use(kernel)

    def execute(self, data: Array) -> Array:
        return self.workspace.run(data)


class Whole:
    """The padded image and its spectrum, in place: half the memory, and quicker."""

    def __init__(self, problem: Problem) -> None:
        axes = tuple(axis for axis, k in enumerate(problem.kernel_shape) if k > 1)
        least = zip(circular_sizes(problem), problem.kernel_shape, strict=True)
        self.sizes = tuple(good_size(n) if k > 1 else n + n % 2 for n, k in least)
        halved = not problem.is_complex and problem.kernel_shape[-1] > 1
        # Without a transform along rows, two real samples of a row pass for a complex one.
        length = self.sizes[-1] if problem.is_complex else self.sizes[-1] // 2 + halved
        self.spectrum = spread((*self.sizes[:-1], length), np.result_type(problem.dtype, np.complex64))
        self.padded = self.spectrum.view(problem.dtype)[..., : self.sizes[-1]]
        self.kernel, self.inside = self.spectrum[:0], problem.output_slices
        self.forward = self.backward = nothing
        source = self.padded if halved else self.spectrum
        if axes:
            with FFT_PLANNING, planning() as fft:
                self.forward = fft(source, self.spectrum, axes, threads=problem.threads)
                self.backward = fft(self.spectrum, source, axes, inverse=True, threads=problem.threads)

    @property
    def nbytes(self) -> int:
        return self.spectrum.nbytes + self.kernel.nbytes

    def use(self, kernel: Array) -> None:
        """Convolve with this kernel from now on."""
        if 1 in kernel.shape:
            self.kernel = kernel_transform(kernel, self.sizes)
            return
        self._load(kernel / kernel.real.dtype.type(math.prod(self.sizes)))
        self.forward()
        if self.kernel.shape != self.spectrum.shape:
            self.kernel = spread(self.spectrum.shape, self.spectrum.dtype)
        self.kernel[:] = self.spectrum

    def run(self, data: Array) -> Array:
        with PAD:
            self._load(data)
        with FORWARD_FFT:
            self.forward()
        with MULTIPLY:
            np.multiply(self.spectrum, self.kernel, out=self.spectrum)
        with INVERSE_FFT:
            self.backward()
        with CROP:
            return self.padded[self.inside].copy()

    def _load(self, data: Array) -> None:
        inside = tuple(map(slice, data.shape))
        for axis, length in enumerate(data.shape):
            self.padded[(*inside[:axis], slice(length, None))] = 0
        self.padded[inside] = data
