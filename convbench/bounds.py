"""How large may a rounding error be? Derived, not guessed.

u is the unit roundoff of the dtype, m the number of terms of an output sample, N the samples of a transform.

* direct, componentwise: |error| <= gamma_m (|image| * |kernel|), gamma_m = m u / (1 - m u).
  Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. (3.5); any order of summation.
* separable: the same, with m = sum of the passes' terms and |kernel| replaced by the sum of |column| |row| over the
  singular terms, since the kernel itself is rounded when it is taken apart.
* fft: |error| <= c u log2(N) ||image||_2 ||kernel||_2. Two forward transforms and one inverse each err by at most
  log2(N) eta in 2-norm, eta = u + gamma_4 (sqrt 2 + u) (Higham, Theorem 24.2), hence c = 3 (1 + 4 sqrt 2) = 20.

* float16 and bfloat16: products and sums in float32, one rounding to the dtype at the end. TF32: both factors are first
  rounded
  to 11 bits. Hence (1 + inputs)^2 (1 + gamma_m) (1 + output) - 1 for gamma_m, each with its own unit roundoff. The
  units that multiply 16-bit and TF32 matrices truncate their float32 sums (Fasi, Higham, Mikaitis & Pranesh 2021, PeerJ
  Comput. Sci. 7:e330, section 4), so that u is 2^-23 there.

Complex products err by sqrt(2) gamma_2 instead of u (Higham, Lemma 3.5): terms count double there.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from convbench import oracle
from convbench.backends.base import Precision, Rounding
from convbench.problem import HALF, Array, Problem, widened

FFT_CONSTANT = 3 * (1 + 4 * math.sqrt(2))

# Sums of rounding errors behave like sums of independent zero-mean variables (Higham & Mary 2019, SIAM J. Sci. Comput.
# 41(5)): at a random z a block's checksum error is close to a complex normal variable of variance ||tolerance||_2^2.
# exp(-8^2) leaves no false alarm in any number of blocks that fits in memory.
CHECKSUM_DEVIATIONS = 8.0


class Arithmetic(NamedTuple):
    """Unit roundoffs: of the factors before they are multiplied, of products and sums, of the result when it is
    stored."""

    inputs: float
    sums: float
    output: float

    def relative(self, terms: int) -> float:
        """Largest error of a sum of so many roundings, relative to the sum of |image| |kernel|."""
        summed = gamma(terms, self.sums)
        return summed + (1 + summed) * ((1 + self.inputs) ** 2 * (1 + self.output) - 1)


_TRUNCATED = 2.0**-23
_TF32 = 2.0**-11


def arithmetic(problem: Problem, rounding: Rounding, precision: Precision = "full") -> Arithmetic:
    """How a method of this class computes the problem."""
    u = problem.unit_roundoff
    if problem.dtype in HALF:  # a 16-bit kernel is an outer product up to its own rounding only
        return Arithmetic(u if rounding == "separable" else 0.0, _TRUNCATED, u)
    return Arithmetic(_TF32, _TRUNCATED, 0.0) if precision == "tf32" else Arithmetic(0.0, u, 0.0)


def gamma(terms: int, u: float) -> float:
    """gamma_m = m u / (1 - m u)."""
    return terms * u / (1 - terms * u)


def _terms(problem: Problem, rounding: Rounding) -> int:
    """Roundings that one output sample goes through."""
    if rounding == "separable":
        rank = min(problem.kernel_shape)
        # up to `rank` pairs of passes; three more for each stored factor (column, row, singular value)
        count = sum(min(n, k) for n, k in zip(problem.image_shape, problem.kernel_shape, strict=True)) + rank + 3
    else:
        count = problem.terms
    return 2 * count + 2 if problem.is_complex else count + 1


def _magnitude(kernel: Array, rounding: Rounding) -> Array:
    """|kernel| as the method sees it: the sum of |column| |row| where it is taken apart."""
    kernel = widened(kernel)
    if rounding == "separable" and kernel.ndim == 2:
        wide = kernel.astype(np.complex128 if kernel.dtype.kind == "c" else np.float64)
        left, sizes, right = np.linalg.svd(wide, full_matrices=False)
        return np.maximum((np.abs(left) * sizes) @ np.abs(right), np.abs(wide))
    return np.abs(kernel)


def _log_samples(problem: Problem) -> float:
    """log2 of the samples of the largest transform a sensible FFT method uses."""
    return sum(math.log2(2 * n) for n in problem.full_shape)


def ulp_error(problem: Problem, errors: Array, wanted: Array) -> float | None:
    """The largest |error| in units in the last place of the largest |wanted|: max |error| / (eps max |wanted|).

    eps: of the real dtype, 2 u; complex errors by their modulus. One unit for all these samples, so that outputs that
    nearly cancel do not decide; methods of every rounding class have the same. None where nothing but zero is wanted.
    """
    largest = np.abs(wanted).max()
    if not largest > 0:
        return None
    return float(errors.max() / (2 * problem.unit_roundoff * largest))


def componentwise(
    problem: Problem,
    rounding: Rounding,
    image: Array,
    kernel: Array,
    points: Array | None = None,
    precision: Precision = "full",
) -> Array:
    """Largest allowed |error| of each output sample of the full convolution, or of those at *points*; float64."""
    u, own = problem.unit_roundoff, oracle.unit_roundoff()
    image = widened(image)
    absolute = oracle.gather(np.abs(image), _magnitude(kernel, rounding), points).astype(np.float64)
    allowed = arithmetic(problem, rounding, precision).relative(_terms(problem, rounding)) * absolute
    if rounding == "fft":
        norms = float(np.linalg.norm(image.ravel()) * np.linalg.norm(kernel.ravel()))
        allowed = np.full_like(absolute, FFT_CONSTANT * u * _log_samples(problem) * norms)
    # the oracle rounds too; and a product, or a stored result, below the smallest normal number may lose all its digits
    half = problem.dtype in HALF
    tiny = float(np.finfo(np.float32 if half else problem.real_dtype).tiny)
    stored = float(np.finfo(np.float16).smallest_subnormal) / 2 if problem.dtype == "float16" else 0.0
    return allowed + gamma(2 * problem.terms, own) * absolute + _terms(problem, rounding) * tiny + stored


def blockwise(
    problem: Problem,
    rounding: Rounding,
    kernel: Array,
    checksum: oracle.Checksum,
    norms: Array,
    zero_mean: bool,
    precision: Precision = "full",
) -> Array:
    """Largest believable |error| of each block's checksum, given the 2-norms of the blocks' input windows.

    zero_mean: the image is zero-mean random, so that partial sums grow like sqrt(m) and their errors stay near u
    (Higham & Mary 2020, SIAM J. Sci. Comput. 42(5)); otherwise sqrt(m) u. By Parseval the mean square of the
    checksum's error over z is the sum of the squares of the block's errors.
    """
    samples = min(problem.terms, math.prod(checksum.block))
    growth = 1.0 if zero_mean else math.sqrt(problem.terms)
    if rounding == "fft":
        growth = max(growth, _log_samples(problem))
    elif rounding == "separable":
        growth *= 2 * min(problem.kernel_shape) ** 0.5
    # an FFT spreads the rounding of the brightest block over all of them
    window = float(norms.max()) if rounding == "fft" else norms
    inputs, sums, output = arithmetic(problem, rounding, precision)
    u = (sums * growth + math.sqrt(2) * inputs + output) * (math.sqrt(2) if problem.is_complex else 1)
    size = math.sqrt(samples) * window * float(np.linalg.norm(_magnitude(kernel, rounding)))
    double = np.finfo(np.float64).eps * math.sqrt(math.prod(checksum.window))
    return np.broadcast_to(np.asarray(CHECKSUM_DEVIATIONS * (u + double) * size, dtype=Any), norms.shape).astype(
        np.float64
    )
