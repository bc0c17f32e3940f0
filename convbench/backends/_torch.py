"""What the torch backends share: devices, threads, and the way of an array to torch and back."""

from __future__ import annotations

import contextlib
import importlib.metadata
from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.problem import Array, Problem


class TorchBackend(Backend):
    """A backend on torch, for the host and for CUDA devices."""

    library = "torch"
    module = "torch"
    devices = ("cpu", "cuda")
    threaded = True

    def limits(self, problem: Problem) -> str | None:
        """Whether the device is there; CUDA is not initialised to find out, as that would spoil later forks."""
        kind, _, number = problem.device.partition(":")
        if kind == "cpu":
            return None
        if "+cpu" in importlib.metadata.version("torch"):
            return f"no {problem.device}: the installed torch is built without CUDA"
        import torch

        count = torch.cuda.device_count() if torch.version.cuda else 0
        if int(number) >= count:
            return f"no {problem.device}: torch finds {count} CUDA devices here"
        return None


class TorchPlan(Plan):
    """load and store are views on the host; on a CUDA device they are the transfers."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        import torch

        self.torch = torch
        self.device = torch.device(problem.device)
        self.dtype = getattr(torch, problem.dtype)
        self.on_host = self.device.type == "cpu"

    def tensor(self, array: Array) -> Any:
        # torch takes neither negative strides nor read-only memory
        if not array.flags.writeable or any(stride < 0 for stride in array.strides):
            array = np.array(array)
        return self.torch.from_numpy(array).to(self.device)

    def load(self, image: Array) -> Any:
        return self.tensor(image)

    def execute(self, data: Any) -> Any:
        torch, threads = self.torch, self.problem.threads
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        with torch.inference_mode(), self._full_precision():
            result = self.compute(data)
        if not self.on_host:
            torch.cuda.synchronize(self.device)
        return result

    def compute(self, data: Any) -> Any:
        """The convolution of a tensor of the image's shape."""
        raise NotImplementedError

    def store(self, result: Any) -> Array:
        return result.cpu().numpy()

    def _full_precision(self) -> contextlib.AbstractContextManager[Any]:
        """cuDNN may not round float32 to TF32: the error bound is float32's."""
        if self.on_host:
            return contextlib.nullcontext()
        return self.torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
