"""The cells of a set as a script that pages load when they need it: everything the table and the page of a cell show.

Columns of numbers and of indexes into lists of words; four significant digits say more than any clock does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from convbench.analysis.schema import CELL, SECONDS, measured
from convbench.report import render, words
from convbench.report.names import Names, slug
from convbench.report.palette import family_class
from convbench.report.place import Place
from convbench.report.sets import SET

Floats = npt.NDArray[np.float64]

DIGITS = "%.4g"
_WORDS = ("backend", "mode", "status", "reason", "input_sha256", "stopped", "clock", "worst", "measured")
_NUMBERS = (*SECONDS, "peak_memory_bytes", "error_over_bound", "error_ulp", "regret", "smallest", "share")
_WITHOUT = {"rank": "rest_rank", "regret": "rest_regret", "tied": "rest_tied"}


@dataclass(frozen=True, eq=False)
class SetData:
    """A set as pages name it: key, which is also the name of its file in data/, and what is in it."""

    key: str
    layout: str
    dtype: str
    device: str
    threads: int
    cells: pd.DataFrame

    @property
    def told(self) -> dict[str, Any]:
        """What the pages must know to find it."""
        return {
            "key": self.key, "layout": self.layout, "dtype": self.dtype, "device": self.device, "threads": self.threads,
            "title": words.set_title(self.layout, self.dtype, self.device, self.threads),
        }  # fmt: skip


def set_data(place: Place, names: Names) -> list[SetData]:
    """Every set of a place, also those where nothing could be measured: why not is of interest. Measured ones first."""
    everything = _with_decisions(place)
    groups = {
        (str(k[0]), str(k[1]), str(k[2]), int(k[3])): rows for k, rows in everything.groupby(list(SET), sort=True)
    }
    first = [(s.layout, s.dtype, s.device, s.threads) for s in place.sets]
    order = [*first, *(key for key in groups if key not in first)]
    return [
        SetData(names.new(f"{place.slug}-{slug('-'.join(map(str, key)))}"), *key, groups[key].reset_index(drop=True))
        for key in order
    ]


def _with_decisions(place: Place) -> pd.DataFrame:
    """All cells of a place, the measured ones with their rank and regret, with and without the separable family."""
    decided = place.rows[[*CELL, "rank", "regret", "tied", "smallest", "share"]]
    rest = place.rest[[*CELL, *_WITHOUT]].rename(columns=_WITHOUT)
    together = place.cells.merge(decided, how="left", on=list(CELL)).merge(rest, how="left", on=list(CELL))
    return together.sort_values([*SET, "image", "kernel", "rank", "backend"], kind="stable", na_position="last")


def text(place: Place, one: SetData, history: str = "") -> str:
    """The script of a set. history: the name of the file with other commits' times, '' where there is none."""
    cells = one.cells.assign(
        worst=[words.index_text(i) for i in one.cells["worst_index"]],
        measured=["" if pd.isna(m) else f"{m:%Y-%m-%d %H:%M} UTC" for m in one.cells["measured_at"]],
    )
    known, columns = {}, {}
    for name in _WORDS:
        codes, values = pd.factorize(cells[name].fillna("").astype(str), sort=name == "backend")
        known[name], columns[name] = [str(v) for v in values], json.dumps(codes.tolist(), separators=(",", ":"))
    about = cells.drop_duplicates("backend").set_index("backend")[["family", "library", "library_version"]]
    told = {
        **one.told, "machine": place.slug, "label": place.label, "commit": place.where[1], "env": place.where[2],
        "day": place.day, "floor": place.noise.floor, "pairs": place.noise.pairs, "history": history,
        "backends": [[b, *about.loc[b].tolist(), family_class(str(about.loc[b, "family"]))] for b in known["backend"]],
        "slots": [place.look[b].slot if b in place.look else None for b in known["backend"]],
        "looks": [
            [place.look[b].marker, [d for d in place.look[b].dashes if d]] if b in place.look else ["o", []]
            for b in known["backend"]
        ],
        "words": known,
    }  # fmt: skip
    for name in ("image", "kernel"):
        columns[name] = json.dumps(cells[name].tolist(), separators=(",", ":"))
    for name in _NUMBERS:
        columns[name] = _numbers(cells[name])
    for name in ("rank", "rest_rank"):
        columns[name] = "[" + ",".join("null" if v != v else str(int(v)) for v in cells[name].tolist()) + "]"
    for name, source in (("tied", "tied"), ("rest_tied", "rest_tied")):
        columns[name] = "[" + ",".join("1" if v is True else "0" for v in cells[source].tolist()) + "]"
    columns["rest_regret"] = _numbers(cells["rest_regret"])
    columns["samples"] = "[" + ",".join(map(_list, cells["samples"])) + "]"
    columns["processes"] = json.dumps([_whole(p) for p in cells["processes"]], separators=(",", ":"))
    body = ",".join(f'"{name}":{values}' for name, values in columns.items())
    return render.script_data(one.key, f'{render.to_json(told)[:-1]},"rows":{len(cells)},"columns":{{{body}}}}}')


def _numbers(column: pd.Series) -> str:
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    return "[" + ",".join(DIGITS % v if f else "null" for v, f in zip(values, np.isfinite(values), strict=True)) + "]"


def _list(samples: list[float]) -> str:
    return "[" + ",".join(DIGITS % s if 0 < s < 1e12 else "null" for s in samples) + "]"


def _whole(processes: Any) -> list[int]:
    return [int(p) for p in processes] if isinstance(processes, (list, tuple, np.ndarray)) else []


class History:
    """The times of a place's cells at its other commits."""

    def __init__(self, cells: pd.DataFrame, place: Place) -> None:
        """cells: of all commits."""
        machine, _, env = place.where
        here = ((cells["machine"] == machine) & (cells["env"] == env)).to_numpy()
        few = cells.loc[here, [*CELL, "status", "execute_s", "commit", "date"]]
        dates = few.groupby("commit", sort=True)["date"].max().sort_values(kind="stable", na_position="first")
        self.commits = [(str(c), "" if pd.isna(d) else f"{d:%Y-%m-%d}") for c, d in dates.items()]
        self._rows = measured(few, reduced=True)
        self._radices = {name: pd.Index(self._rows[name].unique()) for name in CELL}
        self._keys = self._key(self._rows)
        self._order = np.argsort(self._keys, kind="stable")
        self._column = pd.Index([c for c, _ in self.commits]).get_indexer(self._rows["commit"])

    def _key(self, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
        """A number for each cell, the same at every commit; -1 for a cell that was measured at none."""
        key = np.zeros(len(rows), np.int64)
        known = np.ones(len(rows), bool)
        for name, values in self._radices.items():
            codes = values.get_indexer(rows[name])
            known &= codes >= 0
            key = key * (len(values) + 1) + codes
        return np.where(known, key, -1)

    def text(self, one: SetData, key: str) -> str:
        """The script with the times of a set's cells, in the order of its rows, commit by commit."""
        wanted = self._key(one.cells)
        sorted_keys = self._keys[self._order]
        start, end = (np.searchsorted(sorted_keys, wanted, side) for side in ("left", "right"))
        counts = np.where(wanted < 0, 0, end - start)
        row = np.repeat(np.arange(len(wanted)), counts)
        inner = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = self._order[np.repeat(start, counts) + inner]
        times = np.full((len(wanted), len(self.commits)), np.nan)
        times[row, self._column[found]] = self._rows["execute_s"].to_numpy()[found]
        told = [_history_row(values) for values in times.tolist()]
        return render.script_data(key, f'{{"commits":{render.to_json(self.commits)},"times":[{",".join(told)}]}}')


def _history_row(values: list[float]) -> str:
    return "[" + ",".join("null" if v != v else DIGITS % v for v in values) + "]"


def files(place: Place, data: list[SetData], cells: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The scripts of a place, (name, text): a set's own, and where other commits were measured their times."""
    history = History(cells, place)
    for one in data:
        other = f"{one.key}-history" if len(history.commits) > 1 else ""
        if other:
            yield f"data/{other}.js", history.text(one, other)
        yield f"data/{one.key}.js", text(place, one, other)
