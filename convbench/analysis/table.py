"""Reads a folder of results into one table of cells: asv's numbers joined with the evidence beside them."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import multiprocessing
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.asvfile import AsvFile, load_benchmarks, read_asv_file
from convbench.analysis.journal import LONGEST, Evidence, Record, read_evidence, timed
from convbench.analysis.medians import median_intervals
from convbench.analysis.schema import CELL, COLUMNS, PAIR_COLUMNS, SECONDS, TEXT, WHERE, WHOLE
from convbench.ceilings import FILE, Ceilings, Place, read_ceilings
from convbench.cuda.cards import cards_in
from convbench.errors import StorageError
from convbench.evidence import SUFFIX

Progress = Callable[[int, int, str], None]
Where = tuple[str, str, str]

_MEDIANS = ("execute_s", "execute_low_s", "execute_high_s", "one_shot_s", "plan_s")
SAMPLED_BYTES = 256 << 20
"""Of evidence; its samples take as much memory again."""
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
    ceilings: name of a machine -> number of threads, or device -> its measured peaks.
    """

    cells: pd.DataFrame
    gate: pd.DataFrame
    machines: dict[str, dict[str, Any]]
    runs: list[tuple[Where, Record]]
    problems: list[tuple[str, str]]
    ceilings: dict[str, dict[Place, Ceilings]] = field(default_factory=dict)
    pairs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(PAIR_COLUMNS)))


@dataclass(frozen=True)
class _Task:
    """One commit in one environment on one machine, still to be read.

    machine: its name in its files; label: its name here, another where two have one name. keep: its samples are kept.
    """

    root: Path
    folder: Path
    machine: str
    label: str
    stem: str
    benchmarks: dict[str, dict[str, Any]]
    keep: bool = True


@dataclass
class _Part:
    """What was read of it."""

    where: Where = ("", "", "")
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    gates: list[Record] = field(default_factory=list)
    pairs: pd.DataFrame | None = None
    runs: list[Record] = field(default_factory=list)
    hardware: dict[str, str] = field(default_factory=dict)
    """What it was measured on: "cpu", and the card of every device."""
    problems: list[tuple[str, str]] = field(default_factory=list)


def read_results(
    results_dir: str | Path, conf: Any = None, progress: Progress | None = None, workers: int = 1
) -> Results:
    """Read every machine, commit and environment in a folder of results.

    conf: an asv Config (optional). progress: called with (files done, files in all, name) before each. workers:
    processes that read; more than one need a main module that can be imported (`if __name__ == "__main__"`).
    Files that cannot be read are named in `.problems` and skipped. Of much evidence (SAMPLED_BYTES) only the newest
    commit of each machine and environment keeps its samples in the table, which `.problems` then says.
    Raises StorageError if there is no folder, or nothing in it that can be read.
    """
    root = Path(results_dir)
    remedy = "measure first: `make bench` or `convbench run`"
    if not root.is_dir():
        raise StorageError(f"no results in {root}: there is no such folder; {remedy}")
    problems: list[tuple[str, str]] = []
    machines: dict[str, dict[str, Any]] = {}
    with _no_garbage_collection():
        benchmarks = _benchmarks(root, conf, problems)
        todo = [
            _Task(root, folder, machine, label, stem, benchmarks)
            for folder, machine, label in _machines(root, machines, problems)
            for stem in _stems(folder)
        ]
        todo = _share_samples(todo, problems)
        parts = list(_parts(todo, progress, workers))
        _mend_dates(parts, problems)
        _tell_apart(parts, machines, problems)
        cells = _concat([part.cells for part in parts])
    problems += [problem for part in parts for problem in part.problems]
    if cells.empty:
        found = "".join(f"\n  {file}: {wrong}" for file, wrong in problems[:20])
        raise StorageError(f"no results in {root}{': nothing there can be read' if found else ''}; {remedy}{found}")
    ceilings = _ceilings(root, {task.label: (task.folder, task.machine) for task in todo}, problems)
    gates = _gate_frame([gate for part in parts for gate in part.gates])
    runs = [(part.where, run) for part in parts for run in part.runs]
    pairs = [part.pairs for part in parts if part.pairs is not None]
    twice = pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=list(PAIR_COLUMNS))
    return Results(cells, gates, machines, runs, problems, ceilings, twice[list(PAIR_COLUMNS)])


def _parts(todo: list[_Task], progress: Progress | None, workers: int) -> Iterator[_Part]:
    with contextlib.ExitStack() as stack:
        if workers > 1 and len(todo) > 1:
            context = multiprocessing.get_context("spawn")  # a fork would take along half of arrow's threads
            pool = stack.enter_context(ProcessPoolExecutor(min(workers, len(todo)), context))
            parts: Iterable[_Part] = pool.map(_part, todo)
        else:
            parts = map(_part, todo)
        coming = iter(parts)
        for done, task in enumerate(todo):
            if progress:
                progress(done, len(todo), f"read {task.label}/{task.stem}")
            yield next(coming)


def _part(task: _Task) -> _Part:
    """Read one commit, wherever: everything it needs and gives can be sent to another process."""
    part = _Part()
    with _no_garbage_collection():
        asv, evidence = _read_pair(task, part.problems)
        if asv is None and evidence is None:
            return part
        part.where = _where(task.label, task.stem, asv)
        place = dict(zip(WHERE, part.where, strict=True))
        evidence = evidence or Evidence()
        cells = _cells(asv, evidence, task.keep)
        if not evidence.full and cells.loc[cells["status"] == "ok", list(_MEDIANS)].isna().any(axis=None):
            evidence = read_evidence(task.folder / f"{task.stem}{SUFFIX}")  # asv was interrupted, or had few samples
            cells = _cells(asv, evidence, task.keep)
        part.cells = cells.assign(**place, date=_date(asv, evidence)).reindex(columns=list(COLUMNS))
        part.gates = [{**gate, **place} for gate in evidence.gates.values()]
        part.runs = list(evidence.runs.values())
        part.hardware = _hardware(task, part)
        if evidence.pairs:
            part.pairs = evidence.pair_frame().assign(**place)
    return part


def _share_samples(todo: list[_Task], problems: list[tuple[str, str]]) -> list[_Task]:
    """Of more evidence than SAMPLED_BYTES, only the newest commits keep their samples, and those of unknown date."""
    sizes = [path.stat().st_size for task in todo if (path := task.folder / f"{task.stem}{SUFFIX}").is_file()]
    if sum(sizes) <= SAMPLED_BYTES:
        return todo
    dates = [_date_in_head(task.folder / f"{task.stem}.json") for task in todo]
    newest: dict[tuple[Path, str], float] = {}
    for task, date in zip(todo, dates, strict=True):
        place = task.folder, task.stem.partition("-")[2]
        if math.isfinite(date):
            newest[place] = max(newest.get(place, date), date)
    shared = [
        replace(task, keep=math.isinf(date) or date == newest[task.folder, task.stem.partition("-")[2]])
        for task, date in zip(todo, dates, strict=True)
    ]
    if left := sum(not task.keep for task in shared):
        wrong = f"samples of {left} older commits were left in their files: the table has medians and intervals of them"
        problems.append((".", wrong))
    return shared


def _date_in_head(path: Path) -> float:
    """The date in a result file of asv, which writes it among the first; infinite where it is not found there."""
    try:
        with open(path, "rb") as stream:
            found = re.search(rb'"date": *(\d+)', stream.read(4096))
    except OSError:
        found = None
    return float(found[1]) if found else math.inf


def _benchmarks(root: Path, conf: Any, problems: list[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Version and names of parameters of today's benchmarks."""
    if not (root / "benchmarks.json").exists():
        return {}  # asv has not run yet, or results were copied here: every file holds its own parameters
    try:
        today = load_benchmarks(root, conf)
        return {name: {key: b.get(key) for key in ("version", "param_names")} for name, b in today.items()}
    except Exception as error:  # a foreign benchmarks.json fails inside asv in many ways
        wrong = f"cannot be read ({type(error).__name__}); results of old versions of a benchmark are not told apart"
        problems.append(("benchmarks.json", wrong))
        return {}


def _machines(
    root: Path, machines: dict[str, dict[str, Any]], problems: list[tuple[str, str]]
) -> Iterator[tuple[Path, str, str]]:
    """Each folder with a usable machine.json, its machine's name, and a label of its own; collects the files."""
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
            label = name
            if name in machines:
                label = f"{name} ({folder.name})"
                wrong = (
                    f"carries the name {name!r}, as another folder does: shown as {label!r}; give it a name of its own"
                )
                problems.append((f"{folder.name}/machine.json", wrong))
            machines[label] = machine
            yield folder, name, label


def _hardware(task: _Task, part: _Part) -> dict[str, str]:
    """The processor that a commit was measured on, and the card of every device, as the newest runs name them."""
    named: dict[str, list[str]] = {}
    for run in part.runs:
        facts = run.get("machine")
        cpu = facts.get("cpu") if isinstance(facts, dict) else None
        for what, name in {**({"cpu": str(cpu)} if cpu else {}), **cards_in(run)}.items():
            named.setdefault(what, []).append(name)
    for what, names in named.items():
        if len(set(names)) > 1:
            which, things = ", ".join(sorted(set(names)))[:200], "processors" if what == "cpu" else f"cards as {what}"
            wrong = f"holds runs on several {things} ({which}): its cells may not compare; run `convbench run --fresh`"
            part.problems.append((f"{task.folder.name}/{task.stem}{SUFFIX}", wrong))
    return {what: names[-1] for what, names in named.items()}


def _tell_apart(parts: list[_Part], machines: dict[str, dict[str, Any]], problems: list[tuple[str, str]]) -> None:
    """Commits that were measured on another processor than the machine's newest, or on another card under the name of a
    device, become a machine of their own."""
    newest: dict[tuple[str, str], _Part] = {}
    for part in parts:
        if len(part.cells):
            for what in part.hardware:
                best = newest.setdefault((part.where[0], what), part)
                newest[part.where[0], what] = max(best, part, key=lambda p: (_known(p.cells["date"].iat[0]), p.where))
    for part in parts:
        name, commit, env = part.where
        later = {what: newest[name, what].hardware[what] for what in part.hardware} if len(part.cells) else {}
        other = [what for what, now in later.items() if part.hardware[what] != now]
        if not other:
            continue
        label = f"{name} ({', '.join(part.hardware[what] for what in other)})"
        was, now = part.hardware[other[0]], later[other[0]]
        wrong = f"was measured on {was!r}, later commits on {now!r}: shown as machine {label!r}"
        problems.append((f"{name}/{commit}-{env}", wrong))
        about = machines.get(name, {})
        machines.setdefault(label, {**about, "cpu": part.hardware.get("cpu", about.get("cpu", ""))})
        part.where = (label, commit, env)
        part.cells["machine"] = label
        part.gates = [{**gate, "machine": label} for gate in part.gates]
        if part.pairs is not None:
            part.pairs["machine"] = label


def _known(date: pd.Timestamp) -> float:
    return -math.inf if pd.isna(date) else float(date.timestamp())


def _mend_dates(parts: list[_Part], problems: list[tuple[str, str]]) -> None:
    """A date in the future would stay the newest for ever: such dates are taken as not known."""
    limit = _now() + pd.Timedelta(days=1)
    for part in parts:
        if not len(part.cells):
            continue
        part.cells["measured_at"] = pd.to_datetime(
            part.cells["measured_at"], utc=True, errors="coerce", format="ISO8601"
        )
        part.cells["date"] = pd.to_datetime(part.cells["date"], utc=True)
        file = "{}/{}-{}".format(*part.where)
        for column, what in (("date", "the commit's date"), ("measured_at", "the time of measuring")):
            late = part.cells[column] > limit
            if late.any():
                problems.append(
                    (file, f"{what} is in the future: taken as not known; is the clock right? `timedatectl`")
                )
                part.cells[column] = part.cells[column].mask(late)


def _now() -> pd.Timestamp:
    return pd.Timestamp.now(tz="UTC")


def _ceilings(
    root: Path, folders: dict[str, tuple[Path, str]], problems: list[tuple[str, str]]
) -> dict[str, dict[Place, Ceilings]]:
    found = {}
    for label, (folder, machine) in folders.items():
        try:
            found[label] = read_ceilings(folder / FILE, machine)
        except (ValueError, OSError) as error:
            wrong = str(error.strerror if isinstance(error, OSError) else error)
            problems.append((str((folder / FILE).relative_to(root)), f"{wrong}; run `convbench machine --ceilings`"))
    return found


def _stems(folder: Path) -> list[str]:
    """`<commit8>-<env>` of every result or evidence file in a machine's folder."""
    asv = {p.name.removesuffix(".json") for p in folder.glob("*.json") if p.name != "machine.json"}
    return sorted(asv | {p.name.removesuffix(SUFFIX) for p in folder.glob(f"*{SUFFIX}")})


def _read_pair(task: _Task, problems: list[tuple[str, str]]) -> tuple[AsvFile | None, Evidence | None]:
    asv, evidence = None, None
    path = task.folder / f"{task.stem}.json"
    if path.is_file():
        try:
            asv = read_asv_file(path, task.machine, task.benchmarks, samples=task.keep)
            problems += [(str(path.relative_to(task.root)), p) for p in asv.problems]
        except (ValueError, OSError) as error:
            problems.append((str(path.relative_to(task.root)), f"{error}; skipped"))
    path = task.folder / f"{task.stem}{SUFFIX}"
    if path.is_file():
        try:
            evidence = read_evidence(path, task.keep)
            problems += [(str(path.relative_to(task.root)), p) for p in evidence.problems]
        except OSError as error:
            problems.append((str(path.relative_to(task.root)), f"cannot be read ({error.strerror}); skipped"))
    return asv, evidence


def _where(machine: str, stem: str, asv: AsvFile | None) -> Where:
    commit, _, env = stem.partition("-")
    return machine, asv.commit if asv else commit[:8], asv.env if asv else env


def _date(asv: AsvFile | None, evidence: Evidence) -> pd.Timestamp:
    """The commit's date; where asv wrote none (it was interrupted) the start of the last run."""
    if asv is not None and not pd.isna(asv.date):
        return asv.date
    started = [str(r.get("started")) for r in evidence.runs.values()]
    return pd.to_datetime(pd.Series(started, dtype="str"), errors="coerce", utc=True).max()


def _cells(asv: AsvFile | None, evidence: Evidence, keep: bool) -> pd.DataFrame:
    """Join asv's cells with the evidence and settle the status of each."""
    numbers = asv.cells if asv is not None and len(asv.cells) else _empty_numbers()
    table = numbers.merge(_typed(evidence.cell_frame()), how="outer", on=list(CELL))
    for column in (*SECONDS, "peak_memory_bytes", "asv_error_over_bound", "asv_failed", "outdated", "asv_samples"):
        if column not in table:
            table[column] = None if column == "asv_samples" else math.nan
    for column in ("asv_failed", "outdated"):
        table[column] = table[column].eq(True)
    known = table["status"].notna()
    has_time = table["execute_s"].notna()
    table = table[known | has_time | table["asv_failed"]].reset_index(
        drop=True
    )  # the rest was not selected in this run
    _settle_status(table)
    _settle_times(table, keep)
    table[list(SECONDS)] = table[list(SECONDS)].astype(float).where(lambda seconds: seconds.abs() < LONGEST)
    table["error_over_bound"] = table["error_over_bound"].fillna(table["asv_error_over_bound"])
    table["peak_memory_bytes"] = table["peak_memory_bytes"].fillna(table["evidence_memory"])
    for column in ("family", "library", "library_version"):  # a property of the backend: known from its other cells
        table[column] = table[column].replace("", pd.NA)
        table[column] = table[column].fillna(table.groupby("backend")[column].transform("first"))
    texts = ["family", "library", "library_version", "reason", "input_sha256", "stopped", "clock", "measured_at"]
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


def _settle_times(table: pd.DataFrame, keep: bool) -> None:
    """Prefer asv's samples and statistics; fill in from the evidence where asv saved none (it was interrupted).

    keep: whether the samples stay in the table; else they are decoded only where a median is missing.
    """
    ok = table["status"] == "ok"
    bare = ok & table[["execute_s", "execute_low_s", "execute_high_s"]].isna().any(axis=1)
    decoded = [
        timed(lines, "execute") if want and isinstance(lines, list) else ([], [], [])
        for want, lines in zip([True] * len(table) if keep else bare, table["lines"], strict=True)
    ]
    samples = [
        theirs if isinstance(theirs, list) and theirs else ours
        for theirs, (ours, *_) in zip(table["asv_samples"], decoded, strict=True)
    ]
    fill = [i for i in np.flatnonzero(bare) if samples[i]]
    if fill:
        found = median_intervals([samples[i] for i in fill])
        for column, values in zip(("execute_s", "execute_low_s", "execute_high_s"), found, strict=True):
            _fill(table, column, fill, values)
    for column, name in (("one_shot_s", "one_shot"), ("plan_s", "plan")):
        fill = list(np.flatnonzero(ok & table[column].isna() & table["lines"].notna()))
        kept = [timed(table["lines"].iat[i], name)[0] for i in fill]
        _fill(table, column, fill, np.array([statistics.median(s) if s else math.nan for s in kept]))
    sizes = [sizes if sum(sizes) == len(s) else [len(s)] for s, (_, sizes, _) in zip(samples, decoded, strict=True)]
    groups = [groups for *_, groups in decoded]
    table["samples"] = pd.Series(samples if keep else [[] for _ in samples], dtype=object, index=table.index)
    table["processes"] = pd.Series(sizes if keep else [[] for _ in samples], dtype=object, index=table.index)
    table["groups"] = pd.Series(groups if keep else [[] for _ in samples], dtype=object, index=table.index)


def _fill(table: pd.DataFrame, column: str, rows: Sequence[Any], values: npt.NDArray[np.float64]) -> None:
    """Put the values where there are none."""
    known = table[column].to_numpy(dtype=float, copy=True)
    known[rows] = np.where(np.isnan(known[rows]), values, known[rows])
    table[column] = known


def _empty_numbers() -> pd.DataFrame:
    return _typed(pd.DataFrame({c: [] for c in CELL}))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({**dict.fromkeys(WHOLE, "int64"), **dict.fromkeys(TEXT, "str")})


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    full = [t for t in tables if len(t)]
    if not full:
        return pd.DataFrame(columns=list(COLUMNS))
    return full[0] if len(full) == 1 else pd.concat(full, ignore_index=True)


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
