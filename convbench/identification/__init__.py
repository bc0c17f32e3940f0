"""identify: find out by probing what a function computes.

It is called with small integers, so that every output can be compared exactly, in many shapes; what explains all
outputs is its convention.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Iterator

import numpy as np

from convbench.errors import ArgumentError
from convbench.identification.identified import Identified, Kind
from convbench.identification.investigation import Investigation
from convbench.identification.probes import PROBES
from convbench.identification.subject import (
    Function,
    Manner,
    Patience,
    RefusedError,
    Subject,
    TimeUpError,
    layout_name,
    needs_mode,
)

__all__ = ["Identified", "identify"]

_FIRST: dict[int, tuple[int, ...]] = {1: (0, 2, 9, -1), 2: (0, 2, 9, 10, 11, -1)}
"""Probes that show whether a function can be called: odd, even, one row or column, one sample, square, larger."""
_KINDS: tuple[Kind, ...] = ("wrong shape", "no array", "not finite")
_LONGEST = 1e6


def identify(
    function: Function, ndim: int = 2, *, mode: str | None = None, layout: str | None = None, time_limit: float = 10.0
) -> Identified:
    """Find out by probing what a function (image, kernel) or (image, kernel, mode) computes.

    ndim: 1 or 2. mode: the third argument; "same" where the function needs one and none is given. layout: plain, NCHW
    or NHWC (one channel); detected where not given. time_limit: seconds in all. The function is given copies of NumPy
    arrays (or torch's, where it takes no others). Whatever it does is an answer: raises ArgumentError for bad arguments
    only.
    """
    if not callable(function):
        raise ArgumentError(
            f"identify takes a function of (image, kernel), got {function!r}; see `convbench identify --help`"
        )
    if ndim not in (1, 2) or not isinstance(ndim, (int, np.integer)) or isinstance(ndim, bool):
        raise ArgumentError(f"ndim must be 1 or 2, got {ndim!r}")
    if isinstance(time_limit, bool) or not (isinstance(time_limit, numbers.Real) and 0 < time_limit <= _LONGEST):
        raise ArgumentError(f"time_limit must be a positive number of seconds up to {_LONGEST:g}, got {time_limit!r}")
    layout = layout_name(layout)
    needed, by_keyword = needs_mode(function)
    modes = ["same", "SAME"] if mode is None and needed else [mode]
    with Patience(float(time_limit)) as patience:
        for spelled in modes:
            by_name = by_keyword and spelled is not None
            found = _identify(Subject(function, int(ndim), spelled, patience, by_keyword=by_name), layout)
            if found.kind != "refuses":
                break
        return found


def _identify(subject: Subject, layout: str | None) -> Identified:
    """What the first manner of calling it shows in which it is a convolution; else what it is in the plainest."""
    plainest: Investigation | None = None
    refusals: list[RefusedError] = []
    try:
        for manner in _manners(subject, layout, refusals):
            investigation = Investigation(dataclasses.replace(subject, manner=manner))
            plainest = plainest or investigation
            found = investigation.convolution()
            if found is not None:
                return found
        if plainest is not None:
            return plainest.oddity()
    except TimeUpError:
        late = f"It was given {subject.patience.seconds:g} s; a longer time limit may help"
        return (plainest or Investigation(subject)).is_not("no answer", late)
    # A function that could be called says more of itself than one that could not.
    first = min(refusals, key=lambda refused: refused.kind not in _KINDS)
    kind: Kind = next((kind for kind in _KINDS if kind == first.kind), "refuses")
    said = f"It first raised {first}" if kind == "refuses" else f"The first answer was {first.text or kind}"
    return Investigation(subject).is_not(kind, f"{said}{_other_axes(subject)}")


def _other_axes(subject: Subject) -> str:
    """A hint where the function takes as many axes as were not asked for."""
    other = dataclasses.replace(subject, ndim=3 - subject.ndim, manner=Manner())
    try:
        other.try_out(*PROBES[other.ndim][0])
    except (RefusedError, TimeUpError):
        return ""
    return f"; it takes {other.ndim}-D input, so ask with ndim={other.ndim}"


def _manners(subject: Subject, layout: str | None, refusals: list[RefusedError]) -> Iterator[Manner]:
    """Every manner in which the function can be called, the plainest first; what it refuses is added to refusals."""
    found: set[tuple[str, bool]] = set()
    for manner in Manner.all(layout):
        if (manner.layout, manner.transposed) in found:
            continue  # another dtype, or another package's arrays, would show the same
        candidate = dataclasses.replace(subject, manner=manner)
        for image_shape, kernel_shape in (PROBES[subject.ndim][number] for number in _FIRST[subject.ndim]):
            try:
                candidate.try_out(image_shape, kernel_shape)
            except RefusedError as refused:
                refusals.append(refused)
                continue
            found.add((manner.layout, manner.transposed))
            yield manner
            break
