"""Reads a file of evidence: one JSON object a line, appended while measuring, perhaps cut off by a crash.

Made for millions of lines: a line is decoded into just the fields that are wanted, its samples only where they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pandas as pd

from convbench.analysis.decode import tolerant
from convbench.analysis.schema import CELL, PAIR_COLUMNS, WHOLE, fits
from convbench.evidence import PROTOCOL

Record = dict[str, Any]
Key = tuple[Any, ...]
Whole = Annotated[int, msgspec.Meta(gt=0, lt=2**53)]
Status = Literal["ok", "failed", "n/a", "skipped"]

# column of the table -> field of a line
_TEXTS = {
    "family": "family", "library": "library", "library_version": "library_version", "reason": "reason",
    "status": "status", "measured_at": "time",
}  # fmt: skip
_PROOFS = {"input_sha256": "input_sha256", "stopped": "stopped", "clock": "clock"}
_NUMBERS = {
    "load_s": "load_seconds", "store_s": "store_seconds", "error_over_bound": "error_over_bound",
    "error_ulp": "error_ulp", "evidence_memory": "peak_memory_bytes", "startup_s": "startup_seconds",
    "first_plan_s": "first_plan_seconds", "first_execute_s": "first_execute_seconds",
    "cold_s": "cold_seconds", "wall_s": "wall_seconds", "graph_s": "graph_seconds",
}  # fmt: skip
LONGEST = 1e9
"""Seconds: thirty years are no time that was measured, and sums of such numbers overflow."""
_TIMINGS = ("execute", "one_shot", "plan")
_WORST = ("error_over_bound", "error_ulp")
"""Of the lines of a cell the largest counts; of all else that is not sampled, the first line's."""
_GATED_ON = ("mode", "device", "threads")  # of a gate record, where it says so
_KEY = itemgetter(*CELL)
_KEY_TYPES = tuple(int if name in WHOLE else str for name in CELL)


class Line(msgspec.Struct, tag_field="kind", tag="cell", gc=False):
    """A cell as one process measured it: all that older commits need, whose times asv has too."""

    layout: str
    backend: str
    image: Whole
    kernel: Whole
    dtype: str
    mode: str
    device: str
    threads: Whole
    status: Status
    run: str | None = None
    process: int | None = None
    group: str | None = None
    family: str | None = None
    library: str | None = None
    library_version: str | None = None
    reason: str | None = None
    time: str | None = None
    load_seconds: float | None = None
    store_seconds: float | None = None
    error_over_bound: float | None = None
    error_ulp: float | None = None
    peak_memory_bytes: float | None = None
    startup_seconds: float | None = None
    first_plan_seconds: float | None = None
    first_execute_seconds: float | None = None
    cold_seconds: float | None = None
    wall_seconds: float | None = None
    graph_seconds: float | None = None


class Full(Line, tag="cell", gc=False):
    """The same with its proof, and with its timings, which are not decoded yet."""

    input_sha256: str | None = None
    stopped: str | None = None
    clock: str | None = None
    worst_index: list[int] | None = None
    execute: msgspec.Raw = msgspec.Raw()
    one_shot: msgspec.Raw = msgspec.Raw()
    plan: msgspec.Raw = msgspec.Raw()


class Pair(Full, tag="pair", gc=False):
    """An A/A pair as one process measured it: a cell, and the same once more."""

    status: Status = "ok"
    again: msgspec.Raw = msgspec.Raw()


class _Timing(msgspec.Struct, gc=False):
    samples: list[float]
    processes: list[int] | None = None


_decode: dict[bool, Callable[[bytes], Line]] = {
    True: msgspec.json.Decoder(Full | Pair).decode,
    False: msgspec.json.Decoder(Line | Pair).decode,
}
_timing = msgspec.json.Decoder(_Timing).decode
_key_of = attrgetter(*CELL)


@dataclass
class Evidence:
    """What one file says: cells by key, gates by what was judged, runs by id; later runs supersede earlier.

    A cell is a list of lines, one of each process of the run that measured it last; one that is not ok stands alone
    (convbench.evidence.merged does the same with two lines). pairs: A/A pairs, likewise.
    """

    cells: dict[Key, list[Line]] = field(default_factory=dict)
    gates: dict[Key, Record] = field(default_factory=dict)
    runs: dict[str, Record] = field(default_factory=dict)
    pairs: dict[Key, list[Line]] = field(default_factory=dict)
    began: dict[str, str] = field(default_factory=dict)
    """When each run wrote its first line about itself; one that was resumed writes another."""
    full: bool = True
    """Whether proof and timings were read too."""
    problems: list[str] = field(default_factory=list)

    def cell_frame(self) -> pd.DataFrame:
        """One row a cell: its key and what the evidence holds; numbers that are none become NaN.

        `lines` are the cell's, whose timings `timed` decodes: mostly asv has them, and nobody looks at these.
        """
        cells = list(self.cells.values())
        first = [lines[0] for lines in cells]
        keys = zip(*self.cells, strict=True) if self.cells else [()] * len(CELL)
        frame = pd.DataFrame(dict(zip(CELL, map(list, keys), strict=True)))
        for name, values in _columns(first, {**_TEXTS, **_PROOFS} if self.full else _TEXTS).items():
            frame[name] = pd.Series(["" if v is None else v for v in values] if None in values else values, dtype="str")
        for name, values in _columns(first, _NUMBERS).items():
            frame[name] = _floats(values)
        frame["lines"] = pd.Series(cells, dtype=object)
        worst = _worst(cells, frame) if any(len(lines) > 1 for lines in cells) else first
        frame["worst_index"] = pd.Series([_index(getattr(line, "worst_index", None)) for line in worst], dtype=object)
        if not self.full:
            frame[list(_PROOFS)] = ""
        # "cold" is from nothing: the library imported and compiled, then the first plan of this problem
        frame["first_plan_s"] += frame.pop("startup_s")
        return frame

    def pair_frame(self) -> pd.DataFrame:
        """One row an A/A pair: its key, and the samples of both halves by process; those without both are left out."""
        rows = []
        for key, lines in self.pairs.items():
            row = (*timed(lines, "execute")[:2], *timed(lines, "again")[:2])
            if row[0] and row[2]:
                rows.append((*key, *row))
        return pd.DataFrame(rows, columns=[*CELL, *PAIR_COLUMNS[-4:]])


def read_evidence(path: Path, full: bool = True) -> Evidence:
    """Read a file of evidence; what cannot be read is named in `.problems` and skipped.

    full: with proof and timings, which take three quarters of the memory. Raises OSError if it cannot be opened.
    """
    evidence = Evidence(full=full)
    decode = _decode[full]
    strange: dict[str, list[int]] = {}
    with open(path, "rb") as stream:
        for number, text in enumerate(stream, start=1):
            try:
                line = decode(text)
            except (msgspec.MsgspecError, ValueError):  # of another kind, blank, damaged, or with an odd value
                if text.isspace():
                    continue
                try:
                    wrong = _add(evidence, tolerant(text))
                except (ValueError, RecursionError):
                    whole = text.endswith(b"\n")
                    wrong = "is not JSON" if whole else "is half-written (the run was interrupted, or still writes)"
                if wrong:
                    strange.setdefault(wrong, []).append(number)
            else:
                _put(evidence, line)
    evidence.problems += [f"{_numbered(numbers)} {wrong}; skipped" for wrong, numbers in strange.items()]
    evidence.problems += [*_newer(evidence), *_clocks(evidence)]
    return evidence


def _newer(evidence: Evidence) -> Iterator[str]:
    """Runs of a later protocol than this convbench knows."""
    for name, run in evidence.runs.items():
        protocol = run.get("protocol")
        if type(protocol) is int and protocol > PROTOCOL:
            yield (
                f"run {name[:20]} was recorded by a newer convbench (protocol {protocol}, known is {PROTOCOL}): "
                f"what it added is left out; update convbench"
            )


def _clocks(evidence: Evidence) -> Iterator[str]:
    """Times that contradict each other, as ISO 8601 in UTC sorts: the clock of that machine went backwards."""
    remedy = "the clock of that machine went back, and orders by time may be wrong: run `timedatectl` there"
    early = sum(
        1
        for lines in evidence.cells.values()
        if (line := lines[0]).time and line.time < evidence.began.get(line.run or "", "")
    )
    if early:
        yield f"{early} cells were measured before their run began: {remedy}"
    for name, run in evidence.runs.items():
        if isinstance(finished := run.get("finished"), str) and finished < evidence.began[name]:
            yield f"run {name[:20]} finished before it began: {remedy}"


def _add(evidence: Evidence, record: Any) -> str:
    """Store one record that is no usual cell; returns what is wrong with it, or ''."""
    kind = record.get("kind") if isinstance(record, dict) else None
    try:
        if kind in ("cell", "pair"):
            if kind == "cell" and record["status"] not in Status.__args__:  # type: ignore[attr-defined]
                return f"has an unknown status {str(record['status'])[:40]!r}"
            _put(evidence, _as_line(record))
        elif kind == "gate":
            setting = [str(record.get(name)) for name in _GATED_ON]
            key = (str(record["backend"]), int(record["ndim"]), str(record["dtype"]), *setting)
            evidence.gates[key] = {**record, "status": str(record["status"])}
        elif kind == "run":
            evidence.runs[str(record["run"])] = record
            evidence.began.setdefault(str(record["run"]), str(record.get("started") or ""))
        else:
            return f"is not a record of this convbench (kind {str(kind)[:20]!r})"
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return f"is an incomplete {kind} record ({type(error).__name__}: {str(error)[:60]})"
    return ""


def _as_line(record: Record) -> Line:
    """A record with something odd in it: what can be used. Raises KeyError or TypeError if it names no cell."""
    key: Key = _KEY(record)
    sizes = [value for value in key if type(value) is int]
    if tuple(map(type, key)) != _KEY_TYPES or min(sizes) < 1 or max(sizes) >= 2**53:
        wrong = next(name for name, value in zip(CELL, key, strict=True) if not fits(name, value))
        raise TypeError(f"{wrong} is {str(record[wrong])[:30]!r}")
    found = dict(zip(CELL, key, strict=True))
    for name in (*_TEXTS.values(), *_PROOFS, "run", "group"):
        value = record.get(name)
        found[name] = value if value is None or isinstance(value, str) else str(value)
    for name in _NUMBERS.values():
        value = record.get(name)
        found[name] = float(value) if isinstance(value, int | float) else None
    found["process"] = record.get("process") if type(record.get("process")) is int else None
    found["worst_index"] = record.get("worst_index")
    pair = record["kind"] == "pair"
    for name in (*_TIMINGS, "again") if pair else _TIMINGS:
        found[name] = msgspec.Raw(msgspec.json.encode(record.get(name)))
    return Pair(**{**found, "status": "ok"}) if pair else Full(**found)


def _put(evidence: Evidence, line: Line) -> None:
    """Add a line to those that other processes of the same run wrote of this cell, or let it take their place."""
    table = evidence.pairs if type(line) is Pair else evidence.cells
    key = _key_of(line)
    lines = table.get(key)
    if lines is None or not line.process or lines[0].run != line.run:
        table[key] = [line]
    elif lines[0].status == "ok":
        if line.status == "ok":
            lines.append(line)
        else:
            table[key] = [line]


def timed(lines: list[Line], name: str) -> tuple[list[float], list[int], list[str]]:
    """All samples of a timing of a cell, in seconds; how many of them came from each process; and in which group.

    What was sampled in one group was sampled side by side. Older lines have none: those of one run count as one.
    """
    groups: list[str] = []
    parts, sizes = [], []
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError):
            timing = _timing(getattr(line, name, b""))
            if samples := times(timing.samples):
                parts.append(samples)
                split = timing.processes or []
                known = sum(split) == len(samples) and min(split) > 0
                sizes += split if known else [len(samples)]
                groups += [line.group or f"{line.run}"] * (len(split) if known else 1)
    return parts[0] if len(parts) == 1 else [s for part in parts for s in part], sizes, groups


def times(samples: Any) -> list[float]:
    """The samples, in seconds; [] where there are none, or one that no time can be."""
    try:
        good = isinstance(samples, list) and min(samples) > 0 and max(samples) < LONGEST and sum(samples) > 0
    except (TypeError, ValueError):
        return []
    return samples if good else []


def _worst(cells: list[list[Line]], frame: pd.DataFrame) -> list[Line]:
    """The line of each cell with the largest error / bound; the frame gets the largest errors."""
    lines = [line for some in cells for line in some]
    sizes = np.fromiter(map(len, cells), int, len(cells))
    starts = np.cumsum(sizes) - sizes
    errors = {name: _floats(values) for name, values in _columns(lines, {name: name for name in _WORST}).items()}
    for name, values in errors.items():
        frame[name] = np.fmax.reduceat(values, starts)
    largest = errors[_WORST[0]] == np.repeat(frame[_WORST[0]].to_numpy(), sizes)
    place = np.minimum.reduceat(np.where(largest, np.arange(len(lines)), len(lines)), starts)
    return [lines[i] for i in np.where(place < len(lines), place, starts)]


def _columns(lines: list[Line], fields: dict[str, str]) -> dict[str, tuple[Any, ...]]:
    """Fields of lines by the names of columns."""
    values = zip(*map(attrgetter(*fields.values()), lines), strict=True) if lines else [()] * len(fields)
    return dict(zip(fields, values, strict=True))


def _floats(values: Sequence[float | None]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=float)  # None becomes NaN


def _index(value: Any) -> tuple[int, ...] | None:
    return tuple(value) if isinstance(value, list) and all(type(i) is int and abs(i) < 2**53 for i in value) else None


def _numbered(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"line{'s' if len(numbers) > 1 else ''} {shown}"
