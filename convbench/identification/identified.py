"""What identify found out about a function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convbench.convention import Convention
from convbench.identification.subject import Manner
from convbench.problem import Array, Shape

Kind = Literal[
    "convolution",
    "cross-correlation",
    "mixed",
    "not linear",
    "not shift-invariant",
    "another kernel",
    "another boundary",
    "random",
    "not finite",
    "wrong shape",
    "no array",
    "refuses",
    "no answer",
]
Shapes = tuple[Shape, Shape]
"""Of an image and a kernel."""

_SIZES = {
    "n": "as many samples as the image (n)",
    "n+k-1": "n+k-1 samples (mode full)",
    "n-k+1": "n-k+1 samples (mode valid)",
}
_SWAPPED = "where the kernel is longer than the image, and shorter on no axis, they change places"
_BEYOND = {
    "zero": "zeros outside the image",
    "wrap": "the image repeated outside (wrap)",
    "symmetric": "the image mirrored outside, its border sample twice (symmetric)",
    "reflect": "the image mirrored outside about its border sample (reflect)",
    "edge": "the border sample repeated outside (edge)",
}


@dataclass(frozen=True)
class Identified(Convention):
    """What a function computes: a Convention where it is a convolution, else what it is not and a counterexample.

    kind: what it is. mode: the third argument it was called with, None for none; by_keyword: as mode=. manner: layout,
    dtype and package of the arrays that it took. complex_input, channels: what it does with them. refusals: what it
    refuses, and the kind of error. findings: what else was noticed. counterexample: the smallest found, for what is no
    convolution. kernel, impulse, response: an example for the eye.
    """

    name: str = ""
    ndim: int = 2
    kind: Kind = "convolution"
    mode: str | None = None
    by_keyword: bool = False
    manner: Manner = dataclasses.field(default_factory=Manner)
    complex_input: str = ""
    channels: str = ""
    refusals: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    counterexample: str = ""
    longer_kernels: bool = True
    """Whether kernels longer than the image were answered, and follow the formulas."""
    outside: bool = True
    """Whether samples outside the image are used at all."""
    kernel: Array | None = dataclasses.field(default=None, compare=False, repr=False)
    impulse: Array | None = dataclasses.field(default=None, compare=False, repr=False)
    response: Array | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution or cross-correlation of some convention."""
        return self.kind in ("convolution", "cross-correlation", "mixed")

    def describe(self) -> str:
        """Two sentences in plain words."""
        if not self.is_convolution:
            return f"{self._what()} {self.counterexample or 'Nothing more could be found out'}."
        refused = f"; it refuses {', '.join(self.refusals)}" if self.refusals else ""
        noticed = f"; but {listed(list(self.findings))}" if self.findings else ""
        swapped = f"; {_SWAPPED}" if self.swaps else ""
        beyond = f", with {_BEYOND[self.boundary]}" if self.outside else ""
        where = f"Its output has {self._size()} from index {self._start()} of full on"
        return f"{self._what()} {where}{beyond}{swapped}{refused}{noticed}."

    def _what(self) -> str:
        name = self.name + (f" in mode {self.mode!r}" if self.mode is not None else "")
        if self.kind in _UNKNOWN:
            return f"What {name} computes is not known: {_UNKNOWN[self.kind]}."
        if not self.is_convolution:
            return f"{name} is not a convolution: {_NOT[self.kind]}."
        what = {
            "convolution": "convolution: it flips the kernel",
            "cross-correlation": "cross-correlation: it does not flip the kernel",
        }.get(self.kind, f"neither convolution nor cross-correlation: it flips the kernel along {self._flipped()} only")
        done = [f"{verb} it" for verb, on in (("transposes", self.transposes), ("conjugates", self.conjugates)) if on]
        if self.scale != "1":
            done.append(f"multiplies it by {self.scale}")
        if self.manner.transposed:
            done.append("returns the result transposed")
        more = f"; it also {' and '.join(done)}" if done else ""
        return f"{name} computes {what}{more}."

    def _flipped(self) -> str:
        flips = self.flips if isinstance(self.flips, tuple) else ()
        return "axis " + " and ".join(str(axis) for axis, on in enumerate(flips) if on)

    def _size(self) -> str:
        return per_axis(self.size, lambda size: _SIZES.get(size, f"{size} samples"))

    def _start(self) -> str:
        return per_axis(self.offset, str)

    def matches(self) -> list[str]:
        """The known operations with the same convention, as "system op mode (versions)"; empty if there is none.

        Compared for kernels up to the image's length, and for longer ones where both take them.
        """
        from convbench.identification.matching import matches

        return matches(self)

    def recipe(self, to: str | None = None, mode: str | None = None) -> str:
        """Python source of two functions that turn this function and another one into each other.

        to: dotted name of a function, one of identification.targets.TARGETS; scipy.signal.convolve2d by default, for
        1-D numpy.convolve. mode: its mode, as it spells it; same by default where it has that. What they say holds for
        kernels no longer than the image. Raises ArgumentError for other names, UnsupportedError where this is no
        convolution.
        """
        from convbench.identification.recipe import recipe

        return recipe(self, to or ("scipy.signal.convolve2d" if self.ndim == 2 else "numpy.convolve"), mode)

    def as_dict(self) -> dict[str, Any]:
        """What was found, ready for JSON."""
        hidden = ("kernel", "impulse", "response")
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in hidden}
        shown = {name: array.tolist() for name in hidden if (array := getattr(self, name)) is not None}
        described = {"describe": self.describe(), "matches": self.matches()}
        return {**found, "manner": dataclasses.asdict(self.manner), **shown, **described}


_NOT = {
    "not linear": "it is not linear in the image",
    "not shift-invariant": "it is linear in the image, but not shift-invariant",
    "another kernel": "it is linear and shift-invariant in the image, but its impulse response is not the kernel",
    "another boundary": "it is one away from the borders, but no rule that was tried explains it at them",
    "random": "it returns other numbers for the same input",
}
_UNKNOWN = {
    "not finite": "it returned NaN or infinity for finite numbers",
    "wrong shape": "it did not return an array with as many axes as its input has",
    "no array": "it did not return an array of numbers",
    "refuses": "it refused everything that was tried",
    "no answer": "it gave no answer in time",
}


def per_axis(rule: str | tuple[str, ...], words: Callable[[str], str]) -> str:
    """The rule in words, axis by axis where they differ."""
    if isinstance(rule, str):
        return words(rule)
    return " and ".join(f"{words(one)} (axis {axis})" for axis, one in enumerate(rule))


_MOST_WORDS = 4
_PROPERTIES: dict[str, Callable[[Shape, Shape], bool]] = {
    "every shape that was tried": lambda image, kernel: True,
    "images that are not square": lambda image, kernel: len(set(image)) > 1,
    "kernels longer than the image": lambda image, kernel: any(k > n for n, k in zip(image, kernel, strict=True)),
    "kernels longer than the image on every axis": lambda image, kernel: all(
        k > n for n, k in zip(image, kernel, strict=True)
    ),
    "kernels longer than the image on one axis and shorter on the other": lambda image, kernel: (
        {k - n > 0 for n, k in zip(image, kernel, strict=True) if k != n} == {True, False}
    ),
    "kernels of even length": lambda image, kernel: any(k % 2 == 0 for k in kernel),
    "kernels of odd length": lambda image, kernel: any(k % 2 for k in kernel),
    "kernels that are not square": lambda image, kernel: len(set(kernel)) > 1,
    "kernels that are not square, except of one row": lambda image, kernel: len(set(kernel)) > 1 and kernel[0] > 1,
    "kernels that are not square, except of one column": lambda image, kernel: len(set(kernel)) > 1 and kernel[-1] > 1,
    "kernels of one row": lambda image, kernel: len(kernel) > 1 and kernel[0] == 1 < kernel[1],
    "kernels of one column": lambda image, kernel: len(kernel) > 1 and kernel[1] == 1 < kernel[0],
    "kernels of one sample": lambda image, kernel: set(kernel) == {1},
    "kernels as large as the image": lambda image, kernel: image == kernel,
}


def in_words(chosen: Iterable[Shapes], tried: Iterable[Shapes]) -> list[str]:
    """What the chosen among all tried shapes have in common that no other has; else the shapes themselves."""
    chosen, left, words = set(chosen), set(chosen), []
    for text, has in _PROPERTIES.items():
        having = {shapes for shapes in tried if has(*shapes)}
        exceptions = having - chosen
        # One exception is said, of what is otherwise a rule.
        if having & left and (not exceptions or (len(exceptions) == 1 and len(having & left) >= _MOST_WORDS)):
            words.append(text + "".join(f" (but not {_example(shapes)})" for shapes in exceptions))
            left -= having
    if len(words) + len(left) > _MOST_WORDS:
        smallest = min(chosen, key=_work)
        return [f"{len(chosen)} of the {len(set(tried))} shapes that were tried, e.g. {_example(smallest)}"]
    return words + [_example(shapes) for shapes in sorted(left, key=_work)]


def _work(shapes: Shapes) -> tuple[int, Shapes]:
    return int(np.prod(shapes[0]) * np.prod(shapes[1])), shapes


def _example(shapes: Shapes) -> str:
    image, kernel = (written(shape) for shape in shapes)
    return f"a {kernel} kernel on a {image} image"


def listed(words: list[str]) -> str:
    """One, two and three."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def written(shape: Shape) -> str:
    """A shape as people write it."""
    return "x".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]}-sample"
