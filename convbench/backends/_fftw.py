"""FFTW's plans, made with all that earlier runs learnt."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from convbench.backends import _fftw_wisdom as wisdom
from convbench.problem import Array, Shape

EFFORT = "FFTW_MEASURE"  # patient planning takes five to ten times as long and gained 2 %
_MOST_SECONDS = 20.0  # a plan; then FFTW takes the best it has seen (8192x8192 takes 12)

Run = Callable[[], Any]
Fft = Callable[..., Run]


def nothing() -> None:
    """The transform along an axis on which the kernel has length 1."""


@contextlib.contextmanager
def planning() -> Iterator[Fft]:
    """Yields fft(source, target, axes, inverse, threads) -> a call that transforms source into target.

    Planning overwrites both; the inverse is not scaled, and spoils its source.
    """
    import pyfftw

    learnt = False

    def fft(source: Array, target: Array, axes: Shape, inverse: bool = False, threads: int = 1) -> Run:
        nonlocal learnt
        way = "FFTW_BACKWARD" if inverse else "FFTW_FORWARD"
        make = functools.partial(
            pyfftw.FFTW, source, target, axes, way, threads=threads, planning_timelimit=_MOST_SECONDS
        )
        flags = (EFFORT, "FFTW_DESTROY_INPUT") if inverse else (EFFORT,)
        try:
            plan = make(flags=(*flags, "FFTW_WISDOM_ONLY"))
        except RuntimeError:  # no wisdom on this one
            plan = make(flags=flags)
            learnt = True
        run: Run = plan.execute
        return run

    wisdom.load()
    yield fft
    if learnt and EFFORT != "FFTW_ESTIMATE":
        wisdom.save()
