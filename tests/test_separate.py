"""separate: exact where it can be, otherwise as close as the dtype allows, and the right rank."""

from __future__ import annotations

import numpy as np
import pytest

from convbench.errors import ArgumentError, UnsupportedError
from convbench.problem import DTYPES, Array
from convbench.separate import Pass, separable_rank, separate, worthwhile, worthwhile_passes

DIFFERENCE = np.outer([1, 2, 1], [-1, 0, 1])
BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])


def rebuilt(passes: list[Pass]) -> Array:
    return sum(np.multiply.outer(column, row) for column, row in passes)


def draw(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    rng = np.random.default_rng([seed, *shape])
    return (rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)).astype(dtype if dtype[0] == "c" else complex)


def of(dtype: str, values: Array) -> Array:
    return (values if dtype.startswith("complex") else values.real).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (5, 4), (1, 7), (7, 1), (1, 1), (31, 17)])
def test_integer_outer_products_are_split_exactly(dtype: str, shape: tuple[int, int]) -> None:
    for seed in range(20):
        rng = np.random.default_rng([seed, *shape])
        parts = rng.integers(-9, 10, (2, sum(shape)))
        values = of(dtype, parts[0] + 1j * parts[1])
        kernel = np.multiply.outer(values[: shape[0]], values[shape[0] :]) / 16
        ((column, row),) = separate(kernel.astype(dtype))
        assert column.dtype == row.dtype == np.dtype(dtype)
        assert column.shape == shape[:1] and row.shape == shape[1:]
        np.testing.assert_array_equal(np.multiply.outer(column, row), kernel)


@pytest.mark.parametrize("kernel", [DIFFERENCE, BINOMIAL, BINOMIAL / 256, np.zeros((3, 4)), np.full((3, 3), 1.7e308)])
def test_common_kernels_are_exact_and_rank_1(kernel: Array) -> None:
    assert separable_rank(kernel) == 1
    np.testing.assert_array_equal(rebuilt(separate(kernel)), kernel)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("shape", [(7, 9), (15, 15), (63, 31)])
def test_the_rank_is_found_and_the_sum_is_close(dtype: str, rank: int, shape: tuple[int, int]) -> None:
    columns, rows = draw((rank, shape[0]), "complex128", 1), draw((rank, shape[1]), "complex128", 2)
    kernel = sum(np.multiply.outer(of(dtype, c), of(dtype, r)) for c, r in zip(columns, rows, strict=True))
    passes = separate(kernel)
    assert len(passes) == rank
    tolerance = (4 + max(shape)) * np.finfo(dtype).eps * np.linalg.norm(kernel)
    assert np.linalg.norm(rebuilt(passes) - kernel) <= tolerance


def test_a_rank_1_kernel_is_close_element_by_element() -> None:
    gauss = np.exp(-(np.arange(-15, 16) ** 2) / 9).astype(np.float32)
    kernel = np.outer(gauss, gauss)
    ((column, row),) = separate(kernel)
    np.testing.assert_allclose(np.outer(column, row), kernel, rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_random_kernel_has_full_rank(dtype: str) -> None:
    assert separable_rank(of(dtype, draw((7, 9), "complex128"))) == 7


def test_a_loose_tolerance_lowers_the_rank() -> None:
    kernel = np.outer([1, 2, 1], [1, 2, 1]) + 1e-3 * np.eye(3)
    assert separable_rank(kernel) == 3
    assert separable_rank(kernel, rtol=1e-2) == 1


def test_a_1d_kernel_is_one_row() -> None:
    ((column, row),) = separate(np.arange(3))
    assert column.tolist() == [1] and row.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kernel", [np.ones((2, 2, 2)), np.ones((0, 3)), np.array([[np.nan, 1], [1, 1]])])
def test_what_cannot_be_separated_is_an_error(kernel: Array) -> None:
    with pytest.raises(ArgumentError, match="kernel must be finite"):
        separate(kernel)


def test_worthwhile() -> None:
    assert worthwhile(1, (2, 2)) and worthwhile(1, (1, 7)) and worthwhile(1, (7,))
    assert not worthwhile(2, (3, 3)) and worthwhile(2, (31, 31)) and not worthwhile(31, (31, 31))
    assert len(worthwhile_passes(BINOMIAL)) == 1
    with pytest.raises(UnsupportedError, match="rank 3 of 3"):
        worthwhile_passes(np.eye(3))
