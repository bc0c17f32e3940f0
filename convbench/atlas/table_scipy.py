"""The atlas's rows for NumPy and SciPy."""

from __future__ import annotations

from convbench.atlas.entry import Entry, Refusal
from convbench.atlas.windows import (
    COMPLEX,
    CONVOLUTION,
    CORRELATION,
    FLOATS,
    KEPT,
    LATER,
    SAME,
    bounded,
    modes,
    numpys,
    three,
)
from convbench.convention import Boundary

_NUMPY = ("2.4.6", "1.16.6")
_SCIPY = ("1.17.1", "1.3.0")
METHODS = tuple(f" method={method}" for method in ("direct", "fft", "auto"))
_VALID = tuple(f"valid{suffix}" for suffix in ("", *METHODS))

CROSSED = Refusal("ValueError", "crossed", _VALID)
NO_HALF = Refusal("ValueError", dtypes="f2")


def _scipy_2d(version: str) -> tuple[Entry, ...]:
    old = Refusal(
        "UNDEFINED OUTPUT", "longer by 2", ("full boundary=wrap", "full boundary=symm"), defect="reads-outside"
    )
    refuses = (CROSSED, NO_HALF, *((old,) if version == "1.3.0" else ()))
    convolve = three(CONVOLUTION) | bounded(CONVOLUTION)
    correlate = three(CORRELATION, LATER, conjugates=True) | bounded(CORRELATION, LATER, conjugates=True)
    return (
        Entry("scipy", (version,), "signal.convolve2d", (2,), convolve, "full", KEPT, refuses, "promoted"),
        Entry(
            "scipy", (version,), "signal.correlate2d", (2,), correlate, "full", KEPT, refuses, "promoted",
            quirks={"valid": "conjugates-image"},
        ),
    )  # fmt: skip


def _scipy_nd(op: str, flips: bool) -> tuple[Entry, ...]:
    direct = three(flips, conjugates=not flips, suffixes=(METHODS[0], METHODS[2]))
    fft = three(flips, conjugates=not flips, suffixes=(METHODS[1],))
    refuses = (
        CROSSED,
        Refusal("ValueError", "two axes", tuple(mode for mode in direct if mode.endswith("direct")), "f2"),
        # For larger kernels auto may choose the FFT, which takes them.
        Refusal("ValueError", "two axes, up to 9 taps", tuple(mode for mode in direct if mode.endswith("auto")), "f2"),
    )
    return (
        Entry("scipy", _SCIPY, op, (1, 2), direct, "full method=auto", KEPT, refuses, "promoted"),
        Entry("scipy", _SCIPY, op, (1, 2), fft, "full method=auto", f"{KEPT} f2", (CROSSED,), "promoted"),
    )


_FFT = f"{FLOATS} c16 f2>f4 i1>f8 u1>f8 i4>f8 i8>f8"
_OLD_FFT = "f8 f4>f8 c16 c8>? f2>f8 i1>f8 u1>f8 i4>f8 i8>f8"


def _scipy_fft(op: str, version: str) -> Entry:
    new = version == "1.17.1"
    refuses = Refusal("ValueError", "crossed, but for 1", ("valid",)) if new else CROSSED
    return Entry(
        "scipy", (version,), op, (1, 2), three(CONVOLUTION), "full", _FFT if new else _OLD_FFT, (refuses,),
        multiplies=new, quirks={"valid": "swaps-per-axis"} if new else {},
    )  # fmt: skip


_BOUNDARIES: dict[str, Boundary] = {
    "reflect (default)": "symmetric",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
}


def _ndimage(op: str, version: str, flips: bool) -> Entry:
    window = LATER if flips else SAME
    conventions = modes(flips, {"constant": window}, conjugates=not flips)
    no_complex = (Refusal("TypeError", dtypes=COMPLEX),) if version == "1.3.0" else ()
    if op.endswith("1d"):
        dtypes = f"{FLOATS} c16 i1 u1 i4"
        return Entry("scipy", (version,), f"ndimage.{op}", (1,), conventions, dtypes=dtypes, refuses=no_complex)
    for mode, boundary in _BOUNDARIES.items():
        conventions |= modes(flips, {mode: window}, conjugates=not flips, boundary=boundary)
    shifted = ("k//2-1", "n") if flips else ("(k-1)//2+1", "n")
    conventions |= modes(flips, {"constant origin=-1": shifted}, conjugates=not flips)
    garbage = Refusal("UNDEFINED OUTPUT", "4 n before", ("reflect (default)",), defect="reflects-garbage")
    refuses = (
        *no_complex,
        Refusal("ValueError", "one sample", ("constant origin=-1",)),
        Refusal("RuntimeError", dtypes="f2"),
        *((garbage,) if version == "1.17.1" else ()),
    )
    return Entry("scipy", (version,), f"ndimage.{op}", (1, 2), conventions, "reflect (default)", KEPT, refuses)


_NUMPY_CORRELATE = numpys(CORRELATION, conjugates=True)
_NUMPY_DTYPES = f"{KEPT} f2"
SCIPY = (
    Entry("numpy", _NUMPY, "np.convolve", (1,), numpys(CONVOLUTION), "full", _NUMPY_DTYPES, (), "promoted"),
    Entry("numpy", _NUMPY, "np.correlate", (1,), _NUMPY_CORRELATE, "valid", _NUMPY_DTYPES, (), "promoted"),
    *_scipy_2d("1.17.1"),
    *_scipy_2d("1.3.0"),
    *_scipy_nd("signal.convolve", CONVOLUTION),
    *_scipy_nd("signal.correlate", CORRELATION),
    _scipy_fft("signal.fftconvolve", "1.17.1"),
    _scipy_fft("signal.fftconvolve", "1.3.0"),
    _scipy_fft("signal.oaconvolve", "1.17.1"),
    *(
        _ndimage(op, version, flips)
        for version in _SCIPY
        for op, flips in (("convolve", True), ("correlate", False), ("convolve1d", True), ("correlate1d", False))
    ),
)
