"""Functions with one thing wrong each, and what identify should say of them."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import numpy as np
from scipy import ndimage, signal

from convbench.problem import Array


def same(image: Array, kernel: Array) -> Array:
    return signal.convolve2d(image, kernel, "same")


def posted(image: Array, kernel: Array) -> Array:
    """Valid correlation with one length for both axes, as in the question about Theano."""
    k = len(kernel)
    rows, columns = (n - k + 1 for n in image.shape)
    found = np.zeros((rows, columns), image.dtype)
    for i, j in np.ndindex(rows, columns):
        found[i, j] = (image[i : i + k, j : j + k].ravel() * kernel.ravel()).sum()
    return found


def late(image: Array, kernel: Array) -> Array:
    """Same convolution, one sample too late."""
    full = np.pad(signal.convolve2d(image, kernel), 2)
    return full[
        tuple(slice(2 + (k + 1) // 2, 2 + (k + 1) // 2 + n) for n, k in zip(image.shape, kernel.shape, strict=True))
    ]


def circular(image: Array, kernel: Array) -> Array:
    return np.fft.ifft2(np.fft.fft2(image) * np.fft.fft2(kernel, image.shape))


def odd_only(image: Array, kernel: Array) -> Array:
    if any(k % 2 == 0 for k in kernel.shape):
        raise IndexError("odd lengths only")
    return same(image, kernel)


def short_only(image: Array, kernel: Array) -> Array:
    if any(k > n for n, k in zip(image.shape, kernel.shape, strict=True)):
        raise KeyError("too long")
    return same(image, kernel)


def square_images(image: Array, kernel: Array) -> Array:
    if len(set(image.shape)) > 1:
        raise ValueError("square images only")
    return same(image, kernel)


def large_images(image: Array, kernel: Array) -> Array:
    if min(image.shape) < 16:
        raise ValueError("too small")
    return same(image, kernel)


def per_channel(image: Array, kernel: Array) -> Array:
    if image.ndim == 2:
        return same(image, kernel)
    return np.stack([same(image[..., c], kernel) for c in range(image.shape[2])], 2)


CONVOLUTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "transposed": (lambda i, k: same(i, k.T), {"transposes": True, "flips": True, "kind": "convolution"}),
    "image transposed": (lambda i, k: same(i.T, k).T, {"transposes": True, "flips": True}),
    "rows flipped only": (lambda i, k: same(i, k[:, ::-1]), {"flips": (True, False), "kind": "mixed"}),
    "columns flipped only": (lambda i, k: same(i, k[::-1]), {"flips": (False, True), "kind": "mixed"}),
    "no flip": (lambda i, k: same(i, k[::-1, ::-1]), {"flips": False, "kind": "cross-correlation", "offset": "(k-1)//2"}),
    "late": (late, {"flips": True, "offset": "(k-1)//2+1", "size": "n"}),
    "late on one axis": (lambda i, k: late(i, k[:, :1]) if k.shape[1] == 1 else np.vstack([same(i, k)[1:], 0 * i[:1]]) + 0, {}),
    "circular": (circular, {"boundary": "wrap", "offset": "0", "size": "n", "flips": True}),
    "twice": (lambda i, k: 2 * same(i, k), {"scale": "2.0"}),
    "negative": (lambda i, k: -same(i, k), {"scale": "-1.0"}),
    "normalised": (lambda i, k: same(i, k / k.sum()), {"scale": "1/kernel.sum()"}),
    "normalised by magnitude": (lambda i, k: same(i, k / np.abs(k).sum()), {"scale": "1/abs(kernel).sum()"}),
    "mean": (lambda i, k: same(i, k) / k.size, {"scale": "1/kernel.size"}),
    "conjugates": (lambda i, k: same(i, k.conj()), {"conjugates": True, "complex_input": "the kernel is conjugated"}),
    "conjugates the image": (lambda i, k: same(i.conj(), k), {"conjugates": False, "complex_input": "the image is conjugated"}),
    "real part": (lambda i, k: same(i, k).real, {"complex_input": "only the real part of the result is returned"}),
    "real only": (lambda i, k: same(i.real, k.real), {"complex_input": "only the real parts of image and kernel are used"}),
    "arguments swapped": (lambda i, k: same(k, i), {"size": "k", "offset": "(n-1)//2", "findings": ("it takes the kernel first: exchange its arguments",)}),
    "posted": (posted, {"flips": False, "size": "n-k+1", "offset": "k-1", "outside": False}),
    "odd only": (odd_only, {"flips": True, "refusals": ("kernels of even length (IndexError)",)}),
    "short only": (short_only, {"refusals": ("kernels longer than the image (KeyError)",), "longer_kernels": False}),
    "per channel": (per_channel, {"channels": "per channel"}),
    "rounds": (lambda i, k: np.round(same(i, k)), {"findings": ("it rounds its results",)}),
    "square images": (square_images, {"flips": True, "offset": "(k-1)//2"}),
    "large images": (large_images, {"flips": True, "offset": "(k-1)//2"}),
    "padded": (lambda i, k: same(np.pad(i, 5), k), {"offset": "(k-1)//2-5", "size": "n+10"}),
    "complex output": (lambda i, k: same(i, k) + 0j, {"findings": ("it returns complex numbers for real input",)}),
    "flips large kernels": (
        lambda i, k: same(i, k if k.size < 200 else np.flip(k)),
        {"findings": tuple(f"for a {k} kernel on a {n} image of real numbers it returns something else" for n, k in (("40x37", "17x16"), ("44x47", "33x31")))},
    ),
    "lists": (lambda i, k: same(i, k).tolist(), {"flips": True, "offset": "(k-1)//2"}),
    **{
        f"boundary {mode}": (lambda i, k, mode=mode: ndimage.convolve(i, k, mode=mode), {"boundary": boundary, "offset": "k//2"})
        for mode, boundary in (("reflect", "symmetric"), ("mirror", "reflect"), ("nearest", "edge"), ("wrap", "wrap"))
    },
}  # fmt: skip
del CONVOLUTIONS["late on one axis"]


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def unprintable(image: Array, kernel: Array) -> NoReturn:
    raise UnprintableError


def interrupts(image: Array, kernel: Array) -> NoReturn:
    raise KeyboardInterrupt


_RNG = np.random.default_rng(5)


def sleeps(image: Array, kernel: Array) -> NoReturn:
    while True:
        time.sleep(0.01)


def spins(image: Array, kernel: Array) -> NoReturn:
    while True:
        pass


def leaves(image: Array, kernel: Array) -> NoReturn:
    raise SystemExit(3)


OTHERS: dict[str, tuple[Any, str, str]] = {
    "clipped": (lambda i, k: np.maximum(same(i, k), 0), "not linear", "f(x + y)"),
    "bias": (lambda i, k: same(i, k) + 3, "not linear", "[[0]] and kernel [[1]] it returns [[3]]"),
    "median": (lambda i, k: ndimage.median_filter(i, k.shape), "not linear", "f(x + y)"),
    "every other": (lambda i, k: same(i, k)[::2, ::2], "not shift-invariant", "an impulse at"),
    "window": (lambda i, k: same(i, k) * np.hanning(len(i))[:, None], "not shift-invariant", "an impulse at"),
    "squared": (lambda i, k: same(i, k**2), "another kernel", "[[1, 4, 9, 16]]"),
    "dilated": (lambda i, k: same(i, np.kron(k, [[1, 0], [0, 0]])), "another kernel", "[[1, 0, 2, 0, 3, 0, 4]]"),
    "mean filter": (lambda i, k: ndimage.uniform_filter(i, k.shape), "another kernel", "the same for the kernels"),
    "rolled": (lambda i, k: same(np.roll(i, 1, 0), k), "another boundary", "an impulse in the middle gives"),
    "random": (lambda i, k: same(i, k) + _RNG.normal(size=i.shape), "random", "shape"),
    "zeros": (lambda i, k: np.zeros_like(i), "another kernel", "it returns zeros"),
    "integers": (lambda i, k: same(i, k).astype(np.int64).astype(np.uint8), "not linear", "f(x + y)"),
    "mean taken off": (lambda i, k: same(i - i.mean(), k), "not shift-invariant", "an impulse at"),
    "NaN": (lambda i, k: same(i, k) * np.nan, "not finite", "NaN"),
    "nothing": (lambda i, k: None, "no array", "NoneType"),
    "text": (lambda i, k: "abc", "no array", "str"),
    "number": (lambda i, k: float(i.sum()), "wrong shape", "shape ()"),
    "raises": (lambda i, k: 1 / 0, "refuses", "ZeroDivisionError"),
    "no arguments": (lambda: 1, "refuses", "TypeError"),
    "unprintable": (unprintable, "refuses", "UnprintableError"),
    "interrupts": (interrupts, "refuses", "KeyboardInterrupt"),
    "leaves": (leaves, "refuses", "SystemExit"),
}
