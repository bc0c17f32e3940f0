"""What is asked once the convention is known: real numbers and larger images, complex numbers, channels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convbench.convention import Convention
from convbench.identification.fit import Observation, tolerance
from convbench.identification.identified import Shapes, written
from convbench.identification.subject import RefusedError, Subject
from convbench.problem import Array, Shape

# Image and kernel: some functions round real numbers, or take another method for larger kernels.
_LARGE: dict[int, tuple[tuple[Shape, Shape], ...]] = {
    1: (((61,), (8,)), ((120,), (17,)), ((300,), (65,))),
    2: (((31, 34), (5, 4)), ((40, 37), (17, 16)), ((44, 47), (33, 31))),
}


def larger(subject: Subject, convention: Convention, refused: dict[Shapes, RefusedError]) -> Iterator[str]:
    """What is different for real numbers in larger images, and for larger kernels; what is refused is added."""
    rng = np.random.default_rng(7)
    for image_shape, lengths in _LARGE[subject.ndim]:
        for kernel_shape in (lengths, tuple(k - (k % 2 == 0) for k in lengths), (max(lengths) | 1,) * subject.ndim):
            image, kernel = rng.standard_normal(image_shape), rng.standard_normal(kernel_shape)
            try:
                output = subject(image, kernel)
                break
            except RefusedError as error:  # it may take odd lengths only, or square kernels
                refused[image_shape, kernel_shape] = error
        else:
            continue
        if subject.manner.dtype == "int64":
            image, kernel = image.astype(np.int64), kernel.astype(np.int64)
        if np.iscomplexobj(output):
            yield "it returns complex numbers for real input"
            output = output.real
        wanted = convention.apply(image, kernel)
        if _equal(output, wanted):
            continue
        if output.shape == wanted.shape and np.array_equal(output, np.round(output)):
            yield "it rounds its results"
        else:
            what = f"a {written(kernel_shape)} kernel on a {written(image_shape)} image of real numbers"
            yield f"for {what} it returns something else"


def complex_input(subject: Subject, convention: Convention, example: Observation) -> tuple[str, bool]:
    """What it does with complex numbers, and whether it conjugates the kernel."""
    image, kernel = (a + 1j * np.roll(np.flip(a), 1) for a in (example.image, example.kernel))
    try:
        output = subject(image, kernel)
    except RefusedError as refused:
        return f"refused ({refused.kind})", False
    # What is said, whether the kernel is conjugated, and the result.
    results = [
        ("", False, convention.apply(image, kernel)),
        ("the kernel is conjugated", True, convention.apply(image, kernel.conj())),
        ("the image is conjugated", False, convention.apply(image.conj(), kernel)),
        ("image and kernel are conjugated", True, convention.apply(image.conj(), kernel.conj())),
    ]
    for dropped in ("", "only the real part of the result is returned"):
        for conjugated, conjugates, result in results:
            if _equal(output, result.real if dropped else result):
                return " and ".join(filter(None, (conjugated, dropped))), conjugates
    if _equal(output, convention.apply(image.real, kernel.real)):
        return "only the real parts of image and kernel are used", False
    return "something else is returned", False


def channels(subject: Subject, convention: Convention, example: Observation) -> str:
    """What it does with two channels: summed, per channel, or refused."""
    layout, ndim = subject.manner.layout, subject.ndim
    images, kernels = ([a, np.flip(a)] for a in (example.image, example.kernel))
    axis = 0 if layout == "NCHW" else ndim
    image = np.stack(images, axis)
    if layout == "plain":
        attempts = [(image, kernels[0], [convention.apply(i, kernels[0]) for i in images])]
    else:
        each = [convention.apply(i, k) for i, k in zip(images, kernels, strict=True)]
        stack = np.stack(kernels, axis)
        # Two channels into one, then two into two, each with a kernel of its own.
        outer = (0, 1) if layout == "NCHW" else (ndim + 1, ndim)
        attempts = [(image[None], np.expand_dims(stack, other), each) for other in outer]
    for given, kernel, wanted in attempts:
        try:
            output = subject.raw(given, kernel)
        except RefusedError:
            continue
        output = output if layout == "plain" else output[0]
        for text, form in (("summed", sum(wanted)), ("per channel", np.stack(wanted, axis))):
            if _equal(output, form) or (text == "summed" and _equal(output, np.expand_dims(form, axis))):  # type: ignore[arg-type]
                return text
    return "refused"


def _equal(output: Array, wanted: Array) -> bool:
    """Equal up to rounding, relative to the largest value."""
    allowed = max(tolerance(output), 1e-6) * np.abs(wanted).max(initial=1)
    return output.shape == wanted.shape and bool(np.abs(output - wanted).max(initial=0) <= allowed)
