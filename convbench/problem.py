"""What is to be convolved: shapes, dtype, mode, device, threads; and reproducible data for it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from convbench.errors import ArgumentError, one_of

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Mode = Literal["full", "same", "valid"]

MODES: tuple[str, ...] = get_args(Mode)
DTYPES = ("float32", "float64", "complex64", "complex128")
HALF = ("float16", "bfloat16")
"""16 bits in memory; what takes them multiplies and sums in float32."""
EVERY_DTYPE = (*DTYPES, *HALF)
_DEVICE = re.compile(r"cpu|cuda:\d+")


def _shape(what: str, given: int | tuple[int, ...]) -> Shape:
    sizes = (given,) if isinstance(given, (int, np.integer)) else given
    try:
        shape = tuple(int(s) for s in sizes)
        exact = all(a == b for a, b in zip(shape, sizes, strict=True))
    except (TypeError, ValueError):
        exact = False
    if not exact:
        raise ArgumentError(f"{what} must be an int or a tuple of ints, got {given!r}")
    if len(shape) not in (1, 2):
        raise ArgumentError(f"{what} must have 1 or 2 axes, got {shape}: convolve channels one by one")
    if min(shape) < 1:
        raise ArgumentError(f"{what} must be at least 1 on every axis, got {shape}: empty arrays have no convolution")
    return shape


@dataclass(frozen=True)
class Problem:
    """A convolution to be planned: y = image * kernel, the kernel flipped, borders zero.

    image_shape, kernel_shape: one or two axes, the same number; a kernel of shape (1, k) filters every row.
    dtype: of image, kernel and output. mode: full (n+k-1), same (n, from (k-1)//2 of full) or valid (n-k+1).
    Raises ArgumentError for anything outside these.
    """

    image_shape: Shape
    kernel_shape: Shape
    dtype: str = "float32"
    mode: Mode = "same"
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "image_shape", _shape("image_shape", self.image_shape))
        put(self, "kernel_shape", _shape("kernel_shape", self.kernel_shape))
        put(self, "dtype", dtype_name(self.dtype))
        if len(self.image_shape) != len(self.kernel_shape):
            raise ArgumentError(
                f"image and kernel must have the same number of axes, got image {self.image_shape} and kernel "
                f"{self.kernel_shape}; to filter every row of an image use a kernel of shape (1, k)"
            )
        if self.mode not in MODES:
            raise one_of("mode", self.mode, MODES)
        if not isinstance(self.device, str) or not _DEVICE.fullmatch(self.device):
            raise ArgumentError(
                f"unknown device {self.device!r}; allowed: cpu, cuda:0, cuda:1, ... `convbench machine` shows them"
            )
        if isinstance(self.threads, bool) or not isinstance(self.threads, (int, np.integer)) or self.threads < 1:
            raise ArgumentError(f"threads must be a positive int, got {self.threads!r}")
        if self.mode == "valid" and any(k > n for n, k in zip(self.image_shape, self.kernel_shape, strict=True)):
            raise ArgumentError(
                f"mode 'valid' needs a kernel no longer than the image on every axis, got image {self.image_shape} "
                f"and kernel {self.kernel_shape}; use mode 'same' or 'full', or swap the two"
            )

    @property
    def ndim(self) -> int:
        return len(self.image_shape)

    @property
    def full_shape(self) -> Shape:
        return tuple(n + k - 1 for n, k in zip(self.image_shape, self.kernel_shape, strict=True))

    @property
    def output_shape(self) -> Shape:
        if self.mode == "full":
            return self.full_shape
        if self.mode == "same":
            return self.image_shape
        return tuple(n - k + 1 for n, k in zip(self.image_shape, self.kernel_shape, strict=True))

    @property
    def output_start(self) -> Shape:
        """Index of the first output sample within the full convolution, per axis."""
        if self.mode == "full":
            return (0,) * self.ndim
        return tuple((k - 1) // 2 if self.mode == "same" else k - 1 for k in self.kernel_shape)

    @property
    def output_slices(self) -> tuple[slice, ...]:
        """Where the output lies within the full convolution."""
        return tuple(slice(s, s + n) for s, n in zip(self.output_start, self.output_shape, strict=True))

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Zeros (before, after) per axis that make a valid convolution return this mode's output."""
        return tuple(
            (k - 1 - start, size + start - n)
            for n, k, start, size in zip(
                self.image_shape, self.kernel_shape, self.output_start, self.output_shape, strict=True
            )
        )

    @property
    def terms(self) -> int:
        """The largest number of products in one output sample."""
        return math.prod(min(n, k) for n, k in zip(self.image_shape, self.kernel_shape, strict=True))

    @property
    def device_index(self) -> int:
        """Which of the devices of its kind; 0 for the processor."""
        return int(self.device.partition(":")[2] or 0)

    @property
    def least_bytes(self) -> int:
        """Of image, kernel and output together."""
        samples = sum(math.prod(shape) for shape in (self.image_shape, self.kernel_shape, self.output_shape))
        return samples * np.dtype(self.dtype).itemsize

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")

    @property
    def real_dtype(self) -> np.dtype[Any]:
        own = np.dtype(self.dtype)
        return own.type(0).real.dtype if self.is_complex else own

    @property
    def unit_roundoff(self) -> float:
        """Of the dtype: half the distance from 1 to the next larger number."""
        return unit_roundoff(self.real_dtype)

    def image(self, seed: int = 0) -> Array:
        """Reproducible uniform random data in [-1, 1), image_shape, dtype; the same on every machine."""
        return self._draw(self.image_shape, seed, stream=0)

    def kernel(self, separable: bool = False, seed: int = 0) -> Array:
        """Reproducible uniform random kernel, kernel_shape, dtype; with separable=True an outer product (rank 1)."""
        if separable and self.ndim == 2:
            column, row = (self._draw((k,), seed, stream=1 + axis) for axis, k in enumerate(self.kernel_shape))
            return np.multiply.outer(column, row)
        return self._draw(self.kernel_shape, seed, stream=3)

    def _draw(self, shape: Shape, seed: int, stream: int) -> Array:
        rng = np.random.default_rng([seed, stream, *shape])
        parts = rng.uniform(-1, 1, (2, *shape) if self.is_complex else (1, *shape))
        values = parts[0] + 1j * parts[1] if self.is_complex else parts[0]
        return np.asarray(values, dtype=self.dtype)


def dtype_name(given: npt.DTypeLike) -> str:
    """The name of a supported dtype; raises ArgumentError for any other."""
    try:
        name = np.dtype(given).name
    except TypeError:
        name = str(given)
    if name not in EVERY_DTYPE:
        raise one_of("dtype", name, EVERY_DTYPE)
    if name == "bfloat16":
        import ml_dtypes  # noqa: F401  (makes the name known to numpy)
    return name


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """Half the distance from 1 to the next larger number; 2**-8 for bfloat16, which numpy's finfo does not know."""
    return 2.0**-8 if dtype.name == "bfloat16" else float(np.finfo(dtype).eps) / 2


def widened(array: Array) -> Array:
    """16-bit data as float32, which holds them exactly; anything else as it is."""
    return array.astype(np.float32) if array.dtype.name in HALF else array


def as_data(what: str, given: object) -> Array:
    """Check a user's array: 1 or 2 axes, not empty, numeric, finite; integers become float64.

    Raises ArgumentError that says which of these failed and where.
    """
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise ArgumentError(f"{what} must be an array or nested lists of equal length: {error}") from error
    if array.dtype.kind not in "buifc":
        raise ArgumentError(
            f"{what} must be numeric, got dtype {array.dtype}; convert it, e.g. {what}.astype('float32')"
        )
    _shape(f"{what} shape", array.shape)
    if array.dtype.kind in "bui" or array.dtype == np.float16:
        array = array.astype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    dtype_name(array.dtype)
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ArgumentError(
            f"{what} must be finite, got {array[first]} at index {first} ({int(bad.sum())} such values); "
            f"replace them first, e.g. with numpy.nan_to_num"
        )
    return array
