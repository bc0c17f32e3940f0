"""The real operations, called as they were when the atlas was measured: one function per row's (system, op, mode)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

Operation = Callable[[np.ndarray, np.ndarray], np.ndarray]
Operations = dict[tuple[str, str], Operation]
"""By op and mode."""


def numpy() -> Operations:
    found: Operations = {}
    for mode in ("full", "same", "valid"):
        for name in ("convolve", "correlate"):
            found[f"np.{name}", mode] = functools.partial(getattr(np, name), mode=mode)
    return found


def scipy() -> Operations:
    from scipy import ndimage, signal

    found: Operations = {}
    for mode in ("full", "same", "valid"):
        for name in ("convolve2d", "correlate2d"):
            found[f"signal.{name}", mode] = functools.partial(getattr(signal, name), mode=mode)
            if mode != "valid":
                for boundary in ("wrap", "symm"):
                    found[f"signal.{name}", f"{mode} boundary={boundary}"] = functools.partial(
                        getattr(signal, name), mode=mode, boundary=boundary
                    )
        for name in ("convolve", "correlate"):
            for method in ("direct", "fft", "auto"):
                found[f"signal.{name}", f"{mode} method={method}"] = functools.partial(
                    getattr(signal, name), mode=mode, method=method
                )
        for name in ("fftconvolve", "oaconvolve"):
            found[f"signal.{name}", mode] = functools.partial(getattr(signal, name), mode=mode)
    for name in ("convolve", "correlate"):
        for mode in ("constant", "reflect", "nearest", "mirror", "wrap"):
            spelled = "reflect (default)" if mode == "reflect" else mode
            found[f"ndimage.{name}", spelled] = functools.partial(getattr(ndimage, name), mode=mode)
        found[f"ndimage.{name}", "constant origin=-1"] = functools.partial(
            getattr(ndimage, name), mode="constant", origin=-1
        )
        found[f"ndimage.{name}1d", "constant"] = functools.partial(getattr(ndimage, f"{name}1d"), mode="constant")
    return found


def torch() -> Operations:
    import torch
    import torch.nn.functional as nnf

    def call(function: Callable, **options) -> Operation:
        def run(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            at = options
            if callable(options.get("padding")):
                at = {"padding": [options["padding"](k) for k in kernel.shape]}
            x, k = (torch.from_numpy(np.ascontiguousarray(a))[None, None] for a in (image, kernel))
            return function(x, k, **at)[0, 0].numpy()

        return run

    def padded(mode: str) -> Operation:
        def run(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            layer = torch.nn.Conv2d(1, 1, kernel.shape, padding="same", padding_mode=mode, bias=False)
            layer.weight.data = torch.from_numpy(kernel)[None, None]
            with torch.no_grad():
                return layer(torch.from_numpy(image)[None, None])[0, 0].numpy()

        return run

    found: Operations = {}
    for name in ("conv2d", "conv1d"):
        for padding in ("same", "valid"):
            found[f"F.{name}", f"padding={padding}"] = call(getattr(nnf, name), padding=padding)
    found["F.conv2d", "padding=k//2"] = call(nnf.conv2d, padding=lambda k: k // 2)
    found["F.conv2d", "padding=k-1"] = call(nnf.conv2d, padding=lambda k: k - 1)
    for name in ("conv_transpose2d", "conv_transpose1d"):
        found[f"F.{name}", "padding=0"] = call(getattr(nnf, name))
    for mode in ("reflect", "replicate", "circular"):
        found["nn.Conv2d", f"padding='same' padding_mode={mode}"] = padded(mode)
    return found


def jax() -> Operations:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    import jax.scipy.signal as signal
    from jax import lax

    def general(mode: str) -> Operation:
        def run(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            ones = (1,) * image.ndim
            return np.asarray(lax.conv_general_dilated(image[None, None], kernel[None, None], ones, mode))[0, 0]

        return run

    def transposed(mode: str, **options) -> Operation:
        def run(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            x, k = image[None, :, :, None], kernel[:, :, None, None]
            return np.asarray(lax.conv_transpose(x, k, (1, 1), mode, **options))[0, :, :, 0]

        return run

    def plain(function: Callable, mode: str) -> Operation:
        return lambda image, kernel: np.asarray(function(jnp.asarray(image), jnp.asarray(kernel), mode=mode))

    found: Operations = {("lax.conv_general_dilated", m): general(m) for m in ("SAME", "SAME_LOWER", "VALID")}
    for mode in ("SAME", "VALID"):
        found["lax.conv_transpose", mode] = transposed(mode)
        found["lax.conv_transpose", f"{mode} transpose_kernel=True"] = transposed(mode, transpose_kernel=True)
    for mode in ("full", "same", "valid"):
        for name in ("convolve", "correlate"):
            found[f"jnp.{name}", mode] = plain(getattr(jnp, name), mode)
        for name in ("convolve2d", "correlate2d", "convolve", "correlate", "fftconvolve"):
            found[f"jax.scipy.signal.{name}", mode] = plain(getattr(signal, name), mode)
    return found


def tensorflow() -> Operations:
    import tensorflow as tf

    def flat(function: Callable, mode: str) -> Operation:
        return lambda image, kernel: function(image[None, :, :, None], kernel[:, :, None, None], 1, mode).numpy()[
            0, :, :, 0
        ]

    def line(mode: str) -> Operation:
        return lambda image, kernel: tf.nn.conv1d(image[None, :, None], kernel[:, None, None], 1, mode).numpy()[0, :, 0]

    def transposed(mode: str) -> Operation:
        def run(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            grown = [n + k - 1 if mode == "VALID" else n for n, k in zip(image.shape, kernel.shape, strict=True)]
            x, k = image[None, :, :, None], kernel[:, :, None, None]
            return tf.nn.conv2d_transpose(x, k, [1, *grown, 1], 1, mode).numpy()[0, :, :, 0]

        return run

    found: Operations = {}
    for mode in ("SAME", "VALID"):
        found["tf.nn.conv2d", mode] = flat(tf.nn.conv2d, mode)
        found["tf.nn.convolution", mode] = flat(tf.nn.convolution, mode)
        found["tf.nn.conv1d", mode] = line(mode)
        found["tf.nn.conv2d_transpose", mode] = transposed(mode)
    return found


def opencv() -> Operations:
    import cv2

    borders = {
        name: getattr(cv2, name)
        for name in ("BORDER_CONSTANT", "BORDER_REPLICATE", "BORDER_REFLECT", "BORDER_REFLECT101", "BORDER_WRAP")
    }
    zero = cv2.BORDER_CONSTANT

    def filtered(border: int, depth: int = -1) -> Operation:
        return lambda image, kernel: cv2.filter2D(image, depth, kernel, borderType=border)

    def flipped(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        anchor = tuple(k - 1 - k // 2 for k in kernel.shape[::-1])
        return cv2.filter2D(image, -1, np.flip(kernel).copy(), anchor=anchor, borderType=zero)

    found: Operations = {("cv2.filter2D", name): filtered(border) for name, border in borders.items()}
    found["cv2.filter2D", "BORDER_REFLECT101 (default)"] = lambda i, k: cv2.filter2D(i, -1, k)
    found["cv2.filter2D", "BORDER_CONSTANT anchor=(0,0)"] = lambda i, k: cv2.filter2D(
        i, -1, k, anchor=(0, 0), borderType=zero
    )
    found["cv2.filter2D", "BORDER_CONSTANT flipped kernel, anchor=k-1-k//2"] = flipped
    found["cv2.filter2D", "BORDER_CONSTANT flipped kernel, default anchor"] = lambda i, k: cv2.filter2D(
        i, -1, np.flip(k).copy(), borderType=zero
    )
    for name, depth in (("-1", -1), ("CV_32F", cv2.CV_32F), ("CV_64F", cv2.CV_64F)):
        found["cv2.filter2D", f"BORDER_CONSTANT ddepth={name}"] = filtered(zero, depth)
    found["cv2.sepFilter2D kernelX", "BORDER_CONSTANT"] = lambda i, k: cv2.sepFilter2D(
        i[None], -1, k, np.ones(1, k.dtype), borderType=zero
    )[0]
    found["cv2.sepFilter2D kernelY", "BORDER_CONSTANT"] = lambda i, k: cv2.sepFilter2D(
        i[:, None], -1, np.ones(1, k.dtype), k, borderType=zero
    )[:, 0]
    return found


def onnxruntime() -> Operations:
    import onnxruntime
    from onnx import TensorProto, helper

    def session(op: str, ndim: int, **options):
        anything = [None] * (ndim + 2)
        make = helper.make_tensor_value_info
        inputs = [make("x", TensorProto.FLOAT, anything), make("w", TensorProto.FLOAT, anything)]
        node = helper.make_node(op, ["x", "w"], ["y"], **options)
        graph = helper.make_graph([node], "g", inputs, [make("y", TensorProto.FLOAT, anything)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(op: str, **options) -> Operation:
        sessions = functools.cache(lambda ndim: session(op, ndim, **options))

        def call(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            feed = {"x": image[None, None], "w": kernel[None, None]}
            return sessions(image.ndim).run(None, feed)[0][0, 0]

        return call

    found = {("Conv", f"auto_pad={pad}"): run("Conv", auto_pad=pad) for pad in ("VALID", "SAME_UPPER", "SAME_LOWER")}
    found["ConvTranspose", "default"] = run("ConvTranspose")
    return found


def openvino() -> Operations:
    import openvino
    from openvino import opset8

    def run(pad: str) -> Operation:
        def call(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
            ones, zeros = [1] * image.ndim, [0] * image.ndim
            x = opset8.parameter((1, 1, *image.shape), image.dtype)
            node = opset8.convolution(x, opset8.constant(kernel[None, None]), ones, zeros, zeros, ones, auto_pad=pad)
            compiled = openvino.compile_model(openvino.Model([node], [x]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            return compiled(image[None, None])[0][0, 0]

        return call

    return {("opset8.convolution", f"auto_pad={pad}"): run(pad) for pad in ("valid", "same_upper", "same_lower")}


def pytensor() -> Operations:
    import pytensor
    import pytensor.tensor as pt
    from pytensor.tensor import signal

    def run(name: str, **options) -> Operation:
        @functools.cache
        def compiled(ndim: int, dtype: np.dtype):
            x, k = (pt.tensor(n, dtype=dtype.name, shape=(None,) * ndim) for n in "xk")
            return pytensor.function([x, k], getattr(signal, name)(x, k, **options))

        return lambda image, kernel: compiled(image.ndim, image.dtype)(image, kernel)

    found = {}
    for mode in ("full", "same", "valid"):
        for name in ("convolve2d", "convolve1d"):
            found[f"signal.{name}", mode] = run(name, mode=mode)
        if mode != "valid":
            for boundary in ("wrap", "symm"):
                found["signal.convolve2d", f"{mode} boundary={boundary}"] = run(
                    "convolve2d", mode=mode, boundary=boundary
                )
    return found


def ducc0() -> Operations:
    import ducc0

    def circular(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = np.zeros(len(image), image.dtype)
        padded[: len(kernel)] = kernel
        found = np.empty_like(image)
        return ducc0.fft.convolve_axis(image, found, 0, padded)

    return {("fft.convolve_axis (kernel zero-padded to n)", "circular"): circular}


def skimage() -> Operations:
    from skimage.filters import correlate_sparse

    return {
        ("filters.correlate_sparse", mode): functools.partial(correlate_sparse, mode=mode)
        for mode in ("constant", "reflect", "mirror", "nearest", "wrap", "valid")
    }


SYSTEMS: dict[str, tuple[str, Callable[[], Operations]]] = {
    "numpy": ("numpy", numpy),
    "scipy": ("scipy", scipy),
    "torch": ("torch", torch),
    "tensorflow": ("tensorflow", tensorflow),
    "opencv": ("cv2", opencv),
    "onnxruntime": ("onnxruntime", onnxruntime),
    "openvino": ("openvino", openvino),
    "pytensor": ("pytensor", pytensor),
    "ducc0": ("ducc0", ducc0),
    "scikit-image": ("skimage", skimage),
    "jax": ("jax", jax),
}
"""The module to import, and what gives the operations. JAX last: once it is loaded, nothing may fork."""


def shapes(ndim: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes of image and kernel that the golden data do not have: equal, n+1, n+2, length 1, crossed."""
    if ndim == 1:
        for n in (1, 2, 5, 6, 11):
            for k in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 25):
                yield (n,), (k,)
        return
    for image in ((5, 6), (6, 5), (1, 4), (4, 1), (1, 1), (10, 3)):
        n, m = image
        for kernel in (
            (1, 1), (2, 1), (1, 2), (3, 3), (2, 3), (4, 3), (3, 4), image, (n + 1, m), (n, m + 1), (n + 1, m + 1),
            (n + 2, m), (n, m + 2), (n + 2, 1), (1, m + 3), (n + 2, m + 1), (n + 3, m + 2), (m, n), (7, 9), (12, 11),
            (13, 10),
        ):  # fmt: skip
            yield image, kernel
