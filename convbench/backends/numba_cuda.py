"""numba-cuda: the direct sum and separable passes in tiles of shared memory, several outputs a thread.

Requires numba-cuda with its compiler (numba-cuda[cu13]). Kernels are compiled for a geometry of the kernel, not for its
values. Sums are in the dtype, those of float16 in float32. Results lie in buffers that are used again once nobody holds
them: to allocate takes longer than to convolve.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from convbench.backends._numba_cuda_code import simulated
from convbench.backends.base import Backend, Plan, distribution_version
from convbench.convention import Convention
from convbench.cuda.facts import why_not
from convbench.cuda.stream import NumbaStream
from convbench.problem import DTYPES, Array, Problem, Shape
from convbench.separate import worthwhile_passes

if TYPE_CHECKING:
    from convbench.backends._numba_cuda_kernels import Tiled


LARGEST = 1 << 32
"""Samples that the kernels can count."""


class _NumbaCuda(Backend):
    library = "numba-cuda"
    module = "numba"
    extra = "cuda"
    devices = ("cuda",)
    ndims = (2,)

    def limits(self, problem: Problem) -> str | None:
        if simulated():
            return None
        if max(math.prod(problem.image_shape), math.prod(problem.output_shape)) >= LARGEST:
            return f"{self.name} takes images below 2^32 samples only, not {problem.image_shape}"
        return why_not(problem.device, "numba-cuda", distribution_version("cuda-bindings") or "?")


class NumbaCudaDirect(_NumbaCuda):
    name = "numba-cuda-direct"
    family = "direct"
    rounding = "direct"
    dtypes = (*DTYPES, "float16")

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return DirectPlan(problem, kernel).ready()


class NumbaCudaSeparable(_NumbaCuda):
    name = "numba-cuda-separable"
    family = "separable"
    rounding = "separable"
    dtypes = (*DTYPES, "float16")
    convention = Convention(flips=True)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return SeparablePlan(problem, kernel).ready()


class _CudaPlan(Plan):
    stream: NumbaStream

    def __init__(self, problem: Problem) -> None:
        from numba import cuda

        super().__init__(problem)
        self.cuda = cuda
        cuda.select_device(problem.device_index)
        self.stream = NumbaStream(problem.device_index)
        self.buffers: dict[tuple[int, str], list[Any]] = {}

    def ready(self) -> Plan:
        """The plan, its device code compiled."""
        self.execute(self.cuda.device_array(math.prod(self.problem.image_shape), self.problem.dtype))
        self.wait()
        return self

    def load(self, image: Array) -> Any:
        """Arrays on the device are flat."""
        return self.cuda.to_device(np.ascontiguousarray(image).reshape(-1))

    def store(self, result: Any) -> Array:
        array: Array = result.copy_to_host()
        return array.reshape(self.problem.output_shape)

    def launch(self, tiled: Tiled, output: Shape) -> Callable[..., None]:
        """The device code, to be called with its arguments; it is put on the stream's queue of that moment."""
        grid = tiled.grid(output)
        configured: dict[Any, Any] = {}

        def run(*arguments: Any) -> None:
            queue = self.stream.queue
            if queue not in configured:
                configured[queue] = tiled.kernel[grid, tiled.block, queue]
            configured[queue](*arguments)

        return run

    def empty(self, shape: Shape, dtype: str) -> Any:
        """An array on the device, with room for this shape, that nobody else holds."""
        size = math.prod(shape)
        known = self.buffers.setdefault((size, dtype), [])
        for array in known:
            if sys.getrefcount(array) == _UNUSED:
                return array
        known.append(self.cuda.device_array(size, dtype))
        return known[-1]

    def sums(self, dtype: str) -> str:
        return "float32" if dtype == "float16" else dtype


class DirectPlan(_CudaPlan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        (top, _), (left, _) = problem.padding
        self.correlate = _correlation(self, np.flip(kernel), problem.image_shape, problem.output_shape, (top, left))

    def execute(self, data: Any) -> Any:
        out = self.empty(self.problem.output_shape, self.problem.dtype)
        self.correlate(data, out)
        return out


class SeparablePlan(_CudaPlan):
    """Both passes in one kernel where a tile of the image fits in shared memory with its border, else one after
    another."""

    def __init__(self, problem: Problem, kernel: Array) -> None:
        from convbench.backends._numba_cuda_kernels import separable

        super().__init__(problem)
        passes = [(np.flip(column), np.flip(row)) for column, row in worthwhile_passes(kernel)]
        (top, _), (left, _) = problem.padding
        sums = self.sums(problem.dtype)
        # several terms are added up in the output, which float16 is too coarse for
        alone = len(passes) == 1 or sums == problem.dtype
        self.fused = separable(*problem.kernel_shape, sums) if alone else None
        if self.fused:
            columns, rows = (self.load(np.stack(taps).astype(sums)) for taps in zip(*passes, strict=True))
            launch = self.launch(self.fused, problem.output_shape)
            shapes = (*problem.image_shape, *problem.output_shape, top, left, len(passes))
            self.run: Callable[[Any, Any], None] = lambda data, out: launch(data, columns, rows, out, *shapes)
            return
        (k1, k2), (n1, n2), (m1, m2) = problem.kernel_shape, problem.image_shape, problem.output_shape
        steps: list[tuple[Callable[[Any, Any], None], Callable[[Any, Any], None]]] = []
        for column, row in passes:
            across = _correlation(self, row.reshape(1, k2).astype(sums), (n1, n2), (n1, m2), (0, left))
            down = _correlation(self, column.reshape(k1, 1).astype(sums), (n1, m2), (m1, m2), (top, 0), add=bool(steps))
            steps.append((across, down))

        def run(data: Any, out: Any) -> None:
            between = self.empty((n1, m2), sums)
            whole = out if len(steps) == 1 or out.dtype == sums else self.empty((m1, m2), sums)
            for across, down in steps:
                across(data, between)
                down(between, whole)
            if whole is not out:
                narrow(whole, out)

        narrow = _correlation(self, np.ones((1, 1), sums), (m1, m2), (m1, m2), (0, 0))
        self.run = run

    def execute(self, data: Any) -> Any:
        out = self.empty(self.problem.output_shape, self.problem.dtype)
        self.run(data, out)
        return out


def _correlation(
    plan: _CudaPlan, taps: Array, given: Shape, wanted: Shape, zeros: Shape, add: bool = False
) -> Callable[[Any, Any], None]:
    """What correlates an array on the device of one shape into one of another, zeros above and to the left of the
    image; add: to what is there."""
    from convbench.backends._numba_cuda_kernels import direct

    tiled = direct(*taps.shape, plan.sums(taps.dtype.name), add)
    weights = plan.load(tiled.chunks(taps))
    launch = plan.launch(tiled, wanted)
    return lambda data, out: launch(data, weights, out, *given, *wanted, *zeros)


def _references() -> int:
    """What sys.getrefcount says of an array that only a list holds, asked as `empty` does."""
    for array in [object()]:
        return sys.getrefcount(array)
    raise AssertionError


_UNUSED = _references()
