"""What the words of a command line mean: shapes make random data, names and files make kernels and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convbench.errors import ArgumentError, ConvbenchError
from convbench.profiling.subject import subject_of


@pytest.mark.parametrize(
    ("image", "kernel", "shapes"),
    [
        ("64x48", "5", ((64, 48), (5, 5))),
        ("64x48", "5x3", ((64, 48), (5, 3))),
        ("64x48", "1x9", ((64, 48), (1, 9))),
        ("4096", "33", ((4096,), (33,))),
        ("64x48", "gaussian:sigma=1", ((64, 48), (9, 9))),
    ],
)
def test_shapes(image: str, kernel: str, shapes: tuple) -> None:
    subject = subject_of("scipy-fft", image, kernel, dtype="float64")
    assert (subject.problem.image_shape, subject.problem.kernel_shape) == shapes
    assert (subject.image.shape, subject.kernel.shape) == shapes
    assert subject.image.dtype == subject.kernel.dtype == np.float64
    assert np.array_equal(subject.image, subject_of("scipy-fft", image, kernel, dtype="float64").image)


def test_a_file_and_its_first_channel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).uniform(size=(20, 30, 3)).astype(np.float32)
    np.save(tmp_path / "image.npy", pixels)
    subject = subject_of("numba-direct", str(tmp_path / "image.npy"), "3")
    assert np.array_equal(subject.image, pixels[:, :, 0])
    assert subject_of("numba-direct", "sample", "3").image.ndim == 2


@pytest.mark.parametrize(
    ("backend", "image", "kernel", "word"),
    [
        ("numpi", "64x64", "3", "numpi"),
        ("numba-direct", "64x", "3", "64x"),
        ("numba-direct", "0x64", "3", "at least 1"),
        ("numba-direct", "64x64x3", "3", "1 or 2 axes"),
        ("numba-direct", "64x64", "gausian", "gaus"),
        ("numba-direct", "64", "3x3", "axes"),
        ("numba-direct", "nowhere.png", "3", "nowhere.png"),
    ],
)
def test_wrong_words(backend: str, image: str, kernel: str, word: str) -> None:
    with pytest.raises(ConvbenchError, match=word):
        subject_of(backend, image, kernel)


def test_complex_data_need_a_complex_dtype(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.ones((16, 16), np.complex64))
    with pytest.raises(ArgumentError, match="--dtype complex64"):
        subject_of("numba-direct", str(tmp_path / "image.npy"), "3")
    assert subject_of("numba-direct", str(tmp_path / "image.npy"), "3", dtype="complex64").problem.is_complex
