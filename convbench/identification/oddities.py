"""Why a function is no convolution: the smallest example in which it is not linear, or not shift-invariant."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from convbench.identification.identified import Kind
from convbench.identification.probes import ascending, impulse
from convbench.identification.subject import RefusedError, Subject
from convbench.problem import Array, Shape

_MOST_SHOWN = 24
"""Samples of an array that is written out."""


def diagnosis(subject: Subject, kernel_shapes: list[Shape]) -> tuple[Kind, str]:
    """The kind, and a sentence with the smallest counterexample found.

    kernel_shapes: some that the function takes, smallest first. Raises TimeUpError.
    """
    odd = next(_nonlinear(subject, kernel_shapes), None)
    if odd:
        return "not linear", odd
    odd = next(_moving(subject, kernel_shapes), None)
    if odd:
        return "not shift-invariant", odd
    return _response(subject, kernel_shapes)


def _images(kernel_shapes: list[Shape]) -> Iterator[tuple[Shape, Shape]]:
    """Image and kernel shapes, smallest first."""
    ndim = len(kernel_shapes[0])
    images = [(n,) * (ndim - 1) + (m,) for n in (1, 2, 3, 4, 5, 6, 8, 12) for m in (n, n + 1)]
    pairs = itertools.product(images, kernel_shapes)
    return iter(sorted(pairs, key=lambda pair: (np.prod(pair[0]) * np.prod(pair[1]), pair)))


def _nonlinear(subject: Subject, kernel_shapes: list[Shape]) -> Iterator[str]:
    for image_shape, kernel_shape in _images(kernel_shapes):
        kernel, rng = ascending(kernel_shape), np.random.default_rng(0)
        one: Array = np.zeros(image_shape)
        one.flat[0] = 1
        some, others = (rng.integers(-9, 10, image_shape).astype(float) for _ in range(2))
        # The last would wrap around, or saturate, in integers.
        pairs = [(one, one), (one, -one), (some, others), (100 * some, 900 * some)]
        try:
            nothing = subject(0 * one, kernel)
            if nothing.any():
                yield f"For the image {_text(0 * one)} and kernel {_text(kernel)} it returns {_text(nothing)}"
            for x, y in pairs:
                together, apart = subject(x + y, kernel), subject(x, kernel) + 0.0 + subject(y, kernel)
                if not _same(together, apart):
                    yield (
                        f"With kernel {_text(kernel)}, f(x) + f(y) is {_text(apart)} but f(x + y) is "
                        f"{_text(together)} for x = {_text(x)}, y = {_text(y)}"
                    )
        except (RefusedError, ValueError):  # ValueError: the size of the output depends on the image's values
            continue


def _moving(subject: Subject, kernel_shapes: list[Shape]) -> Iterator[str]:
    for image_shape, kernel_shape in _images(kernel_shapes):
        if any(n < 2 * k + 1 for n, k in zip(image_shape, kernel_shape, strict=True)):
            continue  # a border would be in reach
        kernel, centre = ascending(kernel_shape), tuple(n // 2 for n in image_shape)
        for axis in range(len(image_shape)):
            next_to = tuple(c - (a == axis) for a, c in enumerate(centre))
            responses = []
            for at in (centre, next_to):
                image = np.zeros(image_shape)
                image[at] = 1
                try:
                    responses.append(np.moveaxis(subject(image, kernel), axis, 0))
                except RefusedError:
                    break
            if len(responses) < 2 or _same(responses[0][1:], responses[1][:-1]):
                continue
            here, there = (np.moveaxis(response, 0, axis) for response in responses)
            setting = (
                f"With kernel {_text(kernel)} on a {'x'.join(map(str, image_shape))} image, an impulse at {centre}"
            )
            if max(here.size, there.size) <= _MOST_SHOWN:
                both = f"gives {_text(here)} and one at {next_to} gives {_text(there)}"
                yield f"{setting} {both}, which is not the same moved"
                continue
            if here.shape != there.shape:
                yield f"{setting} gives {_text(here)} and one at {next_to} gives {_text(there)}"
                continue
            off = np.abs(responses[0][1:] - responses[1][:-1])
            row, *others = map(int, np.unravel_index(int(off.argmax()), off.shape))
            was, now = ((*others[:axis], at, *others[axis:]) for at in (row + 1, row))
            yield f"{setting} gives {here[was]:.6g} at {was}, and one at {next_to} gives {there[now]:.6g} at {now}"


def _response(subject: Subject, kernel_shapes: list[Shape]) -> tuple[Kind, str]:
    for kernel_shape in sorted(kernel_shapes, key=lambda shape: (np.prod(shape) < 4, np.prod(shape), shape)):
        image, kernel = impulse([4 * k + 1 for k in kernel_shape]), ascending(kernel_shape)
        try:
            response, other = subject(image, kernel), subject(image, kernel**2)
        except RefusedError:
            continue
        largest = float(np.abs(response).max(initial=0))
        if not largest:
            return "another kernel", f"For the kernel {_text(kernel)} it returns zeros"
        if kernel.size > 1 and _same(response, other):
            return "another kernel", f"It returns the same for the kernels {_text(kernel)} and {_text(kernel**2)}"
        used = np.argwhere(np.abs(response) > 1e-6 * largest)  # what is less is an FFT's rounding
        block = response[tuple(map(slice, used.min(0), used.max(0) + 1))]
        axes = [axes for count in range(image.ndim + 1) for axes in itertools.combinations(range(image.ndim), count)]
        if any(_same(block, np.flip(lying, flipped)) for lying in (kernel, kernel.T) for flipped in axes):
            return "another boundary", f"For the kernel {_text(kernel)} an impulse in the middle gives {_text(block)}"
        return "another kernel", f"For the kernel {_text(kernel)} the response to an impulse is {_text(block)}"
    return "another kernel", ""


def _same(a: Array, b: Array) -> bool:
    if a.shape != b.shape:
        return False
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-4 * float(np.abs(b).max(initial=1))))


def _text(array: Array) -> str:
    """The array on one line."""
    if array.size > _MOST_SHOWN:
        return f"an array of shape {array.shape}"
    return str((np.round(array, 4) + 0.0).tolist()).replace(".0,", ",").replace(".0]", "]")
