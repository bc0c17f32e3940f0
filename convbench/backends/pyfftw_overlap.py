"""pyFFTW: overlap-save, tile by tile in the cache.

Requires pyfftw. Real transforms for real data; the kernel's transform and the 1/N of the inverse are done in the
plan. A cost model picks the tile; where one transform of everything is quicker, that is done (see pyfftw_whole).
Threads are Python threads, each with a band of the output: FFTW and numpy hold no lock while they work.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from convbench.backends._fftw import planning
from convbench.backends._overlap import Segments, Strips
from convbench.backends._overlap_tiles import best_tile
from convbench.backends._workspaces import lend
from convbench.backends.base import Backend, Plan
from convbench.backends.pyfftw_whole import WholePlan
from convbench.convention import Convention
from convbench.problem import Array, Problem, Shape
from convbench.stages import FFT_PLANNING, KERNEL_TRANSFORM


class PyfftwOverlap(Backend):
    name = "pyfftw-overlap"
    family = "fft"
    library = "pyFFTW"
    module = "pyfftw"
    rounding = "fft"
    convention = Convention(flips=True, offset="0", boundary="wrap")
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        tile = best_tile(problem, -(-problem.output_shape[0] // problem.threads))
        return OverlapPlan(problem, kernel, tile) if tile else WholePlan(problem, kernel)


class OverlapPlan(Plan):
    def __init__(self, problem: Problem, kernel: Array, tile: Shape) -> None:
        super().__init__(problem)
        rows = problem.output_shape[0]
        share = -(-rows // problem.threads)
        bands = [range(start, min(start + share, rows)) for start in range(0, rows, share)]
        self.workers: list[Strips | Segments] = []
        for band in bands:
            make = functools.partial(_worker, problem, tile, band)
            self.workers.append(lend(self, (problem, tile, band), make))
            with KERNEL_TRANSFORM:
                self.workers[-1].use(kernel)
        self.pool = ThreadPoolExecutor(len(bands) - 1) if len(bands) > 1 else None

    def execute(self, data: Array) -> Array:
        out = np.empty(self.problem.output_shape, self.problem.dtype)
        first, *others = self.workers
        busy = [self.pool.submit(worker.run, data, out) for worker in others] if self.pool else []
        first.run(data, out)
        for future in busy:
            future.result()
        return out


def _worker(problem: Problem, tile: Shape, band: range) -> Strips | Segments:
    with FFT_PLANNING, planning() as fft:
        return (Segments if problem.ndim == 1 else Strips)(problem, tile, band, fft)
