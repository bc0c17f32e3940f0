"""Direct sum or transform, seen from outside: by the response to a single sample.

A direct sum gives exact zeros wherever the kernel does not reach the sample; a transform leaves rounding errors there,
for every sample of its input is part of every sample of its output. Of tiles: in the tiles that hold the sample.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convbench.problem import widened
from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.missing import Missing

METHOD = "method"
_SOURCE = "the response to one sample"


def of_response(case: Case) -> Iterator[Fact | Missing]:
    """What the plan makes of an image that is zero but for one sample."""
    problem = case.subject.problem
    # off the middle, where the symmetries of a transform could cancel errors
    at = tuple(max(0, n // 2 - n // 7) for n in problem.image_shape)
    image = np.zeros(problem.image_shape, problem.dtype)
    image[at] = 1 / 3
    response = widened(case.plan(image))
    reached = tuple(
        slice(max(0, a - start), max(0, a - start + k))
        for a, start, k in zip(at, problem.output_start, problem.kernel_shape, strict=True)
    )
    outside = np.ones(response.shape, bool)
    outside[reached] = False
    if not outside.any():
        yield Missing(
            METHOD, "the kernel reaches every sample of the output, which tells nothing", "use a larger image"
        )
        return
    errors = int(np.count_nonzero(response[outside]))
    value = "direct sum: exact zeros wherever the kernel does not reach"
    details: tuple[str, ...] = ()
    if errors:
        largest = float(np.abs(response[outside]).max() / np.abs(response).max())
        value = "transform: rounding errors where the kernel does not reach"
        details = (f"in {errors} of {np.count_nonzero(outside)} samples, up to {largest:.1e} of the response",)
    yield Fact(METHOD, value, _SOURCE, details)
