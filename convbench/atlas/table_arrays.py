"""The atlas's rows for other array libraries (JAX, PyTensor, OpenCV, scikit-image, ducc0) and for the seeds."""

from __future__ import annotations

from convbench.atlas.entry import Entry, Refusal
from convbench.atlas.table_scipy import CROSSED, METHODS, NO_HALF
from convbench.atlas.windows import (
    CAUSAL,
    COMPLEX,
    CONVOLUTION,
    CORRELATION,
    FLOATS,
    FULL,
    KEPT,
    LATER,
    SAME,
    VALID,
    Modes,
    bounded,
    modes,
    numpys,
    three,
)
from convbench.convention import Boundary, Convention

_JAX = ("0.10.2",)
_PYTENSOR = ("3.0.7",)

_RAISED = f"{FLOATS} c16 f2 i1>f4 u1>f4 i4>f4 i8>f8"
_JAXCROSSED = (
    Refusal("ValueError", "crossed", ("valid",)),
    Refusal("ValueError", "crossed", ("full", "same"), defect="crossed-lengths"),
)


def _jax_signal(op: str, ndims: tuple[int, ...], conventions: Modes, dtypes: str, quirk: bool = False) -> Entry:
    quirks = {"valid": "conjugates-image"} if quirk else {}
    name = f"jax.scipy.signal.{op}"
    return Entry("jax", _JAX, name, ndims, conventions, "full", dtypes, _JAXCROSSED, quirks=quirks)


_LAX_TRANSPOSE = modes(CORRELATION, {"SAME": SAME, "VALID": FULL}) | modes(
    CONVOLUTION, {"SAME transpose_kernel=True": SAME, "VALID transpose_kernel=True": FULL}
)
JAX = (
    Entry(
        "jax", _JAX, "lax.conv_general_dilated", (1, 2),
        modes(CORRELATION, {"SAME": LATER, "SAME_LOWER": SAME, "VALID": VALID}), dtypes=f"{KEPT} f2",
    ),
    Entry("jax", _JAX, "lax.conv_transpose", (2,), _LAX_TRANSPOSE),
    Entry("jax", _JAX, "jnp.convolve", (1,), numpys(CONVOLUTION), "full", _RAISED),
    Entry("jax", _JAX, "jnp.correlate", (1,), numpys(CORRELATION, conjugates=True), "valid", f"{FLOATS} c16"),
    _jax_signal("convolve2d", (2,), three(CONVOLUTION), _RAISED),
    _jax_signal("correlate2d", (2,), three(CORRELATION, LATER, conjugates=True), f"{FLOATS} c16", quirk=True),
    _jax_signal("convolve", (1, 2), three(CONVOLUTION), f"{FLOATS} c16"),
    _jax_signal("correlate", (1, 2), three(CORRELATION, conjugates=True), f"{FLOATS} c16"),
    Entry(
        "jax", _JAX, "jax.scipy.signal.fftconvolve", (1, 2), three(CONVOLUTION), "full", f"{FLOATS} c16", (CROSSED,)
    ),
)  # fmt: skip

_PYTENSOR_HALF = Refusal("NotImplementedError", dtypes="f2")


def _pytensor_2d(name: str, dtypes: str, same_dtypes: str, *refuses: Refusal) -> tuple[Entry, ...]:
    """Mode same is another implementation, which does not keep the dtype."""
    suffixes = ("", *METHODS[:2]) if name == "" else ("",)
    every = three(CONVOLUTION, suffixes=suffixes)
    same = {mode: convention for mode, convention in every.items() if mode.startswith("same")}
    others = {mode: convention for mode, convention in every.items() if mode not in same}
    if name == "":
        others |= bounded(CONVOLUTION)
    op = f"signal.convolve2d{name}"
    return (
        Entry("pytensor", _PYTENSOR, op, (2,), others, "full", dtypes, (*refuses, CROSSED)),
        Entry("pytensor", _PYTENSOR, op, (2,), same, "full", same_dtypes, (Refusal("TypingError", dtypes=COMPLEX),)),
    )


def _pytensor_1d(name: str, dtypes: str, *refuses: Refusal) -> Entry:
    op = f"signal.convolve1d{name}"
    return Entry("pytensor", _PYTENSOR, op, (1,), three(CONVOLUTION), "full", dtypes, refuses)


def _pytensor() -> tuple[Entry, ...]:
    return (
        *_pytensor_2d("", KEPT, "f8 f4>f8", _PYTENSOR_HALF),
        _pytensor_1d("", KEPT, _PYTENSOR_HALF),
        *_pytensor_2d(" [FAST_COMPILE]", KEPT, "f8 f4>?", NO_HALF),
        _pytensor_1d(" [FAST_COMPILE]", f"{KEPT} f2"),
        *(entry for name in (" [CVM]", " [NUMBA]") for entry in _pytensor_2d(name, "f8", "f8 f4>?")),
        *(_pytensor_1d(name, "f8") for name in (" [CVM]", " [NUMBA]")),
    )


_CV_REFUSED = Refusal("error", dtypes=COMPLEX), Refusal("error", "below 50 taps", dtypes="i1 i4 i8 f2")
_CV_BORDERS: dict[str, Boundary] = {
    "BORDER_REPLICATE": "edge",
    "BORDER_REFLECT": "symmetric",
    "BORDER_REFLECT101 (default)": "reflect",
    "BORDER_REFLECT101": "reflect",
    "BORDER_WRAP": "wrap",
}


def _filter2d(conventions: Modes, default: str, dtypes: str, *refuses: Refusal) -> Entry:
    return Entry(
        "opencv", ("5.0.0",), "cv2.filter2D", (2,), conventions, default, dtypes, (*_CV_REFUSED, *refuses), "any",
        saturates=True,
    )  # fmt: skip


def _opencv() -> tuple[Entry, ...]:
    plain = modes(CORRELATION, {"BORDER_CONSTANT": SAME})
    for mode, boundary in _CV_BORDERS.items():
        plain |= modes(CORRELATION, {mode: SAME}, boundary=boundary)
    plain |= modes(CORRELATION, {"BORDER_CONSTANT anchor=(0,0)": ("k-1", "n")})
    plain |= modes(CONVOLUTION, {"BORDER_CONSTANT flipped kernel, anchor=k-1-k//2": LATER})
    plain |= modes(CONVOLUTION, {"BORDER_CONSTANT flipped kernel, default anchor": SAME})
    plain |= modes(CORRELATION, {"BORDER_CONSTANT ddepth=-1": SAME, "BORDER_CONSTANT integer kernel": SAME})
    wrap = ("BORDER_WRAP",)
    short = Refusal("error", "below 50 taps", wrap), Refusal("error", "below 130 taps", wrap, "f4 u1")
    single = modes(CORRELATION, {"BORDER_CONSTANT ddepth=CV_32F": SAME})
    double = modes(CORRELATION, {"BORDER_CONSTANT ddepth=CV_64F": SAME})
    separable = modes(CORRELATION, {"BORDER_CONSTANT": SAME})
    return (
        _filter2d(plain, "BORDER_REFLECT101 (default)", f"{FLOATS} u1 i2 u2", *short),
        _filter2d(single, "", "f4 u1>f4 i2>f4 u2>f4 f8>?"),
        _filter2d(double, "", "f8 f4>f8 u1>f8 i2>f8 u2>f8", Refusal("error", "below 50 taps", dtypes="f4")),
        Entry("opencv", ("5.0.0",), "cv2.sepFilter2D kernelX", (1,), separable),
        Entry("opencv", ("5.0.0",), "cv2.sepFilter2D kernelY", (1,), separable),
    )


def _skimage() -> Entry:
    boundaries: dict[str, Boundary] = {
        "constant": "zero",
        "reflect": "symmetric",
        "mirror": "reflect",
        "nearest": "edge",
        "wrap": "wrap",
    }
    conventions: dict[str, Convention | None] = {}
    for mode, boundary in boundaries.items():
        conventions |= modes(CORRELATION, {mode: SAME}, boundary=boundary)
    refuses = (
        Refusal("ValueError", "even", tuple(boundaries)),
        Refusal("ValueError", "negative, up to k=2n", ("valid",)),
    )
    conventions |= modes(CORRELATION, {"valid": VALID})
    return Entry("scikit-image", ("0.26.0",), "filters.correlate_sparse", (2,), conventions, "reflect", refuses=refuses)


def _seeds() -> tuple[Entry, ...]:
    full, valid = modes(CONVOLUTION, {"full": FULL}), {"valid": VALID}
    shifted = modes(CORRELATION, {"full": ("k-1", "n+k-1")})
    square = Refusal("ValueError", "more rows"), Refusal("ValueError", "not square")
    quirks = {"valid": "rows-for-columns"}
    posted, answer = ("as posted",), ("answer 2",)
    return (
        Entry("seed000", posted, "convolve_paint", (2,), full, "full"),
        Entry("seed000", posted, "convolve_sum", (2,), full, "full"),
        Entry("seed000", posted, "convolve_sum with + for -", (2,), shifted, "full"),
        Entry(
            "seed000", answer, "correlate2d(image, kernel.T)", (2,),
            modes(CORRELATION, {"same": LATER}, conjugates=True, transposes=True), "same",
        ),
        Entry(
            "seed001", posted, "convolution", (2,), modes(CORRELATION, valid), "valid", "f8 f4>f8 c16>f8 c8>f8",
            square, quirks=quirks,
        ),
        Entry(
            "seed001", answer, "convolution(img, rot180(kernel))", (2,), modes(CONVOLUTION, valid), "valid",
            "f8 f4>f8 c16>f8 c8>f8", square, quirks=quirks,
        ),
    )  # fmt: skip


_CIRCULAR = modes(CONVOLUTION, {"circular": CAUSAL}, boundary="wrap")
ARRAYS = (
    *JAX,
    *_pytensor(),
    *_opencv(),
    _skimage(),
    Entry("ducc0", ("0.42.0",), "fft.convolve_axis (kernel zero-padded to n)", (1,), _CIRCULAR, "circular",
          refuses=(Refusal("ZeroDivisionError", "longer"),)),
    *_seeds(),
)  # fmt: skip
