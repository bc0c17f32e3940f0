"""The atlas's rows for neural-network frameworks: Theano, Aesara, TensorFlow, Keras, torch, ONNX Runtime, OpenVINO."""

from __future__ import annotations

from convbench.atlas.entry import Entry, Refusal
from convbench.atlas.windows import (
    CAUSAL,
    COMPLEX,
    CONVOLUTION,
    CORRELATION,
    FLOATS,
    FULL,
    HALF,
    INT_1,
    INTEGERS,
    KEPT,
    LATER,
    SAME,
    VALID,
    Modes,
    modes,
    never,
)
from convbench.convention import Boundary, Convention

_CONV2D = "tensor.nnet.conv2d filter_flip={}"
_SIGNAL, _LEGACY = "tensor.signal.conv.conv2d", "tensor.nnet.conv.conv2d (legacy ConvOp)"
_CAUSAL = "abstract_conv.causal_conv1d filter_flip={}"
_TRANSPOSE = "tensor.nnet.conv2d_transpose filter_flip=True"
_FOUR = {"valid": VALID, "full": FULL, "half": HALF, "int 1": INT_1}
_FLIPS = {True: CONVOLUTION, False: CORRELATION}
_LEGACY_MODES = modes(CONVOLUTION, {"valid": VALID, "full": FULL})
_TRANSPOSE_MODES = modes(CORRELATION, {"valid": FULL})
_EMPTY, _NEGATIVE = Refusal("ValueError", "empty"), Refusal("ValueError", "negative")


def _theanos(system: str, version: str, op: str, conventions: Modes, dtypes: str, *refuses: Refusal) -> Entry:
    ndims = (1,) if "causal" in op else (2,)
    default = "causal" if "causal" in op else "valid"
    return Entry(system, (version,), op, ndims, conventions, default, dtypes, refuses)


def _legacy(system: str, versions: tuple[str, ...], no_same: str, too_long: Refusal) -> tuple[Entry, ...]:
    refused = Refusal(no_same, modes=("same",))
    signal = {**_LEGACY_MODES, **never("same")}
    return (
        Entry(system, versions, _SIGNAL, (2,), signal, "valid", refuses=(refused, too_long)),
        Entry(system, versions, _LEGACY, (2,), _LEGACY_MODES, "valid", refuses=(too_long,)),
    )


def _only_full_and_valid(system: str, version: str, kind: str) -> tuple[Entry, ...]:
    """What runs where neither compiled code nor an unoptimised graph is used."""
    flipped = {**_LEGACY_MODES, **never("half", "int 1")}
    refuses = Refusal(kind, modes=("half", "int 1")), Refusal(kind, dtypes="f2"), _EMPTY
    return (
        _theanos(system, version, _CONV2D.format(True), flipped, KEPT, *refuses),
        _theanos(system, version, _CONV2D.format(False), never(*_FOUR), "f8", Refusal(kind)),
    )


def _unoptimised(system: str, version: str, no_same: str) -> tuple[Entry, ...]:
    half = Refusal("ValueError", dtypes="f2")
    flipped, plain = modes(CONVOLUTION, _FOUR), modes(CORRELATION, _FOUR)
    return (
        _theanos(system, version, _CONV2D.format(True), flipped, KEPT, half, _NEGATIVE),
        _theanos(system, version, _CONV2D.format(False), plain, "f8", _NEGATIVE),
        *_legacy(system, (version,), no_same, _NEGATIVE),
    )


_CPP, _NO_CPP, _PYTHON = "1.0.5 (C++)", "1.0.5 (no C compiler)", "1.0.5 (unoptimised graph, Python perform())"
_SKIP = "LocalMetaOptimizerSkipAssertionError"
_CORRMM = Refusal("AssertionError", dtypes=f"{INTEGERS} {COMPLEX}"), Refusal(_SKIP, dtypes="f2"), _EMPTY
THEANO = (
    _theanos("theano", _CPP, _CONV2D.format(True), modes(CONVOLUTION, _FOUR), FLOATS, *_CORRMM),
    _theanos("theano", _CPP, _CONV2D.format(False), modes(CORRELATION, _FOUR), "f8", _EMPTY),
    *_only_full_and_valid("theano", _NO_CPP, _SKIP),
    *_legacy("theano", (_CPP, _NO_CPP), "Exception", _EMPTY),
    *_unoptimised("theano", _PYTHON, "Exception"),
    *(
        _theanos("theano", _CPP, _CAUSAL.format(flip), modes(flips, {"causal": CAUSAL}), "f8")
        for flip, flips in _FLIPS.items()
    ),
    Entry("theano", (_CPP, _NO_CPP, _PYTHON), _TRANSPOSE, (2,), _TRANSPOSE_MODES, "valid"),
)

_A_CPP, _A_NO_GEMM = "2.9.4 (C++)", "2.9.4 (C++, optimizer_excluding=conv_gemm)"
_A_PYTHON = "2.9.4 (unoptimised graph, Python perform())"
_A_SKIP = "MetaNodeRewriterSkip"
_BROKEN = Refusal(_A_SKIP, defect="cannot-compile")
AESARA = (
    *(
        _theanos("aesara", _A_CPP, op.format(flip), never(*names), FLOATS, _BROKEN)
        for op, names in ((_CONV2D, tuple(_FOUR)), (_CAUSAL, ("causal",)))
        for flip in (True, False)
    ),
    *_only_full_and_valid("aesara", _A_NO_GEMM, _A_SKIP),
    *_legacy("aesara", (_A_CPP, _A_NO_GEMM), "NotImplementedError", _EMPTY),
    *_unoptimised("aesara", _A_PYTHON, "NotImplementedError"),
    Entry("aesara", (_A_CPP, _A_PYTHON), _TRANSPOSE, (2,), _TRANSPOSE_MODES, "valid"),
    _theanos("aesara", _A_NO_GEMM, _TRANSPOSE, never("valid"), "f8", Refusal(_A_SKIP)),
)

_TF_MODES = modes(CORRELATION, {"SAME": LATER, "VALID": VALID})
_TF_TRANSPOSE = modes(CONVOLUTION, {"SAME": SAME, "VALID": FULL})
_TF_NEGATIVE = Refusal("InvalidArgumentError", "negative")
_TF_UNDEFINED = Refusal("UNDEFINED OUTPUT", "empty", ("VALID",), "f4", defect="undefined-empty")
_NCHW = "SAME NCHW on CPU"


def _tensorflow(version: str, channels_first: Modes, refused: str, integers: str) -> tuple[Entry, ...]:
    complex_too = Refusal(refused, dtypes=COMPLEX)
    new = version.startswith("2")
    refuses_2d = [complex_too, Refusal(refused, dtypes="i1 u1 i8" if new else INTEGERS), _TF_NEGATIVE]
    refuses_1d = [complex_too, *([] if new else [Refusal(refused, dtypes="i4")]), _TF_NEGATIVE]
    undefined = [_TF_UNDEFINED] if new else []
    if not new:
        refuses_2d.insert(0, Refusal("UnimplementedError", modes=(_NCHW,)))
    dtypes = f"{FLOATS} f2 {integers}".rstrip()
    return (
        Entry("tensorflow", (version,), "tf.nn.conv2d", (2,), {**_TF_MODES, **channels_first}, "", dtypes,
              (*refuses_2d, *undefined)),
        Entry("tensorflow", (version,), "tf.nn.conv1d", (1,), _TF_MODES, "", dtypes, (*refuses_1d, *undefined)),
        Entry("tensorflow", (version,), "tf.nn.convolution", (2,), _TF_MODES, "", "f4", (_TF_NEGATIVE, *undefined)),
    )  # fmt: skip


TENSORFLOW = (
    *_tensorflow("2.21.0", modes(CORRELATION, {_NCHW: LATER}), "InvalidArgumentError", "i4"),
    *_tensorflow("1.15.5", never(_NCHW), "TypeError", ""),
    Entry("tensorflow", ("2.21.0", "1.15.5"), "tf.nn.conv2d_transpose", (2,), _TF_TRANSPOSE, "SAME", "f4"),
)

_KERAS_TF, _KERAS_TORCH = "3.15.0 (tensorflow 2.21.0)", "3.15.0 (torch 2.13.0+cpu)"
_KERAS_JAX, _KERAS_2 = "3.15.0 (jax 0.10.2)", "2.3.1 (tensorflow 1.15.5)"
_KERAS = (_KERAS_TF, _KERAS_TORCH, _KERAS_JAX, _KERAS_2)
_KERAS_2D = modes(CORRELATION, {"same": LATER, "valid": VALID, "same channels_first": LATER})
_KERAS_1D = modes(CORRELATION, {"same": LATER, "valid": VALID, "causal": CAUSAL})
_KERAS_OPS = {_KERAS_TF: "InvalidArgumentError", _KERAS_TORCH: "RuntimeError", _KERAS_JAX: "ValueError"}
_ON_THEANO = {
    "2.3.1 (theano 1.0.5)": ("Conv2D", "Conv1D"),
    "2.2.5 (theano 1.0.5)": ("Conv2D", "Conv1D"),
    "1.2.2 (theano 1.0.5)": ("Convolution2D", "Convolution1D"),
}
_THEANO_2D = modes(
    CONVOLUTION, {f"{mode} {order}": window for mode, window in (("same", SAME), ("valid", VALID))
                  for order in ("channels_last", "channels_first")}
)  # fmt: skip
_THEANO_1D = modes(CONVOLUTION, {"same": SAME, "valid": VALID})


def _keras_on_theano(version: str) -> tuple[Entry, ...]:
    refuses = (_EMPTY,) if version.startswith("1") else (Refusal("AssertionError", "negative"), _EMPTY)
    flat, line = (f"layers.{name}" for name in _ON_THEANO[version])
    return (
        Entry("keras", (version,), flat, (2,), _THEANO_2D, "valid channels_last", "f4", refuses),
        Entry("keras", (version,), line, (1,), _THEANO_1D, "valid", "f4", refuses),
    )


KERAS = (
    Entry("keras", _KERAS, "layers.Conv2D", (2,), _KERAS_2D, "valid", FLOATS, (_EMPTY,)),
    Entry("keras", _KERAS, "layers.Conv1D", (1,), _KERAS_1D, "valid", "f4", (_EMPTY,)),
    Entry("keras", _KERAS, "layers.Conv2DTranspose", (2,), modes(
        CONVOLUTION, {"same": SAME, "valid": FULL}), "valid", "f4"),
    *(
        Entry("keras", (version,), "ops.conv", (1, 2), modes(CORRELATION, {"same": LATER, "valid": VALID}), "valid",
              refuses=(Refusal(kind, "empty"),))
        for version, kind in _KERAS_OPS.items()
    ),
    *(entry for version in _ON_THEANO for entry in _keras_on_theano(version)),
)  # fmt: skip

_TORCH_2D = modes(
    CORRELATION, {"padding=same": LATER, "padding=valid": VALID, "padding=k//2": HALF, "padding=k-1": FULL}
)
_TORCH_1D = modes(CORRELATION, {"padding=same": LATER, "padding=valid": VALID})
_TORCH_TRANSPOSE = modes(CONVOLUTION, {"padding=0": FULL})
_TORCH_EMPTY = Refusal("RuntimeError", "empty")
_PADDING_MODES: dict[str, Boundary] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_TORCH = ("2.13.0+cpu",)


def _torch_padded() -> Entry:
    conventions: dict[str, Convention | None] = {}
    for name, boundary in _PADDING_MODES.items():
        conventions |= modes(CORRELATION, {f"padding='same' padding_mode={name}": LATER}, boundary=boundary)
    refuses = (
        Refusal("RuntimeError", "pads n", ("padding='same' padding_mode=reflect",)),
        Refusal("RuntimeError", "pads more than n", ("padding='same' padding_mode=circular",)),
    )
    return Entry("torch", _TORCH, "nn.Conv2d", (2,), conventions, refuses=refuses)


TORCH = (
    Entry("torch", _TORCH, "F.conv2d", (2,), _TORCH_2D, "padding=valid", f"{KEPT} f2", (_TORCH_EMPTY,)),
    Entry("torch", _TORCH, "F.conv1d", (1,), _TORCH_1D, "padding=valid", f"{FLOATS} c16 i1 i4 i8 f2", (_TORCH_EMPTY,)),
    Entry("torch", _TORCH, "F.conv_transpose2d", (2,), _TORCH_TRANSPOSE, "padding=0", f"{FLOATS} c16"),
    Entry("torch", _TORCH, "F.conv_transpose1d", (1,), _TORCH_TRANSPOSE, "padding=0"),
    _torch_padded(),
)


def _auto_pad(upper: str, lower: str, valid: str) -> Modes:
    windows = {f"auto_pad={upper}": LATER, f"auto_pad={lower}": SAME, f"auto_pad={valid}": VALID}
    return modes(CORRELATION, windows)


_ONNX_REFUSED = Refusal("NotImplemented", dtypes="f8"), Refusal("InvalidGraph", dtypes="i1 i4")
NETWORKS = (
    *THEANO,
    *AESARA,
    *TENSORFLOW,
    *KERAS,
    *TORCH,
    Entry("onnxruntime", ("1.31.1",), "Conv", (1, 2), _auto_pad("SAME_UPPER", "SAME_LOWER", "VALID"), "", "f4 f2",
          (*_ONNX_REFUSED, Refusal("InvalidArgument", "empty"))),
    Entry("onnxruntime", ("1.31.1",), "ConvTranspose", (2,), modes(CONVOLUTION, {"default": FULL}), "default",
          "f4 f8>?"),
    Entry("openvino", ("2026.4.1",), "opset8.convolution", (1, 2), _auto_pad("same_upper", "same_lower", "valid"), "",
          FLOATS, (Refusal("RuntimeError", "empty"),)),
)  # fmt: skip
