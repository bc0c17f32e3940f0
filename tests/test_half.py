"""16-bit data and TF32: the gate holds them against bounds of their own."""

from __future__ import annotations

import numpy as np
import pytest

from convbench import bounds
from convbench.backends import get_backend
from convbench.backends.base import Backend, Plan
from convbench.gate import check
from convbench.judge import Judge
from convbench.problem import HALF, Problem, unit_roundoff, widened


class Summed(Backend):
    """Sums in *sums*, from factors rounded to *bits* bits."""

    name, family, library, module, rounding, ndims = "summed", "direct", "numpy", "numpy", "direct", (2,)
    dtypes = ("float32", "float16", "bfloat16")

    def __init__(self, sums: str = "float32", bits: int = 24, precision: str = "full") -> None:
        self.sums, self.bits, self.precision = sums, bits, precision  # type: ignore[misc, assignment]

    def make_plan(self, problem, kernel):
        return _Summed(problem, kernel, self)


class _Summed(Plan):
    def __init__(self, problem, kernel, backend) -> None:
        super().__init__(problem)
        self.kernel, self.backend = kernel, backend

    def execute(self, data):
        dtype = np.dtype(self.backend.sums)
        image, kernel = (rounded(widened(a), self.backend.bits).astype(dtype) for a in (data, self.kernel))
        out = np.zeros(self.problem.full_shape, dtype)
        for at in np.ndindex(kernel.shape):
            place = tuple(slice(i, i + n) for i, n in zip(at, image.shape, strict=True))
            out[place] = out[place] + kernel[at] * image
        return out[self.problem.output_slices].astype(self.problem.dtype)


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(np.float32)


def verdict_of(backend: Backend, dtype: str, k: int = 9):
    problem = Problem((64, 70), (k, k), dtype)
    kernel = problem.kernel()
    return Judge(problem, kernel, problem.image()).judge(backend.plan(problem, kernel), backend)


@pytest.mark.parametrize("dtype", HALF)
def test_sums_in_float32_pass_and_sums_in_16_bits_do_not(dtype: str) -> None:
    good, bad = verdict_of(Summed(), dtype), verdict_of(Summed(sums=dtype), dtype)
    assert good.ok, str(good)
    assert good.worst > 0.02
    assert bad.failures, f"error / bound {bad.worst}"
    assert check(Summed(), dtypes=dtype).ok


def test_tf32_passes_by_its_own_bound_alone() -> None:
    assert verdict_of(Summed(bits=11, precision="tf32"), "float32").ok
    assert verdict_of(Summed(bits=11), "float32").failures
    coarser = verdict_of(Summed(bits=7, precision="tf32"), "float32")
    assert coarser.failures, f"error / bound {coarser.worst}"


@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.parametrize("dtype", HALF)
def test_backends_that_take_16_bits(name: str, dtype: str) -> None:
    backend = get_backend(name)
    if not backend.available():
        pytest.skip(backend.remedy)
    found = check(backend, dtypes=dtype)
    assert found.ok, str(found)
    large = verdict_of(backend, dtype, k=21)
    assert large.ok, str(large)


def test_unit_roundoffs() -> None:
    assert [Problem((3, 3), (1, 1), d).unit_roundoff for d in ("float32", "float16", "bfloat16", "complex64")] == [
        *(2.0**-24, 2.0**-11, 2.0**-8, 2.0**-24)
    ]
    assert unit_roundoff(np.dtype("float64")) == 2.0**-53
    problem = Problem((3, 3), (2, 2), "float16")
    assert bounds.arithmetic(problem, "direct") == (0.0, 2.0**-23, 2.0**-11)
    assert bounds.arithmetic(Problem((3, 3), (2, 2)), "direct", "tf32") == (2.0**-11, 2.0**-23, 0.0)


def test_what_takes_no_16_bits_says_so() -> None:
    reason = get_backend("pyfftw").unsupported(Problem((8, 8), (3, 3), "bfloat16"))
    assert reason == "pyFFTW has no bfloat16 here: pyfftw takes float32, float64, complex64, complex128"
