"""Reads one asv result file (its format 2) into a table of cells.

Cells are identified by the parameter values stored in the file itself, never by their position in today's lists, so
that files written before a parameter list changed keep their meaning.
"""

from __future__ import annotations

import ast
import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from convbench.analysis.decode import NO_NUMBER, only_numbers, tolerant
from convbench.analysis.journal import times
from convbench.analysis.schema import CELL, TEXT, WHOLE, fits

# asv metric -> column of the table
METRICS = {
    "time_execute": "execute_s",
    "time_one_shot": "one_shot_s",
    "time_plan": "plan_s",
    "track_peak_memory": "peak_memory_bytes",
    "track_error_over_bound": "asv_error_over_bound",
}
_CI = ("stats_ci_99_a", "stats_ci_99_b")  # asv's names for the ends of the 99 % interval of the median
VERSION = 2
PARAM_NAMES = ("backend", "image", "kernel", "dtype", "device", "threads")
MODE = "same"  # every benchmark cell is in this mode, so it is not a parameter
# layout.Class.metric; a layout may spread over several classes, each with parameter lists of its own
_NAME = re.compile(rf"((?:.*\.)?(image|signal|rows)\.\w+)\.({'|'.join(METRICS)})")


@dataclass
class AsvFile:
    """One result file: where it was measured and when the commit was made (NaT: not told), its cells, its problems.

    cells: one row for each cell that the file knows; `outdated` marks those timed with another version of the
    benchmark than today's, `asv_failed` those that asv calls failed.
    """

    commit: str
    env: str
    date: pd.Timestamp
    cells: pd.DataFrame
    problems: list[str] = field(default_factory=list)


def load_benchmarks(results_dir: Path, conf: Any = None) -> Any:
    """asv's list of benchmarks (results/benchmarks.json); raises asv's UserError if there is none.

    conf: an asv Config; only its benchmark_dir matters, results_dir is set to the one given.
    """
    from asv.benchmarks import Benchmarks
    from asv.config import Config

    own = Config()
    own.benchmark_dir = getattr(conf, "benchmark_dir", own.benchmark_dir)
    own.results_dir = str(results_dir)
    return Benchmarks.load(own)


class _Stored(msgspec.Struct):
    """What asv writes; a row has one list for every column, cut short where the rest is null."""

    version: int
    params: dict[str, Any]
    commit_hash: str
    env_name: str
    result_columns: list[str]
    results: dict[str, msgspec.Raw]
    date: float | None = None


_stored = msgspec.json.Decoder(_Stored).decode
_row = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_asv_file(path: Path, machine: str, benchmarks: Mapping[str, Any], samples: bool = True) -> AsvFile:
    """Read a result file; raises ValueError with what is wrong if it is no asv result file of this machine.

    samples: whether to read samples too; without them, the interval of a median is as asv computed it.
    """
    try:
        stored = _file(path.read_bytes())
        if stored.version != VERSION:
            raise ValueError(f"its format has version {stored.version}, known is {VERSION}: `asv update` may help")
        if stored.params.get("machine") != machine:
            raise ValueError(f"its machine name is not {machine!r}")
        date = pd.Timestamp(math.nan if stored.date is None else stored.date, unit="ms", tz="UTC")
    except Exception as error:  # foreign JSON fails in as many ways as there are shapes of JSON
        raise ValueError(f"not an asv result file ({type(error).__name__}: {_short(str(error), path)})") from error

    found = AsvFile(stored.commit_hash[:8], stored.env_name, date, pd.DataFrame())
    classes: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for name, content in sorted(stored.results.items()):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        of_class, layout, metric = match.groups()
        about = benchmarks.get(name, {})
        try:
            row = _Row(dict(zip(stored.result_columns, _row(content), strict=False)))
            versions = row.value("version"), about.get("version")
            outdated = None not in versions and versions[0] != versions[1]
            frame = _metric(row, metric, tuple(about.get("param_names") or PARAM_NAMES), samples)
        except (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            SyntaxError,
            AttributeError,
            msgspec.MsgspecError,
        ) as error:
            found.problems.append(f"{name} cannot be read ({type(error).__name__}: {str(error)[:120]}); left out")
            continue
        if outdated:
            found.problems.append(f"{name} was measured with another version of this benchmark; left out, run it again")
        if metric == "time_execute":
            frame["outdated"] = outdated
        classes.setdefault((of_class, layout), []).append(frame.filter(["outdated"]) if outdated else frame)
    tables = [_side_by_side(frames).assign(layout=layout, mode=MODE) for (_, layout), frames in classes.items()]
    if tables:
        found.cells = _each_cell_once(pd.concat(tables, ignore_index=True))
    return found


def _file(content: bytes) -> _Stored:
    content = only_numbers(content)
    try:
        return _stored(content)
    except (msgspec.MsgspecError, ValueError):
        return _stored(json.dumps(tolerant(content)).encode())  # where that is none either, this raises


class _Row:
    """One benchmark: asv's columns by name, decoded when they are asked for."""

    def __init__(self, columns: dict[str, msgspec.Raw]) -> None:
        self.columns = columns

    def value(self, name: str) -> Any:
        return msgspec.json.decode(self.columns[name]) if name in self.columns else None

    def each(self, name: str, count: int) -> list[Any]:
        """The values of a column, one a cell; None where there are none."""
        values = list(self.value(name) or [])[:count]
        return values + [None] * (count - len(values))


def _metric(row: _Row, metric: str, param_names: tuple[str, ...], samples: bool) -> pd.DataFrame:
    """One benchmark as a table indexed by its parameters; time_execute comes with interval and samples."""
    index = _index(tuple(map(tuple, row.value("params"))), param_names)
    values = row.each("result", len(index))
    frame = pd.DataFrame({METRICS[metric]: _floats(values)}, index=index)
    if metric == "time_execute":
        frame["asv_failed"] = [v is None for v in values]
        low, high = (_floats(row.each(name, len(index))) for name in _CI)
        if samples:
            kept = [times(s) for s in row.each("samples", len(index))]
            # asv assumes a distribution: from a handful of samples its interval may reach below zero, or to infinity
            low = np.fmax(low, _floats([min(s) if s else None for s in kept]))
            high = np.fmin(high, _floats([max(s) if s else None for s in kept]))
            frame["asv_samples"] = pd.Series(kept, dtype=object, index=index)
        else:
            low = np.where(low > 0, low, np.nan)
        frame["execute_low_s"], frame["execute_high_s"] = low, high
    return frame if index.is_unique else frame[~index.duplicated()]


@functools.lru_cache(maxsize=64)
def _index(stored: tuple[tuple[str, ...], ...], param_names: tuple[str, ...]) -> pd.MultiIndex:
    """Every combination of the stored parameter values, in asv's order; raises ValueError if they are no cells."""
    if len(stored) != len(param_names) or set(param_names) != set(PARAM_NAMES):
        raise ValueError(f"parameters are {', '.join(param_names)}; needed are {', '.join(PARAM_NAMES)}")
    literal = [[ast.literal_eval(v) for v in axis] for axis in stored]
    for param, axis in zip(param_names, literal, strict=True):
        if not all(fits(param, v) for v in axis):
            raise ValueError(f"{param} cannot be any of {str(axis[:3]).encode(errors='replace').decode()}")
    "".join(str(v) for axis in literal for v in axis).encode()  # as above
    return pd.MultiIndex.from_product(literal, names=param_names).reorder_levels(list(PARAM_NAMES))


def _side_by_side(frames: list[pd.DataFrame]) -> pd.DataFrame:
    joined = pd.concat(frames, axis=1).reset_index()
    return joined.astype({**dict.fromkeys(WHOLE, "int64"), **{c: "str" for c in TEXT if c in joined}})


def _each_cell_once(cells: pd.DataFrame) -> pd.DataFrame:
    """Where two classes hold the same cell, the one with a time."""
    if "execute_s" in cells:
        cells = cells.sort_values("execute_s", na_position="last", kind="stable")
    return cells.drop_duplicates(list(CELL), ignore_index=True)


def _floats(values: list[Any]) -> np.ndarray[Any, Any]:
    try:
        array = np.array(values, dtype=float)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        array = np.asarray(pd.to_numeric(pd.Series(values, dtype=object), errors="coerce"), dtype=float)
    return np.where(np.isfinite(array) & (array != NO_NUMBER), array, np.nan)


def _short(message: str, path: Path) -> str:
    """asv's message without the file's absolute path: pages are published."""
    return message.replace(str(path.absolute()), path.name).replace(str(path), path.name)[:200]
