"""numba-direct and numba-separable against scipy's direct sums: exact on integers, bounded on reals."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import convolve2d

from convbench.backends import get_backend
from convbench.backends.numba_direct import NumbaDirect
from convbench.backends.numba_separable import NumbaSeparable
from convbench.errors import UnsupportedError
from convbench.problem import DTYPES, MODES, Array, Problem

pytest.importorskip("numba")


@pytest.fixture
def even_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems too small for two threads use them all the same."""
    from convbench.backends import _numba_kernels

    monkeypatch.setattr(_numba_kernels, "useful_threads", lambda threads, products: threads)


# Odd, even, non-square, 1xk, kx1, k = 1, k > n on one or both axes, n = 1, and sizes around a tile and a block.
SHAPES = [
    ((1, 1), (1, 1)),
    ((1, 1), (3, 4)),
    ((1, 9), (1, 3)),
    ((9, 1), (4, 1)),
    ((5, 7), (1, 1)),
    ((5, 7), (9, 8)),
    ((3, 40), (5, 2)),
    ((40, 3), (2, 5)),
    ((8, 8), (2, 2)),
    ((17, 33), (3, 3)),
    ((16, 64), (4, 7)),
    ((31, 70), (7, 4)),
    ((64, 129), (1, 5)),
    ((20, 31), (1, 40)),
    ((129, 64), (6, 1)),
    ((70, 131), (15, 31)),
    ((200, 50), (9, 3)),
    ((5, 1700), (3, 3)),
    ((4, 3100), (2, 9)),
]
SIGNALS = [((1,), (1,)), ((1,), (5,)), ((7,), (2,)), ((30,), (64,)), ((257,), (31,)), ((5000,), (16,)), ((9000,), (3,))]


def integers(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    parts = np.random.default_rng([seed, *shape]).integers(-4, 5, (2, *shape))
    return (parts[0] + 1j * parts[1] if dtype.startswith("complex") else parts[0]).astype(dtype)


def outer(shape: tuple[int, int], dtype: str, seed: int) -> Array:
    return np.multiply.outer(integers(shape[:1], dtype, seed), integers(shape[1:], dtype, seed + 1))


def expected(problem: Problem, image: Array, kernel: Array) -> Array:
    wide = np.complex128 if problem.is_complex else np.float64
    full = convolve2d(np.atleast_2d(image).astype(wide), np.atleast_2d(kernel).astype(wide))
    return full.reshape(problem.full_shape)[problem.output_slices]


def problems(shapes: list[tuple[tuple[int, ...], tuple[int, ...]]], dtype: str, threads: int) -> list[Problem]:
    return [
        Problem(n, k, dtype, mode, threads=threads)  # type: ignore[arg-type]
        for n, k in shapes
        for mode in MODES
        if mode != "valid" or all(a >= b for a, b in zip(n, k, strict=True))
    ]


@pytest.mark.usefixtures("even_small_ones")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_direct_is_exact_on_integers(dtype: str, threads: int) -> None:
    for problem in problems(SHAPES + SIGNALS, dtype, threads):
        image, kernel = integers(problem.image_shape, dtype, 1), integers(problem.kernel_shape, dtype, 2)
        out = NumbaDirect().plan(problem, kernel)(image)
        assert out.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(out, expected(problem, image, kernel), err_msg=str(problem))


@pytest.mark.usefixtures("even_small_ones")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_separable_is_exact_on_integers(dtype: str, threads: int) -> None:
    for problem in problems(SHAPES, dtype, threads):
        image, kernel = integers(problem.image_shape, dtype, 1), outer(problem.kernel_shape, dtype, 2)
        out = NumbaSeparable().plan(problem, kernel)(image)
        assert out.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(out, expected(problem, image, kernel), err_msg=str(problem))


@pytest.mark.parametrize("dtype", DTYPES)
def test_direct_is_within_the_direct_bound(dtype: str) -> None:
    for problem in problems(SHAPES, dtype, 1):
        image, kernel = problem.image(), problem.kernel()
        error = np.abs(NumbaDirect().plan(problem, kernel)(image) - expected(problem, image, kernel))
        size = expected(problem, np.abs(image), np.abs(kernel)).real
        # A complex sum has twice the terms and two parts; the reference itself errs as much in double precision.
        terms = (4 if problem.is_complex else 2) * (problem.terms + 1)
        assert (error <= terms * problem.unit_roundoff * size + 1e-300).all(), problem


@pytest.mark.usefixtures("even_small_ones")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_kernels_of_low_rank_are_summed_pass_by_pass(dtype: str, mode: str) -> None:
    problem = Problem((150, 90), (21, 17), dtype, mode, threads=2)  # type: ignore[arg-type]
    kernel = problem.kernel(separable=True) + problem.kernel(separable=True, seed=1)
    image = problem.image()
    out = NumbaSeparable().plan(problem, kernel)(image)
    scale = np.abs(image).sum() / image.size * np.abs(kernel).sum()
    np.testing.assert_allclose(out, expected(problem, image, kernel), atol=20 * problem.unit_roundoff * scale, rtol=0)


@pytest.mark.parametrize("backend", [NumbaDirect(), NumbaSeparable()])
def test_threads_change_no_bit(backend: NumbaDirect) -> None:
    one, two = (Problem((611, 703), (7, 9), threads=threads) for threads in (1, 2))
    kernel = one.kernel(separable=True)
    np.testing.assert_array_equal(backend.plan(one, kernel)(one.image()), backend.plan(two, kernel)(one.image()))


def test_a_kernel_that_is_not_separable_is_refused_with_its_rank() -> None:
    problem = Problem((32, 32), (5, 5))
    with pytest.raises(UnsupportedError, match="not separable: rank 5 of 5"):
        NumbaSeparable().plan(problem, problem.kernel())


@pytest.mark.parametrize("backend", [NumbaDirect(), NumbaSeparable()])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_any_memory_layout_is_taken_and_left_alone(backend: NumbaDirect, dtype: str) -> None:
    problem = Problem((40, 60), (5, 3), dtype)
    plan = backend.plan(problem, problem.kernel(separable=True))
    image = problem.image()
    first = plan(image)
    kept = first.copy()
    spaced = np.zeros((80, 180), dtype)
    spaced[::2, ::3] = image
    frozen = image.copy()
    frozen.flags.writeable = False
    for other in (spaced[::2, ::3], image[::-1, ::-1].copy()[::-1, ::-1], np.asfortranarray(image), frozen):
        before = other.copy()
        np.testing.assert_array_equal(plan(other), first)
        np.testing.assert_array_equal(other, before)
    assert image.flags.writeable and not frozen.flags.writeable
    plan(2 * image)
    np.testing.assert_array_equal(first, kept)  # a later call must not overwrite it


def test_a_complex_image_by_a_real_kernel_leaves_infinities_apart() -> None:
    problem = Problem((12, 12), (3, 3), "complex64")
    image = np.zeros((12, 12), np.complex64)
    image[5, 5] = np.inf
    out = NumbaDirect().plan(problem, np.ones((3, 3), np.complex64))(image)
    assert np.isinf(out[4:7, 4:7].real).all() and np.isfinite(out).sum() == 144 - 9


@pytest.mark.parametrize("backend", [NumbaDirect(), NumbaSeparable()])
def test_what_is_not_finite_stays_where_it_belongs(backend: NumbaDirect) -> None:
    problem = Problem((70, 150), (5, 7))
    image = problem.image()
    image[30, 80] = np.nan
    out = backend.plan(problem, np.ones((5, 7), np.float32))(image)
    assert np.isnan(out[28:33, 77:84]).all() and np.isnan(out).sum() == 35


def test_one_thread_starts_none_and_the_backend_loads_no_numba() -> None:
    code = (
        "import sys, threading\n"
        "from convbench.backends.numba_direct import NumbaDirect\n"
        "from convbench.problem import Problem\n"
        "assert 'numba' not in sys.modules\n"
        "problem = Problem((64, 64), (3, 3))\n"
        "NumbaDirect().plan(problem, problem.kernel())(problem.image())\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "features"), [("haswell", "+sse4.2,+avx,+avx2,+fma"), ("x86-64", "+sse2")], ids=["avx2", "sse2"]
)
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="these are x86 instruction sets")
def test_other_processors_get_narrower_vectors_and_the_same_results(name: str, features: str) -> None:
    code = """
import numpy as np
from scipy.signal import convolve2d
from convbench import Problem, get_backend
from convbench.backends import _numba_tile

print(_numba_tile.VECTOR)
for dtype in ("float32", "complex128"):
    for n, k in (((70, 150), (5, 7)), ((40, 90), (3, 20)), ((33, 9), (1, 4)), ((30, 70), (4, 4))):
        for backend in ("numba-direct", "numba-separable"):
            problem = Problem(n, k, dtype)
            image, kernel = np.round(9 * problem.image()), np.round(4 * problem.kernel())
            kernel = kernel if backend == "numba-direct" else np.multiply.outer(kernel[:, 0], kernel[0])
            out = get_backend(backend).plan(problem, kernel)(image)
            assert np.array_equal(out, convolve2d(image.astype(complex), kernel.astype(complex), "same")), (dtype, n, k)
"""
    environment = {**os.environ, "NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == (32 if "avx2" in features else 16)


@pytest.mark.parametrize("name", ["numba-direct", "numba-separable"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_loops_with_clocks_do_the_same_and_their_stages_fill_their_time(name: str, dtype: str) -> None:
    problem = Problem((301, 403), (9, 21), dtype, threads=2)
    plan = get_backend(name).plan(problem, problem.kernel(separable=True))
    data = plan.load(problem.image())
    expected = plan.execute(data)
    out, rows = plan.output()
    ticks = np.zeros(3, np.int64)
    for area in plan.areas:
        plan.once_clocked(data, rows, area, ticks)
    assert np.array_equal(out, expected)
    first, second, whole = ticks
    assert first > 0 and second > 0
    assert 0.8 * whole < first + second <= whole


def test_a_processor_without_a_time_stamp_has_one_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem((30, 40), (9, 9))
    plan = get_backend("numba-direct").plan(problem, problem.kernel())
    assert list(plan.clocked(problem.image())) == ["interior", "border"]
    monkeypatch.setattr("convbench.backends._numba_tile.HAS_CYCLES", False)
    assert plan.clocked(problem.image()) == {}
