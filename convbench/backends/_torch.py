"""What the torch backends share: devices, threads, and tensors."""

from __future__ import annotations

from typing import Any

from convbench.backends.base import Backend, Plan
from convbench.problem import Array, Problem


class TorchBackend(Backend):
    """CUDA is only asked for, never initialised, until a plan is made."""

    library = "torch"
    module = "torch"
    devices = ("cpu", "cuda")
    threaded = True

    def limits(self, problem: Problem) -> str | None:
        if problem.device == "cpu":
            return None
        import torch

        if torch.version.cuda is None:
            return f"torch {torch.__version__} is built without CUDA: install a CUDA build of torch, or use device cpu"
        found, wanted = torch.cuda.device_count(), int(problem.device.partition(":")[2])
        if wanted >= found:
            return f"torch finds {found} CUDA devices, so there is no {problem.device}; see `convbench machine`"
        return None


class TorchPlan(Plan):
    """Moves images to the device and results back; subclasses convolve tensors of shape (1, 1, *image_shape)."""

    def __init__(self, problem: Problem) -> None:
        import torch

        super().__init__(problem)
        self.torch = torch
        self.on_cuda = problem.device != "cpu"

    def tensor(self, array: Array) -> Any:
        plain = array.flags.carray and min(array.strides) > 0  # torch takes no negative ones, and warns of read-only
        return self.torch.from_numpy(array if plain else array.copy()).to(self.problem.device)[None, None]

    def load(self, image: Array) -> Any:
        return self.tensor(image)

    def execute(self, data: Any) -> Any:
        torch = self.torch
        if torch.get_num_threads() != self.problem.threads:
            torch.set_num_threads(self.problem.threads)
        with torch.inference_mode():
            if not self.on_cuda:
                return self.convolve(data)
            with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
                found = self.convolve(data)
            torch.cuda.synchronize(found.device)
            return found

    def convolve(self, data: Any) -> Any:
        """The convolution, on the device, shape (1, 1, *output_shape)."""
        raise NotImplementedError

    def store(self, result: Any) -> Array:
        array: Array = result[0, 0].cpu().numpy()
        return array
