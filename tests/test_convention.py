"""Convention: its output against a sum over indices, its windows, its formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.convention import BOUNDARIES, Convention, formula
from convbench.errors import ArgumentError

WINDOWS = [
    ("0", "n+k-1"), ("(k-1)//2", "n"), ("k//2", "n"), ("k-1", "n-k+1"), ("(k-1)//2", "n+1-k%2"), ("k-2", "n-k+3"),
    ("k//2-1", "n"), ("(k-1)//2+1", "n"), ("k-1", "n+k-1"),
]  # fmt: skip

conventions = st.builds(
    lambda window, flips, transposes, conjugates, boundary: Convention(
        flips, transposes, conjugates, offset=window[0], size=window[1], boundary=boundary
    ),
    st.sampled_from(WINDOWS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(BOUNDARIES),
)
lengths = st.lists(st.integers(1, 7), min_size=1, max_size=2)


def at(n: int, index: int, boundary: str) -> int | None:
    """Which sample of a line of n the index means, None for zero."""
    if 0 <= index < n:
        return index
    match boundary:
        case "zero":
            return None
        case "wrap":
            return index % n
        case "edge":
            return min(max(index, 0), n - 1)
        case "symmetric":
            return min(index % (2 * n), 2 * n - 1 - index % (2 * n))
    period = max(1, 2 * n - 2)
    return min(index % period, period - index % period)


def summed(convention: Convention, image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The definition: full convolution F[y] = sum of K[d] I[y-d], full correlation C[y] = sum of K[d] I[y+d-(k-1)]."""
    kernel = kernel.T if convention.transposes else kernel
    kernel = kernel.conj() if convention.conjugates else kernel
    offset, size = formula(convention.offset), formula(convention.size)
    axes = list(zip(image.shape, kernel.shape, strict=True))
    out = np.zeros([max(0, size(n, k)) for n, k in axes], image.dtype)
    for y in np.ndindex(out.shape):
        for d in itertools.product(*map(range, kernel.shape)):
            full = [offset(n, k) + i for (n, k), i in zip(axes, y, strict=True)]
            if convention.flips:
                samples = [f - e for f, e in zip(full, d, strict=True)]
            else:
                samples = [f + e - (k - 1) for f, e, (_, k) in zip(full, d, axes, strict=True)]
            where = [at(n, s, convention.boundary) for (n, _), s in zip(axes, samples, strict=True)]
            if None not in where:
                out[y] += kernel[d] * image[tuple(where)]
    return out


def some(shape, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 10, shape) + 1j * rng.integers(-9, 10, shape)


@given(conventions, st.integers(1, 2), st.data(), st.integers(0, 9))
def test_apply_is_the_sum_over_indices(convention, ndim, data, seed):
    shapes = [data.draw(st.lists(st.integers(1, 7), min_size=ndim, max_size=ndim)) for _ in "ab"]
    image, kernel = some(shapes[0], seed), some(shapes[1], seed + 1)
    np.testing.assert_array_equal(convention.apply(image, kernel), summed(convention, image, kernel))


@given(st.booleans(), st.sampled_from(WINDOWS[:4]), lengths, st.data())
def test_swapping_is_the_other_way_round(flips, window, image_shape, data):
    """With longer kernels: the operation on (kernel, image), which runs backwards if it is a correlation."""
    kernel_shape = [n + data.draw(st.integers(0, 4)) for n in image_shape]
    image, kernel = some(image_shape, 1), some(kernel_shape, 2)
    plain = Convention(flips, offset=window[0], size=window[1])
    found = Convention(flips, offset=window[0], size=window[1], swaps=True).apply(image, kernel)
    if kernel_shape == image_shape:
        want = plain.apply(image, kernel)
    else:
        want = plain.apply(kernel, image)
        want = want if flips else np.flip(want)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize(
    ("image", "kernel", "swapped"),
    [
        ((3, 3), (4, 4), True),
        ((3, 3), (3, 4), True),
        ((3, 3), (3, 3), False),
        ((3, 3), (2, 4), False),
        ((3,), (4,), True),
    ],
)
def test_image_and_kernel_swap_where_the_kernel_is_longer_and_nowhere_shorter(image, kernel, swapped):
    assert Convention(True, swaps=True).swapped(image, kernel) is swapped
    assert not Convention(True).swapped(image, kernel)


@given(conventions, st.integers(1, 30), st.integers(1, 30))
def test_the_window_is_the_formulas(convention, n, k):
    ((offset, size),) = convention.window((n,), (k,))
    assert (offset, size) == (formula(convention.offset)(n, k), formula(convention.size)(n, k))


def test_a_transposed_kernel_has_its_axes_exchanged():
    assert Convention(False, transposes=True, offset="k-1", size="n-k+1").window((9, 9), (2, 5)) == ((4, 5), (1, 8))


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "n.real", "(lambda: 1)()", "[n for n in (1,)]", "open('x')", "n if n else print(k)", "m+1",
        "n:=3", "n+", "n; k", "().__class__", "f'{n}'", "", "max.__self__",
    ],
)  # fmt: skip
def test_a_formula_is_arithmetic_and_no_code(text):
    with pytest.raises(ArgumentError, match="is not a formula"):
        formula(text)


@pytest.mark.parametrize(
    ("text", "value"), [("(k-1)//2", 1), ("max(n,k)", 7), ("n+1-k%2", 8), ("abs(k-n)", 3), ("n if k<n else -k", 7)]
)
def test_formulas(text, value):
    assert formula(text)(7, 4) == value


def test_an_output_without_samples_is_empty():
    valid = Convention(True, offset="k-1", size="n-k+1")
    assert valid.apply(np.ones((3, 3)), np.ones((5, 2))).shape == (0, 2)
