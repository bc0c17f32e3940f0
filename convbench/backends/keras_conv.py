"""Keras 3: layers Conv1D and Conv2D, on each of its backends.

Requires keras and the backend's own framework. Keras chooses its backend when it is imported, for the whole process,
so that each runs in a worker of its own. The layers cross-correlate; _remote_keras.py flips, pads and compiles. One
thread: with one image of one channel none of the three is quicker on two.
"""

from __future__ import annotations

import os
from typing import ClassVar

from convbench.backends._remote_plan import RemoteBackend
from convbench.backends.base import distribution_version
from convbench.convention import Convention
from convbench.problem import Problem


class _Keras(RemoteBackend):
    library = "keras"
    module = "keras"
    extra = "keras"
    family = "framework"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")
    dtypes = ("float32", "float64")
    worker_library = "_remote_keras.py"
    framework: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    """Any of these brings the framework."""

    def version(self) -> str | None:
        return distribution_version("keras") if any(map(distribution_version, self.distributions)) else None

    @property
    def remedy(self) -> str:
        return f"pip install 'convbench[keras,{self.framework}]'"

    def unsupported(self, problem: Problem) -> str | None:
        keras = distribution_version("keras")
        if keras and not self.available():
            return f"{self.framework} is not installed, on which Keras is to run: {self.remedy}"
        if keras and int(keras.partition(".")[0]) < 3:
            return f"Keras {keras} has one backend only: pip install 'keras>=3'"
        return super().unsupported(problem)

    def environment(self) -> dict[str, str]:
        return {
            "KERAS_BACKEND": self.framework,
            "CUDA_VISIBLE_DEVICES": "-1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }


class KerasTensorflow(_Keras):
    name = "keras-tensorflow"
    framework = "tensorflow"
    distributions = ("tensorflow", "tensorflow-cpu")

    def environment(self) -> dict[str, str]:
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        return super().environment() | threads | {"TF_CPP_MIN_LOG_LEVEL": "2"}


class KerasTorch(_Keras):
    name = "keras-torch"
    framework = "torch"
    distributions = ("torch",)

    @property
    def remedy(self) -> str:
        return "pip install 'convbench[keras]'"

    def environment(self) -> dict[str, str]:
        return super().environment() | {"KERAS_TORCH_DEVICE": "cpu"}


class KerasJax(_Keras):
    name = "keras-jax"
    framework = "jax"
    distributions = ("jax",)

    def environment(self) -> dict[str, str]:
        flags = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
        return super().environment() | {
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "1",  # float64
            "NPROC": "1",  # threads of XLA's pool
            "XLA_FLAGS": flags.strip(),
        }
