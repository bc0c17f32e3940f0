"""Reads a folder of results into one table of cells: asv's numbers joined with the evidence beside them."""

from __future__ import annotations

import gc
import json
import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from convbench.analysis.asvfile import AsvFile, load_benchmarks, read_asv_file
from convbench.analysis.evidence import Evidence, Record, read_evidence, samples_of
from convbench.analysis.medians import median_intervals
from convbench.analysis.schema import CELL, COLUMNS, PAIR_COLUMNS, SECONDS, TEXT, WHERE, WHOLE
from convbench.ceilings import FILE, Ceilings, read_ceilings
from convbench.errors import StorageError
from convbench.evidence import SUFFIX

Progress = Callable[[int, int, str], None]
Where = tuple[str, str, str]

GATE_COLUMNS = (
    *WHERE, "backend", "ndim", "dtype", "mode", "device", "threads",
    "status", "checks", "error_over_bound", "worst", "reason",
)  # fmt: skip
_OUTDATED = "measured with another version of the benchmark: not comparable"
_ASV_FAILED = "asv recorded a failure (an error, a crash or a timeout) after this evidence was written"
_NO_TRACE = "asv recorded a failure (an error, a crash or a timeout) before any evidence was written"
_NO_EVIDENCE = "a time without evidence that the output was right: not shown"
_CONTRADICTION = "the evidence says ok, yet its error exceeds the bound"


@dataclass(frozen=True)
class Results:
    """Everything that a folder of results holds.

    cells: one row for each machine x commit x env x cell, columns as in schema.COLUMNS; commit is its first 8 digits,
        date the commit's, times in seconds, `samples` a list of seconds a call, [] where none were kept.
    gate: one row for each backend x ndim x dtype that was judged. machines: name -> asv's machine file.
    pairs: one row for each A/A pair, columns as in schema.PAIR_COLUMNS.
    runs: ((machine, commit, env), run record). problems: (file, what was wrong with it).
    ceilings: name of a machine -> number of threads -> its measured peaks.
    """

    cells: pd.DataFrame
    gate: pd.DataFrame
    machines: dict[str, dict[str, Any]]
    runs: list[tuple[Where, Record]]
    problems: list[tuple[str, str]]
    ceilings: dict[str, dict[int, Ceilings]] = field(default_factory=dict)
    pairs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(PAIR_COLUMNS)))


def read_results(results_dir: str | Path, conf: Any = None, progress: Progress | None = None) -> Results:
    """Read every machine, commit and environment in a folder of results.

    conf: an asv Config (optional). progress: called with (files done, files in all, name) before each.
    Files that cannot be read are named in `.problems` and skipped.
    Raises StorageError if there is no folder, or nothing in it that can be read.
    """
    root = Path(results_dir)
    remedy = "measure first: `make bench` or `convbench run`"
    if not root.is_dir():
        raise StorageError(f"no results in {root}: there is no such folder; {remedy}")
    problems: list[tuple[str, str]] = []
    machines: dict[str, dict[str, Any]] = {}
    tables: list[pd.DataFrame] = []
    gates: list[Record] = []
    pairs: list[pd.DataFrame] = []
    runs: list[tuple[Where, Record]] = []
    with _no_garbage_collection():
        benchmarks = _benchmarks(root, conf, problems)
        todo = [(f, m, stem) for f, m in _machines(root, machines, problems) for stem in _stems(f)]
        for done, (folder, machine, stem) in enumerate(todo):
            if progress:
                progress(done, len(todo), f"read {machine}/{stem}")
            asv, evidence = _read_pair(root, folder, stem, machine, benchmarks, problems)
            if asv is None and evidence is None:
                continue
            where = _where(machine, stem, asv)
            place = dict(zip(WHERE, where, strict=True))
            evidence = evidence or Evidence()
            tables.append(_cells(asv, evidence).assign(**place, date=_date(asv, evidence)))
            gates += [{**g, **place} for g in evidence.gates.values()]
            runs += [(where, r) for r in evidence.runs.values()]
            if evidence.pairs:
                pairs.append(evidence.pair_frame().assign(**place))
        cells = _concat(tables)
    if cells.empty:
        found = "".join(f"\n  {file}: {wrong}" for file, wrong in problems[:20])
        raise StorageError(f"no results in {root}{': nothing there can be read' if found else ''}; {remedy}{found}")
    ceilings = _ceilings(root, {machine: folder for folder, machine, _ in todo}, problems)
    twice = pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=list(PAIR_COLUMNS))
    return Results(cells, _gate_frame(gates), machines, runs, problems, ceilings, twice[list(PAIR_COLUMNS)])


def _benchmarks(root: Path, conf: Any, problems: list[tuple[str, str]]) -> Any:
    if not (root / "benchmarks.json").exists():
        return None  # asv has not run yet, or results were copied here: every file holds its own parameters
    try:
        return load_benchmarks(root, conf)
    except Exception as error:  # a foreign benchmarks.json fails inside asv in many ways
        wrong = f"cannot be read ({type(error).__name__}); results of old versions of a benchmark are not told apart"
        problems.append(("benchmarks.json", wrong))
        return None


def _machines(
    root: Path, machines: dict[str, dict[str, Any]], problems: list[tuple[str, str]]
) -> Iterator[tuple[Path, str]]:
    """Each folder with a usable machine.json, and its machine's name; collects the machine files."""
    from asv.machine import Machine
    from asv.util import UserError, load_json

    strays = sorted(p.name for p in root.glob("*.json*") if p.is_file() and p.name != "benchmarks.json")
    problems += [(name, "lies outside a machine's folder; skipped") for name in strays]
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        try:
            machine = load_json(str(folder / "machine.json"), api_version=Machine.api_version)
            name = machine["machine"]
            if not isinstance(name, str):
                raise TypeError("no name")
            json.dumps(machine, ensure_ascii=False).encode()  # half of a surrogate pair is no text: this raises
        except FileNotFoundError:
            if _stems(folder):
                problems.append((folder.name, "has no machine.json; skipped: run `asv machine --yes`, then measure"))
        except (UserError, OSError, KeyError, TypeError, ValueError, AttributeError):
            problems.append((f"{folder.name}/machine.json", "is no machine file of asv; the folder was skipped"))
        else:
            machines[name] = machine
            yield folder, name


def _ceilings(root: Path, folders: dict[str, Path], problems: list[tuple[str, str]]) -> dict[str, dict[int, Ceilings]]:
    found = {}
    for machine, folder in folders.items():
        try:
            found[machine] = read_ceilings(folder / FILE, machine)
        except (ValueError, OSError) as error:
            wrong = str(error.strerror if isinstance(error, OSError) else error)
            problems.append((str((folder / FILE).relative_to(root)), f"{wrong}; run `convbench machine --ceilings`"))
    return found


def _stems(folder: Path) -> list[str]:
    """`<commit8>-<env>` of every result or evidence file in a machine's folder."""
    asv = {p.name.removesuffix(".json") for p in folder.glob("*.json") if p.name != "machine.json"}
    return sorted(asv | {p.name.removesuffix(SUFFIX) for p in folder.glob(f"*{SUFFIX}")})


def _read_pair(
    root: Path, folder: Path, stem: str, machine: str, benchmarks: Any, problems: list[tuple[str, str]]
) -> tuple[AsvFile | None, Evidence | None]:
    asv, evidence = None, None
    path = folder / f"{stem}.json"
    if path.is_file():
        try:
            asv = read_asv_file(path, machine, benchmarks)
            problems += [(str(path.relative_to(root)), p) for p in asv.problems]
        except (ValueError, OSError) as error:
            problems.append((str(path.relative_to(root)), f"{error}; skipped"))
    path = folder / f"{stem}{SUFFIX}"
    if path.is_file():
        try:
            evidence = read_evidence(path)
            problems += [(str(path.relative_to(root)), p) for p in evidence.problems]
        except OSError as error:
            problems.append((str(path.relative_to(root)), f"cannot be read ({error.strerror}); skipped"))
    return asv, evidence


def _where(machine: str, stem: str, asv: AsvFile | None) -> Where:
    commit, _, env = stem.partition("-")
    return machine, asv.commit if asv else commit[:8], asv.env if asv else env


def _date(asv: AsvFile | None, evidence: Evidence) -> pd.Timestamp:
    """The commit's date; where asv wrote no file (it was interrupted) the start of the last run."""
    if asv is not None:
        return asv.date
    started = [str(r.get("started")) for r in evidence.runs.values()]
    return pd.to_datetime(pd.Series(started, dtype="str"), errors="coerce", utc=True).max()


def _cells(asv: AsvFile | None, evidence: Evidence) -> pd.DataFrame:
    """Join asv's cells with the evidence and settle the status of each."""
    numbers = asv.cells if asv is not None and len(asv.cells) else _empty_numbers()
    table = numbers.merge(_typed(evidence.cell_frame()), how="outer", on=list(CELL))
    for column in (*SECONDS, "peak_memory_bytes", "asv_error_over_bound", "asv_failed", "outdated", "asv_samples"):
        if column not in table:
            table[column] = None if column == "asv_samples" else math.nan
    for column in ("asv_failed", "outdated"):
        table[column] = table[column].eq(True)
    known = table["status"].notna()
    timed = table["execute_s"].notna()
    table = table[known | timed | table["asv_failed"]].reset_index(drop=True)  # the rest was not selected in this run
    _settle_status(table)
    _settle_times(table)
    table["error_over_bound"] = table["error_over_bound"].fillna(table["asv_error_over_bound"])
    table["peak_memory_bytes"] = table["peak_memory_bytes"].fillna(table["evidence_memory"])
    for column in ("family", "library", "library_version"):  # a property of the backend: known from its other cells
        table[column] = table[column].replace("", pd.NA)
        table[column] = table[column].fillna(table.groupby("backend")[column].transform("first"))
    texts = ["family", "library", "library_version", "reason", "input_sha256", "stopped", "measured_at"]
    table[texts] = table[texts].fillna("")
    return table


def _settle_status(table: pd.DataFrame) -> None:
    def settle(where: pd.Series, status: str, reason: str) -> None:
        table.loc[where, "status"] = status
        table.loc[where, "reason"] = reason

    silent = table["status"].isna()
    settle(silent & table["asv_failed"], "failed", _NO_TRACE)
    settle(silent & ~table["asv_failed"], "no evidence", _NO_EVIDENCE)
    settle((table["status"] == "ok") & table["asv_failed"], "failed", _ASV_FAILED)
    settle((table["status"] == "ok") & (table["error_over_bound"] > 1), "failed", _CONTRADICTION)
    settle((table["status"] == "ok") & table["outdated"], "skipped", _OUTDATED)


def _settle_times(table: pd.DataFrame) -> None:
    """Prefer asv's samples and statistics; fill in from the evidence where asv saved none (it was interrupted)."""
    own = table["asv_samples"].str.len().gt(0)
    samples = table["asv_samples"].where(own, table["samples"])
    missing = samples.isna()
    samples[missing] = [[] for _ in range(int(missing.sum()))]
    table["samples"] = samples
    table["processes"] = [_processes(p, len(s)) for p, s in zip(table["processes"], samples, strict=True)]
    bare = table["execute_s"].isna() | table["execute_low_s"].isna() | table["execute_high_s"].isna()
    bare &= samples.str.len().gt(0) & (table["status"] == "ok")
    if bare.any():
        middle, low, high = median_intervals(list(samples[bare]))
        for column, values in (("execute_s", middle), ("execute_low_s", low), ("execute_high_s", high)):
            table.loc[bare, column] = table.loc[bare, column].fillna(pd.Series(values, index=table.index[bare]))
    for column, timing in (("one_shot_s", "one_shot"), ("plan_s", "plan")):
        bare = table[column].isna() & table[timing].notna() & (table["status"] == "ok")
        kept = [samples_of(t) for t in table.loc[bare, timing]]
        table.loc[bare, column] = [statistics.median(s) if s else math.nan for s in kept]


def _processes(sizes: Any, count: int) -> list[int]:
    """How many of so many samples came from each process; all from one where that is not known."""
    return sizes if isinstance(sizes, list) and sum(sizes) == count else [count] if count else []


def _empty_numbers() -> pd.DataFrame:
    return _typed(pd.DataFrame({c: [] for c in CELL}))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({**dict.fromkeys(WHOLE, "int64"), **dict.fromkeys(TEXT, "str")})


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    full = [t.reindex(columns=list(COLUMNS)) for t in tables if len(t)]
    if not full:
        return pd.DataFrame(columns=list(COLUMNS))
    cells = pd.concat(full, ignore_index=True)
    cells["date"] = pd.to_datetime(cells["date"], utc=True)
    cells["measured_at"] = pd.to_datetime(cells["measured_at"], utc=True, errors="coerce", format="ISO8601")
    return cells


def _gate_frame(gates: list[Record]) -> pd.DataFrame:
    frame = pd.DataFrame([{c: g.get(c) for c in GATE_COLUMNS} for g in gates], columns=list(GATE_COLUMNS))
    for column in ("ndim", "threads", "checks", "error_over_bound"):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").replace([math.inf, -math.inf], math.nan)
    for column in ("backend", "dtype", "mode", "device", "status", "worst", "reason"):
        frame[column] = [v if isinstance(v, str) else "" if v is None else str(v) for v in frame[column]]
    return frame


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of small lists, none of them in a cycle: collecting garbage while reading only costs time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
