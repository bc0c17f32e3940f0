"""The sizes of a scaling: the subject with more threads, larger images or larger kernels, and smaller ones."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from convbench.analysis.roofline import counted_as
from convbench.machine import cores
from convbench.problem import Array, Problem
from convbench.profiling.subject import Subject
from convbench.separate import separable_rank

Axis = Literal["threads", "image", "kernel"]

COUNT = 7
"""Sizes of a ladder, each longer than the one before by the root of two."""
BELOW = 4
"""How many of them are shorter than the subject's, where there is room."""
SMALLEST = 3
"""Of a kernel: shorter ones are no convolution."""
FARTHEST = 4
"""An image is made at most so many times longer."""
PART = 16
"""Image and output of the largest may take this part of the memory that is free: transforms need some times as much."""
_THREADS = sorted({1, *(factor << i for factor in (2, 3) for i in range(12))})


def ladder(subject: Subject, axis: Axis) -> dict[int, Subject] | str:
    """The subject at each value of the axis, ascending: number of threads, or longest side of image or kernel.

    The subject itself is among them; its shapes keep their proportions, kernels stay odd or even, and as separable as
    they are. Or, in words, why there is no such ladder.
    """
    if axis == "threads":
        return _threads(subject)
    values = _images(subject) if axis == "image" else _kernels(subject)
    shapes = {value: _scaled(subject.problem, axis, value) for value in values}
    return {value: _resized(subject, problem) for value, problem in shapes.items()}


def _threads(subject: Subject) -> dict[int, Subject] | str:
    backend, problem, most = subject.backend, subject.problem, cores()
    if problem.device != "cpu":
        return f"{problem.device} shares out its work itself"
    if not backend.threaded:
        return f"{backend.name} runs on one thread only"
    if most == 1:
        return "this process may use one core only"
    values = {most, problem.threads, *(t for t in _THREADS if t < most)}
    return {t: replace(subject, problem=replace(problem, threads=t)) for t in sorted(values)}


def _images(subject: Subject) -> list[int]:
    """Longest sides, as far as memory allows and no side is shorter than the kernel's."""
    import psutil

    problem = subject.problem
    longest = max(problem.image_shape)
    pairs = zip(problem.image_shape, problem.kernel_shape, strict=True)
    least = math.ceil(max(longest * min(k, n) / n for n, k in pairs))
    room = psutil.virtual_memory().available / PART / problem.least_bytes
    most = min(FARTHEST, max(1.0, room ** (1 / problem.ndim)))
    return _steps(longest, least, int(longest * most), 1)


def _kernels(subject: Subject) -> list[int]:
    """Longest sides, none longer than the image's."""
    problem = subject.problem
    longest = max(problem.kernel_shape)
    pairs = zip(problem.image_shape, problem.kernel_shape, strict=True)
    most = max(longest, math.floor(min(longest * n / k for n, k in pairs if k > 1 or longest == 1)))
    return _steps(longest, min(longest, SMALLEST), most, 2)


def _steps(value: int, least: int, most: int, apart: int) -> list[int]:
    """Values around this one, a multiple of `apart` away from it; those that do not fit below are added above."""
    found: list[int] = []
    for step in range(-BELOW, 2 * COUNT):
        near = value + apart * round((value * 2 ** (step / 2) - value) / apart)
        if least <= near <= most and near not in found:
            found.append(near)
        if near >= value and len(found) >= COUNT:
            break
    return found


def _scaled(problem: Problem, axis: Axis, value: int) -> Problem:
    """Its image, or its kernel, with this longest side."""
    if axis == "image":
        longest = max(problem.image_shape)
        return replace(problem, image_shape=tuple(max(1, round(n * value / longest)) for n in problem.image_shape))
    longest = max(problem.kernel_shape)
    shape = problem.kernel_shape
    if longest == 1:
        return replace(problem, kernel_shape=(value,) * problem.ndim)
    return replace(problem, kernel_shape=tuple(_side(k, value / longest) for k in shape))


def _side(k: int, factor: float) -> int:
    """A side of a kernel: 1 stays 1, odd stays odd."""
    return k if k == 1 else max(2 + k % 2, k + 2 * round((k * factor - k) / 2))


def _resized(subject: Subject, problem: Problem) -> Subject:
    """Data of these shapes; what keeps its shape is the subject's own."""
    image = subject.image if problem.image_shape == subject.problem.image_shape else problem.image()
    kernel = subject.kernel if problem.kernel_shape == subject.problem.kernel_shape else _kernel(subject, problem)
    return Subject(subject.backend, problem, image, kernel)


def _kernel(subject: Subject, problem: Problem) -> Array:
    """Random; for separable passes, of the rank of the subject's."""
    if counted_as(subject.backend.family, subject.backend.name) != "separable":
        return problem.kernel()
    rank = separable_rank(subject.kernel)
    parts: Iterable[Array] = (problem.kernel(separable=True, seed=seed) for seed in range(rank))
    return functools.reduce(operator.add, parts)
