"""FFTW's own plans, printed: which codelets, how many operations.

pyFFTW shows neither. The FFTW library that it has loaded into this process is asked through ctypes for the same plan
once more, from wisdom only (FFTW_WISDOM_ONLY), so that nothing is measured again and no array is written to. Functions
and constants: FFTW 3 manual, sections "Guru interface" and "Using plans".
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convbench.profiling.algorithm.fact import Fact
from convbench.profiling.missing import Missing

_FLAGS = {
    "FFTW_MEASURE": 0,
    "FFTW_DESTROY_INPUT": 1 << 0,
    "FFTW_UNALIGNED": 1 << 1,
    "FFTW_EXHAUSTIVE": 1 << 3,
    "FFTW_PATIENT": 1 << 5,
    "FFTW_ESTIMATE": 1 << 6,
}
_PRESERVE_INPUT, _WISDOM_ONLY = 1 << 4, 1 << 21
_CODELET = re.compile(r'"[a-z][a-z0-9]*_\d+(?:_([a-z][a-z0-9_]*))?"')
"""A codelet's name, e.g. n2fv_64_avx2: what it does, its length, the instruction set where it uses one."""
_SUFFIXES = {"float32": "f", "complex64": "f", "float64": "", "complex128": ""}


class _Dimension(ctypes.Structure):
    """fftw_iodim64: length, distance of neighbours in the input and in the output, in items."""

    _fields_ = (("n", ctypes.c_ssize_t), ("is_", ctypes.c_ssize_t), ("os", ctypes.c_ssize_t))


class Library:
    """The FFTW library of one precision that this process has loaded.

    Raises LookupError where there is none.
    """

    def __init__(self, dtype: str) -> None:
        self.suffix = _SUFFIXES[dtype]
        self.path = loaded(f"libfftw3{self.suffix}")
        self.handle = ctypes.CDLL(str(self.path))

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        found = getattr(self.handle, f"fftw{self.suffix}_{name}")
        found.restype, found.argtypes = result, arguments
        return found

    @property
    def version(self) -> str:
        """With the instruction sets that it was built for: fftw-3.3.10-sse2-avx."""
        return (ctypes.c_char * 128).in_dll(self.handle, f"fftw{self.suffix}_version").value.decode()

    @contextlib.contextmanager
    def plan(self, transform: Any, threads: int) -> Iterator[int]:
        """FFTW's plan for what a pyfftw.FFTW object does; raises LookupError where there is no wisdom on it."""
        self._plan_with_threads(threads)
        pointer = self._make(transform)
        if not pointer:
            raise LookupError("FFTW has no wisdom on this plan, so it cannot be made again as it was")
        try:
            yield pointer
        finally:
            self.function("destroy_plan", None, ctypes.c_void_p)(pointer)

    def printed(self, plan: int) -> str:
        """FFTW's description of a plan."""
        text = self.function("sprint_plan", ctypes.c_void_p, ctypes.c_void_p)(plan)
        try:
            return ctypes.string_at(text).decode()
        finally:
            release = ctypes.CDLL(None).free  # the C library's, as the manual says
            release.argtypes = (ctypes.c_void_p,)
            release(text)

    def operations(self, plan: int) -> tuple[float, float, float]:
        """Additions, multiplications, fused multiply-adds."""
        counts = [ctypes.c_double() for _ in range(3)]
        ask = self.function("flops", None, ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_double)] * 3)
        ask(plan, *map(ctypes.byref, counts))
        adds, multiplies, fused = (count.value for count in counts)
        return adds, multiplies, fused

    def _make(self, transform: Any) -> int | None:
        kinds = transform.input_dtype.kind + transform.output_dtype.kind
        name = {"cc": "plan_guru64_dft", "fc": "plan_guru64_dft_r2c", "cf": "plan_guru64_dft_c2r"}[kinds]
        axes = tuple(transform.axes)
        others = tuple(axis for axis in range(len(transform.input_shape)) if axis not in axes)
        signs = [1 if transform.direction == "FFTW_BACKWARD" else -1] if kinds == "cc" else []
        arrays = [a.ctypes.data for a in (transform.input_array, transform.output_array)]
        dimensions = ctypes.POINTER(_Dimension)
        make = self.function(
            name, ctypes.c_void_p, ctypes.c_int, dimensions, ctypes.c_int, dimensions, ctypes.c_void_p,
            ctypes.c_void_p, *[ctypes.c_int for _ in signs], ctypes.c_uint,
        )  # fmt: skip
        found: int | None = make(
            len(axes), _dimensions(transform, axes), len(others), _dimensions(transform, others), *arrays, *signs,
            _flags(transform, kinds),
        )  # fmt: skip
        return found

    def _plan_with_threads(self, threads: int) -> None:
        """pyFFTW says this anew before each plan of its own."""
        with contextlib.suppress(LookupError, AttributeError):  # built without threads, then it has no wisdom on them
            folder = ctypes.CDLL(str(loaded(rf"libfftw3{self.suffix}_(?:omp|threads)")))
            getattr(folder, f"fftw{self.suffix}_plan_with_nthreads")(ctypes.c_int(threads))


def loaded(stem: str) -> Path:
    """The file of a shared library that this process has loaded; stem: a pattern of its name up to '.' or '-'.

    Raises LookupError where there is none.
    """
    import pyfftw

    with contextlib.suppress(OSError):
        paths = {line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
        found = sorted(path for path in paths if re.match(rf"{stem}[.-]", Path(path).name))
        if found:
            return Path(found[0])
    home = Path(pyfftw.__file__).parent  # no /proc: where wheels keep their libraries
    for folder in (home.parent / "pyfftw.libs", home / ".dylibs"):
        for path in sorted(folder.glob("*")):
            if re.match(rf"{stem}[.-]", path.name):
                return path
    raise LookupError(f"pyFFTW has loaded no {stem}")


def logical_shape(transform: Any) -> tuple[int, ...]:
    """The real side's shape of a pyfftw.FFTW object, whose spectrum is half as long."""
    return tuple(transform.output_shape if transform.output_dtype.kind == "f" else transform.input_shape)


def _dimensions(transform: Any, axes: tuple[int, ...]) -> Any:
    shape = logical_shape(transform)
    sides = ((transform.input_strides, transform.input_dtype), (transform.output_strides, transform.output_dtype))
    strides = [[step // np.dtype(dtype).itemsize for step in steps] for steps, dtype in sides]
    dimensions = [_Dimension(shape[axis], strides[0][axis], strides[1][axis]) for axis in axes]
    return (_Dimension * len(axes))(*dimensions)


def _flags(transform: Any, kinds: str) -> int:
    """As pyFFTW adds them up: input is preserved where that is possible and nothing else was said."""
    flags = sum(_FLAGS.get(flag, 0) for flag in transform.flags)
    preserved = "FFTW_DESTROY_INPUT" not in transform.flags and (kinds != "cf" or len(transform.axes) == 1)
    return flags | _WISDOM_ONLY | (_PRESERVE_INPUT if preserved else 0)


def plan_fact(what: str, library: Library, transform: Any, threads: int) -> Fact | Missing:
    """The plan of a pyfftw.FFTW object."""
    try:
        with library.plan(transform, threads) as plan:
            text, (adds, multiplies, fused) = library.printed(plan), library.operations(plan)
    except LookupError as error:
        return Missing(what, str(error))
    total = f"{(adds + multiplies + fused) / 1e6:.4g} million operations, a vector as one"
    counted = f"{adds:.4g} additions, {multiplies:.4g} multiplications, {fused:.4g} fused multiply-adds"
    value = f"{total} ({_by_rule(transform) / 1e6:.4g} million flops by the rule 5 N log2 N); {_simd(text)}"
    return Fact(what, value, "fftw_sprint_plan, fftw_flops", (counted, *text.splitlines()))


def _by_rule(transform: Any) -> float:
    """5 N log2 N for N complex samples, half of that for real ones: how FFTs are compared (benchFFT)."""
    shape = logical_shape(transform)
    is_complex = transform.input_dtype.kind == transform.output_dtype.kind == "c"
    length = math.prod(shape[axis] for axis in transform.axes)
    return (5.0 if is_complex else 2.5) * math.prod(shape) * math.log2(length)


def _simd(text: str) -> str:
    """Of the codelets of a printed plan: the instruction sets, the most frequent first."""
    sets = [found[1] or "none" for found in _CODELET.finditer(text)]
    if not sets:
        return "no codelets named"
    names = sorted(dict.fromkeys(sets), key=sets.count, reverse=True)
    return f"codelets: {', '.join(f'{name} {sets.count(name)} of {len(sets)}' for name in names)}"
