"""What the CuPy backends share: which build is installed, devices, and arrays on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan, distribution_version
from convbench.cuda.facts import why_not
from convbench.cuda.stream import CupyStream
from convbench.problem import Array, Problem

_BUILDS = ("cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x", "cupy")


class CupyBackend(Backend):
    library = "cupy"
    module = "cupy"
    extra = "cuda"
    devices = ("cuda",)

    def version(self) -> str | None:
        return next(filter(None, map(distribution_version, _BUILDS)), None)

    def limits(self, problem: Problem) -> str | None:
        return why_not(problem.device, "cupy", _built_for())


class CupyPlan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        import cupy

        super().__init__(problem)
        self.cupy = cupy
        cupy.cuda.Device(problem.device_index).use()
        self.stream = CupyStream(problem.device_index)
        self.kernel = self.load(kernel)

    def load(self, image: Array) -> Any:
        return self.cupy.asarray(np.ascontiguousarray(image))

    def store(self, result: Any) -> Array:
        array: Array = self.cupy.asnumpy(result)
        return array


def _built_for() -> str:
    """The CUDA version in the name of the build."""
    name = next((build for build in _BUILDS if distribution_version(build)), "cupy")
    return name.partition("cuda")[2] or "?"
