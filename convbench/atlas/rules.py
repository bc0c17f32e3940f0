"""When a system refuses, and what becomes of dtypes: rules with names, which the table's rows refer to."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from convbench.atlas.defects import DEFECTS
from convbench.atlas.entry import Entry, Refusal
from convbench.convention import Convention
from convbench.errors import EmulatedError, NotMeasuredError, refusal
from convbench.problem import Array, Shape


class Call(NamedTuple):
    """What a condition goes by: lengths per axis of image and kernel, of the output as the formula gives it (possibly
    negative), and the samples needed before and after the image.
    """

    image: Shape
    kernel: Shape
    output: Shape
    before: Shape
    after: Shape

    def longer(self, by: int = 1) -> bool:
        """Whether the kernel is longer than the image on an axis."""
        return any(k >= n + by for n, k in zip(self.image, self.kernel, strict=True))

    def crossed(self, but: int = 0) -> bool:
        """Whether the kernel is longer on one axis and shorter on another; axes with a length of *but* are left out."""
        sides = {k > n for n, k in zip(self.image, self.kernel, strict=True) if k != n and min(n, k) != but}
        return len(sides) == 2


@dataclass(frozen=True)
class Condition:
    """What is refused: of which calls, why and what to do instead (a clause and a sentence), and words for tables."""

    holds: Callable[[Call], bool]
    why: str
    instead: str
    words: str


_TOO_LONG = "the kernel is too long for the image: the output would have {} samples"
_SHORTER = "Use a shorter kernel, or a mode whose output is not shorter than the image."
_ALL_AXES = "Use a kernel that fits into the image, or into which the image fits, on all axes."
_CROSSED = "the kernel is longer than the image on one axis and shorter on the other"
_DIRECTLY = "with fewer than {} kernel elements it filters directly, which does not take this boundary or dtype"
_LARGER = "Use another boundary or dtype, or a larger kernel, padded with zeros (then it uses a DFT)."
_FFT_TAKES = "Use another dtype, or method=fft."
_FEWER_PADS = "Use a shorter kernel, or extend the image yourself."

WHEN: dict[str, Condition] = {
    "always": Condition(
        lambda call: True,
        "it refuses every input in this mode",
        "Use another mode or another version.",
        "always",
    ),
    "empty": Condition(
        lambda call: min(call.output) <= 0, _TOO_LONG.format("no"), _SHORTER, "output empty or negative"
    ),
    "negative": Condition(
        lambda call: min(call.output) < 0, _TOO_LONG.format("fewer than no"), _SHORTER, "output negative"
    ),
    "negative, up to k=2n": Condition(
        lambda call: any(n + 1 < k <= 2 * n for n, k in zip(call.image, call.kernel, strict=True)),
        _TOO_LONG.format("fewer than no"),
        _SHORTER,
        "n+1 < k <= 2n",
    ),
    "crossed": Condition(lambda call: call.crossed(), _CROSSED, _ALL_AXES, "longer on one axis, shorter on the other"),
    "crossed, but for 1": Condition(
        lambda call: call.crossed(but=1),
        f"{_CROSSED}, and neither has length 1 there",
        _ALL_AXES,
        "longer on one axis, shorter on the other, neither of length 1 there",
    ),
    "longer": Condition(
        lambda call: call.longer(),
        "the kernel is longer than the image",
        "Use a kernel that is no longer than the image.",
        "k > n",
    ),
    "longer by 2": Condition(
        lambda call: call.longer(by=2),
        "the kernel is longer than the image by 2 or more",
        "Use mode same, boundary fill, or a shorter kernel.",
        "k >= n+2",
    ),
    "4 n before": Condition(
        lambda call: any(b >= 4 * n > 4 for n, b in zip(call.image, call.before, strict=True)),
        "the kernel reaches more than four image lengths before the image",
        _FEWER_PADS,
        "4 n or more samples before the image",
    ),
    "pads n": Condition(
        lambda call: any(max(pads) >= n for n, *pads in zip(call.image, call.before, call.after, strict=True)),
        "the kernel reaches as far beyond the image as the image is long",
        _FEWER_PADS,
        "n or more samples beyond the image",
    ),
    "pads more than n": Condition(
        lambda call: any(max(pads) > n for n, *pads in zip(call.image, call.before, call.after, strict=True)),
        "the kernel reaches farther beyond the image than the image is long",
        _FEWER_PADS,
        "more than n samples beyond the image",
    ),
    "even": Condition(
        lambda call: any(k % 2 == 0 for k in call.kernel),
        "the kernel has an even length",
        "Use a kernel of odd lengths, padded with zeros if need be, or mode valid.",
        "k even",
    ),
    "one sample": Condition(
        lambda call: min(call.kernel) == 1,
        "the origin is outside a kernel of length 1",
        "Use mode constant, without an origin, or a longer kernel.",
        "k = 1",
    ),
    "two axes": Condition(
        lambda call: len(call.image) == 2, "its direct method does not take this dtype in 2-D", _FFT_TAKES, "2-D"
    ),
    "two axes, up to 9 taps": Condition(
        lambda call: len(call.image) == 2 and math.prod(call.kernel) <= 9,
        "its direct method, chosen for small kernels, does not take this dtype in 2-D",
        _FFT_TAKES,
        "2-D, up to 9 kernel elements",
    ),
    "below 50 taps": Condition(
        lambda call: math.prod(call.kernel) < 50, _DIRECTLY.format(50), _LARGER, "fewer than 50 kernel elements"
    ),
    "below 130 taps": Condition(
        lambda call: math.prod(call.kernel) < 130, _DIRECTLY.format(130), _LARGER, "fewer than 130 kernel elements"
    ),
    "more rows": Condition(
        lambda call: call.kernel[0] > min(call.image) + 1,
        "the kernel has more rows than the image has rows or columns",
        "Use a kernel that is no longer than the image.",
        "more rows than n+1",
    ),
    "not square": Condition(
        lambda call: call.kernel[0] not in (1, call.kernel[-1]) and call.kernel[0] <= min(call.image),
        "the kernel is neither square nor a single row",
        "Use a square kernel, padded with zeros if need be.",
        "kernel neither square nor one row",
    ),
}


@functools.cache
def measured(dtypes: str) -> dict[np.dtype, np.dtype | None]:
    """What becomes of each dtype that an entry's rule names; None where that is not known."""
    found: dict[np.dtype, np.dtype | None] = {}
    for word in dtypes.split():
        given, _, becomes = word.partition(">")
        found[np.dtype(given)] = None if becomes == "?" else np.dtype(becomes or given)
    return found


_OTHER_PRECISION = {"f4": "f8", "f8": "f4", "c8": "c16", "c16": "c8"}


def output_dtype(entry: Entry, image: Array, kernel: Array) -> np.dtype | None:
    """The dtype of the output, or None if nobody has measured that.

    Single and double precision stand for each other where only one was measured and was kept.
    """
    given, known = image.dtype, measured(entry.dtypes)
    if given in known:
        multiplied = entry.multiplies and all(1 in lengths for lengths in zip(image.shape, kernel.shape, strict=True))
        return given if multiplied else known[given]
    other = _OTHER_PRECISION.get(given.str[1:])
    return given if other and known.get(np.dtype(other)) == np.dtype(other) else None


def check_refusals(entry: Entry, version: str, mode: str, image: Array, kernel: Array) -> None:
    """Raise EmulatedError if the system refuses these arrays, for the first of its reasons."""
    call = _call(entry.modes[mode], image.shape, kernel.shape)
    for rule in entry.refusals(mode):
        told = not rule.dtypes or image.dtype in measured(rule.dtypes)
        if told and WHEN[rule.when].holds(call):
            raise _refused(entry, version, mode, rule, image, kernel)


def _call(convention: Convention | None, image: Shape, kernel: Shape) -> Call:
    if convention is None:
        return Call(image, kernel, image, image, image)
    window = convention.window(image, kernel)
    lengths = [(n, k, start, size) for n, k, (start, size) in zip(image, kernel, window, strict=True)]
    return Call(
        image,
        kernel,
        output=tuple(size for *_, size in lengths),
        before=tuple(k - 1 - start for _, k, start, _ in lengths),
        after=tuple(start + size - n for n, _, start, size in lengths),
    )


def _refused(entry: Entry, version: str, mode: str, rule: Refusal, image: Array, kernel: Array) -> EmulatedError:
    condition = WHEN[rule.when]
    why, instead = condition.why, condition.instead
    if rule.when == "always" and rule.dtypes:
        why, instead = f"it does not take {image.dtype.name} in this mode", f"Use {_listed(entry)}."
    if rule.defect:
        why += f". This is a defect of this version ({rule.defect}): {DEFECTS[rule.defect].text.rstrip('.')}"
    outcome = "has no defined output for" if rule.kind == "UNDEFINED OUTPUT" else f"raises {rule.kind} for"
    given = f"image {_shape(image)}, kernel {_shape(kernel)}, {image.dtype.name}"
    return refusal(
        rule.kind, f"{entry.system} {version}: {entry.op}, mode {mode!r}, {outcome} {given}: {why}. {instead}"
    )


def not_measured(entry: Entry, version: str, what: str, instead: str) -> NotMeasuredError:
    """The error for an input that nobody has tried on this operation."""
    return NotMeasuredError(
        f"not measured: {entry.system} {version}, {entry.op}, with {what}. It may work there; the atlas does not know. "
        f"{instead}"
    )


def unmeasured_dtype(entry: Entry, version: str, dtype: np.dtype) -> NotMeasuredError:
    """The error for a dtype that nobody has tried on this operation."""
    return not_measured(entry, version, f"dtype {dtype.name}", f"Use {_listed(entry)}.")


def _listed(entry: Entry) -> str:
    return " or ".join(dtype.name for dtype, becomes in measured(entry.dtypes).items() if becomes is not None)


def _shape(array: Array) -> str:
    return "×".join(map(str, array.shape)) if array.ndim > 1 else f"of length {len(array)}"
