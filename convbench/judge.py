"""Judge the very plan that is about to be timed, at its full size."""

from __future__ import annotations

import hashlib

import numpy as np

from convbench import bounds, oracle
from convbench.backends.base import Backend, Plan, Rounding
from convbench.problem import Array
from convbench.verdict import Verdict


def judge_plan(
    plan: Plan, backend: Backend, kernel: Array, image: Array, *, zero_mean: bool = True, spots: int = 32, seed: int = 0
) -> Verdict:
    """Judge the plan that is about to be timed, on the image that it will be timed on, at full size.

    Oracle values at random output samples, borders and corners; the blockwise checksum of every output sample; shape,
    dtype, finite, not zero; input unchanged; the same bits again after another image went through the plan.
    zero_mean: whether *image* is zero-mean random data (see bounds.blockwise).
    """
    problem, rounding = plan.problem, backend.rounding
    verdict = Verdict(backend.name)
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes())
    digest.update(np.ascontiguousarray(kernel).tobytes())
    verdict.input_sha256 = digest.hexdigest()
    checksum = oracle.Checksum(problem, kernel, seed)
    before = image.copy()
    output = _judged_call(plan, rounding, verdict, checksum, kernel, image, zero_mean, spots, seed)
    if verdict.failures:
        return verdict
    verdict.checks += 1
    if not np.array_equal(before, image):
        verdict.fail("input", problem, "the input image was changed by the call")
        return verdict
    kept = output.copy()
    other = problem.image(seed=seed + 1)
    _judged_call(plan, rounding, verdict, checksum, kernel, other, True, spots, seed)
    verdict.checks += 2
    if not np.array_equal(kept, output):
        verdict.fail("memory", problem, "an earlier result was overwritten by a later call")
    elif backend.deterministic and not np.array_equal(kept, plan(image)):
        verdict.fail("repeat", problem, "a second call on the same image returned other bits")
    return verdict


def _judged_call(
    plan: Plan,
    rounding: Rounding,
    verdict: Verdict,
    checksum: oracle.Checksum,
    kernel: Array,
    image: Array,
    zero_mean: bool,
    spots: int,
    seed: int,
) -> Array:
    problem = plan.problem
    output = plan(image)
    verdict.checks += 1
    blank = not (kernel.any() and image.any())
    if not verdict.well_formed("output", problem, output, blank):
        return output
    points = oracle.spots(problem, spots, seed)
    in_full = points + np.array(problem.output_start)
    wanted = oracle.gather(image, kernel, in_full)
    allowed = bounds.componentwise(problem, rounding, image, kernel, in_full)
    ratios = (np.abs(output[tuple(points.T)] - wanted) / allowed).astype(np.float64)
    verdict.note(ratios, problem, points)
    if not (ratios <= 1).all():
        worst = int(np.argmax(ratios))
        at = tuple(int(i) for i in points[worst])
        verdict.fail(
            "spot values",
            problem,
            f"error / bound is {ratios[worst]:.3g} at {at}: got {output[at]}, expected {wanted[worst]}",
        )
        return output
    expected, norms = checksum.expected(image)
    error = np.abs(checksum.actual(output) - expected)
    limit = bounds.blockwise(problem, rounding, kernel, checksum, norms, zero_mean)
    if not (error <= limit).all():
        block = np.unravel_index(int(np.argmax(error / limit)), error.shape)
        where = ", ".join(f"{s.start}:{s.stop}" for s in checksum.slices(tuple(int(b) for b in block)))
        what = f"the z-transform checksum of output[{where}] is off by {error[block]:.3g}, allowed {limit[block]:.3g}"
        verdict.fail("checksum", problem, what)
    return output
