"""What a page says about itself: the verdicts of the gate, what was left out, the machine, other commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from convbench.analysis.table import Where
from convbench.report import words

# Of the conditions, what is of use to a program only.
_CLOCKS = ("wall_s", "monotonic_s")


def gate_table(gate: pd.DataFrame) -> dict[str, Any] | None:
    """Backends against dtype and axes: ok with the worst error over bound, n/a, failed; and the reasons."""
    if gate.empty:
        return None
    columns = {(str(d), int(n)) for d, n in zip(gate["dtype"], gate["ndim"].fillna(0), strict=True)}
    order = sorted(columns, key=lambda column: (words.dtype_place(column[0]), column[1]))
    rows, reasons = [], []
    for backend, judged in gate.groupby("backend", sort=True):
        places = dict(list(judged.groupby(["dtype", "ndim"])))
        rows.append({"backend": backend, "cells": [_gate_cell(places.get(column)) for column in order]})
        faults = judged[(judged["status"] != "ok") & (judged["reason"] != "")]
        for (status, reason), part in faults.groupby(["status", "reason"], sort=True):
            where = words.joined(sorted(set(part["dtype"])))
            reasons.append({"backend": backend, "status": status, "reason": reason, "where": where})
    return {
        "columns": [f"{dtype}, {ndim}-D" for dtype, ndim in order],
        "rows": rows,
        "reasons": sorted(reasons, key=lambda r: (r["status"] != "failed", r["backend"])),
        "checks": int(gate["checks"].fillna(0).sum()),
    }


def _gate_cell(judged: pd.DataFrame | None) -> dict[str, str]:
    if judged is None:
        return {"status": "not judged", "css": "none", "error": "", "told": ""}
    seen = set(judged["status"])
    status = next((s for s in ("failed", "ok", "n/a") if s in seen), str(judged["status"].iloc[0]))
    worst = judged["error_over_bound"].max()
    example = judged.loc[judged["error_over_bound"].idxmax(), "worst"] if worst == worst else ""
    return {
        "status": status,
        "css": {"ok": "ok", "failed": "bad"}.get(status, "none"),
        "error": words.digits(worst, 2) if status != "n/a" else "",
        "told": f"{int(judged['checks'].fillna(0).sum())} checks; worst: {example}" if example else "",
    }


def not_shown(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Cells that are not shown, grouped by status and reason; reasons that differ only in numbers are one."""
    rows = cells[cells["status"] != "ok"]
    alike = rows["reason"].str.replace(r"\d+(?:[.,]\d+)*(?:e[+-]?\d+)?", "0", regex=True)
    groups = []
    for (status, _), part in rows.groupby(["status", alike], sort=True):
        reasons = part["reason"].unique()
        groups.append({
            "status": status, "count": len(part), "backends": words.joined(sorted(set(part["backend"]))),
            "reason": reasons[0] or "no reason was given", "more": len(reasons) - 1,
        })  # fmt: skip
    order = {"failed": 0, "no evidence": 1, "skipped": 2, "n/a": 3}
    return sorted(groups, key=lambda g: (order.get(g["status"], 9), -g["count"]))


def counts(cells: pd.DataFrame) -> dict[str, int]:
    """How many cells there are of each status, ok first."""
    found = {str(s): int(n) for s, n in cells["status"].value_counts().items()}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "ok", -item[1])))


def facts(machine: Mapping[str, Any], runs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What is known of the machine (asv's file, then the last run's), versions, runs, conditions and warnings."""
    known = {k: v for k, v in machine.items() if k != "version"}
    if str(known.get("ram")).isdigit():
        known["ram"] = words.size_bytes(float(known["ram"]))
    versions: dict[str, str] = {}
    told, warned = [], []
    last: Mapping[str, Any] = {}
    for run in sorted(runs, key=lambda r: str(r.get("started"))):
        last = run
        known |= _strings(run.get("machine"))
        versions |= _strings(run.get("versions"))
        times = {name: words.moment(run.get(name)) for name in ("started", "finished")}
        told.append({name: str(run.get(name) or "") for name in ("run", "preset")} | times)
        warnings = run.get("warnings")
        warned += [str(w) for w in warnings] if isinstance(warnings, list) else []
    return {
        "machine": {str(k): str(v) for k, v in known.items() if str(v)},
        "versions": dict(sorted(versions.items())),
        "runs": told,
        "conditions": _conditions(last),
        "warnings": list(dict.fromkeys(warned)),
    }


def _conditions(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """How the machine was doing before and after the last run: (what, before, after); [] where it was not recorded."""

    def recorded(when: str) -> dict[str, Any]:
        found = run.get(when)
        return found if isinstance(found, dict) else {}

    before, after = recorded("before"), recorded("after")
    names = [name for name in {**before, **after} if name not in _CLOCKS]
    return [
        (words.condition(name), words.reading(name, before.get(name)), words.reading(name, after.get(name)))
        for name in names
    ]


def _strings(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def other_commits(cells: pd.DataFrame, where: Where) -> list[dict[str, Any]]:
    same = cells[(cells["machine"] == where[0]) & (cells["env"] == where[2]) & (cells["commit"] != where[1])]
    seen = same.groupby("commit").agg(
        date=("date", "max"), cells=("status", "size"), ok=("status", lambda s: (s == "ok").sum())
    )
    return [
        {
            "commit": r.Index,
            "date": "" if pd.isna(r.date) else f"{r.date:%Y-%m-%d}",
            "cells": int(r.cells),
            "ok": int(r.ok),
        }
        for r in seen.sort_values("date", ascending=False).itertuples()
    ]
