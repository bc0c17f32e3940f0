"""The kernels of numba-cuda in its simulator, which runs a thread of the device as one of Python's: small and slow, but exact."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

PROGRAM = """
import functools, itertools, sys
import numpy as np
from convbench.backends import _numba_cuda_kernels as kernels, get_backend
from convbench.gate import check
from convbench.judge import Judge
from convbench.problem import Problem

# few threads: the simulator starts them all anew for every block
kernels.LANES, kernels.CHUNK = 4, 5
kernels.direct = functools.partial(kernels.direct, threads=2, outputs=3)
kernels.separable = functools.partial(kernels.separable, threads=2, outputs=3, wide=6)
version = "1.0"
name, wanted = sys.argv[1:3]


def refused(problem, seed=0):
    raise AssertionError("a plan needs no image")


backend = get_backend(name)
type(backend).version = lambda self: version
shapes = {
    "small": [((6, 7), (1, 4)), ((7, 6), (5, 1)), ((5, 4), (3, 3)), ((1, 1), (1, 1)), ((4, 9), (5, 3)), ((3, 4), (4, 7)), ((14, 13), (3, 3))],
    "large": [((9, 10), (6, 7))],
}[wanted]
modes = ("full", "same", "valid") if wanted == "small" else ("same",)
for (image, kernel), mode, dtype in itertools.product(shapes, modes, sys.argv[3:]):
    if mode == "valid" and any(k > n for n, k in zip(image, kernel)):
        continue
    problem = Problem(image, kernel, dtype, mode, device="cuda:0")
    taps = problem.kernel(separable="separable" in name)
    judge = Judge(problem, taps, problem.image())
    Problem.image, drawn = refused, Problem.image  # to draw one takes longer than to plan
    plan = backend.plan(problem, taps)
    Problem.image = drawn
    verdict = judge.judge(plan, backend)
    assert not verdict.failures, (problem, str(verdict))
if "separable" in name and wanted == "large":
    problem = Problem((5, 7), (11, 12), "float64", device="cuda:0")
    column, row = problem.kernel(separable=True), np.ones((11, 12))
    judge = Judge(problem, column + row, problem.image())
    verdict = judge.judge(backend.plan(problem, column + row), backend)
    assert not verdict.failures, str(verdict)
print("ok")
"""


def simulated(*arguments: str) -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "ok", done.stderr[-3000:]


@pytest.mark.parametrize("name", ["numba-cuda-direct", "numba-cuda-separable"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_the_kernels_pass_the_gate(name: str, size: str) -> None:
    simulated(name, size, *(["float32", "complex128"] if size == "small" else ["float16"]))


def test_larger_kernels_are_cut_into_equal_parts_that_fit_in_shared_memory() -> None:
    from convbench.backends import _numba_cuda_kernels as kernels

    for k1, k2, dtype in ((3, 3, "float32"), (31, 31, "float64"), (101, 33, "complex128"), (255, 255, "float32")):
        tiled = kernels.direct(k1, k2, dtype)
        rows, columns = tiled.chunk
        assert max(rows, columns) <= kernels.CHUNK
        tall, wide = tiled.tile[0] + rows - 1, kernels.LANES + columns - 1
        assert np.dtype(dtype).itemsize * (tall * wide + rows * columns) <= kernels.SHARED
        parts = tiled.chunks(np.ones((k1, k2), dtype))
        assert parts.shape[0] * rows - k1 < rows
        assert parts.sum() == k1 * k2


def test_both_passes_in_one_kernel_only_where_a_tile_fits() -> None:
    from convbench.backends import _numba_cuda_kernels as kernels

    assert kernels.separable(7, 7, "float32") is not None
    assert kernels.separable(63, 63, "float32") is None
    assert kernels.separable(31, 31, "complex128") is None
