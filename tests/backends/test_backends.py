"""Every built-in backend against a reference of its own: the definition of convolution, one output sample at a time."""

from __future__ import annotations

import functools
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from convbench.backends import (
    BUILT_IN,
    Backend,
    _fftw,
    _fftw_wisdom,
    get_backend,
    list_backends,
    pyfftw_overlap,
    torch_conv,
)
from convbench.errors import UnsupportedError
from convbench.problem import DTYPES, MODES, Array, Problem, Shape

# The libraries of an extra, and other interpreters, need not be there.
HERE = [b for b in list_backends()[: len(BUILT_IN)] if b.available() or not (b.extra or b.remote)]
BACKENDS = [b.name for b in HERE if "cpu" in b.devices]
THREADED = [name for name in BACKENDS if get_backend(name).threaded]
FFTW = ["pyfftw", "pyfftw-overlap"]

# image, kernel: odd, even, non-square, one row, one column, one sample, kernel longer on one or both axes, image of one
SHAPES: list[tuple[Shape, Shape]] = [
    ((12, 13), (3, 3)),
    ((13, 12), (4, 2)),
    ((9, 14), (5, 2)),
    ((13, 9), (1, 5)),
    ((13, 9), (1, 4)),
    ((11, 9), (6, 1)),
    ((11, 9), (5, 1)),
    ((5, 6), (1, 1)),
    ((5, 20), (9, 3)),
    ((20, 5), (4, 8)),
    ((4, 5), (8, 9)),
    ((4, 5), (7, 6)),
    ((1, 1), (1, 1)),
    ((1, 1), (3, 4)),
    ((1, 16), (3, 3)),
    ((16, 1), (3, 3)),
    ((16,), (3,)),
    ((17,), (4,)),
    ((9,), (1,)),
    ((5,), (9,)),
    ((5,), (8,)),
    ((1,), (1,)),
    ((1,), (4,)),
]
# XLA compiles every geometry anew, in 0.1 to 0.3 s: odd, even, one row, kernel longer on one or both axes, image of one
COMPILED = ("jax", "jax-fft", "tensorflow")
FEW_SHAPES: list[tuple[Shape, Shape]] = [
    ((13, 12), (4, 3)),
    ((13, 9), (1, 4)),
    ((11, 9), (5, 1)),
    ((5, 6), (1, 1)),
    ((5, 20), (9, 3)),
    ((4, 5), (8, 9)),
    ((1, 1), (3, 4)),
    ((17,), (4,)),
    ((5,), (9,)),
    ((1,), (1,)),
    ((90, 120), (7, 10)),
]
REAL = ("float32", "float64")
# What a backend takes, where that is not one and two axes and all dtypes.
TAKES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "numba-separable": ((2,), DTYPES),
    "ndimage-separable": ((2,), DTYPES),
    "numpy": ((1,), DTYPES),
    "torch-separable": ((2,), DTYPES),
    "opencv-filter2d": ((2,), REAL),
    "opencv-sepfilter2d": ((2,), REAL),
    "tensorflow": ((1, 2), REAL),
    "onnxruntime": ((1, 2), ("float32",)),
    "openvino": ((1, 2), ("float32",)),
    "theano": ((1, 2), REAL),
    "keras-tensorflow": ((1, 2), REAL),
    "keras-torch": ((1, 2), REAL),
    "keras-jax": ((1, 2), REAL),
}
LARGE: list[tuple[Shape, Shape]] = [((90, 120), (7, 10)), ((70, 75), (1, 12)), ((70, 75), (9, 1)), ((900,), (31,))]


@pytest.fixture(autouse=True)
def quick_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFTW guesses instead of measuring, and the user's wisdom stays out of it."""
    monkeypatch.setattr(_fftw_wisdom, "wisdom_file", lambda: tmp_path / "wisdom")
    monkeypatch.setattr(_fftw, "EFFORT", "FFTW_ESTIMATE")


def fits(image: Shape, kernel: Shape, mode: str) -> bool:
    return mode != "valid" or all(k <= n for n, k in zip(image, kernel, strict=True))


def integers(shape: Shape, dtype: str, seed: int) -> Array:
    rng = np.random.default_rng([seed, *shape])
    parts = rng.integers(-5, 6, (2, *shape))
    return np.asarray(parts[0] + 1j * parts[1] if dtype.startswith("complex") else parts[0], dtype)


@functools.cache
def case(image_shape: Shape, kernel_shape: Shape, dtype: str, mode: str) -> tuple[Array, Array, Array]:
    """Image, rank-1 kernel and wanted output, small integers all."""
    image = integers(image_shape, dtype, 1)
    kernel = functools.reduce(np.multiply.outer, [integers((k,), dtype, 2) for k in kernel_shape])
    kernel[(0,) * kernel.ndim] += not kernel.any()
    wide = np.complex128 if dtype.startswith("complex") else np.float64
    padded = np.pad(image.astype(wide), [(k - 1, k - 1) for k in kernel_shape])
    flipped = np.flip(kernel).astype(wide)
    full = np.zeros([n + k - 1 for n, k in zip(image_shape, kernel_shape, strict=True)], wide)
    for at in np.ndindex(*full.shape):
        full[at] = np.sum(padded[tuple(slice(i, i + k) for i, k in zip(at, kernel_shape, strict=True))] * flipped)
    first = {
        "full": lambda n, k: (0, n + k - 1),
        "same": lambda n, k: ((k - 1) // 2, n),
        "valid": lambda n, k: (k - 1, n - k + 1),
    }
    spans = [first[mode](n, k) for n, k in zip(image_shape, kernel_shape, strict=True)]
    return image, kernel, full[tuple(slice(start, start + size) for start, size in spans)]


def agrees(backend: Backend, problem: Problem, output: Array, wanted: Array) -> bool:
    return np.array_equal(output if backend.rounding_of(problem) == "direct" else np.round(output), wanted)


def check(
    backend: Backend,
    image_shape: Shape,
    kernel_shape: Shape,
    dtype: str,
    mode: str,
    threads: int = 1,
    device: str = "cpu",
) -> None:
    """The backend gets the case right, or says why it cannot run it."""
    problem = Problem(image_shape, kernel_shape, dtype, mode, device, threads)
    image, kernel, wanted = case(image_shape, kernel_shape, dtype, mode)
    reason = backend.unsupported(problem)
    if reason is not None:
        assert len(reason) > 10
        with pytest.raises(UnsupportedError, match=".{10}"):
            backend.plan(problem, kernel)
        return
    before = image.copy()
    output = backend.plan(problem, kernel)(image)
    assert output.dtype == np.dtype(dtype)
    assert output.shape == wanted.shape
    assert agrees(backend, problem, output, wanted), (problem, np.abs(output - wanted).max())
    assert np.array_equal(image, before), (problem, "input changed")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BACKENDS)
def test_right_in_every_shape(name: str, dtype: str, mode: str) -> None:
    for image_shape, kernel_shape in FEW_SHAPES if name in COMPILED else SHAPES + LARGE:
        if fits(image_shape, kernel_shape, mode):
            check(get_backend(name), image_shape, kernel_shape, dtype, mode)


@pytest.mark.parametrize("name", BACKENDS)
def test_supports_what_it_should(name: str) -> None:
    """Only these are refused: nothing is left out silently."""
    backend = get_backend(name)
    ndims, dtypes = TAKES.get(name, ((1, 2), DTYPES))
    for ndim, shapes in ((1, ((16,), (3,))), (2, ((12, 13), (3, 3)))):
        for dtype in DTYPES:
            refused = backend.unsupported(Problem(*shapes, dtype)) is not None
            assert refused != (ndim in ndims and dtype in dtypes), (name, ndim, dtype)
    shapes = ((16,), (3,)) if name == "numpy" else ((12, 13), (3, 3))
    assert (backend.unsupported(Problem(*shapes, threads=2)) is not None) == (name not in THREADED)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", THREADED)
def test_threads_change_nothing(name: str, mode: str) -> None:
    for image_shape, kernel_shape in LARGE:
        check(get_backend(name), image_shape, kernel_shape, "float32", mode, threads=2)
    check(get_backend(name), (3, 8), (3, 3), "complex128", mode, threads=2)


@pytest.mark.parametrize("shapes", [((12, 13), (4, 3)), ((40,), (7,)), ((12, 13), (1, 5)), ((300,), (40,))], ids=str)
@pytest.mark.parametrize("name", BACKENDS)
def test_manners(name: str, shapes: tuple[Shape, Shape]) -> None:
    """Any memory layout is accepted without a warning, and no result is overwritten by a later call."""
    backend = get_backend(name)
    for dtype in ("float32", "complex128"):
        problem = Problem(*shapes, dtype)
        if backend.unsupported(problem):
            continue  # asserted in test_supports_what_it_should
        image, kernel, wanted = case(*shapes, dtype, "same")
        plan = backend.plan(problem, kernel)
        read_only = image.copy()
        read_only.flags.writeable = False
        layouts = {
            "plain": image,
            "read-only": read_only,
            "every other": np.repeat(image, 2, axis=-1)[..., ::2],
            "reversed": np.flip(np.flip(image).copy()),
            "columns first": np.asfortranarray(image),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = {layout: plan(given) for layout, given in layouts.items()}
            plan(image * 2)
        for layout, output in found.items():
            assert agrees(backend, problem, output, wanted), (problem, layout)
            assert not np.shares_memory(output, image)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tile", [(16, 20), (9, 64), (64, 18), (32, 32)], ids=str)
def test_overlap_in_many_tiles(tile: Shape, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for image_shape, kernel_shape in SHAPES + LARGE:
        chosen = tile if len(image_shape) == 2 else (tile[1] + 40,)
        too_long = any(t < k + 1 for t, k in zip(chosen, kernel_shape, strict=True))
        if too_long or set(kernel_shape) == {1} or not fits(image_shape, kernel_shape, mode):
            continue
        monkeypatch.setattr(pyfftw_overlap, "best_tile", lambda problem, rows, chosen=chosen: chosen)
        for dtype, threads in (("float32", 1), ("float64", 3), ("complex64", 2)):
            check(get_backend("pyfftw-overlap"), image_shape, kernel_shape, dtype, mode, threads)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["torch", "torch-separable"])
def test_torch_in_many_strips(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_conv, "_STRIP", 8)
    monkeypatch.setattr(torch_conv, "_UNFOLDED", 2000)
    for image_shape, kernel_shape in SHAPES + LARGE:
        if fits(image_shape, kernel_shape, mode):
            for dtype in ("float32", "float64", "complex64"):
                check(get_backend(name), image_shape, kernel_shape, dtype, mode)


@pytest.mark.parametrize("name", [name for name in BACKENDS if get_backend(name).family == "separable"])
def test_not_separable_is_a_reason(name: str) -> None:
    kernel = integers((5, 5), "float32", 3)
    assert np.linalg.matrix_rank(kernel) > 2
    with pytest.raises(UnsupportedError, match="not separable"):
        get_backend(name).plan(Problem((12, 13), (5, 5)), kernel)


@pytest.mark.parametrize("name", [name for name in BACKENDS if get_backend(name).family == "separable"])
def test_sum_of_separable_terms(name: str) -> None:
    problem = Problem((30, 31), (15, 16), "float64")
    kernel = problem.kernel(separable=True) + problem.kernel(separable=True, seed=1)
    output = get_backend(name).plan(problem, kernel)(problem.image())
    wanted = get_backend("scipy-direct").plan(problem, kernel)(problem.image())
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", [b.name for b in HERE])
def test_cuda(name: str) -> None:
    """Right where there is a CUDA device, a reason where there is none; asking does not initialise CUDA."""
    backend = get_backend(name)
    reason = backend.unsupported(Problem((12, 13), (3, 3), device="cuda:0"))
    if "torch" in sys.modules and reason is not None:
        assert not sys.modules["torch"].cuda.is_initialized()
    if "cuda" not in backend.devices:
        assert reason
        assert "cpu only" in reason
    for mode in MODES:
        for image_shape, kernel_shape in SHAPES[:4] + LARGE:
            check(backend, image_shape, kernel_shape, "float32", mode, device="cuda:0")


@pytest.mark.parametrize("name", FFTW)
def test_measured_plans_are_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fftw, "EFFORT", "FFTW_MEASURE")
    for image_shape, kernel_shape in LARGE:
        check(get_backend(name), image_shape, kernel_shape, "float32", "same")


def test_scratch_is_small() -> None:
    """At 8192x8192, strips of tiles and not the image."""
    for dtype in DTYPES:
        problem = Problem((8192, 8192), (255, 255), dtype)
        plan = get_backend("pyfftw-overlap").plan(problem, problem.kernel())
        assert isinstance(plan, pyfftw_overlap.OverlapPlan)
        held = [array for worker in plan.workers for array in vars(worker).values() if isinstance(array, np.ndarray)]
        assert sum(array.nbytes for array in held) <= 64 << 20


def test_listing_imports_no_library() -> None:
    code = (
        "import sys; from convbench.backends import list_backends; from convbench.problem import Problem\n"
        "[b.unsupported(Problem((9, 9), (3, 3))) for b in list_backends()]\n"
        "print(sorted({'torch', 'numba', 'pyfftw', 'scipy', 'cv2', 'tensorflow', 'jax', 'pytensor', 'onnx', 'onnxruntime',"
        " 'openvino', 'ducc0', 'keras', 'theano'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
