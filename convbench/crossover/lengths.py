"""Which problem a kernel size stands for, and kinds of sizes that a method may treat differently.

An FFT of the full length n+k-1 is quick where that has small factors only, and slow where it has a large one; direct
sums may run differently for odd and even kernels. Four kinds: odd k and even k on the image as it is, and odd k on the
nearest image whose full lengths are all FFT-friendly, or all unfriendly.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from convbench.errors import ArgumentError
from convbench.problem import Problem, Shape

Kind = Literal["odd", "even", "friendly", "unfriendly"]
OTHER_KINDS: tuple[Kind, ...] = ("even", "unfriendly", "friendly")

SMOOTH = 7
"""The largest prime factor of a friendly length: every FFT library has fast code up to it."""
ROUGH = 4
"""A length is unfriendly if one prime is at least a fourth of it: p, 2p, 3p or 4p."""
FARTHEST = 16
"""An image may be changed by this part of its length, 1/16: the ratio of two methods' times hardly depends on it."""
LARGEST = {"image": 101, "rows": 1025, "signal": 1025}
"""Up to which kernel size is searched by default: one axis alone makes a direct sum cheap for long."""


@dataclass(frozen=True)
class Setting:
    """All of the problem but its kernel size k: an image with k x k, or 1 x k if rows, or a signal with k taps."""

    image_shape: Shape
    rows: bool = False
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 1

    @property
    def layout(self) -> str:
        return "signal" if len(self.image_shape) == 1 else "rows" if self.rows else "image"

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes along which the kernel is k long."""
        return (1,) if self.layout == "rows" else tuple(range(len(self.image_shape)))

    @property
    def longest(self) -> int:
        """The largest kernel size that is no longer than the image."""
        return min(self.image_shape[axis] for axis in self.axes)

    def problem(self, k: int, kind: Kind = "odd") -> Problem | None:
        """The problem of this kernel size, mode same; None where no image near enough is of that kind."""
        shape = list(self.image_shape)
        for axis in self.axes:
            length = shape[axis] if kind in ("odd", "even") else _nearest(shape[axis], k, kind == "friendly")
            if length is None:
                return None
            shape[axis] = length
        kernel = tuple(k if axis in self.axes else 1 for axis in range(len(shape)))
        return Problem(tuple(shape), kernel, self.dtype, "same", self.device, self.threads)


def read_shape(text: str) -> Shape:
    """(height, width) of 'HxW'; raises ArgumentError for any other text."""
    found = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    if not found or "0" in {part.lstrip("0") or "0" for part in found.groups()}:
        raise ArgumentError(
            f"an image is given as HEIGHTxWIDTH in pixels, e.g. 1024x1024, got {text!r}; a signal as --signal SAMPLES"
        )
    return int(found[1]), int(found[2])


def sizes(smallest: int, largest: int, kind: Kind = "odd") -> list[int]:
    """Kernel sizes of that kind in this range, ascending."""
    return [k for k in range(smallest, largest + 1) if k % 2 == (kind != "even")]


def largest_prime(number: int) -> int:
    """The largest prime factor; 1 of 1."""
    largest, factor = 1, 2
    while factor * factor <= number:
        while number % factor == 0:
            largest, number = factor, number // factor
        factor += 1
    return max(largest, number)


@functools.cache
def is_friendly(length: int) -> bool:
    """Whether an FFT of this length has no prime factor above SMOOTH."""
    for prime in (2, 3, 5, 7):
        while length % prime == 0:
            length //= prime
    return length == 1


@functools.cache
def is_unfriendly(length: int) -> bool:
    """Whether an FFT of this length is mostly one large prime."""
    return largest_prime(length) > max(SMOOTH, (length - 1) // ROUGH)


def _nearest(n: int, k: int, friendly: bool) -> int | None:
    """The image length nearest to n for which n+k-1 is friendly, or unfriendly."""
    wanted = is_friendly if friendly else is_unfriendly
    for shift in range(max(2, n // FARTHEST) + 1):
        for length in (n - shift, n + shift):
            if length >= k and wanted(length + k - 1):
                return length
    return None
