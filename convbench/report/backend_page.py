"""The page of a backend: what it computes, where it was measured, what it is good at, and why it was left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from convbench.analysis.schema import measured, of_reduced_precision
from convbench.report import about, words
from convbench.report.data import SetData
from convbench.report.names import Names
from convbench.report.palette import family_class
from convbench.report.place import Place

Known = Mapping[str, Mapping[str, Any]]
"""What the registry says of a backend, by name: family, library, convention, dtypes, dims, devices, threads, remedy."""
_FACTS = (
    ("convention", "Convention of the library itself"), ("dtypes", "dtypes"), ("dims", "Dimensions"),
    ("devices", "Devices"), ("threads", "Threads"), ("remedy", "To install it"),
)  # fmt: skip


def all_backends(places: list[Place], known: Known) -> list[dict[str, Any]]:
    """Every backend that results or the registry name, by family and name, with its file and what the overview says."""
    from convbench.analysis.schema import FAMILIES

    seen: dict[str, dict[str, Any]] = {}
    for place in places:
        for backend, own in place.cells.groupby("backend", sort=True):
            entry = seen.setdefault(str(backend), _empty())
            _count(entry, own, place)
    for backend in place_gates(places) | known.keys():
        seen.setdefault(backend, _empty())
    names = Names()
    for backend in sorted(seen):
        entry, told = seen[backend], known.get(backend, {})
        entry["name"] = backend
        entry["file"] = f"backend-{names.new(backend)}.html"
        entry["family"] = entry["family"] or str(told.get("family") or "")
        entry["library"] = entry["library"] or str(told.get("library") or "")
        entry["css"] = family_class(entry["family"])
        entry["versions"] = words.joined(list(entry["versions"]))
    order = {family: i for i, family in enumerate(FAMILIES)}
    return sorted(seen.values(), key=lambda e: (order.get(e["family"], len(order)), e["family"], e["name"]))


def place_gates(places: list[Place]) -> set[str]:
    return {str(b) for place in places if len(place.gate) for b in place.gate["backend"]}


def _empty() -> dict[str, Any]:
    numbers = dict.fromkeys(("cells", "ok", "wins", "ties"), 0)
    return {**numbers, "family": "", "library": "", "versions": {}, "error": 0.0, "where": ""}


def _count(entry: dict[str, Any], own: pd.DataFrame, place: Place) -> None:
    mine, shown = judged(place, str(own["backend"].iloc[0])), measured(own, reduced=True)
    entry["cells"] += len(own)
    entry["ok"] += len(shown)
    entry["wins"] += int((mine["rank"] == 1).sum())
    entry["ties"] += int(mine["tied"].sum())
    entry["error"] = max(entry["error"], float(shown["error_over_bound"].fillna(0).max() if len(shown) else 0))
    for column in ("family", "library"):
        entry[column] = entry[column] or next((str(v) for v in own[column] if v), "")
    entry["versions"] |= dict.fromkeys(str(v) for v in own["library_version"].unique() if v)
    entry["where"] = entry["where"] or _where(mine[mine["rank"] == 1])
    if of_reduced_precision(own["backend"]).any():
        entry["where"] = "reduced precision: held against no other"


def judged(place: Place, backend: str) -> pd.DataFrame:
    """A backend's measured cells, with rank and regret for any kernel; of the separable family, for separable ones."""
    rest = place.rest[place.rest["backend"] == backend]
    return rest if len(rest) else place.rows[place.rows["backend"] == backend]


def _where(won: pd.DataFrame) -> str:
    """'Images, float32, k = 3 to 15': the set where it wins most, and at which kernel sizes."""
    if won.empty:
        return ""
    parts = won.groupby(["layout", "dtype", "device", "threads"], sort=True)
    key, most = max(parts, key=lambda item: len(item[1]))
    sizes = sorted({int(k) for k in most["kernel"]})
    span = f"k = {sizes[0]}" if len(sizes) == 1 else f"k = {sizes[0]} to {sizes[-1]}"
    return f"{words.set_title(str(key[0]), str(key[1]), str(key[2]), int(key[3]))}: {span}"


def context(
    entry: dict[str, Any], places: list[Place], data: Mapping[str, list[SetData]], known: Known
) -> dict[str, Any]:
    """All that the template of a backend's page needs; data: by the slug of the place."""
    name = entry["name"]
    told = known.get(name, {})
    facts = [(label, _fact(key, told[key])) for key, label in _FACTS if told.get(key)]
    at, keys = [], []
    for place in places:
        cells = place.cells[place.cells["backend"] == name]
        gate = place.gate[place.gate["backend"] == name] if len(place.gate) else place.gate
        if cells.empty and gate.empty:
            continue
        keys += _sets(name, place, data[place.slug])
        at.append({
            "place": place,
            "versions": words.joined([str(v) for v in cells["library_version"].unique() if v]),
            "counts": about.counts(cells),
            "gate": gate_rows(gate),
            "not_shown": about.not_shown(cells),
        })  # fmt: skip
    return {"backend": entry, "facts": facts, "at": at, "keys": keys}


def _fact(key: str, value: Any) -> str:
    if not isinstance(value, (list, tuple)):
        return str(value)
    return words.joined([f"{v}-D" if key == "dims" else str(v) for v in value])


def _sets(name: str, place: Place, data: list[SetData]) -> list[dict[str, Any]]:
    """What it costs to use this backend for everything, set by set."""
    keys = {(one.layout, one.dtype, one.device, one.threads): one.key for one in data}
    found = []
    for one, costs in zip(place.sets, place.costs, strict=True):
        mine = one.rows[one.rows["backend"] == name]
        own = [c for c in costs["separable" not in set(mine["family"])] if c["backend"] == name]
        if own:
            key = keys[one.layout, one.dtype, one.device, one.threads]
            error = float(mine["error_over_bound"].max())
            found.append({"title": one.title, "key": key, "error": error, "label": place.label, **own[0]})
    return found


def gate_rows(gate: pd.DataFrame) -> list[dict[str, Any]]:
    """The verdicts on small problems, one row each."""
    if gate.empty:
        return []
    order = gate.assign(place=[words.dtype_place(d) for d in gate["dtype"]]).sort_values(
        ["place", "ndim"], kind="stable"
    )
    return [
        {
            "dtype": r.dtype, "ndim": "" if pd.isna(r.ndim) else int(r.ndim), "status": r.status,
            "css": {"ok": "ok", "failed": "bad"}.get(r.status, "none"),
            "checks": "" if pd.isna(r.checks) else int(r.checks), "error": words.digits(r.error_over_bound, 2),
            "worst": r.worst, "reason": r.reason,
        }
        for r in order.itertuples()
    ]  # fmt: skip
