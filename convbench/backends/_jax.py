"""What the JAX backends share: devices, its start on one thread, 64-bit types only while they are needed, and the
plan."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan, distribution_version
from convbench.cuda.facts import why_not
from convbench.cuda.stream import FLUSHED, LARGEST_CACHE, HostStream
from convbench.problem import Array, Problem

_PLUGINS = {"jax-cuda13-plugin": "13", "jax-cuda12-plugin": "12"}


class JaxBackend(Backend):
    library = "jax"
    module = "jax"
    extra = "jax"
    devices = ("cpu", "cuda")

    def limits(self, problem: Problem) -> str | None:
        if problem.device != "cpu":
            return _no_device(problem)
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


def _no_device(problem: Problem) -> str | None:
    """Why JAX cannot use this device; nothing of CUDA is initialised."""
    built = next((version for name, version in _PLUGINS.items() if distribution_version(name)), None)
    if built is None:
        return "JAX is installed without CUDA here: pip install 'jax[cuda13]' (or cuda12, for an older driver)"
    return why_not(problem.device, "jax", built)


def _device(problem: Problem) -> Any:
    if problem.device == "cpu":
        return _cpu()
    import jax

    return jax.devices("cuda")[problem.device_index]


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
    given = [_put(np.zeros((*ahead, *shape), problem.dtype), problem) for shape in shapes]
    with jax.enable_x64(True):
        return jax.jit(function).lower(*given).compile()


def _put(array: Array, problem: Problem) -> Any:
    import jax

    with jax.enable_x64(True):
        return jax.device_put(array, _device(problem))


class JaxPlan(Plan):
    """JAX runs ahead of the host everywhere: on the CPU a call is waited for; on a device the stream waits."""

    def __init__(self, problem: Problem, kernel: Array, run: Any, ahead: tuple[int, ...] = ()) -> None:
        super().__init__(problem)
        self.ahead, self.run = ahead, run
        self.kernel = self.load(kernel)
        self.latest = self.kernel
        if problem.device != "cpu":
            overwrite = functools.partial(_overwrite, _device(problem), FLUSHED * LARGEST_CACHE)
            self.stream = HostStream(problem.device_index, self._wait, overwrite, self._memory)

    def load(self, image: Array) -> Any:
        return _put(image.reshape(*self.ahead, *image.shape), self.problem).block_until_ready()

    def execute(self, data: Any) -> Any:
        self.latest = self.run(data, self.kernel)
        return self.latest if self.stream else self.latest.block_until_ready()

    def store(self, result: Any) -> Array:
        return np.asarray(result).reshape(self.problem.output_shape)

    def _wait(self) -> None:
        self.latest.block_until_ready()

    def _memory(self) -> int | None:
        """What XLA sets aside for a call: image, kernel, result and all between them."""
        known = self.run.memory_analysis()
        sizes = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        return sum(int(getattr(known, size)) for size in sizes) if known else None


def _overwrite(device: Any, size: int) -> None:
    """Change all of a buffer of this size on the device, and wait for it; JAX does not say how large a cache is."""
    add_one, buffers = _buffer(device, size)
    buffers.append(add_one(buffers.pop()).block_until_ready())


@functools.cache
def _buffer(device: Any, size: int) -> tuple[Any, list[Any]]:
    """What adds one to a buffer in place, and a list of the buffer."""
    import jax

    with jax.default_device(device):
        return jax.jit(lambda buffer: buffer + 1, donate_argnums=0), [jax.numpy.zeros(size, "uint8")]
