"""What really ran, of real libraries."""

from __future__ import annotations

import importlib.util
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fakes
import numpy as np
import pytest

from convbench.backends import get_backend
from convbench.backends.base import Plan
from convbench.problem import Array, Problem
from convbench.profiling.algorithm import Fact, algorithm, fftw, looks_at, opencv, operators, threads
from convbench.profiling.algorithm.fact import Case, Look
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject


def subject(name: str, image: tuple[int, ...] = (96, 96), kernel: tuple[int, ...] = (7, 7), **how: object) -> Subject:
    problem = Problem(image, kernel, **how)
    return Subject(get_backend(name), problem, problem.image(), problem.kernel(separable=len(image) > 1))


def seen(found: Subject) -> dict[str, Fact | Missing]:
    """By what they are about; nothing may be missing."""
    facts = algorithm(found)
    assert not [one for one in facts if isinstance(one, Missing)]
    return {one.what: one for one in facts}


def value(found: Subject, what: str) -> str:
    fact = seen(found)[what]
    assert isinstance(fact, Fact)
    return fact.value


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


# -- oneDNN ------------------------------------------------------------------------------------------------------


def test_torch_float32_runs_a_primitive_of_onednn_and_float64_does_not() -> None:
    import torch

    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch is built without oneDNN")
    single, double = (seen(subject("torch", dtype=dtype)) for dtype in ("float32", "float64"))
    primitives = single["oneDNN primitives"]
    assert primitives.value.startswith("convolution by ")
    assert "f32" in primitives.details[0] and "calls an execution" in primitives.details[0]
    assert "mkldnn_convolution" in single["torch's operators"].value
    assert double["oneDNN primitives"].value.startswith("none")
    assert "slow_conv2d" in double["torch's operators"].value
    if torch.backends.mkl.is_available():
        assert "DGEMM" in double["MKL functions"].value


def test_a_library_in_a_worker_is_watched_there() -> None:
    needs("keras", "torch")
    found = {one.what: one for one in algorithm(subject("keras-torch"))}
    assert "convolution" in found["oneDNN primitives"].value
    assert "worker" in found[threads.THREADS].source
    assert isinstance(found[threads.POOLS], Missing)


# -- transforms --------------------------------------------------------------------------------------------------


def test_fftw_shows_its_plans_of_a_power_of_two() -> None:
    found = seen(subject("pyfftw", (60, 60), (5, 5)))
    assert found["transform lengths"].value.startswith("64 x 64, power of two; forward and backward")
    forward, backward = (fact for what, fact in found.items() if what.startswith("FFTW's plan"))
    for fact in (forward, backward):
        assert float(fact.value.split()[0]) > 0
        assert any(line.startswith(("(rdft2", "(dft")) for line in fact.details)


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize(("name", "image", "kernel"), [
    ("pyfftw", (300,), (9,)), ("pyfftw", (80, 60), (9, 1)), ("pyfftw-overlap", (400, 300), (7, 5)),
    ("pyfftw-overlap", (20000,), (40,)),
])  # fmt: skip
def test_fftw_makes_every_kind_of_plan_again(
    name: str, image: tuple[int, ...], kernel: tuple[int, ...], dtype: str
) -> None:
    found = subject(name, image, kernel, dtype=dtype, threads=2)
    plan = found.plan()
    before = plan(found.image)
    assert any(what.startswith("FFTW's plan") for what in seen(found))
    assert np.array_equal(plan(found.image), before)


def test_operations_are_those_of_the_plan_without_vectors() -> None:
    """A complex transform of length 2 without SIMD: 4 additions."""
    import pyfftw

    data = pyfftw.empty_aligned((2,), "complex64")
    transform = pyfftw.FFTW(data, data.copy(), flags=("FFTW_MEASURE",))
    library = fftw.Library("complex64")
    with library.plan(transform, 1) as plan:
        assert library.operations(plan) == (4.0, 0.0, 0.0)


def test_without_fftw_among_the_loaded_libraries_its_plan_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(stem: str) -> Path:
        raise LookupError(f"pyFFTW has loaded no {stem}")

    monkeypatch.setattr(fftw, "loaded", none)
    (found,) = (one for one in algorithm(subject("pyfftw")) if isinstance(one, Missing))
    assert "libfftw3f" in found.why and found.remedy.startswith("pip install")


def test_lengths_of_scipy_are_those_it_asks_for_in_the_call() -> None:
    whole = seen(subject("scipy-fft"))["transform lengths"]
    assert whole.value.startswith("108 x 108, radix 3-5-7; one FFT of the whole image; rfftn 2 x, irfftn 1 x")
    assert "padded from 102" in whole.details[0]


def test_overlap_add_tells_its_blocks_or_that_it_fell_back() -> None:
    blocks = value(subject("scipy-oa", (1024, 1024), (15, 15)), "transform lengths")
    assert "88 x 88, awkward (prime factor 11); overlap-add, 225 blocks" in blocks
    assert "fell back to one FFT" in value(subject("scipy-oa", (40, 40), (31, 31)), "transform lengths")


def test_an_awkward_length_of_jax_is_called_awkward() -> None:
    needs("jax")
    found = subject("jax-fft", (96, 96), (8, 8))
    if found.backend.unsupported(found.problem):
        pytest.skip("JAX runs on several threads here")
    facts = seen(found)
    assert "103 x 103, awkward (prime factor 103)" in facts["transform lengths"].value
    assert "fft 3" in facts["XLA's program"].value and "Mflop" in facts["XLA's program"].value


@pytest.mark.parametrize("name", ["torch-fft", "ducc0-fft"])
def test_lengths_of_convbenchs_own_transforms(name: str) -> None:
    needs("ducc0" if name == "ducc0-fft" else "torch")
    found = {one.what: one for one in algorithm(subject(name))}["transform lengths"]
    assert isinstance(found, Fact) and "padded from 99" in found.details[0]
    assert "no transform" in value(subject(name, kernel=(1, 1)), "transform lengths")


# -- direct or transform -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), [
    ("scipy-direct", "direct sum"), ("ndimage-separable", "direct sum"), ("numba-direct", "direct sum"),
    ("scipy-fft", "transform"), ("pyfftw-overlap", "transform"),
])  # fmt: skip
@pytest.mark.parametrize("mode", ["same", "full", "valid"])
def test_the_response_to_one_sample_tells_direct_from_transform(name: str, expected: str, mode: str) -> None:
    assert value(subject(name, mode=mode), "method").startswith(expected)


def test_a_kernel_that_reaches_everywhere_tells_nothing() -> None:
    found = {one.what: one for one in algorithm(subject("scipy-direct", (5, 5), (11, 11)))}["method"]
    assert isinstance(found, Missing) and "reaches every sample" in found.why


# -- libraries ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "dtype", "expected"), [
    (3, "float32", "direct sum"), (13, "float32", "DFT"), (9, "float64", "DFT"),
])  # fmt: skip
def test_opencv_tells_direct_from_dft(k: int, dtype: str, expected: str) -> None:
    needs("cv2")
    found = seen(subject("opencv-filter2d", (128, 128), (k, k), dtype=dtype))
    assert found[opencv.PATH].value.startswith(expected)
    assert found["method"].value.startswith("direct" if expected == "direct sum" else "transform")


def test_opencv_without_a_trace_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("cv2")
    monkeypatch.setattr(opencv, "_VARIABLES", {})
    found = {one.what: one for one in algorithm(subject("opencv-sepfilter2d"))}[opencv.PATH]
    assert isinstance(found, Missing) and "wrote no trace" in found.why


@pytest.mark.parametrize("name", ["numba-direct", "numba-separable"])
def test_numba_uses_vectors_of_the_width_that_it_was_compiled_for(name: str) -> None:
    from convbench.backends._numba_tile import VECTOR

    assert value(subject(name, dtype="float64"), "SIMD width").startswith(f"{8 * VECTOR}-bit fused multiply-add, ")


def test_rank_of_a_separable_kernel() -> None:
    found = subject("numba-separable", kernel=(31, 31))
    assert value(found, "separable passes").startswith("rank 1")
    kernel = np.zeros((31, 31), "float32")
    kernel[0, 0], kernel[30, 3] = 1, 2
    assert value(Subject(found.backend, found.problem, found.image, kernel), "separable passes").startswith("rank 2")
    assert value(subject("numba-separable", kernel=(1, 7)), "separable passes") == "one pass"


@pytest.mark.parametrize(("name", "module", "expected"), [
    ("onnxruntime", "onnxruntime", "Conv"), ("openvino", "openvino", "Convolution by "),
    ("pytensor", "pytensor", "Convolve2d"), ("tensorflow", "tensorflow", "Conv2D"),
])  # fmt: skip
def test_nodes_of_a_graph(name: str, module: str, expected: str) -> None:
    needs(module)
    case = Case.of(subject(name))
    look = next(look for look in looks_at(case.subject) if look.what == "nodes that ran")
    (fact,) = look(case)
    assert isinstance(fact, Fact) and expected in fact.value


def test_xla_writes_loops_for_float64_and_calls_its_library_for_float32() -> None:
    needs("jax")
    found = [subject("jax", dtype=dtype) for dtype in ("float32", "float64")]
    if found[0].backend.unsupported(found[0].problem):
        pytest.skip("JAX runs on several threads here")
    single, double = (value(one, "XLA's convolution") for one in found)
    assert "Eigen" in single and "loops that XLA wrote" in double


def test_functions_of_libraries_that_tell_nothing_else() -> None:
    assert value(subject("scipy-direct"), "function called") == "scipy.signal.convolve2d"
    assert value(subject("scipy-direct", (99,), (7,)), "function called") == "scipy.signal.convolve(method='direct')"
    assert value(subject("ndimage"), "function called") == "scipy.ndimage.convolve"
    assert value(subject("numpy", (99,), (7,)), "function called") == "numpy.convolve"


def test_kernels_of_a_device_take_a_torch_built_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    (found,) = operators.of_device(Case.of(subject("scipy-direct")))
    assert isinstance(found, Missing) and "CUDA" in found.remedy


# -- threads -----------------------------------------------------------------------------------------------------


def _burn() -> None:
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end:
        sum(range(1000))


class _Two(Plan):
    """Keeps two threads busy for a while; they are there before and after."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.pool = ThreadPoolExecutor(2)

    def execute(self, data: Array) -> Array:
        list(self.pool.map(lambda _: _burn(), range(2)))
        return data


def test_threads_that_worked_are_counted() -> None:
    found = subject("scipy-direct")
    (fact,) = threads.of_system(Case(found, _Two(found.problem), found.image, 1.0))
    assert int(fact.value.split()[0]) >= 2
    assert len(fact.details) == int(fact.value.split()[0])


def test_without_proc_psutil_tells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(threads, "_PROC", tmp_path)
    _burn()
    found = threads.processor_seconds(os.getpid())
    assert max(one.seconds for one in found.values()) > 0.1


# -- what fails --------------------------------------------------------------------------------------------------


def test_a_library_that_fails_is_missing_and_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(case: Case) -> list[Fact]:
        raise OSError("the library\nis broken")

    monkeypatch.setattr("convbench.profiling.algorithm._LOOKS", {"numba-direct": (Look("its heart", fails),)})
    found = algorithm(subject("numba-direct"))
    assert Missing("its heart", "OSError: the library is broken") in found
    assert any(isinstance(one, Fact) and one.what == "method" for one in found)


def test_a_plan_that_fails_is_missing() -> None:
    class Broken(fakes.Right):
        name = "broken"

        def make_plan(self, problem: Problem, kernel: Array) -> Plan:
            raise MemoryError("no room")

    problem = Problem((8, 8), (3, 3))
    found = algorithm(Subject(Broken(), problem, problem.image(), problem.kernel()))
    assert [one.what for one in found] == ["library", "algorithm"]
    assert isinstance(found[1], Missing) and "MemoryError: no room" in found[1].why


def test_a_backend_of_another_package_is_looked_at_from_outside() -> None:
    problem = Problem((32, 32), (3, 3))
    found = {one.what: one for one in algorithm(Subject(fakes.Right(), problem, problem.image(), problem.kernel()))}
    assert isinstance(found["algorithm"], Missing)
    assert isinstance(found["method"], Fact) and found["method"].value.startswith("direct sum")


def test_every_backend_can_be_looked_at() -> None:
    from convbench.backends import list_backends
    from convbench.profiling.algorithm import _LOOKS

    named = {backend.name for backend in list_backends()}
    assert named >= set(_LOOKS)
    on_cpu = {backend.name for backend in list_backends() if "cpu" in backend.devices and "right" not in backend.name}
    assert on_cpu <= set(_LOOKS)
