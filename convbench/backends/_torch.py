"""What the torch backends share: devices, threads, and tensors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.cuda.facts import devices, why_none, why_not
from convbench.cuda.stream import TorchStream
from convbench.problem import Array, Problem


class TorchBackend(Backend):
    """CUDA is only asked for, never initialised, until a plan is made."""

    library = "torch"
    module = "torch"
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    threaded = True

    def limits(self, problem: Problem) -> str | None:
        if problem.device == "cpu":
            return None
        import torch

        if torch.version.cuda is None:
            return f"torch {torch.__version__} is built without CUDA: install a CUDA build of torch, or use device cpu"
        if not torch.cuda.device_count():
            return why_none("torch", torch.version.cuda)
        return why_not(problem.device, "torch", torch.version.cuda) if devices() else None


class TorchPlan(Plan):
    """Moves images to the device and results back; subclasses convolve tensors of shape (1, 1, *image_shape).

    benchmark: whether cuDNN tries its algorithms and keeps the quickest; tf32: whether it rounds factors to 11 bits.
    What torch has chosen for a geometry it keeps, whether by rules or by trying: the key knows of determinism and TF32
    only (ATen, Conv_v8.cpp). So that the two do not hand each other their choice, those that try ask for deterministic
    algorithms, which the gate asks for anyway.
    """

    benchmark: ClassVar[bool] = False
    tf32: ClassVar[bool] = False

    def __init__(self, problem: Problem) -> None:
        import torch

        super().__init__(problem)
        self.torch = torch
        self.on_cuda = problem.device != "cpu"
        if self.on_cuda:
            self.stream = TorchStream(problem.device_index)

    def tensor(self, array: Array) -> Any:
        plain = array.flags.carray and min(array.strides) > 0  # torch takes no negative ones, and warns of read-only
        array = array if plain else array.copy()
        if array.dtype.name == "bfloat16":
            found = self.torch.from_numpy(array.view(np.int16)).view(self.torch.bfloat16)
        else:
            found = self.torch.from_numpy(array)
        return found.to(self.problem.device)[None, None]

    def load(self, image: Array) -> Any:
        return self.tensor(image)

    def execute(self, data: Any) -> Any:
        torch = self.torch
        if self.on_cuda:
            cudnn = torch.backends.cudnn
            # asked first: to set them takes longer
            if cudnn.benchmark != self.benchmark or cudnn.allow_tf32 != self.tf32:
                cudnn.benchmark = cudnn.deterministic = self.benchmark
                cudnn.allow_tf32 = self.tf32
        elif torch.get_num_threads() != self.problem.threads:
            torch.set_num_threads(self.problem.threads)
        with torch.inference_mode():
            return self.convolve(data)

    def convolve(self, data: Any) -> Any:
        """The convolution, on the device, shape (1, 1, *output_shape)."""
        raise NotImplementedError

    def store(self, result: Any) -> Array:
        found = result[0, 0].cpu()
        if self.problem.dtype == "bfloat16":
            return found.view(self.torch.int16).numpy().view("bfloat16")  # type: ignore[no-any-return]
        return found.numpy()  # type: ignore[no-any-return]
