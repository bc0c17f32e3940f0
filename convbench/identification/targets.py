"""The functions that recipes are written for: how each is called with plain arrays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A function by its dotted name: its system and operation in the atlas, its axes, how it is called, its modes.

    call: Python with plain arrays `image` and `kernel`, and {mode}. modes: as it spells them -> as the atlas does.
    """

    system: str
    op: str
    ndims: tuple[int, ...]
    call: str
    modes: dict[str, str]
    imports: str

    def source(self, mode: str) -> str:
        """The call in that mode."""
        return self.call.format(mode=mode)


def _same(*modes: str, prefix: str = "", suffix: str = "") -> dict[str, str]:
    return {mode: f"{prefix}{mode}{suffix}" for mode in modes}


_THREE = _same("full", "same", "valid")
_AUTO = _same("full", "same", "valid", suffix=" method=auto")
_ND = {**_same("constant", "nearest", "mirror", "wrap"), "reflect": "reflect (default)"}
_TORCH = _same("same", "valid", prefix="padding=")
_PAIR = "image[None, None], kernel[None, None]"
_LAST = "image[None, ..., None], kernel[..., None, None]"
_TENSORS = "torch.from_numpy(image.copy())[None, None], torch.from_numpy(kernel.copy())[None, None]"


def _plain(dotted: str, op: str, system: str, ndims: tuple[int, ...], modes: dict[str, str]) -> dict[str, Target]:
    module = dotted.rpartition(".")[0]
    call = f"{dotted}(image, kernel, mode={{mode!r}})"
    return {
        dotted: Target(system, op, ndims, f"np.asarray({call})" if system == "jax" else call, modes, f"import {module}")
    }


TARGETS: dict[str, Target] = {
    **_plain("scipy.signal.convolve2d", "signal.convolve2d", "scipy", (2,), _THREE),
    **_plain("scipy.signal.correlate2d", "signal.correlate2d", "scipy", (2,), _THREE),
    **_plain("scipy.signal.convolve", "signal.convolve", "scipy", (1, 2), _AUTO),
    **_plain("scipy.signal.correlate", "signal.correlate", "scipy", (1, 2), _AUTO),
    **_plain("scipy.signal.fftconvolve", "signal.fftconvolve", "scipy", (1, 2), _THREE),
    **_plain("scipy.signal.oaconvolve", "signal.oaconvolve", "scipy", (1, 2), _THREE),
    **_plain("scipy.ndimage.convolve", "ndimage.convolve", "scipy", (2,), _ND),
    **_plain("scipy.ndimage.correlate", "ndimage.correlate", "scipy", (2,), _ND),
    **_plain("scipy.ndimage.convolve1d", "ndimage.convolve1d", "scipy", (1,), _same("constant")),
    **_plain("scipy.ndimage.correlate1d", "ndimage.correlate1d", "scipy", (1,), _same("constant")),
    **_plain("numpy.convolve", "np.convolve", "numpy", (1,), _THREE),
    **_plain("numpy.correlate", "np.correlate", "numpy", (1,), _THREE),
    **_plain("jax.numpy.convolve", "jnp.convolve", "jax", (1,), _THREE),
    **_plain("jax.numpy.correlate", "jnp.correlate", "jax", (1,), _THREE),
    **_plain("jax.scipy.signal.convolve2d", "jax.scipy.signal.convolve2d", "jax", (2,), _THREE),
    **_plain("jax.scipy.signal.correlate2d", "jax.scipy.signal.correlate2d", "jax", (2,), _THREE),
    "torch.nn.functional.conv2d": Target(
        "torch", "F.conv2d", (2,), f"torch.nn.functional.conv2d({_TENSORS}, padding={{mode!r}})[0, 0].numpy()", _TORCH,
        "import torch",
    ),
    "torch.nn.functional.conv1d": Target(
        "torch", "F.conv1d", (1,), f"torch.nn.functional.conv1d({_TENSORS}, padding={{mode!r}})[0, 0].numpy()", _TORCH,
        "import torch",
    ),
    "tensorflow.nn.conv2d": Target(
        "tensorflow", "tf.nn.conv2d", (2,), f"tensorflow.nn.conv2d({_LAST}, 1, {{mode!r}}).numpy()[0, ..., 0]",
        _same("SAME", "VALID"), "import tensorflow",
    ),
    "tensorflow.nn.conv1d": Target(
        "tensorflow", "tf.nn.conv1d", (1,), f"tensorflow.nn.conv1d({_LAST}, 1, {{mode!r}}).numpy()[0, ..., 0]",
        _same("SAME", "VALID"), "import tensorflow",
    ),
    "keras.ops.conv": Target(
        "keras", "ops.conv", (2,), f"np.asarray(keras.ops.conv({_LAST}, padding={{mode!r}}))[0, ..., 0]",
        _same("same", "valid"), "import keras",
    ),
    "jax.lax.conv_general_dilated": Target(
        "jax", "lax.conv_general_dilated", (2,),
        f"np.asarray(jax.lax.conv_general_dilated({_PAIR}, (1, 1), {{mode!r}}))[0, 0]",
        _same("SAME", "SAME_LOWER", "VALID"), "import jax",
    ),
    "cv2.filter2D": Target(
        "opencv", "cv2.filter2D", (2,), "cv2.filter2D(image, -1, kernel, borderType=cv2.{mode})",
        _same("BORDER_CONSTANT", "BORDER_REPLICATE", "BORDER_REFLECT", "BORDER_REFLECT101"), "import cv2",
    ),
}  # fmt: skip
"""By dotted name."""
