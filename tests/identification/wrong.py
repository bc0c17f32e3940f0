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
    "arguments swapped": (lambda i, k: same(k, i), {"size": "k", "offset": "(n-1)//2"}),
    "posted": (posted, {"flips": False, "size": "n-k+1", "offset": "k-1", "outside": False}),
    "odd only": (odd_only, {"flips": True, "refusals": ("kernels of even length (IndexError)",)}),
    "short only": (short_only, {"refusals": ("kernels longer than the image (KeyError)",), "longer_kernels": False}),
    "per channel": (per_channel, {"channels": "per channel"}),
    "rounds": (lambda i, k: np.round(same(i, k)), {"findings": ("it rounds its results",)}),
    "lists": (lambda i, k: same(i, k).tolist(), {"flips": True, "offset": "(k-1)//2"}),
    **{
        f"boundary {mode}": (lambda i, k, mode=mode: ndimage.convolve(i, k, mode=mode), {"boundary": boundary, "offset": "k//2"})
        for mode, boundary in (("reflect", "symmetric"), ("mirror", "reflect"), ("nearest", "edge"), ("wrap", "wrap"))
    },
}  # fmt: skip
del CONVOLUTIONS["late on one axis"]

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
    "NaN": (lambda i, k: same(i, k) * np.nan, "not finite", "NaN"),
    "nothing": (lambda i, k: None, "wrong shape", "NoneType"),
    "text": (lambda i, k: "abc", "wrong shape", "str"),
    "number": (lambda i, k: float(i.sum()), "wrong shape", "shape ()"),
    "raises": (lambda i, k: 1 / 0, "refuses", "ZeroDivisionError"),
    "no arguments": (lambda: 1, "refuses", "TypeError"),
    "leaves": (leaves, "refuses", "SystemExit"),
}
