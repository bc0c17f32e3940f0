"""A stranger's function, called so that it can neither hang, change what it is given, nor end the process."""

from __future__ import annotations

import ctypes
import functools
import inspect
import itertools
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convbench.errors import one_of
from convbench.problem import Array, Shape

Function = Callable[..., Any]

LAYOUTS = ("plain", "NCHW", "NHWC")
"""plain: arrays as they are. NCHW: image (1, 1, h, w), kernel (1, 1, h, w). NHWC: image (1, h, w, 1), kernel
(h, w, 1, 1). For 1-D likewise without h."""
_SPELLINGS = {"NCW": "NCHW", "NWC": "NHWC"}
DTYPES = ("float64", "float32", "int64")
"""Tried in this order."""


class RefusedError(Exception):
    """The function raised, or returned what is no array of the right kind; kind is its exception's name."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind, self.text = kind, " ".join(text.split())[:200]
        super().__init__(f"{kind}: {self.text}" if self.text else kind)


class RaisedError(Exception):
    """The function raised; the exception is its cause."""


class TimeUpError(Exception):
    """There is no time left."""


class Patience:
    """Calls functions in a thread of its own, for so many seconds in all."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.ends = seconds, time.monotonic() + seconds
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __enter__(self) -> Patience:
        return self

    def __exit__(self, *_: object) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        with np.errstate(all="ignore"):
            for function, arguments in iter(self._jobs.get, None):
                try:
                    self._answers.put((function(*arguments), None))
                except BaseException as error:  # SystemExit too: it is an answer like any other
                    self._answers.put((None, error))

    def call(self, function: Function, *arguments: Any) -> Any:
        """What the function returns; raises RaisedError where it raises, TimeUpError where it takes too long."""
        if not self._thread.is_alive():
            raise TimeUpError
        self._jobs.put((function, arguments))
        try:
            value, error = self._answers.get(timeout=max(0.0, self.ends - time.monotonic()))
        except queue.Empty:
            self._stop()
            raise TimeUpError from None
        if error is not None:
            raise RaisedError from error
        return value

    def _stop(self) -> None:
        """End the function if it runs in Python; what runs in C is left to end by itself."""
        self._jobs.put(None)
        ident = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit))


@dataclass(frozen=True)
class Manner:
    """How a function wants to be called: layout, dtype, and the package whose arrays it takes."""

    layout: str = "plain"
    dtype: str = "float64"
    arrays: str = "numpy"
    transposed: bool = False
    """Whether the output is transposed before it is looked at."""

    @staticmethod
    def all(layout: str | None) -> Iterator[Manner]:
        """Every manner, or every one of that layout, the plainest first."""
        for transposed in (False, True):
            for arrays in ("numpy", "torch") if "torch" in sys.modules else ("numpy",):
                for dtype, chosen in itertools.product(DTYPES, (layout,) if layout else LAYOUTS):
                    yield Manner(chosen, dtype, arrays, transposed)

    def axes(self, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Axes that are added to image and kernel."""
        if self.layout == "plain":
            return (), ()
        return ((0, 1), (0, 1)) if self.layout == "NCHW" else ((0, ndim + 1), (ndim, ndim + 1))

    def expression(self, name: str, mode: str | None, by_keyword: bool) -> str:
        """Python that calls the function of that name with plain arrays `image` and `kernel`; the result is plain."""
        given = {"plain": ("image", "kernel"), "NCHW": ("image[None, None]", "kernel[None, None]")}
        image, kernel = given.get(self.layout, ("image[None, ..., None]", "kernel[..., None, None]"))
        if self.arrays == "torch":
            image, kernel = (f"torch.from_numpy(np.array({array}, {self.dtype!r}))" for array in (image, kernel))
        elif self.dtype != "float64":
            image, kernel = (f"{array}.astype({self.dtype!r})" for array in (image, kernel))
        extra = "" if mode is None else f", {'mode=' * by_keyword}{mode!r}"
        back = {"plain": "", "NCHW": "[0, 0]"}.get(self.layout, "[0, ..., 0]")
        return f"np.asarray({name}({image}, {kernel}{extra}){back}){'.T' if self.transposed else ''}"


@dataclass
class Subject:
    """The function as one of plain arrays, called in one manner.

    changes: which of its arguments it was seen to change.
    """

    function: Function
    ndim: int
    mode: str | None
    patience: Patience
    manner: Manner = field(default_factory=Manner)
    changes: set[str] = field(default_factory=set)
    by_keyword: bool = False
    """Whether it takes its mode by keyword only."""

    def __call__(self, image: Array, kernel: Array) -> Array:
        """The output for one image and kernel, ndim axes; raises RefusedError, TimeUpError."""
        image_axes, kernel_axes = self.manner.axes(self.ndim)
        found = self.raw(np.expand_dims(image, image_axes), np.expand_dims(kernel, kernel_axes))
        if found.ndim != self.ndim + len(image_axes) or any(found.shape[axis] != 1 for axis in image_axes):
            raise RefusedError("wrong shape", f"the shape {found.shape}")
        found = found.squeeze(image_axes) if image_axes else found
        return found.T if self.manner.transposed else found

    def raw(self, image: Array, kernel: Array) -> Array:
        """The output for arrays in the function's own layout."""
        given = {"image": self._dressed(image), "kernel": self._dressed(kernel)}
        kept = {name: np.asarray(value).copy() for name, value in given.items()}
        extra = () if self.mode is None or self.by_keyword else (self.mode,)
        function = functools.partial(self.function, mode=self.mode) if self.by_keyword else self.function
        try:
            found = self.patience.call(function, given["image"], given["kernel"], *extra)
        except RaisedError as raised:
            error = raised.__cause__
            raise RefusedError(type(error).__name__, _message(error)) from None
        self.changes |= {name for name, value in given.items() if not np.array_equal(np.asarray(value), kept[name])}
        try:
            if hasattr(found, "detach"):  # a tensor of torch that remembers its gradient, or lies on a device
                found = found.detach().cpu()
            array = np.array(found)
        except Exception as error:
            raise RefusedError("no array", f"{type(found).__name__}: {_message(error)}") from None
        if array.dtype.kind not in "buifc":
            raise RefusedError("no array", f"{type(found).__name__} of dtype {array.dtype}")
        if not np.isfinite(array).all():
            raise RefusedError("not finite", "")
        return array

    def _dressed(self, array: Array) -> Any:
        kind = "complex" if array.dtype.kind == "c" else self.manner.dtype
        doubled = {"complex": "complex128" if self.manner.dtype != "float32" else "complex64"}
        array = np.array(array, dtype=doubled.get(kind, kind), order="C")
        return sys.modules["torch"].from_numpy(array) if self.manner.arrays == "torch" else array

    def try_out(self, image_shape: Shape, kernel_shape: Shape) -> None:
        """Call it once with positive integers of these shapes; raises RefusedError, TimeUpError."""
        rng = np.random.default_rng(1)
        self(rng.integers(1, 9, image_shape), rng.integers(1, 9, kernel_shape))


def layout_name(layout: str | None) -> str | None:
    """The layout as this package spells it; raises ArgumentError for another."""
    layout = _SPELLINGS.get(str(layout).upper(), layout)
    if layout is not None and layout not in LAYOUTS:
        raise one_of("layout", layout, (*LAYOUTS, *_SPELLINGS))
    return layout


def needs_mode(function: Function) -> tuple[bool, bool]:
    """Whether the function cannot be called without a mode, and whether it takes one by keyword only."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False, False
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name == "mode"]
    return len(needed) == 3 or any(p.default is p.empty for p in named), bool(named)


def name_of(function: Function) -> str:
    """What to call the function."""
    function = function.func if isinstance(function, functools.partial) else function
    return getattr(function, "__name__", None) or type(function).__name__


def _message(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:  # a stranger's exception may not even print
        return ""
