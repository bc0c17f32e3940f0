"""Reads a file of evidence: one JSON object a line, appended while measuring, perhaps cut off by a crash."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from convbench.analysis.schema import CELL, PAIR_COLUMNS, WHOLE, fits
from convbench.evidence import merged

Record = dict[str, Any]

# column of the table -> field of a line
_TEXTS = {
    "family": "family", "library": "library", "library_version": "library_version", "reason": "reason",
    "input_sha256": "input_sha256", "stopped": "stopped", "status": "status", "measured_at": "time",
}  # fmt: skip
_NUMBERS = {
    "load_s": "load_seconds", "store_s": "store_seconds", "error_over_bound": "error_over_bound",
    "error_ulp": "error_ulp", "evidence_memory": "peak_memory_bytes", "startup_s": "startup_seconds",
    "first_plan_s": "first_plan_seconds", "first_execute_s": "first_execute_seconds",
}  # fmt: skip
_OTHERS = {"worst_index": "worst_index", "samples": "execute", "one_shot": "one_shot", "plan": "plan"}
_FIELDS = {**_TEXTS, **_NUMBERS, **_OTHERS}
_KEY = itemgetter(*CELL)
_KEY_TYPES = tuple(int if name in WHOLE else str for name in CELL)
_GATED_ON = ("mode", "device", "threads")  # of a gate record, where it says so
_EVIDENCE_STATUSES = frozenset({"ok", "failed", "n/a", "skipped"})


@dataclass
class Evidence:
    """What one file says: cells by key, gates by what was judged, runs by id; later lines supersede earlier.

    A cell is kept as the values of _FIELDS alone, taken while its record is fresh: looking them up in a million old
    dictionaries costs as much time as parsing did. pairs: A/A pairs. parts: the lines of a cell,
    or a pair, that came from several processes of one run.
    """

    cells: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)
    gates: dict[tuple[Any, ...], Record] = field(default_factory=dict)
    runs: dict[str, Record] = field(default_factory=dict)
    pairs: dict[tuple[Any, ...], Record] = field(default_factory=dict)
    parts: dict[tuple[Any, ...], list[Record]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def cell_frame(self) -> pd.DataFrame:
        """One row a cell: its key and what the evidence holds; numbers that are none become NaN.

        one_shot and plan stay as they are in the file: mostly asv has the medians, and nobody looks at these.
        """
        keys = zip(*self.cells, strict=True) if self.cells else [()] * len(CELL)
        values = zip(*self.cells.values(), strict=True) if self.cells else [()] * len(_FIELDS)
        frame = pd.DataFrame(dict(zip(CELL, map(list, keys), strict=True)))
        for name, column in zip(_FIELDS, values, strict=True):
            if name in _TEXTS:
                frame[name] = pd.Series([_text(v) for v in column], dtype="str")
            elif name in _NUMBERS:
                frame[name] = pd.to_numeric(pd.Series(column, dtype=object), errors="coerce").astype(float)
            else:
                read = {"worst_index": _index, "samples": samples_of}.get(name)
                frame[name] = pd.Series([read(v) for v in column] if read else list(column), dtype=object)
                if name == "samples":
                    frame["processes"] = pd.Series([processes_of(v) for v in column], dtype=object)
        # "cold" is from nothing: the library imported and compiled, then the first plan of this problem
        frame["first_plan_s"] += frame.pop("startup_s")
        return frame

    def pair_frame(self) -> pd.DataFrame:
        """One row an A/A pair: its key, and the samples of both halves by process; those without both are left out."""
        rows = []
        for key, record in self.pairs.items():
            first, second = record.get("execute"), record.get("again")
            row = (samples_of(first), processes_of(first), samples_of(second), processes_of(second))
            if row[0] and row[2]:
                rows.append((*key, *row))
        return pd.DataFrame(rows, columns=[*CELL, *PAIR_COLUMNS[-4:]])


def read_evidence(path: Path) -> Evidence:
    """Read a file of evidence; what cannot be read is named in `.problems` and skipped.

    Raises OSError if the file cannot be opened.
    """
    evidence = Evidence()
    strange: dict[str, list[int]] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if "\\ud" in line:  # half of a surrogate pair is no text: this raises a ValueError
                json.dumps(record, ensure_ascii=False).encode()
            wrong = _add(evidence, record)
        except (ValueError, RecursionError):
            last = number == len(lines)  # no newline after it
            wrong = "is half-written (the run was interrupted, or still writes)" if last else "is not JSON"
        if wrong:
            strange.setdefault(wrong, []).append(number)
    evidence.problems += [f"{_lines(numbers)} {wrong}; skipped" for wrong, numbers in strange.items()]
    return evidence


def _add(evidence: Evidence, record: Any) -> str:
    """Store one record; returns what is wrong with it, or ''."""
    kind = record.get("kind") if isinstance(record, dict) else None
    try:
        if kind == "cell":
            if record["status"] not in _EVIDENCE_STATUSES:
                return f"has an unknown status {str(record['status'])[:40]!r}"
            key = _key(record)
            evidence.cells[key] = tuple(map(_whole(evidence, kind, key, record).get, _FIELDS.values()))
        elif kind == "pair":
            key = _key(record)
            evidence.pairs[key] = _whole(evidence, kind, key, record)
        elif kind == "gate":
            setting = [str(record.get(name)) for name in _GATED_ON]
            key = (str(record["backend"]), int(record["ndim"]), str(record["dtype"]), *setting)
            evidence.gates[key] = {**record, "status": str(record["status"])}
        elif kind == "run":
            evidence.runs[str(record["run"])] = record
        else:
            return "is not a record of convbench"
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return f"is an incomplete {kind} record ({type(error).__name__}: {str(error)[:60]})"
    return ""


def _whole(evidence: Evidence, kind: str, key: tuple[Any, ...], record: Record) -> Record:
    """The record, with the lines that other processes of the same run wrote of this cell before it."""
    process = record.get("process")
    if type(process) is not int:
        return record
    parts = evidence.parts.setdefault((kind, *key), [])
    if process == 0 or (parts and parts[0].get("run") != record.get("run")):
        parts.clear()
    parts.append(record)
    return merged(parts)


def _key(record: Record) -> tuple[Any, ...]:
    key: tuple[Any, ...] = _KEY(record)
    sizes = [value for value in key if type(value) is int]
    if tuple(map(type, key)) != _KEY_TYPES or min(sizes) < 1 or max(sizes) >= 2**53:
        wrong = next(name for name, value in zip(CELL, key, strict=True) if not fits(name, value))
        raise TypeError(f"{wrong} is {str(record[wrong])[:30]!r}")
    return key


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _index(value: Any) -> tuple[int, ...] | None:
    return tuple(value) if isinstance(value, list) and all(type(i) is int and abs(i) < 2**53 for i in value) else None


def processes_of(timing: Any) -> list[int]:
    """How many of a timing's samples came from each process; all from one, unless it says otherwise."""
    samples = samples_of(timing)
    sizes = timing.get("processes") if isinstance(timing, dict) else None
    known = isinstance(sizes, list) and all(type(n) is int and n > 0 for n in sizes) and sum(sizes) == len(samples)
    return list(sizes or []) if known else [len(samples)] if samples else []


def samples_of(timing: Any) -> list[float]:
    """The samples of a timing in a record, in seconds; [] if there are none."""
    return times(timing.get("samples")) if isinstance(timing, dict) else []


def times(samples: Any) -> list[float]:
    """The samples, in seconds; [] where there are none or one of them is no positive finite number."""
    try:
        good = isinstance(samples, list) and min(samples) > 0 and max(samples) < float("inf") and sum(samples) > 0
    except (TypeError, ValueError):
        return []
    return samples if good else []


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
    return f"line{'s' if len(numbers) > 1 else ''} {shown}"
