"""Reads one asv result file into a table of cells, through asv's own reader.

Cells are identified by the parameter values stored in the file itself, never by their position in today's lists, so
that files written before a parameter list changed keep their meaning.
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from convbench.analysis.evidence import times
from convbench.analysis.schema import CELL, TEXT, WHOLE, fits

# asv metric -> column of the table
METRICS = {
    "time_execute": "execute_s",
    "time_one_shot": "one_shot_s",
    "time_plan": "plan_s",
    "track_peak_memory": "peak_memory_bytes",
    "track_error_over_bound": "asv_error_over_bound",
}
_CI = ("ci_99_a", "ci_99_b")  # asv's names for the ends of the 99 % interval of the median
PARAM_NAMES = ("backend", "image", "kernel", "dtype", "device", "threads")
MODE = "same"  # every benchmark cell is in this mode, so it is not a parameter
# layout.Class.metric; a layout may spread over several classes, each with parameter lists of its own
_NAME = re.compile(rf"((?:.*\.)?(image|signal|rows)\.\w+)\.({'|'.join(METRICS)})")


@dataclass
class AsvFile:
    """One result file: where it was measured, its cells, and what was wrong with it.

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


def read_asv_file(path: Path, machine: str, benchmarks: Any = None) -> AsvFile:
    """Read a result file; raises ValueError with what is wrong if it is no asv result file of this machine."""
    from asv.results import Results
    from asv.util import UserError

    try:
        results = Results.load(str(path), machine_name=machine)
        date = pd.Timestamp(float(results.date), unit="ms", tz="UTC")
        commit, env = str(results.commit_hash)[:8], str(results.env_name)
        f"{commit}{env}".encode()  # half of a surrogate pair is no text: this raises
        names = sorted(results.get_all_result_keys())
    except UserError as error:
        raise ValueError(_short(str(error), path)) from error
    except Exception as error:  # foreign JSON fails inside asv in as many ways as there are shapes of JSON
        raise ValueError(f"not an asv result file ({type(error).__name__}: {_short(str(error), path)})") from error

    found = AsvFile(commit, env, date, pd.DataFrame())
    today = {} if benchmarks is None else benchmarks
    comparable = results.get_result_keys(today)
    classes: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        of_class, layout, metric = match.groups()
        outdated = name in today and name not in comparable
        if outdated:
            found.problems.append(f"{name} was measured with another version of this benchmark; left out, run it again")
        try:
            frame = _metric(results, name, metric, tuple(today.get(name, {}).get("param_names") or PARAM_NAMES))
        except (ValueError, TypeError, KeyError, IndexError, SyntaxError, AttributeError) as error:
            found.problems.append(f"{name} cannot be read ({type(error).__name__}: {str(error)[:120]}); left out")
            continue
        if metric == "time_execute":
            frame["outdated"] = outdated
        classes.setdefault((of_class, layout), []).append(frame.filter(["outdated"]) if outdated else frame)
    tables = [_side_by_side(frames).assign(layout=layout, mode=MODE) for (_, layout), frames in classes.items()]
    if tables:
        found.cells = _each_cell_once(pd.concat(tables, ignore_index=True))
    return found


def _metric(results: Any, name: str, metric: str, param_names: tuple[str, ...]) -> pd.DataFrame:
    """One benchmark as a table indexed by its parameters; time_execute comes with interval and samples."""
    stored = results.get_result_params(name)
    values = results.get_result_value(name, stored)
    index = _index(tuple(map(tuple, stored)), param_names)
    frame = pd.DataFrame({METRICS[metric]: _floats(values)}, index=index)
    if metric == "time_execute":
        frame["asv_failed"] = [v is None for v in values]
        stats = results.get_result_stats(name, stored)
        samples = results.get_result_samples(name, stored)
        # asv assumes a distribution: from a handful of samples its interval may reach below zero, or to infinity
        least, most = (_floats([end(s) if s else None for s in samples]) for end in (min, max))
        low, high = (_floats([(s or {}).get(c) for s in stats]) for c in _CI)
        frame["execute_low_s"], frame["execute_high_s"] = np.fmax(low, least), np.fmin(high, most)
        frame["asv_samples"] = pd.Series([times(s) for s in samples], dtype=object, index=index)
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
    array = np.asarray(pd.to_numeric(pd.Series(values, dtype=object), errors="coerce"), dtype=float)
    return np.where(np.isfinite(array), array, np.nan)


def _short(message: str, path: Path) -> str:
    """asv's message without the file's absolute path: pages are published."""
    return message.replace(str(path.absolute()), path.name).replace(str(path), path.name)[:200]
