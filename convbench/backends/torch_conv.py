"""torch: conv1d and conv2d of torch.nn.functional, whole (one kernel) or separable (a row, then a column).

Requires torch. The operations correlate, so the kernel is flipped in the plan; complex dtypes are torch's own and do
not conjugate. On the CPU the image goes through the operation in strips: torch copies what it works on 16-fold
(float32) or kernel-size-fold (float64), and only that of a strip stays in the cache: up to 40 times quicker than one
call. On CUDA it is one call of cuDNN, which chooses its algorithm by rules (torch) or by trying all of them at the
first call of a geometry (torch-benchmark); TF32 is off but in torch-tf32, whose results are of reduced precision.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from convbench.backends._torch import TorchBackend, TorchPlan
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.problem import EVERY_DTYPE, Array, Problem
from convbench.separate import worthwhile_passes
from convbench.stages import CONVOLVE, CROP, PAD, Mark, Rounds

Zeros = tuple[int, int]  # before, after

_STRIP = 12 << 10  # samples of a strip: 16-fold they take 3/4 MB
_UNFOLDED = 1 << 23  # bytes that a strip may take while torch works on it


class TorchConv(TorchBackend):
    name = "torch"
    family = "framework"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")
    dtypes: ClassVar[tuple[str, ...]] = EVERY_DTYPE

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _ConvPlan(problem, [[kernel]])


class TorchBenchmark(TorchConv):
    name = "torch-benchmark"
    devices = ("cuda",)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        plan = _BenchmarkPlan(problem, [[kernel]])
        plan.execute(plan.terms[0][0].kernel.new_zeros((1, 1, *problem.image_shape)))  # cuDNN tries its algorithms
        plan.wait()
        return plan


class TorchTf32(TorchConv):
    name = "torch-tf32"
    devices = ("cuda",)
    dtypes = ("float32",)
    precision = "tf32"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Tf32Plan(problem, [[kernel]])


class TorchSeparable(TorchBackend):
    name = "torch-separable"
    family = "separable"
    rounding = "separable"
    convention = Convention(flips=False, offset="k//2")
    ndims = (2,)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        pairs = [[row[None, :], column[:, None]] for column, row in worthwhile_passes(kernel)]
        # A kernel of one sample is a factor 1, unless the whole kernel is one sample.
        return _ConvPlan(problem, [[k for k in pair if k.size > 1] or pair[:1] for pair in pairs])


class _ConvPlan(TorchPlan):
    """Terms to add up, each some kernels to apply one after another."""

    def __init__(self, problem: Problem, terms: list[list[Array]]) -> None:
        super().__init__(problem)
        self.terms = [[_Conv(self, kernel) for kernel in kernels] for kernels in terms]

    def convolve(self, data: Any) -> Any:
        return functools.reduce(operator.iadd, (self._apply(data, convs) for convs in self.terms))

    def _apply(self, data: Any, convs: list[_Conv]) -> Any:
        for conv in convs:
            data = conv(data)
        return data


class _BenchmarkPlan(_ConvPlan):
    benchmark = True


class _Tf32Plan(_ConvPlan):
    tf32 = True


class _Conv:
    """One kernel on an image of any size, in the problem's mode."""

    def __init__(self, plan: TorchPlan, kernel: Array) -> None:
        functional, problem = plan.torch.nn.functional, plan.problem
        self.operation, self.pad = functional.conv1d if problem.ndim == 1 else functional.conv2d, functional.pad
        self.kernel, self.on_cuda = plan.tensor(np.flip(kernel)), plan.on_cuda
        # An axis on which this kernel has length 1 and the problem's has not is left to the term's other kernel.
        self.zeros = [z if k > 1 else (0, 0) for z, k in zip(problem.padding, kernel.shape, strict=True)]
        self.marks = Rounds(PAD, CONVOLVE, CROP)
        self.unfolded = kernel.nbytes if problem.real_dtype == np.float64 else 0  # oneDNN has float32 only

    def __call__(self, data: Any) -> Any:
        sizes, lengths = data.shape[2:], self.kernel.shape[2:]
        outputs = [n + sum(z) - k + 1 for n, k, z in zip(sizes, lengths, self.zeros, strict=True)]
        steps = outputs if self.on_cuda else self.strip(outputs, lengths[0])
        if steps == outputs:
            return self._once(data, self.zeros)
        found = data.new_empty((1, 1, *outputs))
        tiles = list(itertools.product(*map(_spans, sizes, lengths, self.zeros, outputs, steps)))
        for tile, (pad, convolve, crop) in zip(tiles, self.marks.of(len(tiles)), strict=True):
            source, zeros, target = zip(*tile, strict=True)
            strip = self._once(data[(..., *source)], zeros, pad, convolve)
            with crop:
                found[(..., *target)] = strip
        return found

    def strip(self, outputs: list[int], k: int) -> list[int]:
        """Size of a strip; it has more rows (1-D: samples) than it shares with the next."""
        width = math.prod(outputs[1:])
        rows = max(_STRIP // width, 2 * k)
        if self.unfolded:
            most = max(1, _UNFOLDED // self.unfolded)
            rows, width = max(1, min(rows, most // width)), min(width, most)
        return [min(rows, outputs[0]), *(width for _ in outputs[1:])]

    def _once(self, data: Any, zeros: Sequence[Zeros], pad: Mark = PAD, convolve: Mark = CONVOLVE) -> Any:
        # The operation's own padding is symmetric, and oneDNN leaves its quick path for more than a few columns.
        sides = [side for pair in reversed(zeros) for side in pair]
        options: dict[str, Any] = {}
        if self.on_cuda and all(before == after for before, after in zeros):
            options = {"padding": sides[::-2]}
        elif any(sides):
            with pad:
                data = self.pad(data, sides)
        with convolve:
            return self.operation(data, self.kernel, **options)


def _spans(n: int, k: int, zeros: Zeros, size: int, step: int) -> list[tuple[slice, Zeros, slice]]:
    """Along one axis, for every *step* of the *size* outputs: its input, the zeros around that, its output."""
    found = []
    for first in range(0, size, step):
        last = min(first + step, size)
        start, stop = first - zeros[0], last + k - 1 - zeros[0]
        inside = slice(max(0, start), min(n, stop))
        found.append((inside, (inside.start - start, stop - inside.stop), slice(first, last)))
    return found
