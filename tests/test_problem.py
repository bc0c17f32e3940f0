from __future__ import annotations

import numpy as np
import pytest

from convbench.errors import ArgumentError, ConvbenchError
from convbench.problem import Problem, as_data


@pytest.mark.parametrize(
    ("mode", "shape", "start"),
    [("full", (10, 12), (0, 0)), ("same", (7, 9), (1, 1)), ("valid", (4, 6), (3, 3))],
)
def test_modes(mode, shape, start):
    problem = Problem((7, 9), (4, 4), mode=mode)
    assert problem.output_shape == shape
    assert problem.output_start == start
    for (before, after), n, k, size in zip(problem.padding, (7, 9), (4, 4), shape, strict=True):
        assert n + before + after - k + 1 == size


def test_same_has_the_image_size_even_for_longer_kernels():
    assert Problem((3,), (8,)).output_shape == (3,)
    assert Problem((3,), (8,)).terms == 3


def test_data_is_reproducible_and_bounded():
    problem = Problem((40, 30), (5, 4), "complex64")
    assert np.array_equal(problem.image(), problem.image())
    assert not np.array_equal(problem.image(), problem.image(seed=1))
    assert problem.image().dtype == np.complex64
    assert abs(problem.image().real).max() <= 1
    assert abs(problem.image().mean()) < 0.1
    # The very values are part of the promise: results of two machines are of the same data.
    assert Problem((4,), (2,), "float64").image()[:2] == pytest.approx([0.98421606, -0.09836512], abs=1e-8)


def test_separable_kernel_has_rank_one():
    problem = Problem((40, 30), (5, 4), "float64")
    assert np.linalg.matrix_rank(problem.kernel(separable=True)) == 1
    assert np.linalg.matrix_rank(problem.kernel()) == 4


def test_ints_are_one_axis():
    assert Problem(8, 3) == Problem((8,), (3,))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((0, 4), (1, 1)), "at least 1 on every axis, got (0, 4)"),
        (((4, 4), (3,)), "same number of axes"),
        (((4, 4, 3), (3, 3, 3)), "1 or 2 axes"),
        ((("a",), (3,)), "an int or a tuple of ints"),
        (((4.5, 4), (3, 3)), "an int or a tuple of ints"),
        ((4, 3, "float8"), "unknown dtype 'float8'; allowed: float32"),
        ((4, 3, "object"), "unknown dtype 'object'"),
        ((4, 3, "float32", "sme"), "Did you mean 'same'"),
        ((4, 3, "float32", "same", "gpu"), "unknown device 'gpu'; allowed: cpu, cuda:0"),
        ((4, 3, "float32", "same", "cpu", 0), "threads must be a positive int, got 0"),
        ((4, 3, "float32", "same", "cpu", 1.5), "threads must be a positive int"),
        (((4, 4), (5, 3), "float32", "valid"), "mode 'valid' needs a kernel no longer than the image"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (ArgumentError is one)
        Problem(*arguments)
    assert isinstance(caught.value, ConvbenchError)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "at least 1 on every axis"),
        (np.array(["a"]), "must be numeric, got dtype <U1"),
        (np.array([None, 1], dtype=object), "must be numeric, got dtype object"),
        ([1.0, np.nan, 2.0], "got nan at index (1,) (1 such values)"),
        (np.full((2, 2), np.inf), "got inf at index (0, 0) (4 such values)"),
        (np.zeros((2, 2, 2)), "1 or 2 axes"),
        (np.zeros(3, np.longdouble), "unknown dtype"),
    ],
)
def test_bad_data(given, words):
    with pytest.raises(ArgumentError) as caught:
        as_data("image", given)
    assert words in str(caught.value)


def test_integers_become_floats():
    assert as_data("image", np.arange(5)).dtype == np.float64
    assert as_data("image", np.arange(5, dtype=np.uint8)).dtype == np.float32
