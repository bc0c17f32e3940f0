"""How large may a rounding error be? Derived, not guessed.

u is the unit roundoff of the dtype, m the number of terms of an output sample, N the samples of a transform.

* direct, componentwise: |error| <= gamma_m (|image| * |kernel|), gamma_m = m u / (1 - m u).
  Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. (3.5); any order of summation.
* separable: the same, with m = sum of the passes' terms and |kernel| replaced by the sum of |column| |row| over the
  singular terms, since the kernel itself is rounded when it is taken apart.
* fft: |error| <= c u log2(N) ||image||_2 ||kernel||_2. Two forward transforms and one inverse each err by at most
  log2(N) eta in 2-norm, eta = u + gamma_4 (sqrt 2 + u) (Higham, Theorem 24.2), hence c = 3 (1 + 4 sqrt 2) = 20.

Complex products err by sqrt(2) gamma_2 instead of u (Higham, Lemma 3.5): terms count double there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from convbench import oracle
from convbench.backends.base import Rounding
from convbench.problem import Array, Problem

FFT_CONSTANT = 3 * (1 + 4 * math.sqrt(2))

# Sums of rounding errors behave like sums of independent zero-mean variables (Higham & Mary 2019, SIAM J. Sci. Comput.
# 41(5)): at a random z a block's checksum error is close to a complex normal variable of variance ||tolerance||_2^2.
# exp(-8^2) leaves no false alarm in any number of blocks that fits in memory.
CHECKSUM_DEVIATIONS = 8.0


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
    problem: Problem, rounding: Rounding, image: Array, kernel: Array, points: Array | None = None
) -> Array:
    """Largest allowed |error| of each output sample of the full convolution, or of those at *points*; float64."""
    u, own = problem.unit_roundoff, oracle.unit_roundoff()
    absolute = oracle.gather(np.abs(image), _magnitude(kernel, rounding), points).astype(np.float64)
    allowed = gamma(_terms(problem, rounding), u) * absolute
    if rounding == "fft":
        norms = float(np.linalg.norm(image.ravel()) * np.linalg.norm(kernel.ravel()))
        allowed = np.full_like(absolute, FFT_CONSTANT * u * _log_samples(problem) * norms)
    # the oracle rounds too; and a product below the smallest normal number may lose all its digits
    tiny = float(np.finfo(problem.real_dtype).tiny)
    return allowed + gamma(2 * problem.terms, own) * absolute + _terms(problem, rounding) * tiny


def blockwise(
    problem: Problem, rounding: Rounding, kernel: Array, checksum: oracle.Checksum, norms: Array, zero_mean: bool
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
    u = problem.unit_roundoff * (math.sqrt(2) if problem.is_complex else 1)
    size = math.sqrt(samples) * window * float(np.linalg.norm(_magnitude(kernel, rounding)))
    double = np.finfo(np.float64).eps * math.sqrt(math.prod(checksum.window))
    return np.broadcast_to(
        np.asarray(CHECKSUM_DEVIATIONS * (u * growth + double) * size, dtype=Any), norms.shape
    ).astype(np.float64)
