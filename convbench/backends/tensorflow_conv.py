"""TensorFlow: tf.nn.conv1d and tf.nn.conv2d, compiled as a tf.function.

Requires tensorflow. The operations correlate, so the kernel is flipped in the plan; zeros are put around the image
first, for their own SAME padding is another mode with even kernels. float32 runs as a graph (oneDNN; XLA takes two to
ten times as long), float64 is compiled by XLA (the graph takes two to forty times as long), without the zeros: where
XLA 2.21 pads it reads outside the image, and may crash. A geometry is traced and compiled once, for all kernels, in
0.03 to 0.1 s. TensorFlow's threads are fixed for the process when it starts: a plan starts it with one, and where it
already runs with more the backend is not available.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from convbench.backends import _tensorflow
from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class TensorflowConv(Backend):
    name = "tensorflow"
    family = "framework"
    library = "tensorflow"
    module = "tensorflow"
    extra = "tensorflow"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")
    dtypes = ("float32", "float64")

    def limits(self, problem: Problem) -> str | None:
        if _tensorflow.one_thread():
            return None
        return (
            "TensorFlow already runs in this process on more than one thread: use a process of its own, or start "
            f"Python with {' '.join(f'{variable}=1' for variable in _tensorflow.VARIABLES.values())}"
        )

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _ConvPlan(problem, kernel)


@functools.lru_cache(maxsize=32)
def _compiled(problem: Problem) -> Any:
    """The function of image (1, *image_shape, 1) and kernel (*kernel_shape, 1, 1)."""
    tf = _tensorflow.start()
    operation = tf.nn.conv1d if problem.ndim == 1 else tf.nn.conv2d
    zeros = [(0, 0), *problem.padding, (0, 0)]

    def valid(image: Any, kernel: Any) -> Any:
        return operation(image, kernel, 1, "VALID")

    inner = tf.function(valid, autograph=False, jit_compile=True) if problem.dtype == "float64" else valid

    def padded(image: Any, kernel: Any) -> Any:
        return inner(tf.pad(image, zeros), kernel)

    shapes = ((1, *problem.image_shape, 1), (*problem.kernel_shape, 1, 1))
    with tf.device("CPU"):
        given = [tf.zeros(shape, problem.dtype) for shape in shapes]
        run = tf.function(padded, autograph=False).get_concrete_function(*given)
        run(*given)  # XLA compiles in the first call
    return run


class _ConvPlan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.tf, self.run = _tensorflow.start(), _compiled(problem)
        with self.tf.device("CPU"):
            self.kernel = self.tf.constant(np.flip(kernel)[..., None, None])

    def load(self, image: Array) -> Any:
        with self.tf.device("CPU"):
            return self.tf.constant(image[None, ..., None])

    def execute(self, data: Any) -> Any:
        with self.tf.device("CPU"):
            return self.run(data, self.kernel)

    def store(self, result: Any) -> Array:
        return np.asarray(memoryview(result))[0, ..., 0]
