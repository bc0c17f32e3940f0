"""Kernels by name, as in `gaussian:sigma=3,size=21`: the field's own definitions, true-convolution orientation.

A name, then parameters after a colon, each with a documented default; or the path of a .npy file. Sizes are `21`
(both axes) or `1x9` (rows x columns). Sample (i, j) of a kernel of r rows and c columns lies at
y = i - (r-1)/2, x = j - (c-1)/2: the centre is a sample where the size is odd, between samples where it is even.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convbench.errors import ArgumentError, one_of
from convbench.files import read_npy
from convbench.problem import Array, as_data

Size = tuple[int, int]

LARGEST = 4096  # samples on an axis: 128 MiB of float64, more than any kernel in use
_AIRY_ZEROS = (3.8317059702075125, 10.173468135062722)  # first and third zero of the Bessel function J1


def gaussian(sigma: float = 1.0, size: Size | None = None) -> Array:
    """Gaussian, exp(-(x² + y²) / 2σ²), divided by its sum.

    sigma: standard deviation in samples. size: by default 2·⌊4σ + ½⌋ + 1, i.e. cut off at 4σ as
    scipy.ndimage.gaussian_filter does. Source: Gonzalez & Woods, Digital Image Processing, 4th ed., section 3.5.
    """
    y, x = _grid(size or _default_size(4 * sigma))
    weight = np.exp(-(y**2) / (2 * sigma**2)) * np.exp(-(x**2) / (2 * sigma**2))
    return _normalised(weight, f"sigma={sigma:g}")


def box(size: Size = (3, 3)) -> Array:
    """Box (mean) filter: 1 / (number of samples) everywhere. Source: Gonzalez & Woods, 4th ed., section 3.5."""
    return np.full(size, 1 / math.prod(size))


def sobel(axis: str = "x") -> Array:
    """Sobel derivative, [1 2 1]ᵀ ⊗ [1 0 -1] for axis=x and its transpose for axis=y; not normalised.

    Written for convolution, which flips it: the result is positive where the image grows to the right (x) or
    downwards (y), 8 times the derivative. Source: I. Sobel, G. Feldman, "A 3x3 isotropic gradient operator for
    image processing", 1968.
    """
    kernel = np.multiply.outer([1.0, 2.0, 1.0], [1.0, 0.0, -1.0])
    return kernel if axis == "x" else kernel.T.copy()


def laplacian(neighbours: int = 4) -> Array:
    """Discrete Laplacian ∂²/∂x² + ∂²/∂y² by second differences, centre -4 (or -8 with the diagonals); sums to 0.

    Source: Gonzalez & Woods, 4th ed., section 3.6.
    """
    corner = 1.0 if neighbours == 8 else 0.0
    return np.array([[corner, 1, corner], [1, -float(neighbours), 1], [corner, 1, corner]])


def log(sigma: float = 1.0, size: Size | None = None) -> Array:
    """Laplacian of Gaussian, g·(x² + y² - 2σ²) / σ⁴ with g the Gaussian that sums to 1; the mean is subtracted.

    Sums to 0, negative at the centre. size: by default cut off at 4σ, as gaussian. Source: D. Marr, E. Hildreth,
    "Theory of edge detection", Proc. R. Soc. B 207, 1980; the subtracted mean corrects for the cut-off.
    """
    size = size or _default_size(4 * sigma)
    y, x = _grid(size)
    kernel = gaussian(sigma, size) * (x**2 + y**2 - 2 * sigma**2) / sigma**4
    return np.asarray(kernel - kernel.mean())


def motion(length: float = 9.0, angle: float = 0.0) -> Array:
    """Linear motion blur: weight max(0, 1 - d), d the distance to a segment of length - 1 samples, divided by the sum.

    length: samples covered, angle: degrees, anticlockwise from the rows. An odd length with angle=0 gives a
    1 x length box, with angle=90 its transpose; the array is the smallest odd one that holds every non-zero weight.
    Source: uniform linear motion, Gonzalez & Woods, 4th ed., section 5.6, with linear interpolation across the line.
    """
    half, turn = (length - 1) / 2, math.radians(angle)
    across, down = math.cos(turn), -math.sin(turn)  # rows run downwards
    y, x = _grid((_odd(half * abs(down) + 1), _odd(half * abs(across) + 1)))
    along = np.clip(x * across + y * down, -half, half)
    weight = np.maximum(0, 1 - np.hypot(x - along * across, y - along * down))
    weight[weight < 1e-9] = 0  # cos and sin of right angles are off by rounding
    rows, columns = (np.flatnonzero(weight.any(axis=a)) for a in (1, 0))
    return _normalised(weight[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], f"length={length:g}")


def airy(radius: float = 2.0, size: Size | None = None) -> Array:
    """Airy pattern of a circular aperture, (2·J₁(v)/v)² with v = 3.8317·r/radius, divided by its sum.

    radius: samples from the centre to the first dark ring. size: by default cut off at the third dark ring
    (2.655·radius, 94 % of the light). Source: G. B. Airy, 1835; M. Born, E. Wolf, Principles of Optics,
    7th ed., section 8.5.2.
    """
    from scipy.special import j1

    first, third = _AIRY_ZEROS
    y, x = _grid(size or _default_size(radius * third / first))
    v = np.hypot(y, x) * (first / radius)
    away = np.where(v == 0, 1.0, v)
    return _normalised(np.where(v == 0, 1.0, (2 * j1(away) / away) ** 2), f"radius={radius:g}")


def random(size: Size = (9, 9), seed: int = 0) -> Array:
    """Uniform random values in [-1, 1), not separable and not normalised; the same for a seed on every machine."""
    return np.random.default_rng(seed).uniform(-1, 1, size)


@dataclass(frozen=True)
class Parameter:
    """How a parameter is read: parse turns its text into a value or raises ValueError, allowed says what it takes."""

    parse: Callable[[str], Any]
    allowed: str


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= LARGEST:
        raise ValueError
    return value


def _at_least_one(text: str) -> float:
    if float(text) < 1:
        raise ValueError
    return _positive(text)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError
    return value


def _seed(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError
    return value


def _size(text: str) -> Size:
    sizes = [int(part) for part in text.lower().split("x")]
    if len(sizes) not in (1, 2) or not all(1 <= s <= LARGEST for s in sizes):
        raise ValueError
    return sizes[0], sizes[-1]


def _choice(*allowed: Any) -> Parameter:
    table = {str(a): a for a in allowed}

    def parse(text: str) -> Any:
        if text not in table:
            raise ValueError
        return table[text]

    return Parameter(parse, " or ".join(table))


_LENGTH = f"a number above 0, at most {LARGEST}"
_SIGMA = _RADIUS = Parameter(_positive, _LENGTH)
_SIZE = Parameter(_size, f"an integer from 1 to {LARGEST}, or two as rows x columns, e.g. 21 or 1x9")

KERNELS: dict[str, tuple[Callable[..., Array], dict[str, Parameter]]] = {
    "gaussian": (gaussian, {"sigma": _SIGMA, "size": _SIZE}),
    "box": (box, {"size": _SIZE}),
    "sobel": (sobel, {"axis": _choice("x", "y")}),
    "laplacian": (laplacian, {"neighbours": _choice(4, 8)}),
    "log": (log, {"sigma": _SIGMA, "size": _SIZE}),
    "motion": (
        motion,
        {
            "length": Parameter(_at_least_one, f"a number from 1 to {LARGEST}"),
            "angle": Parameter(_finite, "a number of degrees"),
        },
    ),
    "airy": (airy, {"radius": _RADIUS, "size": _SIZE}),
    "random": (random, {"size": _SIZE, "seed": Parameter(_seed, "an integer of at least 0")}),
}
"""Name -> (the function that makes it, its parameters)."""


def named_kernel(spec: str) -> Array:
    """The kernel a text names, float64, two axes: `name`, `name:parameter=value,...`, or the path of a .npy file.

    A .npy file may hold 1 axis (it becomes one row) or 2, integers or reals. Raises ArgumentError for an unknown
    name or parameter, a value out of range, or a file that holds no such array.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ArgumentError(f"kernel must be text such as 'gaussian:sigma=3' or the path of a .npy file, got {spec!r}")
    if spec.lower().endswith(".npy"):
        return _from_file(spec)
    name, _, text = (part.strip() for part in spec.partition(":"))
    if name not in KERNELS:
        error = one_of("kernel", name, KERNELS)
        raise ArgumentError(f"{error} Or give the path of a .npy file.")
    make, parameters = KERNELS[name]
    return np.ascontiguousarray(make(**_arguments(name, text, parameters)), dtype=np.float64)


def _arguments(name: str, text: str, parameters: dict[str, Parameter]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if key not in parameters:
            raise one_of(f"parameter of kernel {name!r}", key, parameters)
        if not equals:
            allowed = parameters[key].allowed
            raise ArgumentError(f"parameter {key!r} of kernel {name!r} has no value; write {key}=VALUE: {allowed}")
        if key in found:
            raise ArgumentError(f"parameter {key!r} of kernel {name!r} is given twice, got {text!r}; give it once")
        try:
            found[key] = parameters[key].parse(value)
        except (ValueError, OverflowError):
            raise ArgumentError(f"{key} of kernel {name!r} must be {parameters[key].allowed}, got {value!r}") from None
    return found


def _from_file(path: str) -> Array:
    array = as_data("kernel", read_npy("kernel", path))
    if np.iscomplexobj(array):
        raise ArgumentError(
            f"a kernel file must hold real numbers, got dtype {array.dtype}; convbench.convolve takes those"
        )
    return np.ascontiguousarray(np.atleast_2d(array), dtype=np.float64)


def _grid(size: Size) -> tuple[Array, Array]:
    """Coordinates y (a column) and x (a row) of the samples, 0 at the centre."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in size)
    return y[:, np.newaxis], x[np.newaxis, :]


def _default_size(radius: float) -> Size:
    n = _odd(radius)
    if n > LARGEST:
        raise ArgumentError(f"the kernel would have {n}x{n} samples, allowed are {LARGEST} on an axis; give size=")
    return n, n


def _odd(radius: float) -> int:
    return 2 * int(radius + 0.5) + 1


def _normalised(weight: Array, given: str) -> Array:
    total = weight.sum()
    if not total > 0:
        raise ArgumentError(
            f"every weight of the kernel is 0 with {given} at this size; use an odd size or a larger value"
        )
    return np.asarray(weight / total)
