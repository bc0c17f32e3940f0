"""pyFFTW: one FFT of the whole image.

Requires pyfftw. Real transforms for real data, in place, at the shortest length that transforms quickly; the kernel's
transform and the 1/N of the inverse are done in the plan. FFTW measures which of its algorithms is quickest
(FFTW_MEASURE); what it learns is kept between runs.
"""

from __future__ import annotations

import numpy as np

from convbench.backends._fft_size import circular_sizes, good_size
from convbench.backends._fftw_wisdom import planning
from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class PyfftwWhole(Backend):
    name = "pyfftw"
    family = "fft"
    library = "pyFFTW"
    module = "pyfftw"
    rounding = "fft"
    convention = Convention(flips=True, offset="0", size="N, circular")
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return WholePlan(problem, kernel)


class WholePlan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        import pyfftw

        super().__init__(problem)
        sizes = tuple(map(good_size, circular_sizes(problem)))
        axes = tuple(range(problem.ndim))
        last = sizes[-1] if problem.is_complex else sizes[-1] // 2 + 1
        self.spectrum = pyfftw.zeros_aligned((*sizes[:-1], last), np.result_type(problem.dtype, np.complex64), n=64)
        self.padded = self.spectrum.view(problem.dtype)[..., : sizes[-1]]  # in place: half the memory, and quicker
        with planning() as fft:
            self.forward = fft(self.padded, self.spectrum, axes, threads=problem.threads)
            self.backward = fft(self.spectrum, self.padded, axes, inverse=True, threads=problem.threads)
        self._pad(kernel)
        self.forward.execute()
        self.kernel = pyfftw.empty_aligned(self.spectrum.shape, self.spectrum.dtype, n=64)
        np.multiply(self.spectrum, 1 / self.padded.size, out=self.kernel)

    def _pad(self, data: Array) -> None:
        """Data into the padded array's corner, zeros everywhere else."""
        inside = tuple(map(slice, data.shape))
        for axis, length in enumerate(data.shape):
            self.padded[(*inside[:axis], slice(length, None))] = 0
        self.padded[inside] = data

    def execute(self, data: Array) -> Array:
        self._pad(data)
        self.forward.execute()
        np.multiply(self.spectrum, self.kernel, out=self.spectrum)
        self.backward.execute()
        return self.padded[self.problem.output_slices].copy()
