"""What the JAX backends share: its start on one thread, 64-bit types only while they are needed, and the plan."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.problem import Array, Problem


class JaxBackend(Backend):
    library = "jax"
    module = "jax"
    extra = "jax"

    def limits(self, problem: Problem) -> str | None:
        if "jax" not in sys.modules or _cpu.cache_info().currsize or os.environ.get("NPROC") == "1":
            return None
        config = sys.modules["jax"].config
        before = config.jax_num_cpu_devices
        try:
            config.update("jax_num_cpu_devices", before + 2)  # refused once JAX runs
        except RuntimeError:
            return (
                "JAX already runs in this process, on all its cores: use a process of its own, or start Python with "
                "NPROC=1 in the environment"
            )
        config.update("jax_num_cpu_devices", before)
        return None


@functools.cache
def _cpu() -> Any:
    """JAX's CPU, on one thread: NPROC says so when it starts; --xla_cpu_multi_thread_eigen=false leaves two at work."""
    import jax

    before = os.environ.get("NPROC")
    os.environ["NPROC"] = "1"
    try:
        return jax.devices("cpu")[0]
    finally:
        if before is None:
            del os.environ["NPROC"]
        else:
            os.environ["NPROC"] = before


def compiled(function: Callable[[Any, Any], Any], problem: Problem, ahead: tuple[int, ...] = ()) -> Any:
    """The function of image and kernel, each with further axes of these lengths ahead."""
    import jax

    shapes = (problem.image_shape, problem.kernel_shape)
    given = [_on_cpu(np.zeros((*ahead, *shape), problem.dtype)) for shape in shapes]
    with jax.enable_x64(True):
        return jax.jit(function).lower(*given).compile()


def _on_cpu(array: Array) -> Any:
    import jax

    with jax.enable_x64(True):
        return jax.device_put(array, _cpu())


class JaxPlan(Plan):
    def __init__(self, problem: Problem, kernel: Array, run: Any, ahead: tuple[int, ...] = ()) -> None:
        super().__init__(problem)
        self.ahead, self.run = ahead, run
        self.kernel = self.load(kernel)

    def load(self, image: Array) -> Any:
        return _on_cpu(image.reshape(*self.ahead, *image.shape))

    def execute(self, data: Any) -> Any:
        return self.run(data, self.kernel).block_until_ready()

    def store(self, result: Any) -> Array:
        return np.asarray(result).reshape(self.problem.output_shape)
