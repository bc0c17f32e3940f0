"""Where outputs lie in full convolution: the offsets and boundaries that explain each, and formulas for them all."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from convbench.convention import BOUNDARIES, Boundary, Convention, formula
from convbench.problem import Array, Shape

Place = tuple[Boundary, tuple[int, ...]]
"""A boundary, and the index in full convolution of the first output sample, on every axis."""
Row = tuple[int, int, set[int]]
"""Of one axis: image length, kernel length, and the values that a formula may have."""

_SHIFTS = [sign * size for size in range(1, 9) for sign in (1, -1)]
# The plainest first: the first that explains everything is taken.
OFFSETS = (
    *("(k-1)//2", "k//2", "0", "k-1"),
    *(f"{base}{shift:+d}" for shift in _SHIFTS for base in ("(k-1)//2", "k//2")),
    *("k", "k+1", "k+2", "k-2", "k-3", "k-4"),
    *map(str, _SHIFTS),
    *("n//2", "(n-1)//2", "n//2+(k-1)//2", "n//2+k//2", "(n-1)//2+(k-1)//2", "(n-1)//2+k//2"),
)
SIZES = (
    *("n", "n+k-1", "n-k+1", "n+1-k%2", "max(n,k)", "abs(n-k)+1", "k", "k-n+1"),
    *(f"n{shift:+d}" for shift in (*_SHIFTS, 10, 12, 14, 16)),
    *(f"n{sign}k{shift}" for sign in "+-" for shift in ("", "-2", "+2", "+3", "-3", "+1", "-1")),
)
_COMMON = 12
"""So many of both are tried together where no formula explains everything."""

_VALID = Convention(True, offset="k-1", size="n-k+1")


@dataclass(frozen=True, eq=False)
class Observation:
    """One call that was answered, and the places that explain its output."""

    image: Array
    kernel: Array
    output: Array
    places: frozenset[Place] = frozenset()

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        return self.image.shape, self.kernel.shape


def tolerance(output: Array) -> float:
    """The relative error that is rounding and not another result, where the data is small integers."""
    return {2: 1e-2, 4: 1e-4}.get(np.finfo(output.dtype).dtype.itemsize, 1e-8) if output.dtype.kind in "fc" else 1e-8


def located(image: Array, kernel: Array, output: Array, oriented: Convention) -> Observation:
    """The observation, with every boundary and offset at which convolution oriented so equals the output."""
    return Observation(image, kernel, output, frozenset(_places(image, oriented.as_convolved(kernel), output)))


def _places(image: Array, taps: Array, output: Array) -> Iterable[Place]:
    margins = [max(n // 2 + 2, 9) for n in image.shape]
    for boundary in BOUNDARIES:
        # From `margin` samples before full convolution to as many after it.
        sides = [(m + k - 1, m + k - 1) for m, k in zip(margins, taps.shape, strict=True)]
        continued = np.pad(image, sides, mode="constant" if boundary == "zero" else boundary)  # type: ignore[call-overload]
        whole = _VALID.apply(continued, taps)
        found = [tuple(i - m for i, m in zip(at, margins, strict=True)) for at in _where(whole, output)]
        for at in found:
            ends = zip(at, output.shape, taps.shape, image.shape, strict=True)
            inside = all(first >= k - 1 and first + size <= n for first, size, k, n in ends)
            yield from ((other, at) for other in (BOUNDARIES if inside else (boundary,)))
        if found and boundary == "zero":
            return  # what reaches outside the image equals one boundary's only


def _where(whole: Array, output: Array) -> list[tuple[int, ...]]:
    """Every index from which on the whole equals the output."""
    if not output.size or any(size > length for size, length in zip(output.shape, whole.shape, strict=True)):
        return []
    allowed = tolerance(output) * max(1.0, float(np.abs(whole).max()))
    windows = np.lib.stride_tricks.sliding_window_view(whole, output.shape)
    near = np.ones(windows.shape[: whole.ndim], bool)
    for at in itertools.product(*({0, size // 2, size - 1} for size in output.shape)):
        near &= np.abs(windows[(..., *at)] - output[at]) <= allowed
    found = [tuple(map(int, at)) for at in np.argwhere(near)]
    return [at for at in found if np.abs(windows[at] - output).max() <= allowed]


def explain(observations: Sequence[Observation], oriented: Convention) -> Convention | None:
    """The convention, oriented so, that puts every output at one of its places; None where no formula does."""
    boundary = next((b for b in BOUNDARIES if all(any(p[0] == b for p in o.places) for o in observations)), None)
    if not observations or boundary is None:
        return None
    lengths = {
        id(o): (o.image.shape, o.kernel.shape[::-1] if oriented.transposes else o.kernel.shape) for o in observations
    }
    swapping = dataclasses.replace(oriented, swaps=True)
    shorter = [o for o in observations if not swapping.swapped(*o.shapes)]
    for among, swaps, by_case in ((observations, False, False), (shorter, True, False), (observations, False, True)):
        axes = range(observations[0].image.ndim)
        sizes: list[list[Row]] = [[] for _ in axes]
        offsets: list[list[Row]] = [[] for _ in axes]
        for o, axis in itertools.product(among, axes):
            n, k = (shape[axis] for shape in lengths[id(o)])
            sizes[axis].append((n, k, {o.output.shape[axis]}))
            offsets[axis].append((n, k, {at[axis] for b, at in o.places if b == boundary}))
        size, offset = _rule(SIZES, sizes, by_case), _rule(OFFSETS, offsets, by_case)
        if size is None or offset is None:
            continue
        found = dataclasses.replace(oriented, offset=offset, size=size, boundary=boundary, swaps=swaps)
        if all(agrees(found, o) for o in observations):
            return found
    return None


def majority(observations: Sequence[Observation], oriented: Convention) -> Convention | None:
    """The one offset and size, the same on every axis, that explain most observations."""
    voters = {
        dataclasses.replace(oriented, offset=offset, size=size, boundary=boundary): 0
        for boundary in {place[0] for o in observations for place in o.places}
        for offset, size in itertools.product(OFFSETS[:_COMMON], SIZES[:_COMMON])
    }
    for convention in voters:
        voters[convention] = sum(agrees(convention, o) for o in observations)
    return max(voters, key=lambda convention: voters[convention], default=None)


def shorter_kernel(image_shape: Shape, kernel_shape: Shape) -> bool:
    """Whether the kernel is no longer than the image on any axis."""
    return all(k <= n for n, k in zip(image_shape, kernel_shape, strict=True))


def agrees(convention: Convention, observation: Observation) -> bool:
    """Whether the convention puts the output at one of its places."""
    offsets, sizes = zip(*convention.window(*observation.shapes), strict=True)
    return sizes == observation.output.shape and (convention.boundary, offsets) in observation.places


def _rule(formulas: Sequence[str], axes: list[list[Row]], by_case: bool) -> str | tuple[str, ...] | None:
    """One formula for all axes, else one for each; None where there is none."""
    together = _formula(formulas, list(itertools.chain(*axes)), by_case)
    if together is not None:
        return together
    each = [_formula(formulas, rows, by_case) for rows in axes]
    return tuple(f for f in each if f is not None) if None not in each else None


def _formula(formulas: Sequence[str], rows: list[Row], by_case: bool) -> str | None:
    """The first formula that has an allowed value in every row; by_case: one for k<=n and one for longer kernels."""
    if not by_case:
        return next((f for f in formulas if all(formula(f)(n, k) in allowed for n, k, allowed in rows)), None)
    cases = [[row for row in rows if (row[1] > row[0]) == longer] for longer in (False, True)]
    short, long = (_formula(formulas, case, False) for case in cases)
    return None if short is None or long is None else f"{short} if k<=n else {long}"
