"""The gate rejects what is wrong and accepts what is right in an unusual way."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from planted import Spoiled, direct, fourier

import convbench
from convbench.errors import ArgumentError, UnsupportedError
from convbench.judge import Judge
from convbench.problem import Problem

# -- faults that the small problems must reveal --------------------------------------------------------------------


def not_flipped(p, x, k):
    return direct(p, x, np.flip(k))


def transposed(p, x, k):
    return direct(p, x, k.T) if k.shape == k.T.shape else direct(p, x, k)


def flipped_along_one_axis(axis):
    return lambda p, x, k: direct(p, x, np.flip(k, axis))


def starts_one_late(p, x, k):
    even = [s % 2 == 0 for s in k.shape]
    full = np.pad(direct(Problem(x.shape, k.shape, p.dtype, "full"), x, k), 1)
    starts = [s + 1 + (e and p.mode == "same") for s, e in zip(p.output_start, even, strict=True)]
    return full[tuple(slice(s, s + n) for s, n in zip(starts, p.output_shape, strict=True))].astype(p.dtype)


def with_boundary(mode):
    def compute(p, x, k):
        if p.mode != "same":
            return direct(p, x, k)
        padded = np.pad(x, p.padding, mode=mode)
        return direct(Problem(padded.shape, k.shape, p.dtype, "valid"), padded, k)

    return compute


def numpy_same(p, x, k):
    if p.mode != "same":
        return direct(p, x, k)
    shape = [max(pair) for pair in zip(x.shape, k.shape, strict=True)]
    full = direct(Problem(x.shape, k.shape, p.dtype, "full"), x, k)
    starts = [(min(pair) - 1) // 2 for pair in zip(x.shape, k.shape, strict=True)]
    return full[tuple(slice(s, s + n) for s, n in zip(starts, shape, strict=True))]


def always_full(p, x, k):
    return direct(Problem(x.shape, k.shape, p.dtype, "full"), x, k)


def in_double(p, x, k):
    return direct(p, x, k).astype("complex128" if p.is_complex else "float64")


def in_single(p, x, k):
    work = "complex64" if p.is_complex else "float32"
    return direct(p, x.astype(work), k.astype(work), work=work).astype(p.dtype)


def conjugated(p, x, k):
    return direct(p, x, k.conj())


def imaginary_part_lost(p, x, k):
    return direct(p, x, k).real.astype(p.dtype)


def nan_in_a_corner(p, x, k):
    y = direct(p, x, k)
    y.flat[-1] = np.nan
    return y


def infinite_somewhere(p, x, k):
    y = direct(p, x, k)
    y.flat[y.size // 2] = np.inf
    return y


def zeros(p, x, k):
    return np.zeros(p.output_shape, p.dtype)


def changes_its_input(p, x, k):
    y = direct(p, x, k)
    x[...] = 0
    return y


_buffers: dict = {}


def reuses_its_output(p, x, k):
    buffer = _buffers.setdefault(p, np.empty(p.output_shape, p.dtype))
    buffer[...] = direct(p, x, k)
    return buffer


def remembers_the_first(p, x, k):
    key = (p, k.tobytes())
    if key not in _buffers:
        _buffers[key] = direct(p, x, k)
    return _buffers[key].copy()


_rng = np.random.default_rng(0)


def other_bits_every_time(p, x, k):
    return (direct(p, x, k) * (1 + np.finfo(p.real_dtype).eps * _rng.integers(-1, 2, p.output_shape))).astype(p.dtype)


def contiguous_only(p, x, k):
    if not x.flags.c_contiguous:
        raise ValueError("ndarray is not C-contiguous")
    return direct(p, x, k)


def ignores_strides(p, x, k):
    base = x
    while base.base is not None and isinstance(base.base, np.ndarray):
        base = base.base
    raw = np.frombuffer(base.tobytes(order="A"), p.dtype)[: x.size].reshape(x.shape)
    return direct(p, raw, k)


def writable_only(p, x, k):
    if not x.flags.writeable:
        raise ValueError("buffer source array is read-only")
    return direct(p, x, k)


def wrong_for_long_kernels(p, x, k):
    if any(b > a for a, b in zip(x.shape, k.shape, strict=True)):
        k = k[tuple(slice(n) for n in x.shape)]
        k = np.pad(k, [(0, b - n) for b, n in zip(p.kernel_shape, k.shape, strict=True)])
    return direct(p, x, k)


def last_tap_dropped(p, x, k):
    k = k.copy()
    k.flat[-1] = 0
    return direct(p, x, k)


def kernel_normalised(p, x, k):
    total = k.sum()
    return direct(p, x, k / total if abs(total) > 1e-3 else k)


def biased(p, x, k):
    return direct(p, x, k) + p.real_dtype.type(1)


def returns_a_list(p, x, k):
    return direct(p, x, k).tolist()


def raises(p, x, k):
    raise RuntimeError("could not create a primitive")


def squared_kernel_only(p, x, k):
    size = k.shape[0]
    return direct(p, x, np.pad(k[:, :size], [(0, 0), (0, max(0, k.shape[1] - size))]))


def last_column_not_written(p, x, k):
    y = direct(p, x, k)
    y[..., -1] = 0
    return y


def rounded_to_half(p, x, k):
    if p.is_complex:
        return direct(p, x, k)
    return direct(p, x, k).astype(np.float16).astype(p.dtype)


FAULTS = [
    not_flipped,
    transposed,
    flipped_along_one_axis(0),
    flipped_along_one_axis(1),
    starts_one_late,
    with_boundary("wrap"),
    with_boundary("symmetric"),
    with_boundary("edge"),
    numpy_same,
    always_full,
    in_double,
    in_single,
    conjugated,
    imaginary_part_lost,
    nan_in_a_corner,
    infinite_somewhere,
    zeros,
    changes_its_input,
    reuses_its_output,
    remembers_the_first,
    other_bits_every_time,
    contiguous_only,
    ignores_strides,
    writable_only,
    wrong_for_long_kernels,
    last_tap_dropped,
    kernel_normalised,
    biased,
    returns_a_list,
    raises,
    squared_kernel_only,
    last_column_not_written,
    rounded_to_half,
]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{i}-{f.__qualname__.split('.')[0]}" for i, f in enumerate(FAULTS)])
def test_planted_fault_is_rejected(fault):
    _buffers.clear()
    verdict = convbench.check(Spoiled(fault))
    assert not verdict.ok
    assert verdict.failures
    assert "WRONG" in str(verdict)


@pytest.mark.parametrize("fault", [numpy_same, last_tap_dropped, in_single, not_flipped])
def test_planted_fault_is_rejected_in_1d(fault):
    assert not convbench.check(Spoiled(fault), ndim=1).ok


def in_long_double(p, x, k):
    return direct(p, x, k, work="clongdouble" if p.is_complex else "longdouble")


def backwards(p, x, k):
    return direct(p, x, k, reverse=True)


def in_two_halves(p, x, k):
    left, right = k.copy(), k.copy()
    left.flat[: k.size // 2], right.flat[k.size // 2 :] = 0, 0
    return direct(p, x, left) + direct(p, x, right)


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize(
    ("right", "rounding"),
    [
        (direct, "direct"),
        (in_long_double, "direct"),
        (backwards, "direct"),
        (in_two_halves, "direct"),
        (fourier, "fft"),
    ],
)
def test_right_ones_of_unusual_order_are_accepted(right, rounding, ndim):
    verdict = convbench.check(Spoiled(right, rounding), ndim=ndim)
    assert verdict.ok, str(verdict)
    assert 0 < verdict.worst <= 1
    assert not verdict.not_run


def test_scipy_and_numpy_are_right_and_correlation_is_named():
    assert convbench.check(scipy.signal.convolve2d).ok
    assert convbench.check(scipy.signal.fftconvolve, ndim=1).ok
    verdict = convbench.check(scipy.signal.correlate2d)
    assert not verdict.ok
    assert "cross-correlation: the kernel was not flipped" in str(verdict)
    # numpy's `same` returns max(n, k) samples: the gate says so
    assert "shape" in str(convbench.check(np.convolve, ndim=1))
    assert convbench.check(np.convolve, ndim=1, modes=["full"]).ok


def test_the_answer_of_the_keras_thread_is_rejected():
    """`correlate2d(image, kernel.T, mode='same')` was accepted there; it is neither convolution nor correlation."""
    verdict = convbench.check(lambda image, kernel: scipy.signal.correlate2d(image, kernel.T, mode="same"))
    assert not verdict.ok


def test_a_function_without_mode_is_judged_in_the_mode_of_its_shape():
    for mode in ("full", "same", "valid"):
        assert convbench.check(lambda x, k, m=mode: scipy.signal.convolve2d(x, k, m), modes=[mode]).ok
        assert convbench.check(_without_mode(mode)).ok


def _without_mode(mode):
    def function(image, kernel):
        return scipy.signal.convolve2d(image, kernel, mode)

    return function


def test_smallest_failing_example_comes_first():
    verdict = convbench.check(Spoiled(wrong_for_long_kernels), dtypes=["float32"])
    sizes = [np.prod(f.problem.image_shape + f.problem.kernel_shape) for f in verdict.failures]
    assert sizes == sorted(sizes)


def test_reasons_for_not_running_are_kept():
    def never(p, x, k):
        raise UnsupportedError("no such thing")

    verdict = convbench.check(Spoiled(never))
    assert not verdict.ok
    assert not verdict.failures
    assert "no such thing" in str(verdict)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"subject": "no-such"}, "unknown backend 'no-such'; allowed"),
        ({"subject": 3}, "a backend, a backend's name or a callable"),
        ({"subject": np.convolve, "ndim": 3}, "ndim must be 1 or 2, got 3"),
        (
            {"subject": np.convolve, "modes": ["sane"]},
            "unknown mode 'sane'; allowed: full, same, valid. Did you mean 'same'",
        ),
        ({"subject": np.convolve, "dtypes": ["int8"]}, "unknown dtype 'int8'; allowed"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match="(?s)" + message.replace("?", r"\?").replace("(", r"\(")):
        convbench.check(**arguments)


# -- faults at full size, on the plan that is timed ----------------------------------------------------------------

SIZES = [((300, 260), (7, 7)), ((257, 300), (31, 30)), ((300, 200), (1, 15)), ((5000,), (33,))]


def judge(backend, problem, image=None, kernel=None, zero_mean=True):
    kernel = problem.kernel() if kernel is None else kernel
    image = problem.image() if image is None else image
    return Judge(problem, kernel, image, zero_mean=zero_mean).judge(backend.plan(problem, kernel), backend)


def spoil(where, how):
    def compute(p, x, k):
        y = fourier(p, x, k)
        how(y, where(p))
        return y

    return compute


def anywhere(p):
    return tuple(int(i) for i in np.random.default_rng(int(np.prod(p.output_shape))).integers(0, p.output_shape))


def a_seam(p):
    return (..., slice(128, None, 128))


def last_row(p):
    return (-1,)


def negate(y, at):
    y[at] = -y[at] + 0.5


def zero(y, at):
    y[at] = 0


def neighbour(y, at):
    y[at] = np.roll(y, 1, axis=-1)[at]


def off_by_a_tenth(y, at):
    y[at] *= 1.1


@pytest.mark.parametrize(("image", "kernel"), SIZES)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize(
    ("where", "how"), [(anywhere, negate), (anywhere, off_by_a_tenth), (a_seam, neighbour), (last_row, zero)]
)
def test_one_wrong_value_anywhere_shows(image, kernel, mode, dtype, where, how):
    problem = Problem(image, kernel, dtype, mode)
    good = judge(Spoiled(fourier, "fft"), problem)
    assert good.ok, str(good)
    bad = judge(Spoiled(spoil(where, how), "fft"), problem)
    assert not bad.ok


@pytest.mark.parametrize("fault", [changes_its_input, reuses_its_output, remembers_the_first, other_bits_every_time])
def test_manners_at_full_size(fault):
    _buffers.clear()
    problem = Problem((64, 80), (5, 4), "float64")
    assert judge(Spoiled(direct), problem).ok
    assert not judge(Spoiled(fault), problem).ok


def test_less_precision_than_promised_shows():
    problem = Problem((200, 200), (9, 9), "float64")
    assert not judge(Spoiled(in_single, "fft"), problem).ok


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_bright_image_and_a_structured_kernel_pass(dtype):
    """Far from zero mean, and partial sums that grow before they cancel: no false alarm."""
    problem = Problem((160, 200), (31, 31), dtype)
    kernel = np.ones((31, 31), dtype)
    kernel[:, :15], kernel[:, 15] = -1, 0
    image = (problem.image() + 10).astype(dtype)
    for backend in (Spoiled(direct), Spoiled(fourier, "fft")):
        verdict = judge(backend, problem, image, kernel, zero_mean=False)
        assert verdict.ok, str(verdict)


def test_blank_image_is_no_fault():
    problem = Problem((40, 40), (3, 3))
    assert judge(Spoiled(direct), problem, image=np.zeros((40, 40), "float32"), zero_mean=False).ok


def test_evidence_of_a_verdict():
    problem = Problem((40, 50), (3, 4))
    verdict = judge(Spoiled(direct), problem)
    assert 0 < verdict.worst < 1
    assert all(0 <= i < n for i, n in zip(verdict.worst_index, problem.output_shape, strict=True))
    assert len(verdict.input_sha256) == 64
    other = judge(Spoiled(direct), problem, image=problem.image(seed=5))
    assert other.input_sha256 != verdict.input_sha256
