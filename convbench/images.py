"""Images in and out of files; float32 in [0, 1] inside."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convbench.errors import ArgumentError, one_of
from convbench.files import atomic_write, read_bytes, read_npy
from convbench.problem import Array, as_data

if TYPE_CHECKING:
    from PIL.Image import Image

READABLE = (".png", ".jpg", ".jpeg", ".npy")
WRITABLE = (".png", ".npy")
_FULL_SCALE = {"uint8": 255, "uint16": 65535}
_HALF_LEVEL = 0.5 / 255  # what 8 bits cannot show: the rounding of an FFT is no sign


def read_image(path: str | os.PathLike[str]) -> Array:
    """Read an image: (H, W) for grey, (H, W, C) for several channels.

    .png, .jpg, .jpeg: float32 in [0, 1], 8-bit values divided by 255 and 16-bit ones by 65535 (Pillow reduces 16-bit
    colour to 8). Palettes become colours; transparent pixels are multiplied by their alpha, as on black, which is
    what the zero border of a convolution takes for granted; EXIF orientation is left alone.
    .npy: uint8 and uint16 are scaled likewise, other integers and all reals and complex numbers kept as they are.
    Raises ArgumentError where the file is missing, unreadable, cut short, empty or not finite, StorageError where the
    system refuses to read it.
    """
    ending = Path(path).suffix.lower()
    if ending not in READABLE:
        raise one_of("image file ending", ending or str(path), READABLE)
    array = _scaled(read_npy("image", path)) if ending == ".npy" else _read_picture(path)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return _checked(array, str(path))


def write_image(path: str | os.PathLike[str], array: Array) -> str:
    """Write an image atomically and return, in words, how its values were stored.

    .npy: as they are. .png, 8-bit: values clipped to [0, 1]; an array with negative values is signed, and becomes
    0.5 + value / (2·max|value|), so that mid-grey is zero. array: (H, W), or for .png also (H, W, 3).
    Raises ArgumentError for another ending, shape or dtype or for values that are not finite, StorageError where the
    file cannot be written; what was there before is then still there.
    """
    ending = Path(path).suffix.lower()
    if ending not in WRITABLE:
        raise one_of("image file ending", ending or str(path), WRITABLE)
    array = _checked(_scaled(np.asarray(array)), "to be written")
    buffer = io.BytesIO()
    if ending == ".npy":
        np.save(buffer, array)
        how = "values as they are"
    else:
        levels, how = _levels(array)
        from PIL import Image

        Image.fromarray(levels).save(buffer, format="png")
    atomic_write(path, buffer.getvalue())
    return how


def sample_photograph() -> Path:
    """Path of the photograph that comes with matplotlib: Grace Hopper, 512x600 pixels, public domain (US Navy)."""
    import importlib.util

    spec = importlib.util.find_spec("matplotlib")  # finds it, does not import it
    if spec is None or spec.origin is None:
        raise ArgumentError("the sample photograph is in matplotlib, which is not installed: pip install matplotlib")
    path = Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"
    if not path.exists():
        raise ArgumentError(f"this matplotlib has no sample photograph at {str(path)!r}; give an image of your own")
    return path


def channels(image: Array) -> list[Array]:
    """The channels of an (H, W) or (H, W, C) image, each (H, W) and C-contiguous."""
    stack = image[:, :, np.newaxis] if image.ndim == 2 else image
    return [np.ascontiguousarray(stack[:, :, c]) for c in range(stack.shape[2])]


def _read_picture(path: str | os.PathLike[str]) -> Array:
    from PIL import Image, UnidentifiedImageError

    data, name = read_bytes("image", path), f"image {str(path)!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
            picture.load()
        return _pixels(picture)
    except UnidentifiedImageError:
        if data.startswith((b"\x89PNG", b"\xff\xd8")):
            raise ArgumentError(f"{name} is damaged or cut short; write or download it again") from None
        raise ArgumentError(f"{name} is in no known format; allowed: PNG, JPEG, .npy; convert it first") from None
    except Image.DecompressionBombError as error:
        raise ArgumentError(f"{name} is too large ({error}); cut out a part of it") from None
    except Exception as error:  # damaged data makes the decoders raise errors of many kinds
        raise ArgumentError(f"{name} is damaged or cut short ({error}); write or download it again") from None


def _pixels(picture: Image) -> Array:
    if picture.mode.startswith("I"):  # 16-bit grey
        return np.asarray(picture).astype(np.float32) / 65535
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        grey = picture.mode in ("L", "LA", "La")
        pixels = np.asarray(picture.convert("LA" if grey else "RGBA"), dtype=np.float32) / 255
        colours = pixels[..., :-1] * pixels[..., -1:]
        return colours[..., 0] if grey else colours
    grey = picture.mode in ("1", "L")
    return np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.float32) / 255


def _scaled(array: Array) -> Array:
    full = _FULL_SCALE.get(array.dtype.name)
    return array if full is None else np.asarray(array / np.float32(full), dtype=np.float32)


def _checked(array: Array, which: str) -> Array:
    """The array as float or complex; raises ArgumentError unless it is (H, W) or (H, W, C), not empty, finite."""
    if array.ndim not in (2, 3):
        allowed = "(height, width) or (height, width, channels)"
        raise ArgumentError(f"an image has shape {allowed}, got {array.shape}: {which}")
    if array.size == 0:
        raise ArgumentError(f"image {which} is empty: shape {array.shape}; every axis must be at least 1")
    if array.ndim == 2:
        return as_data("image", array)
    if array.shape[0] <= 4 < array.shape[2]:
        raise ArgumentError(f"channels come last, got shape {array.shape}: {which}; use numpy.moveaxis(image, 0, -1)")
    return np.stack([as_data(f"image channel {c}", array[:, :, c]) for c in range(array.shape[2])], axis=-1)


def _levels(array: Array) -> tuple[Array, str]:
    if np.iscomplexobj(array):
        raise ArgumentError(f"a .png image holds real values, got {array.dtype}; write a .npy file, or numpy.abs of it")
    if array.ndim == 3 and array.shape[2] != 3:
        raise ArgumentError(
            f"a .png image has 1 or 3 channels here, got shape {array.shape}; write a .npy file instead"
        )
    array = array.astype(np.float64)
    low, high = float(array.min()), float(array.max())
    if low < -_HALF_LEVEL:
        largest = max(-low, high)
        array, how = 0.5 + array / (2 * largest), f"signed: mid-grey is 0, black and white are -/+{largest:.4g}"
    elif high > 1 + _HALF_LEVEL:
        how = f"clipped to [0, 1]: {np.count_nonzero(array > 1)} values above 1, the largest {high:.4g}"
    else:
        how = "values in [0, 1]"
    return np.round(np.clip(array, 0, 1) * 255).astype(np.uint8), how
