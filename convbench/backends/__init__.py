"""The registry: built-in backends in a fixed order, then those of other packages by entry point.

Another package adds a backend without touching this one:
    [project.entry-points."convbench.backends"]
    my-backend = "my_package.my_module:MyBackend"
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import warnings

from convbench.backends.base import FAMILIES, Backend, Family, Plan
from convbench.errors import one_of

__all__ = ["FAMILIES", "Backend", "Family", "Plan", "get_backend", "list_backends"]

ENTRY_POINT_GROUP = "convbench.backends"

# The order is fixed and never depends on what is installed: results are compared across machines.
BUILT_IN = (
    "numba_direct:NumbaDirect",
    "numba_separable:NumbaSeparable",
    "pyfftw_whole:PyfftwWhole",
    "pyfftw_overlap:PyfftwOverlap",
    "scipy_signal:ScipyDirect",
    "scipy_signal:ScipyFft",
    "scipy_signal:ScipyOa",
    "scipy_ndimage:Ndimage",
    "scipy_ndimage:NdimageSeparable",
    "numpy_convolve:NumpyConvolve",
    "torch_conv:TorchConv",
    "torch_conv:TorchSeparable",
    "torch_fft:TorchFft",
    "opencv:OpencvFilter2d",
    "opencv:OpencvSepFilter2d",
    "tensorflow_conv:TensorflowConv",
    "jax_conv:JaxConv",
    "jax_conv:JaxFft",
    "pytensor_conv:PytensorConv",
    "onnxruntime_conv:OnnxruntimeConv",
    "openvino_conv:OpenvinoConv",
    "ducc0_fft:Ducc0Fft",
    "theano_conv:Theano",
    "keras_conv:KerasTensorflow",
    "keras_conv:KerasTorch",
    "keras_conv:KerasJax",
    "torch_conv:TorchBenchmark",
    "torch_conv:TorchTf32",
    "torch_overlap:TorchOverlap",
    "cupy_conv:CupyDirect",
    "cupy_conv:CupyFft",
    "cupy_conv:CupyOa",
    "cupy_conv:CupyNdimage",
    "numba_cuda:NumbaCudaDirect",
    "numba_cuda:NumbaCudaSeparable",
)


@functools.cache
def _registry() -> dict[str, Backend]:
    found: dict[str, Backend] = {}
    for entry in BUILT_IN:
        module, _, name = entry.partition(":")
        backend: Backend = getattr(importlib.import_module(f"convbench.backends.{module}"), name)()
        found[backend.name] = backend
    for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        try:
            made = point.load()()
            if not isinstance(made, Backend):
                raise TypeError(f"{point.value} is not a subclass of convbench.backends.Backend")
            if made.name in found:
                raise ValueError(f"the name {made.name!r} is taken")
        except Exception as error:  # another package's fault must not take this one down
            warnings.warn(f"backend {point.name!r} ({point.value}) left out: {error}", stacklevel=2)
            continue
        found[made.name] = made
    return found


def list_backends() -> list[Backend]:
    """All backends, installed or not, always in the same order."""
    return list(_registry().values())


def get_backend(name: str) -> Backend:
    """The backend of that name; raises ArgumentError that lists the names there are."""
    try:
        return _registry()[name]
    except (KeyError, TypeError):
        raise one_of("backend", name, _registry(), "convbench list") from None
