"""Judge the very plan that is about to be timed, at its full size."""

from __future__ import annotations

import functools
import hashlib
import time

import numpy as np

from convbench import bounds, oracle
from convbench.backends.base import Backend, Plan, Precision, Rounding
from convbench.problem import Array, Problem, widened
from convbench.verdict import Verdict

SLOW_SECONDS = 1.0
"""A plan that takes longer is not run a third time for its repeatability, which the small problems have shown."""


class Reference:
    """What the oracle says of one image: values at some points, and every block's checksum.

    zero_mean: whether the image is zero-mean random data (see bounds.blockwise).
    """

    def __init__(self, checksum: oracle.Checksum, kernel: Array, image: Array, zero_mean: bool, points: Array) -> None:
        self.checksum, self.kernel, self.image, self.zero_mean, self.points = checksum, kernel, image, zero_mean, points
        self.in_full = points + np.array(checksum.problem.output_start)
        self.wanted = oracle.gather(image, kernel, self.in_full)
        self.expected, self.norms = checksum.expected(image)
        self.blank = not (kernel.any() and image.any())

    @functools.lru_cache(maxsize=8)  # noqa: B019 (one per rounding class, gone with the object's group)
    def allowed(self, rounding: Rounding, precision: Precision) -> tuple[Array, Array]:
        """The largest error of the values at the points, and of the blocks' checksums."""
        problem = self.checksum.problem
        return (
            bounds.componentwise(problem, rounding, self.image, self.kernel, self.in_full, precision),
            bounds.blockwise(problem, rounding, self.kernel, self.checksum, self.norms, self.zero_mean, precision),
        )


class Judge:
    """Judges plans of one problem and kernel, on the image that they are timed on and on another one.

    kernel: problem.dtype. image: what is timed; zero_mean: whether it is zero-mean random data. The oracle's work is
    done once, for all backends.
    """

    def __init__(
        self, problem: Problem, kernel: Array, image: Array, *, zero_mean: bool = True, spots: int = 32, seed: int = 0
    ) -> None:
        self.problem = problem
        digest = hashlib.sha256(np.ascontiguousarray(image).tobytes())
        digest.update(np.ascontiguousarray(kernel).tobytes())
        self.input_sha256 = digest.hexdigest()
        checksum, points = oracle.Checksum(problem, kernel, seed), oracle.spots(problem, spots, seed)
        self.main = Reference(checksum, kernel, image, zero_mean, points)
        self.other = Reference(checksum, kernel, problem.image(seed=seed + 1), True, points)

    def judge(self, plan: Plan, backend: Backend) -> Verdict:
        """Values at points, borders and corners; the checksum of every block; hygiene.

        Shape, dtype, finite, not zero; input unchanged; the same bits again after another image went through the plan.
        """
        verdict = Verdict(backend.name, input_sha256=self.input_sha256)
        kind = backend.rounding_of(self.problem), backend.precision
        image = self.main.image
        before = image.copy()
        start = time.perf_counter()
        output = plan(image)
        spent = time.perf_counter() - start
        self._compare(output, self.main, kind, verdict)
        if verdict.failures:
            return verdict
        verdict.checks += 3
        kept = output.copy()
        self._compare(plan(self.other.image), self.other, kind, verdict)
        if not np.array_equal(before, image):
            verdict.fail("input", self.problem, "the input image was changed by the call")
        elif not np.array_equal(kept, output):
            verdict.fail("memory", self.problem, "an earlier result was overwritten by a later call")
        elif backend.deterministic and spent < SLOW_SECONDS and not np.array_equal(kept, plan(image)):
            verdict.fail("repeat", self.problem, "a second call on the same image returned other bits")
        return verdict

    def _compare(self, output: Array, reference: Reference, kind: tuple[Rounding, Precision], verdict: Verdict) -> None:
        """Hold one output against what the oracle says."""
        verdict.checks += 1
        if not verdict.well_formed("output", self.problem, output, reference.blank):
            return
        points, wanted = reference.points, reference.wanted
        allowed, limit = reference.allowed(*kind)
        errors = np.abs(widened(output[tuple(points.T)]) - wanted)
        ratios = (errors / allowed).astype(np.float64)
        verdict.note(ratios, self.problem, points)
        verdict.note_ulp(bounds.ulp_error(self.problem, errors, wanted))
        if not (ratios <= 1).all():
            worst = int(np.argmax(ratios))
            at = tuple(int(i) for i in points[worst])
            what = f"error / bound is {ratios[worst]:.3g} at {at}: got {output[at]}, expected {wanted[worst]}"
            verdict.fail("spot values", self.problem, what)
            return
        error = np.abs(reference.checksum.actual(output) - reference.expected)
        if not (error <= limit).all():
            block = np.unravel_index(int(np.argmax(error / limit)), error.shape)
            where = ", ".join(f"{s.start}:{s.stop}" for s in reference.checksum.slices(tuple(int(b) for b in block)))
            off = f"off by {error[block]:.3g}, allowed {limit[block]:.3g}"
            verdict.fail("checksum", self.problem, f"the z-transform checksum of output[{where}] is {off}")
