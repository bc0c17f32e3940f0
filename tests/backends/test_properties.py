"""What every convolution obeys, on every backend: linear, shift-invariant, commutative, separable = outer product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convbench.backends import list_backends
from convbench.problem import Problem

IMAGE, KERNEL = {1: (11,), 2: (7, 9)}, {1: (4,), 2: (4, 3)}
# The libraries of an extra, and other interpreters, need not be there.
INSTALLED = [
    b
    for b in list_backends()
    if {"float64", "cpu"} <= {*b.dtypes, *b.devices} and (b.available() or not (b.extra or b.remote))
]
WHOLE = [(b, d) for b in INSTALLED for d in b.ndims if b.family != "separable"]
SEPARABLE = [(b, 2) for b in INSTALLED if 2 in b.ndims]
named = pytest.mark.parametrize(("backend", "ndim"), WHOLE, ids=[f"{b.name}-{d}" for b, d in WHOLE])


def integers(shape):
    return hnp.arrays(np.float64, shape, elements=st.integers(-9, 9).map(float))


def full(backend, image, kernel):
    plan = backend.plan(Problem(image.shape, kernel.shape, "float64", "full"), kernel)
    return np.round(plan(image), 6)  # integers come out of an FFT rounded


@named
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_linear(backend, ndim, data):
    x, y = (data.draw(integers(IMAGE[ndim])) for _ in range(2))
    kernel = data.draw(integers(KERNEL[ndim]))
    a, b = data.draw(st.integers(-4, 4)), data.draw(st.integers(-4, 4))
    combined = full(backend, a * x + b * y, kernel)
    assert np.array_equal(combined, a * full(backend, x, kernel) + b * full(backend, y, kernel))


@named
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_commutative_in_full_mode(backend, ndim, data):
    x, kernel = data.draw(integers(IMAGE[ndim])), data.draw(integers(KERNEL[ndim]))
    assert np.array_equal(full(backend, x, kernel), full(backend, kernel, x))


@named
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_shift_invariant(backend, ndim, data):
    x, kernel = data.draw(integers(IMAGE[ndim])), data.draw(integers(KERNEL[ndim]))
    later, earlier = ([(2, 0)] * ndim, [(0, 2)] * ndim)
    moved = full(backend, np.pad(x, later), kernel)
    assert np.array_equal(moved, np.roll(full(backend, np.pad(x, earlier), kernel), (2,) * ndim, tuple(range(ndim))))


@pytest.mark.parametrize(("backend", "ndim"), SEPARABLE, ids=[b.name for b, _ in SEPARABLE])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_an_outer_product_is_a_column_then_a_row(backend, ndim, data):
    x, column, row = (data.draw(integers(s)) for s in ((7, 9), (4,), (3,)))
    at_once = full(backend, x, np.multiply.outer(column, row))
    assert np.array_equal(at_once, full(backend, full(backend, x, column[:, None]), row[None, :]))
