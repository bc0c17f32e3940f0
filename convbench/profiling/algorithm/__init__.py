"""Which algorithm really ran: found from the library's own word, its code, or what it did, never from a table of
guesses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convbench.profiling.algorithm import (
    frameworks,
    graphs,
    impulse,
    machine_code,
    opencv,
    operators,
    threads,
    transforms,
    xla,
)
from convbench.profiling.algorithm.fact import Case, Fact, Look, reason
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

__all__ = ["Fact", "algorithm"]


def algorithm(subject: Subject) -> list[Fact | Missing]:
    """What is known of the algorithm that runs; a part that fails is a Missing with the reason, never an exception."""
    version = Fact("library", f"{subject.backend.library} {subject.backend.version()}", "package metadata")
    try:
        case = Case.of(subject)
    except Exception as error:
        why = f"the plan could not be executed ({reason(error)})"
        return [version, Missing("algorithm", why, f"convbench check {subject.backend.name}")]
    looks = looks_at(subject)
    return [version, *(found for look in looks for found in look(case))]


def looks_at(subject: Subject) -> tuple[Look, ...]:
    """The ways in which a subject can be looked at."""
    own = _LOOKS.get(subject.backend.name, (_NONE,))
    if subject.problem.device == "cpu":
        return (*own, _METHOD, _THREADS, _POOLS)
    on_device = tuple(look for look in own if look in _ON_DEVICE)
    return (*on_device, *(() if _OPERATORS in on_device else (_KERNELS,)), _METHOD)


_FUNCTIONS = {
    "numpy": "numpy.convolve",
    "ndimage": "scipy.ndimage.convolve",
    "ndimage-separable": "scipy.ndimage.convolve1d",
}


def _called(case: Case) -> Iterator[Fact]:
    """The library's function that the plan calls; what runs inside is not seen from here."""
    name, plan = case.subject.backend.name, case.plan
    function = getattr(plan, "function", None)  # scipy.signal's, by problem
    options = ", ".join(f"{key}={given!r}" for key, given in getattr(plan, "options", {}).items())
    called = f"scipy.signal.{function.__name__}({options})".removesuffix("()") if function else _FUNCTIONS[name]
    source = "the call in the plan; what runs inside takes a profiler of native symbols, see the flame graph"
    yield Fact("function called", called, source)


def _passes(case: Case) -> Iterator[Fact]:
    """The rank of a separable kernel: as many row and column passes."""
    plan: Any = case.plan
    terms = getattr(plan, "passes", None) or getattr(plan, "terms", None)
    value = f"rank {len(terms)}: {len(terms)} row and column pass{'es' * (len(terms) > 1)}" if terms else "one pass"
    yield Fact("separable passes", value, "the kernel's singular values, in the plan")


def _unknown(case: Case) -> Iterator[Missing]:
    name = case.subject.backend.name
    yield Missing("algorithm", f"convbench knows no way to look into {name}", "see the flame graph: pip install py-spy")


_METHOD = Look("method", impulse.of_response)
_THREADS = Look(threads.THREADS, threads.of_system)
_POOLS = Look(threads.POOLS, threads.of_pools)
_KERNELS = Look(operators.KERNELS, operators.of_device)
_OPERATORS = Look("torch's operators", operators.of_torch)
_ONEDNN = Look("oneDNN primitives", frameworks.of_onednn)
_MKL = Look("MKL functions", frameworks.of_fft)
_CODE = Look(xla.CODE, frameworks.of_xla)
_PROGRAM = Look(xla.PROGRAM, xla.of_jax)
_TORCH_FFT = Look(transforms.LENGTHS, transforms.of_torch)
_TORCH_TILES = Look(transforms.LENGTHS, transforms.of_torch_tiles)
_FFTW = Look("FFTW's plans", transforms.of_fftw)
_SCIPY_FFT = Look(transforms.LENGTHS, transforms.of_scipy)
_DUCC = Look(transforms.LENGTHS, transforms.of_ducc)
_SIMD = Look(machine_code.WHAT, machine_code.of_numba)
_OPENCV = (Look(opencv.PATH, opencv.of_trace), Look(opencv.BUILD, opencv.of_build))
_PASSES = Look("separable passes", _passes)
_CALLED = Look("function called", _called)
_NONE = Look("algorithm", _unknown)
_TORCH = (_OPERATORS, _ONEDNN)

_LOOKS: dict[str, tuple[Look, ...]] = {
    "numba-direct": (_SIMD,),
    "numba-separable": (_PASSES, _SIMD),
    "pyfftw": (_FFTW,),
    "pyfftw-overlap": (_FFTW,),
    "scipy-direct": (_CALLED,),
    "scipy-fft": (_SCIPY_FFT,),
    "scipy-oa": (_SCIPY_FFT,),
    "ndimage": (_CALLED,),
    "ndimage-separable": (_PASSES, _CALLED),
    "numpy": (_CALLED,),
    "torch": _TORCH,
    "torch-benchmark": _TORCH,
    "torch-tf32": _TORCH,
    "torch-separable": (_PASSES, *_TORCH),
    "torch-fft": (_TORCH_FFT, _OPERATORS, _MKL),
    "torch-overlap": (_TORCH_TILES, _OPERATORS),
    "opencv-filter2d": _OPENCV,
    "opencv-sepfilter2d": (_PASSES, *_OPENCV),
    "tensorflow": (Look(graphs.NODES, graphs.of_tensorflow), _ONEDNN),
    "jax": (_PROGRAM, _CODE),
    "jax-fft": (_PROGRAM,),
    "pytensor": (Look(graphs.NODES, graphs.of_pytensor),),
    "onnxruntime": (Look(graphs.NODES, graphs.of_onnxruntime),),
    "openvino": (Look(graphs.NODES, graphs.of_openvino), _ONEDNN),
    "ducc0-fft": (_DUCC,),
    "theano": (Look(graphs.NODES, graphs.of_theano),),
    "keras-tensorflow": (_ONEDNN,),
    "keras-torch": (_ONEDNN,),
    "keras-jax": (_CODE,),
}
_ON_DEVICE = (_OPERATORS, _PROGRAM, _PASSES, _TORCH_FFT, _TORCH_TILES)
"""What can also be seen where the work is done on a device."""
