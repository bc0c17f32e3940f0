from __future__ import annotations

import numpy as np
import pytest
from fakes import Absent, Right, Threaded, Wrong, use
from scipy import signal

import convbench
from convbench.api import choose, convolve
from convbench.errors import ArgumentError, ConvbenchError, UnsupportedError
from convbench.machine import cores
from convbench.problem import Problem

RNG = np.random.default_rng(0)
IMAGE, KERNEL = RNG.uniform(-1, 1, (9, 12)), RNG.uniform(-1, 1, (3, 4))


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    Threaded.seen = []
    use(monkeypatch, Right(), Threaded(), Absent())


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_it_is_the_convolution(mode: str) -> None:
    assert np.allclose(convolve(IMAGE, KERNEL, mode), signal.convolve2d(IMAGE, KERNEL, mode))  # type: ignore[arg-type]
    row, taps = IMAGE[0], KERNEL[0]
    assert np.allclose(convolve(row, taps, mode), np.convolve(row, taps, mode))  # type: ignore[arg-type]


def test_same_keeps_the_images_size_where_the_kernel_is_longer() -> None:
    assert convolve(KERNEL, IMAGE, "same").shape == KERNEL.shape


def test_it_is_public_and_full_by_default() -> None:
    assert convbench.convolve is convolve
    assert convolve(IMAGE, KERNEL).shape == (11, 15)


@pytest.mark.parametrize(
    ("image", "kernel", "result"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("float32", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
        ("uint8", "float32", "float32"),
        ("int64", "float32", "float64"),
        ("bool", "bool", "float32"),
        (">f4", "float32", "float32"),
        ("float16", "float16", "float32"),
    ],
)
def test_dtypes_are_promoted_as_numpy_does(image: str, kernel: str, result: str) -> None:
    out = convolve(IMAGE.astype(image), KERNEL.astype(kernel))
    assert out.dtype == np.dtype(result)
    assert out.dtype.isnative


def test_lists_are_arrays() -> None:
    assert convolve([1, 2, 3], [1, 1]).tolist() == [1, 3, 5, 3]


def test_inputs_stay_as_they_are() -> None:
    image, kernel = IMAGE[::-1], KERNEL.T
    image.flags.writeable = False
    before = image.copy(), kernel.copy()
    convolve(image, kernel, "same")
    assert np.array_equal(image, before[0])
    assert np.array_equal(kernel, before[1])


def test_threads_are_all_cores_where_the_backend_can_and_one_where_it_cannot() -> None:
    convolve(IMAGE, KERNEL, backend="right-threaded")
    convolve(IMAGE, KERNEL, backend="right-threaded", threads=1)
    assert Threaded.seen == [cores(), 1]
    convolve(IMAGE, KERNEL, backend="right")
    convolve(IMAGE, KERNEL, backend="right", threads=7)


def test_a_backend_may_be_given_itself() -> None:
    assert np.allclose(convolve(IMAGE, KERNEL, backend=Wrong()), signal.correlate2d(IMAGE, np.conj(KERNEL)))


@pytest.mark.parametrize(
    ("image_shape", "kernel", "name"),
    [
        ((64, 64), np.ones((3, 3)), "numba-direct"),
        ((64, 64), np.ones((15, 15)), "numba-separable"),
        ((64, 64), np.multiply.outer(np.arange(1.0, 40), np.arange(2.0, 50)), "numba-separable"),
        ((64, 64), RNG.uniform(-1, 1, (11, 11)), "numba-direct"),
        ((64, 64), RNG.uniform(-1, 1, (31, 31)), "pyfftw-overlap"),
        ((2, 3), RNG.uniform(-1, 1, (31, 31)), "numba-direct"),
        ((500,), np.ones(100), "numba-direct"),
        ((500,), np.ones(200), "pyfftw-overlap"),
        ((900, 900), np.ones((600, 600)), "pyfftw-overlap"),
    ],
)
def test_auto_is_direct_for_few_terms_separable_for_low_rank_and_fft_otherwise(
    image_shape: tuple[int, ...], kernel: np.ndarray, name: str
) -> None:
    assert choose(Problem(image_shape, kernel.shape, "float64"), kernel) == name


def test_auto_takes_the_next_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneDimension(Right):
        name, ndims = "numba-direct", (1,)

    class Refuses(Threaded):
        name, family = "refuses", "direct"

        def limits(self, problem: Problem) -> str | None:
            return "never"

    use(monkeypatch, Absent(), Refuses(), OneDimension(), Threaded())
    assert convolve(IMAGE, KERNEL).shape == (11, 15)
    assert Threaded.seen == [cores()]


def test_when_no_backend_can_every_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Absent(), Right())
    with pytest.raises(UnsupportedError) as caught:
        convolve(IMAGE, KERNEL, device="cuda:0")
    for part in ("absent: no-such-library is not installed: pip install", "right runs on cpu only", "`convbench list`"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"image": np.ones((4, 4, 3))}, ["1 or 2 axes", "(4, 4, 3)", "channels one by one"]),
        ({"image": np.ones((0, 4))}, ["at least 1", "(0, 4)"]),
        ({"image": np.array([[1, np.nan]])}, ["image must be finite", "nan at index (0, 1)", "nan_to_num"]),
        ({"image": [["a"]]}, ["image must be numeric", "<U1"]),
        ({"image": [[1, 2], [3]]}, ["image must be an array", "equal length", "inhomogeneous"]),
        ({"image": IMAGE.astype(np.longdouble)}, ["unknown dtype", "allowed: float32, float64"]),
        ({"kernel": np.ones(3)}, ["same number of axes", "(9, 12)", "(3,)", "(1, k)"]),
        ({"kernel": 3.0}, ["kernel shape", "1 or 2 axes", "()"]),
        ({"kernel": np.array([[np.inf]])}, ["kernel must be finite", "inf"]),
        ({"kernel": None}, ["kernel must be numeric", "object"]),
        ({"mode": "sane"}, ["unknown mode 'sane'", "full, same, valid", "Did you mean 'same'"]),
        ({"mode": "valid", "kernel": np.ones((20, 3))}, ["no longer than the image", "(20, 3)", "'same' or 'full'"]),
        ({"backend": "rihgt"}, ["unknown backend 'rihgt'", "right, right-threaded", "convbench list"]),
        ({"backend": 3}, ["backend must be a name", "got 3"]),
        ({"device": "gpu"}, ["unknown device 'gpu'", "cuda:0"]),
        ({"threads": 0}, ["threads must be a positive int, got 0"]),
        ({"threads": "two"}, ["threads must be a positive int, got 'two'"]),
    ],
)
def test_wrong_arguments_say_what_was_wrong_given_and_allowed(arguments: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        convolve(**{"image": IMAGE, "kernel": KERNEL, **arguments})  # type: ignore[arg-type]
    assert isinstance(caught.value, ConvbenchError)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_backend_by_name_says_how_to_install_it() -> None:
    with pytest.raises(UnsupportedError, match="pip install no-such-library"):
        convolve(IMAGE, KERNEL, backend="absent")
