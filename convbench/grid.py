"""Which cells there are: layouts turn sizes into problems; presets choose cells from the lists in benchmarks/."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from convbench.backends import list_backends
from convbench.backends.base import Backend
from convbench.errors import one_of
from convbench.measure import Rule
from convbench.problem import Problem, Shape

# The benchmark class of each layout, as asv names it.
BENCHMARKS = {"image": "image.Image", "signal": "signal.Signal", "rows": "rows.Rows"}
DEVICES = ("cpu", "cuda:0")


def problem_of(layout: str, image: int, kernel: int, dtype: str, device: str = "cpu", threads: int = 1) -> Problem:
    """The problem of a cell, mode same: image n x n with kernel k x k, signal n with k, or rows n x n with 1 x k."""
    shapes: dict[str, tuple[Shape, Shape]] = {
        "image": ((image, image), (kernel, kernel)),
        "signal": ((image,), (kernel,)),
        "rows": ((image, image), (1, kernel)),
    }
    if layout not in shapes:
        raise one_of("layout", layout, shapes)
    return Problem(*shapes[layout], dtype=dtype, mode="same", device=device, threads=threads)


@dataclass(frozen=True)
class Slice:
    """A block of cells: every combination of these values."""

    layout: str
    images: tuple[int, ...]
    kernels: tuple[int, ...]
    dtypes: tuple[str, ...] = ("float32",)
    threads: tuple[int, ...] = (1,)

    def problems(self) -> Iterator[Problem]:
        for dtype, threads, image, kernel in itertools.product(self.dtypes, self.threads, self.images, self.kernels):
            yield problem_of(self.layout, image, kernel, dtype, threads=threads)


@dataclass(frozen=True)
class Preset:
    """A choice of cells, and how long each may take."""

    name: str
    slices: tuple[Slice, ...]
    rule: Rule
    budget: float
    """Seconds that one execution may take; a cell predicted to take longer is skipped."""

    def problems(self) -> list[tuple[str, Problem]]:
        """(layout, problem) of every group of cells, in the order they are measured."""
        seen = dict.fromkeys((s.layout, p) for s in self.slices for p in s.problems())
        return list(seen)

    def regexes(self) -> list[str]:
        """What `asv run --bench` must be given to select these cells."""

        def any_of(values: tuple[object, ...]) -> str:
            return "(?:" + "|".join(re.escape(repr(v)) for v in values) + ")"

        return [
            rf"^{re.escape(BENCHMARKS[s.layout])}\.\w+\({any_of(tuple(b.name for b in backends_of(s.layout)))}, "
            rf"{any_of(s.images)}, {any_of(s.kernels)}, {any_of(s.dtypes)}, 'cpu', {any_of(s.threads)}\)$"
            for s in self.slices
        ]


def backends_of(layout: str) -> list[Backend]:
    """The backends that can take this layout at all, in registry order."""
    ndim = 1 if layout == "signal" else 2
    return [b for b in list_backends() if ndim in b.ndims]


_IMAGES = (256, 512, 1024, 2048)
_KERNELS = (3, 5, 7, 9, 11, 15, 21, 31, 45, 63, 101)
_SIGNALS = (1024, 4096, 16384, 65536, 262144, 1048576)
_TAPS = (3, 9, 33, 129, 513, 1025, 4097)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            (
                Slice("image", (256, 512, 1024), (3, 5, 7, 11, 15, 21, 31, 63)),
                Slice("signal", (4096, 65536), (9, 33, 129, 1025)),
                Slice("rows", (1024,), (7, 31)),
            ),
            Rule(warmup=0.01, seconds=0.12, hard_seconds=1.5, noise=0.02, patience=8, most=25),
            budget=0.6,
        ),
        Preset(
            "standard",
            (
                Slice("image", _IMAGES, _KERNELS, ("float32", "float64")),
                Slice("image", (1024, 2048), (3, 7, 15, 31, 63), threads=(2,)),
                Slice("image", (1024,), (3, 7, 15, 31, 63), ("complex64", "complex128")),
                Slice("signal", _SIGNALS, _TAPS),
                Slice("rows", (512, 2048), (3, 15, 63)),
            ),
            Rule(seconds=0.3, hard_seconds=3.0),
            budget=1.5,
        ),
        Preset(
            "full",
            (
                Slice("image", _IMAGES, _KERNELS, ("float32", "float64", "complex64", "complex128"), (1, 2)),
                Slice("signal", _SIGNALS, _TAPS, ("float32", "float64", "complex64", "complex128"), (1, 2)),
                Slice("rows", _IMAGES, (3, 7, 15, 31, 63, 101), ("float32", "float64"), (1, 2)),
            ),
            Rule(),
            budget=10.0,
        ),
    )
}


def get_preset(name: str) -> Preset:
    """The preset of that name; raises ArgumentError that lists the names there are."""
    if name not in PRESETS:
        raise one_of("preset", name, PRESETS, "convbench run --help")
    return PRESETS[name]
