"""The atlas: what the raw convolutions of many systems return, without installing any of them.

One small model (convbench.Convention) and a table (table.py) of what was measured by running the real packages.
`python -m convbench.atlas` prints the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from convbench.atlas.defects import DEFECTS
from convbench.atlas.entry import Defect, Entry, Refusal, Row
from convbench.atlas.quirks import QUIRKS, Apply
from convbench.atlas.rules import check_refusals, not_measured, output_dtype, unmeasured_dtype
from convbench.atlas.table import TABLE
from convbench.errors import ArgumentError, one_of
from convbench.problem import Array

__all__ = ["Defect", "Entry", "Refusal", "Row", "defects", "emulate", "entries", "find"]

_COMMAND = "python -m convbench.atlas"


def emulate(
    system: str,
    op: str,
    image: ArrayLike,
    kernel: ArrayLike,
    mode: str | None = None,
    version: str | None = None,
) -> Array:
    """What the system's own operation returns for this image and kernel.

    image, kernel: 1-D or 2-D, whichever the operation takes; one channel, finite. They are not changed. mode: the
    operation's own default if there is one. version: by default the highest version number that has the operation, and
    the first of these in the table. Shape and dtype of the output are the system's; integers are exact and wrap or
    saturate as they do there; floats are summed directly and agree with a system's own summation, or FFT, up to
    rounding. Repeatable defects are reproduced, without a warning: `convbench.atlas.defects` names them.

    Raises EmulatedError (with .kind; also a ValueError, where the system raises that) for what the system refuses and
    where its output is undefined; NotMeasuredError for what nobody has tried there, such as a dtype; ArgumentError for
    names that are not in the table and for arrays that are no image and kernel.
    """
    entry, version, mode = _locate(system, op, mode, version)
    picture, taps = _array(entry, "image", image), _array(entry, "kernel", kernel)
    if picture.ndim != taps.ndim:
        raise ArgumentError(f"image is {picture.ndim}-D and kernel is {taps.ndim}-D; both must have as many dimensions")
    if picture.dtype != taps.dtype:
        picture, taps = _alike(entry, version, picture, taps)
    check_refusals(entry, version, mode, picture, taps)
    dtype = output_dtype(entry, picture, taps)
    if dtype is None:
        raise unmeasured_dtype(entry, version, picture.dtype)
    for name, array in (("image", picture), ("kernel", taps)):
        if not np.isfinite(array).all():
            raise not_measured(entry, version, f"NaN or infinity in the {name}", "Give finite values.")
    return _computed(_operation(entry, mode), picture, taps, dtype, saturates=entry.saturates)


def entries(*, refused: bool = False) -> Iterator[Row]:
    """The rows of the atlas in table order: one for each system, version, operation, mode and number of dimensions.

    refused: also modes that refuse every input; their convention is None.
    """
    for entry in TABLE:
        for version in entry.versions:
            for mode, convention in entry.modes.items():
                if convention is not None or refused:
                    for ndim in entry.ndims:
                        yield _row(entry, version, mode, ndim)


def find(system: str, op: str, mode: str | None = None, version: str | None = None, ndim: int | None = None) -> Row:
    """The row that emulate goes by, with its defaults for mode and version; ndim: by default the first it has.

    Raises ArgumentError for names that are not in the table.
    """
    entry, version, mode = _locate(system, op, mode, version)
    if ndim is not None and ndim not in entry.ndims:
        raise one_of(f"number of dimensions of {op}", ndim, entry.ndims)
    return _row(entry, version, mode, ndim or entry.ndims[0])


def defects(system: str, op: str, mode: str | None = None, version: str | None = None) -> tuple[Defect, ...]:
    """The documented defects of an operation in a mode; emulate reproduces them or refuses, as each says."""
    return find(system, op, mode, version).defects


def _row(entry: Entry, version: str, mode: str, ndim: int) -> Row:
    names = [refusal.defect for refusal in entry.refusals(mode) if refusal.defect]
    if mode in entry.quirks:
        names += QUIRKS[entry.quirks[mode]].defects
    found = tuple(DEFECTS[name] for name in dict.fromkeys(names))
    return Row(entry.system, version, entry.op, mode, ndim, entry.modes[mode], found)


def _locate(system: str, op: str, mode: str | None, version: str | None) -> tuple[Entry, str, str]:
    """The entry, the version and the mode that these names stand for."""
    of_system = [entry for entry in TABLE if entry.system == system]
    if not of_system:
        raise one_of("system", system, dict.fromkeys(entry.system for entry in TABLE), _COMMAND)
    of_op = [entry for entry in of_system if entry.op == op]
    if not of_op:
        raise one_of(f"operation of {system}", op, dict.fromkeys(entry.op for entry in of_system), _COMMAND)
    versions = list(dict.fromkeys(version for entry in of_op for version in entry.versions))
    if version is None:
        version = max(versions, key=_number)
    if version not in versions:
        raise one_of(f"version of {system} with {op}", version, versions, _COMMAND)
    alike = [entry for entry in of_op if version in entry.versions]
    names = [name for entry in alike for name in entry.modes]
    if mode is None:
        mode = alike[0].default
        if not mode:
            raise ArgumentError(f"{op} of {system} {version} has no default mode; give one of: {', '.join(names)}")
    for entry in alike:
        for name in (mode, f"{mode} (default)"):
            if name in entry.modes:
                return entry, version, name
    raise one_of(f"mode of {op} in {system} {version}", mode, names, _COMMAND)


def _number(version: str) -> tuple[int, ...]:
    first = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, first[0].split("."))) if first else ()


def _array(entry: Entry, name: str, given: ArrayLike) -> Array:
    try:
        array = np.asarray(given)
    except ValueError:
        raise ArgumentError(f"{name} is not an array: its rows differ in length") from None
    allowed = " or ".join(f"{ndim}-D" for ndim in entry.ndims)
    if array.dtype.kind not in "biufc":
        raise ArgumentError(f"{name} has dtype {array.dtype}; it must be of numbers")
    if array.ndim not in entry.ndims:
        raise ArgumentError(
            f"{name} is {array.ndim}-D, of shape {array.shape}; {entry.op} takes {allowed}, one channel"
        )
    if not array.size:
        raise ArgumentError(f"{name} is empty, of shape {array.shape}; it must have at least one sample")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _alike(entry: Entry, version: str, image: Array, kernel: Array) -> tuple[Array, Array]:
    """Image and kernel in one dtype, by the system's rule for that."""
    if entry.takes_kernel == "any" and kernel.dtype.kind != "c":
        return image, kernel
    if entry.takes_kernel == "promoted":
        dtype = np.result_type(image, kernel)
        return image.astype(dtype, copy=False), kernel.astype(dtype, copy=False)
    what = f"an image of {image.dtype.name} and a kernel of {kernel.dtype.name}"
    raise not_measured(entry, version, what, "Give both the same dtype.")


def _operation(entry: Entry, mode: str) -> Apply:
    convention = entry.modes[mode]
    assert convention is not None, "a mode without a convention refuses everything"
    if mode not in entry.quirks:
        return convention.apply
    quirk = QUIRKS[entry.quirks[mode]]
    return lambda image, kernel: quirk.apply(convention, image, kernel)


def _computed(operation: Apply, image: Array, kernel: Array, dtype: np.dtype, *, saturates: bool) -> Array:
    if saturates and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        exact = operation(image.astype(np.float64), kernel.astype(np.float64))
        return np.clip(np.rint(exact), limits.min, limits.max).astype(dtype)
    if image.dtype.kind == "c" and dtype.kind != "c":
        return operation(image, kernel).real.astype(dtype)
    found = operation(image.astype(dtype, copy=False), kernel.astype(dtype, copy=False))
    return found.astype(dtype, copy=False)
