"""Which cells there are: layouts turn sizes into problems; presets choose cells from the lists in benchmarks/."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from convbench.backends import list_backends
from convbench.backends.base import Backend
from convbench.errors import one_of
from convbench.machine import cores
from convbench.measure import Rule
from convbench.problem import Problem, Shape


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
    """A block of cells of one benchmark class, e.g. "image.Threads": every combination of these values."""

    benchmark: str
    images: tuple[int, ...]
    kernels: tuple[int, ...]
    dtypes: tuple[str, ...] = ("float32",)
    device: str = "cpu"
    threads: int = 1

    @property
    def layout(self) -> str:
        return self.benchmark.partition(".")[0]

    def problems(self) -> Iterator[Problem]:
        for dtype, image, kernel in itertools.product(self.dtypes, self.images, self.kernels):
            yield problem_of(self.layout, image, kernel, dtype, self.device, self.threads)

    def backends(self) -> list[Backend]:
        """The backends that take this layout, device, thread count and any of the dtypes at all, in registry order."""
        ndim = 1 if self.layout == "signal" else 2
        kind = self.device.partition(":")[0]
        return [
            b
            for b in list_backends()
            if ndim in b.ndims
            and kind in b.devices
            and (b.threaded or self.threads == 1)
            and not set(self.dtypes).isdisjoint(b.dtypes)
        ]

    def cell_name(self, backend: Backend, problem: Problem) -> str:
        """The cell as asv writes it, for its `--bench`."""
        values = (backend.name, problem.image_shape[-1], problem.kernel_shape[-1], problem.dtype, problem.device)
        return f"{self.benchmark}.time_execute({', '.join(map(repr, values))}, {problem.threads})"

    def regex(self) -> str:
        """What `asv run --bench` must be given to select these cells."""

        def any_of(values: Iterable[object]) -> str:
            return "(?:" + "|".join(re.escape(repr(v)) for v in values) + ")"

        cell = ", ".join(any_of(v) for v in (self.images, self.kernels, self.dtypes, (self.device,), (self.threads,)))
        return rf"^{re.escape(self.benchmark)}\.\w+\({any_of(b.name for b in self.backends())}, {cell}\)$"


@dataclass(frozen=True)
class Preset:
    """A choice of cells, and how long each may take."""

    name: str
    slices: tuple[Slice, ...]
    rule: Rule
    budget: float
    """Seconds that one execution may take; a cell predicted to take longer is skipped."""
    processes: int = 1
    """How many processes measure each cell: memory and code lie elsewhere in each, which moves times by per cents."""
    hopeless: float = math.inf
    """A method whose cost grows with the kernel's area, and that was this many times slower than the best of those that
    take any kernel without catching up, is skipped at larger kernels of the same image."""


_IMAGES = (256, 512, 1024, 2048)
_KERNELS = (3, 5, 7, 9, 11, 15, 21, 31, 45, 63, 101)
_FEW_KERNELS = (3, 7, 15, 31, 63)
_SIGNALS = (1024, 4096, 16384, 65536, 262144, 1048576)
_TAPS = (3, 9, 33, 129, 513, 1025, 4097)
_REAL = ("float32", "float64")
DEVICES = ("cuda:0", "cuda:1")
"""Devices that cells can be of: the lists in benchmarks/ are literal."""
CORES = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Numbers of threads that cells on many cores can be of."""
ALL_CORES = 0
"""Of a slice: as many threads of CORES as there are cores; get_preset puts the number in."""
_CUDA_IMAGES = (256, 512, 1024, 2048, 4096, 8192)
_CUDA_KERNELS = (3, 5, 7, 9, 11, 15, 21, 31, 63, 127, 255)
_CUDA_DTYPES = ("float64", "complex64", "complex128", "float16", "bfloat16")

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            (
                Slice("image.Image", (256, 512, 1024), (3, 5, 7, 11, 15, 21, 31, 63)),
                Slice("image.Cuda", (1024,), (3, 15, 63), device="cuda:0"),
                Slice("signal.Signal", (4096, 65536), (9, 33, 129, 1025)),
                Slice("rows.Rows", (1024,), (7, 31)),
            ),
            Rule(warmup=0.01, seconds=0.06, hard_seconds=0.4, noise=0.015, patience=6, most=15, fewest=2),
            budget=0.1,
            processes=2,
            hopeless=30.0,
        ),
        Preset(
            "standard",
            (
                Slice("image.Image", _IMAGES, _KERNELS, _REAL),
                Slice("image.Complex", (1024,), _FEW_KERNELS, ("complex64", "complex128")),
                Slice("image.Threads", (1024, 2048), _FEW_KERNELS, threads=2),
                Slice("image.Cuda", (1024,), _FEW_KERNELS, device="cuda:0"),
                Slice("signal.Signal", _SIGNALS, _TAPS),
                Slice("rows.Rows", (512, 2048), (3, 15, 63)),
            ),
            Rule(warmup=0.01, seconds=0.12, hard_seconds=1.0, noise=0.01, patience=8, most=25, fewest=2),
            budget=0.25,
            processes=3,
            hopeless=30.0,
        ),
        Preset(
            "gpu",
            (  # a card is often had for minutes: what the targets need comes first, see docs/cuda.md
                Slice("image.Cuda", (4096,), _CUDA_KERNELS, device="cuda:0"),
                Slice("image.Cuda", (256, 512, 1024, 2048), (3, 7, 11, 15, 21, 31, 63, 255), device="cuda:0"),
                Slice("image.Cores", (256, 512, 1024, 2048), (3, 7, 15, 31), threads=ALL_CORES),
                Slice("image.Image", _IMAGES, (3, 7, 15, 31)),
                Slice("image.Cuda", (8192,), (3, 7, 15, 31, 255), device="cuda:0"),
                Slice("image.Cores", (4096,), (3, 7, 15, 31), threads=ALL_CORES),
                Slice("image.CudaDtypes", (1024,), (3, 15, 63), _CUDA_DTYPES, device="cuda:0"),
                Slice("signal.Cuda", (65536, 1048576), (9, 129, 1025), device="cuda:0"),
            ),
            Rule(warmup=0.01, seconds=0.1, hard_seconds=0.6, noise=0.01, patience=8, most=20, fewest=2),
            budget=0.1,
            hopeless=10.0,
        ),
        Preset(
            "full",
            (
                Slice("image.Image", _IMAGES, _KERNELS, _REAL),
                Slice("image.Complex", (512, 1024), _FEW_KERNELS, ("complex64", "complex128")),
                Slice("image.Threads", (1024, 2048), _FEW_KERNELS, _REAL, threads=2),
                Slice("image.Cores", _CUDA_IMAGES, (3, 7, 15, 31), threads=ALL_CORES),
                Slice("image.Cuda", _CUDA_IMAGES, _CUDA_KERNELS, device="cuda:0"),
                Slice("image.CudaDtypes", (1024, 4096), _FEW_KERNELS, _CUDA_DTYPES, device="cuda:0"),
                Slice("signal.Signal", _SIGNALS, _TAPS, _REAL),
                Slice("signal.Cuda", _SIGNALS, _TAPS, device="cuda:0"),
                Slice("rows.Rows", _IMAGES, (3, 7, 15, 31, 63, 101), _REAL),
            ),
            Rule(seconds=0.3, hard_seconds=3.0, most=40, fewest=2),
            budget=5.0,
            processes=5,
        ),
    )
}


def get_preset(name: str, devices: Sequence[str] = ()) -> Preset:
    """The preset of that name, with the threads of this machine's cores.

    devices: those that take cuda:0's place; raises ArgumentError for another name than those in PRESETS and DEVICES.
    """
    if name not in PRESETS:
        raise one_of("preset", name, PRESETS, "convbench run --help")
    for device in devices:
        if device not in DEVICES:
            raise one_of("device", device, DEVICES, "convbench machine")
    threads = max((n for n in CORES if n <= cores()), default=1)
    found: list[Slice] = []
    for piece in PRESETS[name].slices:
        if piece.device != "cpu" and devices:
            found += [replace(piece, device=device) for device in dict.fromkeys(devices)]
        elif piece.threads != ALL_CORES:
            found.append(piece)
        elif threads > 1:
            found.append(replace(piece, threads=threads))
    return replace(PRESETS[name], slices=tuple(found))
