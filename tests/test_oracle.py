"""Two programs for one definition, and the identities that follow from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convbench import oracle
from convbench.problem import Problem

small = st.integers(-9, 9).map(float)


def arrays(ndim):
    shapes = st.tuples(*[st.integers(1, 6)] * ndim)
    return shapes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=small))


pairs = st.integers(1, 2).flatmap(lambda ndim: st.tuples(arrays(ndim), arrays(ndim)))


def plain_loops(image, kernel):
    """The program of the first thread, index by index."""
    out = np.zeros([n + k - 1 for n, k in zip(image.shape, kernel.shape, strict=True)], np.result_type(image, kernel))
    for i in np.ndindex(image.shape):
        for d in np.ndindex(kernel.shape):
            out[tuple(a + b for a, b in zip(i, d, strict=True))] += image[i] * kernel[d]
    return out


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_paint_is_gather_is_the_plain_loops(pair):
    image, kernel = pair
    assert np.array_equal(oracle.paint(image, kernel), plain_loops(image, kernel))
    assert np.array_equal(oracle.gather(image, kernel), plain_loops(image, kernel))


@settings(max_examples=40, deadline=None)
@given(pairs, st.integers(-5, 5), st.integers(-5, 5))
def test_linear_commutative_and_shift_invariant(pair, a, b):
    image, kernel = pair
    full = oracle.gather(image, kernel)
    assert np.array_equal(full, oracle.gather(kernel, image))
    other = np.flip(image)
    assert np.array_equal(oracle.gather(a * image + b * other, kernel), a * full + b * oracle.gather(other, kernel))
    moved = np.pad(image, [(2, 0)] * image.ndim)
    assert np.array_equal(oracle.gather(moved, kernel), np.pad(full, [(2, 0)] * image.ndim))


@settings(max_examples=40, deadline=None)
@given(arrays(2), arrays(1), arrays(1))
def test_outer_product_kernel_is_two_passes(image, column, row):
    once = oracle.gather(image, np.multiply.outer(column, row))
    assert np.array_equal(once, oracle.gather(oracle.gather(image, column[:, None]), row[None, :]))


def test_impulse_returns_the_kernel_unflipped():
    kernel = np.arange(1.0, 7).reshape(2, 3)
    image = np.zeros((4, 5))
    image[1, 2] = 1
    assert np.array_equal(oracle.paint(image, kernel)[1:3, 2:5], kernel)


def test_complex_is_not_conjugated():
    assert oracle.gather(np.array([1j]), np.array([1j]))[0] == -1


CASES = [((7, 9), (3, 4)), ((5,), (8,)), ((33, 70), (1, 5)), ((100, 130), (7, 6)), ((3, 4), (5, 6)), ((1, 1), (1, 1))]


@pytest.mark.parametrize(("image", "kernel"), CASES)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_spots_and_checksum(image, kernel, mode, dtype):
    if mode == "valid" and kernel > image:
        return
    problem = Problem(image, kernel, dtype, mode)
    x, k = problem.image(), problem.kernel()
    y = oracle.paint(x, k)[problem.output_slices]
    points = oracle.spots(problem, 10, seed=0)
    assert (points >= 0).all()
    assert (points < problem.output_shape).all()
    values = oracle.gather(x, k, points + np.array(problem.output_start))
    assert np.allclose(values.astype(complex), y[tuple(points.T)].astype(complex), rtol=1e-15)
    for corner in np.ndindex(*(2,) * problem.ndim):
        assert [c and n - 1 for c, n in zip(corner, problem.output_shape, strict=True)] in points.tolist()
    checksum = oracle.Checksum(problem, k, seed=3)
    expected, norms = checksum.expected(x)
    assert np.allclose(checksum.actual(y.astype(dtype)), expected, atol=1e-12)
    assert (norms > 0).all()
    # every output sample lies in a block, so each one changes some checksum
    covered = np.zeros(problem.output_shape, bool)
    for block in np.ndindex(expected.shape):
        covered[checksum.slices(block)] = True
    assert covered.all()
