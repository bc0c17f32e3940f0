"""What an operation computes, as one small model: flip, transpose, conjugate, offset, size, boundary, swap.

Every operation of the atlas, in each of its modes, and every convolution that identify explains is one of these.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from convbench.errors import ArgumentError
from convbench.problem import Array, Shape

Boundary = Literal["zero", "wrap", "symmetric", "reflect", "edge"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)
"""What lies outside the image; all but zero are numpy.pad's names."""

Window = tuple[tuple[int, int], ...]
"""First index and size on every axis."""

_ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.USub, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.Constant,
    ast.Name, ast.Load, ast.Call, ast.IfExp, ast.Compare, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq,
)  # fmt: skip
_FUNCTIONS = {"min": min, "max": max, "abs": abs}


@functools.cache
def formula(text: str) -> Callable[[int, int], int]:
    """The function of image length n and kernel length k that a formula like "(k-1)//2" or "max(n,k)" stands for.

    Raises ArgumentError for anything but integer arithmetic, min, max, abs and `a if n<k else b`.
    """
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except SyntaxError as error:
        raise ArgumentError(f"{text!r} is not a formula: {error.msg}; write it in n and k, e.g. '(k-1)//2'") from None
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    if not names <= {"n", "k", *_FUNCTIONS} or not all(isinstance(node, _ARITHMETIC) for node in nodes):
        raise ArgumentError(f"{text!r} is not a formula in n and k: + - * // %, min, max, abs and if else are allowed")
    return eval(f"lambda n, k: {text}", {"__builtins__": {}, **_FUNCTIONS})  # type: ignore[no-any-return]


SCALES = (
    "1/kernel.sum()",
    "1/abs(kernel).sum()",
    "1/kernel.size",
    "1/abs(kernel).max()",
    "1/(abs(kernel)**2).sum()**0.5",
)
"""How a kernel may be normalised: Python expressions."""


def scaled(scale: str, kernel: Array) -> Any:
    """The factor that a scale stands for: one of SCALES, or a number."""
    return eval(scale, {"__builtins__": {}, "abs": abs, "kernel": kernel}) if scale in SCALES else float(scale)


@dataclass(frozen=True)
class Convention:
    """How an operation's output follows from image and kernel.

    flips: the kernel is flipped (true convolution); not so in cross-correlation. transposes, conjugates: so is the
    kernel. offset: index of the first output sample within the operation's own full output (n+k-1 samples, of
    convolution if it flips, of cross-correlation if not); k-1-offset samples before the image are used. size: samples
    of output. Both are formulas in image length n and kernel length k. flips, offset and size hold for every axis; a
    tuple has one for each. boundary: what lies outside the image. swaps: where the kernel is longer than the image,
    and shorter on no axis, they change places. scale: what the kernel is multiplied by, a number or one of SCALES.
    """

    flips: bool | tuple[bool, ...]
    transposes: bool = False
    conjugates: bool = False
    offset: str | tuple[str, ...] = "(k-1)//2"
    size: str | tuple[str, ...] = "n"
    boundary: Boundary = "zero"
    swaps: bool = False
    scale: str = "1"

    def window(self, image_shape: Shape, kernel_shape: Shape) -> Window:
        """Offset and size of the output on every axis, in full convolution with the kernel as `as_convolved` has it.

        kernel_shape is that of the kernel given.
        """
        lengths = kernel_shape[::-1] if self.transposes else kernel_shape
        swapped = self.swapped(image_shape, kernel_shape)
        rules = zip(*(self._on_axes(rule, len(lengths)) for rule in (self.flips, self.offset, self.size)), strict=True)
        found = []
        for n, k, (flips, offset, size) in zip(image_shape, lengths, rules, strict=True):
            lengths_now = (k, n) if swapped else (n, k)
            start, length = formula(offset)(*lengths_now), formula(size)(*lengths_now)
            # Cross-correlation with image and kernel changed runs backwards.
            found.append((n + k - 1 - start - length if swapped and not flips else start, length))
        return tuple(found)

    @staticmethod
    def _on_axes(rule: Any, ndim: int) -> tuple[Any, ...]:
        return rule if isinstance(rule, tuple) else (rule,) * ndim

    def swapped(self, image_shape: Shape, kernel_shape: Shape) -> bool:
        """Whether image and kernel, of these shapes, change places."""
        lengths = kernel_shape[::-1] if self.transposes else kernel_shape
        return self.swaps and lengths != image_shape and all(k >= n for n, k in zip(image_shape, lengths, strict=True))

    def as_convolved(self, kernel: Array) -> Array:
        """The kernel whose true convolution this is."""
        kernel = kernel.conj() if self.conjugates else kernel
        kernel = kernel.T if self.transposes else kernel
        kept = [axis for axis, flips in enumerate(self._on_axes(self.flips, kernel.ndim)) if not flips]
        kernel = np.flip(kernel, tuple(kept))
        return kernel if self.scale == "1" else kernel * scaled(self.scale, kernel)

    def apply(self, image: Array, kernel: Array) -> Array:
        """What the operation returns; 1-D or 2-D, in the common dtype of both, integers modulo their range.

        An axis on which the size is not positive has length 0.
        """
        window = self.window(image.shape, kernel.shape)
        taps = self.as_convolved(kernel)
        if any(size <= 0 for _, size in window):
            return np.zeros([max(0, size) for _, size in window], np.result_type(image, kernel))
        return _valid(_extended(image, taps.shape, window, self.boundary), taps)

    def describe(self) -> str:
        """Two sentences in plain words."""
        what = "convolution (it flips the kernel)" if self.flips else "cross-correlation (it does not flip the kernel)"
        done = (("transposes", self.transposes), ("conjugates", self.conjugates))
        also = "".join(f" and {verb} it" for verb, on in done if on)
        return f"Computes {what}{also}. The output has {self.size} samples, from index {self.offset} of full on."


def _extended(image: Array, lengths: Shape, window: Window, boundary: Boundary) -> Array:
    """The image continued, or cut, so that valid convolution of it is the window of full convolution."""
    sides = [
        (k - 1 - start, start + size - n) for n, k, (start, size) in zip(image.shape, lengths, window, strict=True)
    ]
    beyond = [(max(0, before), max(0, after)) for before, after in sides]
    if any(map(any, beyond)):
        image = np.pad(image, beyond, mode="constant" if boundary == "zero" else boundary)
    return image[tuple(slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(image.shape, sides, strict=True))]


def _valid(image: Array, taps: Array) -> Array:
    """Valid convolution by direct summation; no axis of the kernel is longer than the image's."""
    if image.ndim == 1:
        return np.convolve(image, taps, "valid")
    from scipy.signal import convolve2d

    dtype = np.result_type(image, taps)
    if dtype == np.float16:  # which SciPy has no loop for
        image, taps = image.astype(np.float32), taps.astype(np.float32)
    found: Array = convolve2d(image, taps, "valid")
    return found.astype(dtype, copy=False)
