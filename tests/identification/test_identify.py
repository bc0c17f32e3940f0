"""identify on functions whose convention is known, and on what is none."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import numpy as np
import pytest
import wrong
from scipy import signal

import convbench
from convbench.errors import ArgumentError
from convbench.identification import identify
from convbench.identification.identified import in_words
from convbench.problem import Array


@pytest.mark.parametrize("name", wrong.CONVOLUTIONS)
def test_what_is_wrong_is_named(name: str) -> None:
    function, expected = wrong.CONVOLUTIONS[name]
    found = identify(function)
    assert found.is_convolution
    assert {key: getattr(found, key) for key in expected} == expected
    assert found.describe().count(". ") == 1, "two sentences"


@pytest.mark.parametrize("name", wrong.OTHERS)
def test_what_is_no_convolution(name: str) -> None:
    function, kind, said = wrong.OTHERS[name]
    found = identify(function)
    assert not found.is_convolution
    assert found.kind == kind
    assert said in found.describe()
    assert found.matches() == []
    with pytest.raises(convbench.ConvbenchError, match="no convolution"):
        found.recipe()


@pytest.mark.parametrize("function", [wrong.sleeps, wrong.spins])
def test_a_function_that_hangs_is_left_and_stopped(function: Any) -> None:
    before, start = threading.active_count(), time.monotonic()
    found = identify(function, time_limit=0.3)
    assert found.kind == "no answer"
    assert "0.3 s" in found.describe()
    while threading.active_count() > before and time.monotonic() < start + 20:
        time.sleep(0.01)
    assert threading.active_count() <= before, "it still runs"


def test_a_function_that_hangs_later_is_answered_from_what_was_seen() -> None:
    calls = []

    def tires(image: Array, kernel: Array) -> Array:
        calls.append(1)
        return wrong.same(image, kernel) if len(calls) < 12 else wrong.sleeps(image, kernel)

    found = identify(tires, time_limit=1.0)
    assert found.flips is True
    assert found.offset == "(k-1)//2"
    assert any("within 1 s" in text for text in found.findings)


def test_a_changed_input_is_noticed_and_harms_nothing() -> None:
    def changes(image: Array, kernel: Array) -> Array:
        result = wrong.same(image, kernel)
        image[:] = 0
        return result

    found = identify(changes)
    assert found.findings == ("it changes the image it is given",)
    assert found.is_convolution


def test_the_question_about_theano() -> None:
    """Square kernels only, and something else, without an error, for kernels of one row."""
    found = identify(wrong.posted)
    assert any("kernels longer than the image" in text for text in found.refusals)
    assert any("not square" in text for text in found.refusals)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_numpy_swaps_its_arguments(name: str, mode: str) -> None:
    found = identify(getattr(np, name), ndim=1, mode=mode)
    assert found.flips is (name == "convolve")
    assert found.conjugates is (name == "correlate")
    assert found.swaps is (mode != "full")
    assert any(match.startswith(f"numpy np.{name} {mode}") for match in found.matches())


def _layers(image: Array, kernel: Array, layout: str) -> Array:
    """Correlation, channels summed, as neural networks have it."""
    if layout == "NHWC":
        image, kernel = np.moveaxis(image, -1, 1), np.moveaxis(kernel, (-1, -2), (0, 1))
    if image.ndim != 4 or image.shape[1] != kernel.shape[1]:
        raise ValueError("four axes, equal channels")
    each = [[sum(map(signal.correlate2d, i, k, ["same"] * len(i))) for k in kernel] for i in image]
    return np.moveaxis(np.array(each), 1, -1) if layout == "NHWC" else np.array(each)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_layouts_are_detected_or_given(layout: str) -> None:
    for given in (None, layout):
        found = identify(lambda image, kernel: _layers(image, kernel, layout), layout=given)
        assert found.manner.layout == layout
        assert (found.flips, found.offset, found.channels) == (False, "k//2", "summed")


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_dtypes_are_found(dtype: str) -> None:
    def picky(image: Array, kernel: Array) -> Array:
        if image.dtype != dtype:
            raise TypeError("not this dtype")
        return wrong.same(image, kernel)

    found = identify(picky)
    assert found.manner.dtype == dtype
    assert found.complex_input.startswith("refused")


def test_a_mode_may_be_needed_by_keyword_or_in_capitals() -> None:
    def by_keyword(image: Array, kernel: Array, *, mode: str) -> Array:
        return signal.convolve2d(image, kernel, mode)

    def capitals(image: Array, kernel: Array, mode: str) -> Array:
        return signal.convolve2d(image, kernel, {"SAME": "same"}[mode])

    assert (identify(by_keyword).mode, identify(by_keyword, mode="full").size) == ("same", "n+k-1")
    assert "mode='same'" in identify(by_keyword).recipe()
    assert identify(capitals).mode == "SAME"


@pytest.mark.parametrize(("function", "ndim"), [(lambda i, k: np.convolve(i, k, "same"), 2), (wrong.same, 1)])
def test_the_other_number_of_axes_is_suggested(function: Any, ndim: int) -> None:
    assert f"ask with ndim={3 - ndim}" in identify(function, ndim).describe()


def test_tensors_with_a_gradient_are_read() -> None:
    torch = pytest.importorskip("torch")

    def layer(image: Array, kernel: Array) -> Any:
        kernel = torch.tensor(kernel, requires_grad=True)
        return torch.nn.functional.conv2d(torch.tensor(image)[None, None], kernel[None, None], padding="same")[0, 0]

    assert identify(layer).flips is False


def test_a_needed_mode_is_same_and_any_can_be_given() -> None:
    def needs(image: Array, kernel: Array, mode: str) -> Array:
        return signal.convolve2d(image, kernel, mode)

    assert identify(needs).mode == "same"
    assert identify(needs, mode="valid").size == "n-k+1"
    assert identify(signal.convolve2d).size == "n+k-1", "its own default"


def test_the_answer_is_a_convention_that_predicts() -> None:
    found = identify(signal.correlate2d, mode="same")
    assert isinstance(found, convbench.Convention)
    image, kernel = np.random.default_rng(0).normal(size=(2, 6, 6))
    np.testing.assert_allclose(found.apply(image, kernel[:3, :4]), signal.correlate2d(image, kernel[:3, :4], "same"))


def test_the_example_is_the_response() -> None:
    found = identify(signal.correlate2d, mode="same")
    assert found.kernel is not None
    assert found.impulse is not None
    np.testing.assert_array_equal(found.response, signal.correlate2d(found.impulse, found.kernel, "same"))


def test_json_has_everything() -> None:
    found = identify(wrong.same).as_dict()
    assert set(found) > {field.name for field in dataclasses.fields(convbench.Convention)} | {"describe", "matches"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"function": 3}, "takes a function"),
        ({"ndim": 3}, "1 or 2"),
        ({"time_limit": 0}, "positive number of seconds"),
        ({"time_limit": float("nan")}, "positive number of seconds"),
        ({"time_limit": 1e12}, "positive number of seconds"),
        ({"time_limit": True}, "positive number of seconds"),
        ({"ndim": 2.0}, "1 or 2"),
        ({"ndim": [2]}, "1 or 2"),
        ({"layout": "NCHX"}, "NCHW"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        convbench.identify(**{"function": wrong.same, **arguments})


def test_shapes_in_words() -> None:
    tried = [((9, 9), k) for k in ((3, 3), (4, 4), (1, 5), (5, 1), (10, 3))]
    assert in_words(tried, tried) == ["every shape that was tried"]
    assert in_words([((9, 9), (4, 4))], tried) == ["a 4x4 kernel on a 9x9 image"]
    assert in_words([((9, 9), (10, 3))], tried) == ["kernels longer than the image"]
