"""recommend: which backend for this problem on this machine, how long it will take, and how that is known.

The answer comes from a table of measurements (analysis/recommend.py): one that is given, the one that was kept for this
user, or results in the clone of convbench around the current folder; without any, from the cost model.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convbench.analysis.recommend import Chooser, Estimate, How, Question, modelled
from convbench.backends import list_backends
from convbench.errors import ArgumentError, ConvbenchError, StorageError, UnsupportedError
from convbench.files import atomic_write, cache_folder, read_bytes
from convbench.machine import machine_name
from convbench.problem import Mode, Problem, Shape

TableLike = str | os.PathLike[str] | Mapping[str, Any] | None
Limited = Collection[str] | None


@dataclass(frozen=True)
class Alternative:
    """A backend that could be used. seconds: an image, with 95 % interval; cost: over the best, 0.12 is 12 % more."""

    backend: str
    family: str
    seconds: float
    low: float
    high: float
    how: How
    cost: float
    tied: bool
    threads: int


@dataclass(frozen=True)
class Recommendation:
    """What to use, and what is known about it.

    backend, family: the method. seconds: expected for an image, with the 95 % interval low to high; with `images` the
    plan is shared out among them. how: measured (this very cell), interpolated (between measured cells) or modelled
    (outside of what was measured). runner_up: the next best, runner_up_cost: what it costs more, 0.12 is 12 %; None
    where there is no other. ties: backends that cannot be told from the best. alternatives: all, the best first.
    machine: of the measurements, "" where there are none. notes: what else the reader should know.
    """

    problem: Problem
    images: int | None
    separable: bool
    backend: str
    family: str
    seconds: float
    low: float
    high: float
    how: How
    runner_up: str | None
    runner_up_cost: float | None
    ties: list[str]
    alternatives: list[Alternative]
    machine: str
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain types, as JSON takes them; seconds throughout."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def recommend(
    image_shape: int | Shape,
    kernel_shape: int | Shape,
    dtype: str = "float32",
    images: int | None = None,
    separable: bool = False,
    threads: int = 1,
    device: str = "cpu",
    mode: Mode = "same",
    table: TableLike = None,
    *,
    results: str | os.PathLike[str] | None = None,
    available: Limited = None,
) -> Recommendation:
    """Which backend to use for a convolution of these shapes.

    image_shape, kernel_shape: one axis (a signal) or two. images: how many are convolved with the same kernel; None:
    so many that planning is nothing. separable: whether the kernel is an outer product. threads: the most to use.
    table: a file written by `convbench recommend --export`, or its content; results: a folder to make one of.
    Without either, see `find`. available: names to choose among; by default the backends that are installed.
    Raises ArgumentError for arguments that do not fit, UnsupportedError where nothing is known of such a problem.
    """
    problem = Problem(image_shape, kernel_shape, dtype, mode, device, threads)  # type: ignore[arg-type]
    if images is not None and (isinstance(images, bool) or not isinstance(images, int) or images < 1):
        raise ArgumentError(f"images must be a whole number of at least 1, got {images!r}; leave it out for very many")
    names = installed() if available is None else set(available)
    chooser, notes = find(table, results)
    question = Question(
        problem.image_shape, problem.kernel_shape, problem.dtype, mode, device, threads, bool(separable), images
    )
    found = chooser.rank(question, names) if chooser else []
    if chooser and not found:
        notes.append(f"the table has no measurements of such a problem ({_set_words(question)}): modelled")
    if not found:
        found = modelled(question, names, chooser.ceilings if chooser else None)
    if not found:
        raise UnsupportedError(
            f"nothing is known of {_set_words(question)} here; `convbench run` measures, `convbench list` shows the "
            f"backends"
        )
    best = found[0]
    if threads != best.threads:
        notes.append(f"times are those of {best.threads} thread{'s' if best.threads > 1 else ''}")
    if mode != "same" and chooser:
        notes.append(f"measured in mode same; mode {mode} is scaled by its work")
    if device != "cpu":
        notes.append("without copying images to the device and back")
    runner = found[1] if len(found) > 1 else None
    return Recommendation(
        problem=problem,
        images=images,
        separable=question.separable,
        backend=best.backend,
        family=best.family,
        seconds=best.seconds,
        low=best.low,
        high=best.high,
        how=best.how,
        runner_up=runner.backend if runner else None,
        runner_up_cost=runner.cost if runner else None,
        ties=[one.backend for one in found[1:] if one.tied],
        alternatives=[_alternative(one) for one in found],
        machine=chooser.machine if chooser else "",
        notes=notes,
    )


def find(table: TableLike = None, results: str | os.PathLike[str] | None = None) -> tuple[Chooser | None, list[str]]:
    """The table to answer from, and what is to be said about it.

    In this order: `table` (its content, or a file); made of the folder `results`; the one kept for this user (see
    remember); made of this machine's results in the clone around the current folder; None. What was named may be of
    another machine, with a note.
    Raises ArgumentError where what was named is no table or has no results.
    """
    here = machine_name()
    if table is not None:
        chooser = _read(table)
    elif results is not None:
        chooser = _of_results(Path(results))
    elif kept := remembered():
        return kept, []
    elif own := _clone(here):
        return own, []
    else:
        return None, ["nothing was measured here: expected by the cost model; `convbench run` measures"]
    foreign = f"the table is of another machine, {chooser.machine}; this one is {here}"
    return chooser, [foreign] if chooser.machine != here else []


def table_of(results: str | os.PathLike[str], machine: str | None = None) -> dict[str, Any]:
    """The chooser's table of the newest commit measured on that machine; by default on this one, else on any."""
    from convbench.analysis.chooser_table import chooser_table, newest
    from convbench.analysis.table import read_results

    found = read_results(Path(results))
    here = machine_name()
    if machine is None and (found.cells["machine"] == here).any():
        machine = here
    return chooser_table(found, newest(found.cells, machine))


def as_json(table: Mapping[str, Any]) -> str:
    """A table as it is written to a file."""
    return json.dumps(table, separators=(",", ":"), ensure_ascii=False) + "\n"


def installed() -> set[str]:
    """Names of the backends whose library is installed; imports none of them."""
    return {backend.name for backend in list_backends() if backend.available()}


def is_shape(text: str) -> bool:
    """Whether it is written as a shape is."""
    return bool(re.fullmatch(r"\d{1,9}(x\d{1,9})*", text.strip().lower().replace("×", "x")))


def parse_shape(what: str, text: str) -> Shape:
    """The shape that '1024x768' (rows x columns) or '65536' (a signal) means; *what* names it in errors."""
    if not is_shape(text):
        raise ArgumentError(
            f"{what} must be ROWSxCOLUMNS, e.g. 1024x768, or one number for a signal, e.g. 65536; got {text!r}"
        )
    shape = tuple(int(size) for size in re.findall(r"\d+", text))
    if len(shape) > 2:
        raise ArgumentError(f"{what} must have 1 or 2 axes, got {text!r}: convolve channels one by one")
    if min(shape) < 1:
        raise ArgumentError(f"{what} must be at least 1 on every axis, got {text!r}")
    return shape


# -- the table that is kept for this user --------------------------------------------------------------------------


def chooser_file() -> Path:
    """Where this user's table of this machine is."""
    return cache_folder() / f"chooser-{machine_name()}.json"


def remember(table: Mapping[str, Any]) -> bool:
    """Keep a table of this machine for `recommend` and for convolve's choice; whether it was kept.

    Another machine's is not; nor does a table replace one of the same version of convbench that has more cells. A
    folder that cannot be written only costs better guesses.
    """
    from convbench.analysis.chooser_table import cells_of

    if table["machine"] != machine_name():
        return False
    forget()
    before = remembered()
    newer = before and before.table.get("convbench") != table["convbench"]
    if before and not newer and cells_of(before.table) > cells_of(table):
        return False
    try:
        atomic_write(chooser_file(), as_json(table))
    except StorageError:
        return False
    finally:
        forget()
    return True


def forget() -> None:
    """Read the file anew when it is needed next; the file stays."""
    remembered.cache_clear()


@functools.cache
def remembered() -> Chooser | None:
    """What was kept; None where there is nothing, or nothing of use."""
    with contextlib.suppress(OSError, ValueError, ArithmeticError, ConvbenchError):
        chooser = Chooser(json.loads(chooser_file().read_bytes()))
        if chooser.machine == machine_name():
            return chooser
    return None


def _read(table: str | os.PathLike[str] | Mapping[str, Any]) -> Chooser:
    if isinstance(table, Mapping):
        return Chooser(dict(table))
    try:
        content = json.loads(read_bytes("table", table))
    except ValueError as error:
        if isinstance(error, ConvbenchError):
            raise
        raise ArgumentError(
            f"table file {str(table)!r} is not JSON ({error}); `convbench recommend --export FILE` writes one"
        ) from None
    return Chooser(content, f"table file {str(table)!r}")


def _of_results(results: Path, machine: str | None = None) -> Chooser:
    return Chooser(table_of(results, machine), f"the table of {str(results)!r}")


def _clone(machine: str) -> Chooser | None:
    """The table of this machine's results in the clone that the current folder is in; None where it has none.

    Also where there is nothing of use in them yet, as during a first run.
    """
    from convbench.repository import find_root

    with contextlib.suppress(ConvbenchError):
        results = find_root() / "results"
        if any((results / machine).glob("*-*")):
            return _of_results(results, machine)
    return None


# -- words ---------------------------------------------------------------------------------------------------------


def _alternative(one: Estimate) -> Alternative:
    return Alternative(
        one.backend, one.family, one.seconds, one.low, one.high, one.how, one.cost, one.tied, one.threads
    )


_HOW = {
    "measured": "measured, this very cell",
    "interpolated": "interpolated between measured cells",
    "modelled": "modelled: outside of what was measured",
}
_LISTED = 6


def _lines(found: Recommendation) -> Iterable[str]:
    problem, images = found.problem, found.images
    kind = "separable kernel" if found.separable else "kernel"
    shapes = f"image {_by(problem.image_shape)}, {kind} {_by(problem.kernel_shape)}"
    yield f"{shapes}, {problem.dtype}, mode {problem.mode}, threads {problem.threads}, device {problem.device}"
    share = "an image, planning not counted"
    if images is not None:
        share = f"an image for {images} images, planning counted" if images > 1 else "planned and executed once"
    yield f"use {found.backend} ({found.family}): {_time(found.seconds)} {share}"
    yield f"  95 % interval {_time(found.low)} to {_time(found.high)}, {_HOW[found.how]}"
    if found.runner_up is None or found.runner_up_cost is None:
        yield "  no other backend is known to do it"
    else:
        tie = ", a tie: it cannot be told from the best" if found.runner_up in found.ties else ""
        yield f"  runner-up: {found.runner_up}, {_percent(found.runner_up_cost)}{tie}"
    others = found.alternatives[2:]
    if others:
        listed = ", ".join(f"{o.backend} {_percent(o.cost)}{' (tie)' if o.tied else ''}" for o in others[:_LISTED])
        yield f"  then: {listed}{f' and {len(others) - _LISTED} more' if len(others) > _LISTED else ''}"
    if found.machine:
        yield f"  measured on {found.machine}"
    for note in found.notes:
        yield f"  note: {note}"


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _percent(cost: float) -> str:
    return f"+{100 * cost:.0f} %" if cost < 9.995 else f"{1 + cost:.3g} times as long"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{seconds / size:.3g} {unit}" if seconds / size < 999.5 else f"{seconds / size:.0f} {unit}"
    raise AssertionError


def _set_words(question: Question) -> str:
    axes = {"image": "an image and a kernel", "rows": "an image and a single row or column", "signal": "a signal"}
    threads = f"at most {question.threads} thread{'s' * (question.threads > 1)}"
    return f"{axes[question.layout]}, {question.dtype}, {question.device}, {threads}"
