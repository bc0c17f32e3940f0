"""PyTensor: convolve1d and convolve2d of pytensor.tensor.signal, method direct.

Requires pytensor. Both convolve as they are. Mode same is valid with zeros put around the image here: PyTensor's own
turn float32 into float64 in two dimensions, and cannot be compiled for complex images. PyTensor hands the sums to
numpy.convolve and scipy.signal.convolve, so its Python linker does as well as C and Numba, and compiles in 10 ms
instead of seconds; a function serves all shapes of a dtype and mode.
"""

from __future__ import annotations

import functools
from typing import Any

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class PytensorConv(Backend):
    name = "pytensor"
    family = "framework"
    library = "pytensor"
    module = "pytensor"
    extra = "pytensor"
    rounding = "direct"
    convention = Convention(flips=True)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


@functools.cache
def _compiled(ndim: int, dtype: str, mode: str) -> Any:
    """The function of image and kernel, of any shapes."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.tensor.signal import convolve1d, convolve2d

    image, kernel = (pt.tensor(name, dtype=dtype, shape=(None,) * ndim) for name in ("image", "kernel"))
    padded = image
    if mode == "same":
        sizes = list(zip(image.shape, kernel.shape, strict=True))
        inside = tuple(slice(k // 2, k // 2 + n) for n, k in sizes)
        padded = pt.zeros([n + k - 1 for n, k in sizes], dtype)[inside].set(image)
        mode = "valid"
    found = convolve1d(padded, kernel, mode) if ndim == 1 else convolve2d(padded, kernel, mode, method="direct")
    how = pytensor.compile.mode.Mode(linker="py", optimizer="fast_compile")
    return pytensor.function([image, kernel], found, mode=how, trust_input=True)


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        super().__init__(problem)
        self.kernel, self.run = kernel, _compiled(problem.ndim, problem.dtype, problem.mode)

    def execute(self, data: Array) -> Array:
        result: Array = self.run(data, self.kernel)
        return result
