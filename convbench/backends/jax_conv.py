"""JAX: lax.conv_general_dilated, and jax.scipy.signal.fftconvolve, compiled by XLA.

Requires jax; on a device, jax with its CUDA plugin. The first correlates, so its kernel is flipped in the plan; zeros
are put around the image before, and a barrier keeps XLA from padding itself, which is up to four times slower, and
reads outside a float64 image. The second convolves as it is, and transforms the kernel in every call. A geometry is
compiled once, for all kernels, in 0.1 to 0.3 s. JAX's threads are fixed for the process when it starts: a plan starts
it with one, and where it already runs the backends are not available. Products are never rounded to TF32 here
(precision HIGHEST), and 16-bit data are summed in float32.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from convbench.backends._jax import JaxBackend, JaxPlan, compiled
from convbench.backends.base import Plan
from convbench.convention import Convention
from convbench.problem import EVERY_DTYPE, HALF, Array, Problem

_ONE = (1, 1)  # image, channel


class JaxConv(JaxBackend):
    name = "jax"
    family = "framework"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")
    dtypes = EVERY_DTYPE

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return JaxPlan(problem, np.flip(kernel), _convolution(problem), _ONE)


class JaxFft(JaxBackend):
    name = "jax-fft"
    family = "fft"
    rounding = "fft"
    convention = Convention(flips=True)

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return JaxPlan(problem, kernel, _fftconvolve(problem))


@functools.lru_cache(maxsize=32)
def _convolution(problem: Problem) -> Any:
    from jax import lax, numpy

    def correlate(image: Any, kernel: Any) -> Any:
        image = lax.optimization_barrier(numpy.pad(image, [(0, 0), (0, 0), *problem.padding]))
        sums = numpy.float32 if problem.dtype in HALF else None
        found = lax.conv_general_dilated(
            image, kernel, (1,) * problem.ndim, "VALID", precision=lax.Precision.HIGHEST, preferred_element_type=sums
        )
        return found.astype(image.dtype)

    return compiled(correlate, problem, _ONE)


@functools.lru_cache(maxsize=32)
def _fftconvolve(problem: Problem) -> Any:
    from jax.scipy.signal import fftconvolve

    return compiled(functools.partial(fftconvolve, mode=problem.mode), problem)
