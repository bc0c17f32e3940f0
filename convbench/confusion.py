"""What a wrong output equals, where that is one of the known confusions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from convbench import oracle
from convbench.problem import Array, Problem


def diagnosis(problem: Problem, image: Array, kernel: Array, output: Array) -> str:
    """What the wrong output equals, where that is a known confusion."""
    flip = np.flip(kernel)
    start = problem.output_start
    suspects: dict[str, tuple[Array, Sequence[int]]] = {
        "cross-correlation: the kernel was not flipped": (flip, start),
        "convolution with the conjugated kernel": (kernel.conj(), start),
        "convolution with the transposed kernel": (kernel.T, start),
        "cross-correlation with the transposed kernel": (flip.T, start),
    }
    for axis in range(problem.ndim if problem.ndim > 1 else 0):
        suspects[f"a convolution whose kernel was flipped along axis {1 - axis} only"] = (np.flip(kernel, axis), start)
    for step in itertools.product((0, -1, 1), repeat=problem.ndim):
        moved = [s + d for s, d in zip(start, step, strict=True)]
        if any(step):
            suspects[f"convolution, its output shifted by {step}"] = (kernel, moved)
            suspects[f"cross-correlation, its output shifted by {step}"] = (flip, moved)
    for name, (taps, at) in suspects.items():
        if taps.shape != kernel.shape or min(at) < 0:
            continue
        guess = oracle.gather(image, taps)[
            tuple(slice(s, s + n) for s, n in zip(at, problem.output_shape, strict=True))
        ]
        if guess.shape == output.shape and np.array_equal(guess, output):
            return f". This is {name}."
    return ""
