"""The kernels of numba-cuda compiled, at their real size, for the processor: a thread of the device is a generator that
yields wherever its block waits. The simulator knows neither numba's types nor how they wrap around."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.signal import convolve

from convbench.problem import Array, Problem, Shape

numba = pytest.importorskip("numba")
from convbench.backends import _numba_cuda_kernels as kernels  # noqa: E402  it imports numba

PLACES = {"threadIdx.x": "across_", "threadIdx.y": "down_", "blockIdx.x": "block_across", "blockIdx.y": "block_down"}


@dataclass(frozen=True)
class Generators:
    """threads: makes the generator of a thread; shared: samples of each array in the memory of a block."""

    threads: Any
    shared: list[int]
    dtype: str


def compiled(source: str, dtype: str) -> Generators:
    """In the place of kernels._compiled."""
    shared = re.findall(r"(\w+) = cuda\.shared\.array\((\d+), number\)\n", source)
    source = re.sub(r" *\w+ = cuda\.shared\.array\(.*\n", "", source).replace("cuda.syncthreads()", "yield 0")
    for place, name in PLACES.items():
        source = source.replace(f"cuda.{place}", name)
    arguments = ", ".join([*(name for name, _ in shared), *PLACES.values()])
    source = source.replace("def kernel(", f"def kernel({arguments}, ")
    assert "cuda" not in source
    space = {
        "number": getattr(np, dtype),
        "part_of_number": np.dtype(dtype).type(0).real.dtype.type,
        "short": np.int32,
        "long": np.int64,
        "unsigned": np.uint32,
        "index": np.uint64,
    }
    exec(textwrap.dedent(source), space)
    return Generators(numba.njit(space["kernel"]), [int(size) for _, size in shared], dtype)


def run(tiled: kernels.Tiled, output: Shape, *arguments: Any) -> None:
    """Block after block, all threads of one up to where they wait."""
    (width, height), (across, down) = tiled.block, tiled.grid(output)
    for y, x in itertools.product(range(down), range(across)):
        shared = [np.full(size, np.nan, tiled.kernel.dtype) for size in tiled.kernel.shared]
        threads = [
            tiled.kernel.threads(*shared, *map(np.int32, (i, j, x, y)), *arguments)
            for j, i in itertools.product(range(height), range(width))
        ]
        while any(_go_on(threads)):
            pass


def _go_on(threads: list[Iterator[int]]) -> list[bool]:
    waiting = [next(thread, None) is not None for thread in threads]
    assert all(waiting) == any(waiting), "some threads of a block wait for others that have ended"
    return waiting


def drawn(shape: Shape, dtype: str, rng: np.random.Generator) -> Array:
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else real).astype(dtype)


@pytest.fixture
def generators(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "_compiled", compiled)
    for make in (kernels.direct, kernels.separable):
        make.cache_clear()
    yield
    for make in (kernels.direct, kernels.separable):
        make.cache_clear()


@pytest.mark.usefixtures("generators")
@pytest.mark.parametrize(
    ("image", "kernel", "dtype"),
    [
        ((300, 97), (7, 7), "float32"),  # a block inside of the image, and all kinds of borders
        ((70, 66), (5, 4), "complex64"),
        ((40, 70), (40, 3), "float64"),  # taller than what is summed at once
    ],
)
def test_direct(image: Shape, kernel: Shape, dtype: str) -> None:
    rng, problem = np.random.default_rng(1), Problem(image, kernel, dtype)
    x, taps, (m1, m2) = drawn(image, dtype, rng), drawn(kernel, dtype, rng), problem.output_shape
    found = np.full(m1 * m2, np.nan, dtype)
    (top, _), (left, _) = problem.padding
    tiled = kernels.direct(*kernel, dtype)
    run(tiled, (m1, m2), x.ravel(), tiled.chunks(np.flip(taps)).ravel(), found, *image, m1, m2, top, left)
    expected = convolve(x.astype(complex), taps.astype(complex))[problem.output_slices]
    assert np.abs(found.reshape(m1, m2) - expected).max() < 10 * taps.size * np.finfo(dtype).eps


@pytest.mark.usefixtures("generators")
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_separable_of_two_terms(dtype: str) -> None:
    image, kernel, terms = (150, 100), (5, 4), 2
    rng, problem = np.random.default_rng(2), Problem(image, kernel, dtype)
    x, (m1, m2) = drawn(image, dtype, rng), problem.output_shape
    columns, rows = drawn((terms, kernel[0]), dtype, rng), drawn((terms, kernel[1]), dtype, rng)
    found = np.full(m1 * m2, np.nan, dtype)
    (top, _), (left, _) = problem.padding
    tiled = kernels.separable(*kernel, dtype)
    assert tiled is not None
    taps = (np.ascontiguousarray(np.flip(part, axis=1)).ravel() for part in (columns, rows))
    run(tiled, (m1, m2), x.ravel(), *taps, found, *image, m1, m2, top, left, terms)
    whole = np.einsum("ti,tj->ij", columns.astype(complex), rows.astype(complex))
    expected = convolve(x.astype(complex), whole)[problem.output_slices]
    assert np.abs(found.reshape(m1, m2) - expected).max() < 10 * whole.size * np.finfo(dtype).eps
