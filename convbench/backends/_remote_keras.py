"""Keras 3 in a worker, on the backend that KERAS_BACKEND names: layers Conv1D and Conv2D, one image, one channel.

Requires Keras 3 and that backend. The layers cross-correlate, so the kernel is flipped in the plan. Padding "same" is
convbench's for odd kernels; otherwise zeros are put around the image first, as part of what is timed. Compiled in the
plan, once for all kernels of a shape: to a tf.function, by jax.jit; torch runs the layer as it is, in inference mode.
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Callable
from typing import Any

Call = Callable[[Any], Any]


def versions() -> dict[str, str]:
    return {name: importlib.import_module(name).__version__ for name in ("numpy", "keras", _framework())}


def plan(task: Any, kernel: Any) -> tuple[Call, Call, Call]:
    import numpy

    taps = numpy.ascontiguousarray(numpy.flip(kernel))[..., None, None]
    load, run, layout = _COMPILERS[_framework()](json.dumps(task, sort_keys=True), taps)
    shape, output_shape = layout.shape(task["image_shape"]), task["output_shape"]
    return (
        lambda image: load(image.reshape(shape)),
        run,
        lambda result: numpy.asarray(result).reshape(output_shape),
    )


class _Layout:
    """A layer for one task, which knows where its channel goes: wherever this is quicker, where there is a choice."""

    def __init__(self, task: Any) -> None:
        import keras  # type: ignore

        self.first = (_framework(), task["dtype"]) in _CHANNEL_FIRST
        # Where XLA pads float64 itself it reads outside the image, and may crash.
        self.apart = (_framework(), task["dtype"]) == ("jax", "float64")
        same = task["mode"] == "same" and all(b == a for b, a in task["padding"]) and not self.apart
        self.zeros = [] if same or task["mode"] == "valid" else self.shape(task["padding"], [0, 0])
        self.pad = keras.ops.pad
        self.layer = getattr(keras.layers, f"Conv{len(task['kernel_shape'])}D")(
            1,
            tuple(task["kernel_shape"]),
            padding="same" if same else "valid",
            use_bias=False,
            kernel_initializer="zeros",  # random ones take longer, in XLA above all
            data_format="channels_first" if self.first else "channels_last",
            dtype=task["dtype"],
        )
        self.layer.build(self.shape([None for _ in task["image_shape"]]))

    def shape(self, axes: Any, other: Any = 1) -> tuple[Any, ...]:
        """What is given for the image's axes, with *other* for those of batch and channel."""
        return (other, other, *axes) if self.first else (other, *axes, other)

    def padded(self, image: Any) -> Any:
        if not self.zeros:
            return image
        padded = self.pad(image, self.zeros)
        return importlib.import_module("jax.lax").optimization_barrier(padded) if self.apart else padded

    def stateless(self, taps: Any, image: Any) -> Any:
        return self.layer.stateless_call([taps], [], self.padded(image))[0]


@functools.lru_cache(maxsize=32)
def _graph(signature: str) -> tuple[Any, _Layout]:
    import tensorflow  # type: ignore

    task = json.loads(signature)
    layout = _Layout(task)
    shapes = ([*task["kernel_shape"], 1, 1], layout.shape(task["image_shape"]))
    specs = [tensorflow.TensorSpec(shape, task["dtype"]) for shape in shapes]
    return tensorflow.function(layout.stateless).get_concrete_function(*specs), layout


def _tensorflow(signature: str, taps: Any) -> tuple[Call, Call, _Layout]:
    import tensorflow  # type: ignore

    function, layout = _graph(signature)
    kernel = tensorflow.constant(taps)
    return tensorflow.constant, lambda data: function(kernel, data), layout


@functools.lru_cache(maxsize=32)
def _compiled(signature: str) -> tuple[Any, _Layout]:
    import jax  # type: ignore

    task = json.loads(signature)
    layout = _Layout(task)
    shapes = ((*task["kernel_shape"], 1, 1), layout.shape(task["image_shape"]))
    specs = [jax.ShapeDtypeStruct(shape, task["dtype"]) for shape in shapes]  # type: ignore[no-untyped-call]
    return jax.jit(layout.stateless).lower(*specs).compile(), layout


def _jax(signature: str, taps: Any) -> tuple[Call, Call, _Layout]:
    import jax.numpy  # type: ignore

    function, layout = _compiled(signature)
    kernel = jax.numpy.asarray(taps)
    return jax.numpy.asarray, lambda data: function(kernel, data).block_until_ready(), layout


def _torch(signature: str, taps: Any) -> tuple[Call, Call, _Layout]:
    import torch  # type: ignore

    layout = _Layout(json.loads(signature))
    layout.layer.set_weights([taps])

    def run(data: Any) -> Any:
        with torch.inference_mode():
            return layout.layer(layout.padded(data))

    return torch.from_numpy, run, layout


_COMPILERS: dict[str, Callable[..., Any]] = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
# TensorFlow's convolution in float64 takes the channel last only, and float32 does not care.
_CHANNEL_FIRST = (("jax", "float32"), ("jax", "float64"), ("torch", "float64"))


def _framework() -> str:
    import keras  # type: ignore

    return str(keras.backend.backend())
