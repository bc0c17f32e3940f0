"""Operations and traffic as values, and how bytes are counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convbench.problem import Problem, Shape

SCRATCH = 0.0
"""`among` of a buffer that is made to stay in the nearest cache."""


@dataclass(frozen=True)
class Traffic:
    """moved: bytes that a stage reads plus those that it writes. among: bytes of all arrays that are used in turn with
    these; the cache that holds so many is where they come from."""

    stage: str
    moved: float
    among: float


@dataclass(frozen=True)
class Work:
    """operations: floating-point, of an execution, in arithmetic of that dtype. how: in which way it does them."""

    operations: float
    traffic: tuple[Traffic, ...]
    dtype: str
    how: str


def work(problem: Problem, operations: float, traffic: Iterable[Traffic], how: str) -> Work:
    """Done in the problem's own precision."""
    return Work(float(operations), tuple(t for t in traffic if t.moved), problem.real_dtype.name, how)


def size(problem: Problem, shape: Sequence[int]) -> int:
    """Bytes of an array of the problem's dtype."""
    return math.prod(shape) * np.dtype(problem.dtype).itemsize


def image_and_output(problem: Problem) -> int:
    """Bytes."""
    return size(problem, problem.image_shape) + size(problem, problem.output_shape)


def by(sizes: Shape | Sequence[int]) -> str:
    """'1024 x 1056'."""
    return " x ".join(map(str, sizes))
