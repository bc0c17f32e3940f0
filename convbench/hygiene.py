"""Manners of a convolution: what it must do besides returning the right numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from convbench import bounds, oracle
from convbench.backends.base import Precision
from convbench.cuda.faults import of_device
from convbench.problem import Array, Problem, widened

if TYPE_CHECKING:
    from convbench.verdict import Verdict


def hygiene(
    make_plan: Callable[[], Callable[[Array], Array]],
    problem: Problem,
    kernel: Array,
    deterministic: bool,
    verdict: Verdict,
    precision: Precision = "full",
) -> None:
    """Input unchanged, same bits again, results not overwritten, any memory layout accepted, plan reusable.

    make_plan: returns a callable image -> output for this problem and kernel. Findings go to *verdict*.
    """
    plan = make_plan()
    image, other = problem.image(), problem.image(seed=1)
    before = image.copy()
    first = plan(image)
    kept = first.copy()

    def expect(test: str, ok: bool, what: str) -> None:
        verdict.checks += 1
        if not ok:
            verdict.fail(test, problem, what)

    def close(output: Array, wanted: Array) -> bool:
        # Another memory layout or plan may sum in another order: equal up to rounding, with room for the terms.
        output, wanted = widened(output), widened(wanted)
        largest = float(np.abs(wanted).max()) or 1.0
        room = 4 * bounds.arithmetic(problem, "separable", precision).relative(problem.terms + 16) * largest
        return output.shape == wanted.shape and bool(np.abs(output - wanted).max() <= room)

    def accepts(test: str, given: Array, what: str, bits: bool = False) -> None:
        try:
            output = plan(given)
        except Exception as error:  # any refusal of an input it must take is the finding
            if of_device(problem.device, error):
                raise
            expect(test, False, f"{what}: raised {type(error).__name__}: {error}")
            return
        ok = np.array_equal(output, kept) if bits else close(output, kept)
        expect(test, ok, f"{what}: returned other {'bits' if bits else 'values'} than at first")

    expect("input unchanged", np.array_equal(before, image), "the input image was changed by the call")
    second = plan(other)
    expect("memory", np.array_equal(first, kept), "an earlier result was overwritten by a later call")
    wanted = oracle.gather(other, kernel)[problem.output_slices].astype(problem.dtype)
    expect("reuse", close(second, wanted), "a second image through the same plan gave a wrong result")
    accepts("repeat", image, "the same image again", bits=deterministic)
    wide = np.repeat(before, 2, axis=-1)[..., ::2]
    accepts("non-contiguous", wide, "a non-contiguous image")
    flipped = np.flip(np.flip(before).copy())
    accepts("reversed", flipped, "an image with negative strides")
    accepts("column order", np.asfortranarray(before), "an image in column-major order")
    locked = before.copy()
    locked.flags.writeable = False
    accepts("read-only", locked, "a read-only image")
