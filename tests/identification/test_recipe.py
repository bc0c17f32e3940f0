"""Recipes are run: both functions of each, against the real ones; and the real ones are identified."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
import pytest
import wrong
from scipy import signal

from convbench.errors import ArgumentError
from convbench.identification import Identified, identify
from convbench.identification.targets import TARGETS
from convbench.problem import Array

CASES = [(name, mode) for name, target in TARGETS.items() for mode in target.modes]
SHAPES = {
    1: [((12,), (3,)), ((9,), (4,)), ((7,), (7,)), ((6,), (1,))],
    2: [((11, 9), (3, 4)), ((6, 8), (2, 5)), ((7, 7), (5, 5))],
}


@functools.cache
def called(name: str, mode: str) -> Any:
    """The real function, of plain arrays; skipped where its library is not installed."""
    target = TARGETS[name]
    importlib.import_module(target.imports.split()[1].partition(".")[0])
    names: dict[str, Any] = {"np": np}
    exec(target.imports, names)
    return lambda image, kernel: eval(target.source(mode), names, {"image": image, "kernel": kernel})


@functools.cache
def identified(name: str, mode: str, ndim: int) -> Identified:
    return identify(called(name, mode), ndim)


def real(name: str, mode: str) -> Any:
    pytest.importorskip(TARGETS[name].imports.split()[1].partition(".")[0])
    return called(name, mode)


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_live_functions_are_identified(name: str, mode: str) -> None:
    real(name, mode)
    target = TARGETS[name]
    for ndim in target.ndims:
        found = identified(name, mode, ndim)
        wanted = f"{target.system} {target.op} {target.modes[mode]}"
        assert any(match.startswith(wanted) for match in found.matches()), (found.describe(), found.matches())


def turned(found: Identified, to: str, mode: str) -> list[Any]:
    names: dict[str, Any] = {}
    exec(found.recipe(to, mode), names)
    return [value for name, value in names.items() if "_by_" in name]


def agree(found: Identified, function: Any, to: str, mode: str) -> None:
    target = real(to, mode)
    ours_by_theirs, theirs_by_ours = turned(found, to, mode)
    rng = np.random.default_rng(2)
    for image_shape, kernel_shape in SHAPES[found.ndim]:
        image, kernel = (rng.integers(1, 9, shape).astype(float) for shape in (image_shape, kernel_shape))
        for computed, wanted in (
            (ours_by_theirs(image, kernel), function(image, kernel)),
            (theirs_by_ours(function, image, kernel), target(image, kernel)),
        ):
            assert computed.shape == wanted.shape, (to, mode, image_shape, kernel_shape)
            np.testing.assert_allclose(computed, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("to", [name for name, target in TARGETS.items() if 2 in target.ndims])
@pytest.mark.parametrize(
    "name",
    [
        n
        for n in wrong.CONVOLUTIONS
        if n
        not in (
            "posted",
            "odd only",
            "circular",
            "arguments swapped",
            "rounds",
            "lists",
            "square images",
            "large images",
            "flips large kernels",
        )
    ],
)
def test_recipes_of_wrong_functions(name: str, to: str) -> None:
    function, _ = wrong.CONVOLUTIONS[name]
    for mode in TARGETS[to].modes:
        agree(identify(function), function, to, mode)


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_recipes_between_real_functions(name: str, mode: str) -> None:
    function = real(name, mode)
    for ndim in TARGETS[name].ndims:
        for to, to_mode in CASES:
            if to.startswith("scipy.signal.c") and ndim in TARGETS[to].ndims:
                agree(identified(name, mode, ndim), function, to, to_mode)


def test_layout_and_transposition_are_in_the_recipe() -> None:
    def layers(image: Array, kernel: Array) -> Array:
        return wrong.same(image[0, ..., 0], kernel[..., 0, 0]).T[None, ..., None]

    found = identify(layers)
    assert found.manner.transposed
    ours, theirs = turned(found, "scipy.signal.convolve2d", "same")
    image, kernel = np.arange(20.0).reshape(4, 5), np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(ours(image, kernel), wrong.same(image, kernel).T)
    np.testing.assert_allclose(theirs(layers, image, kernel), wrong.same(image, kernel))


def test_exceptions_are_said_in_the_recipe() -> None:
    source = identify(wrong.odd_only).recipe()
    assert "# odd_only: refuses kernels of even length (IndexError)" in source


def test_a_kernel_is_never_handed_on_with_negative_strides() -> None:
    """torch refuses those."""

    def strict(image: Array, kernel: Array) -> Array:
        assert kernel.flags.c_contiguous
        return signal.correlate2d(image, kernel, "same")

    _, theirs = turned(identify(strict), "scipy.signal.convolve2d", "same")
    assert theirs(strict, np.eye(5), np.eye(3)).shape == (5, 5)


@pytest.mark.parametrize(("to", "mode", "said"), [("scipy.nope", "same", "scipy.signal.convolve2d"), ("scipy.signal.convolve2d", "wrap", "full, same, valid"), ("numpy.convolve", "same", "1-D input only")])  # fmt: skip
def test_unknown_targets(to: str, mode: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        identify(wrong.same).recipe(to, mode)
