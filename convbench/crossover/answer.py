"""What was found, in one sentence, in further remarks, as a table and as JSON."""

from __future__ import annotations

import itertools
import math
from typing import Any

from convbench.crossover.contest import Entry, Size
from convbench.crossover.found import Band, Crossing, Found
from convbench.crossover.lengths import Kind
from convbench.crossover.search import runs

_KINDS: dict[Kind, str] = {
    "odd": "odd kernels",
    "even": "even kernels",
    "friendly": "FFT-friendly lengths",
    "unfriendly": "FFT-unfriendly lengths",
}
_COLUMNS = ("k", "sizes", "image", "best {0}", "ms", "best {1}", "ms", "{0} / {1}", "verdict", "rounds")


def sentence(found: Found) -> str:
    """The answer in one sentence."""
    return f"{_who_leads(found)}; {found.cells} cells timed, a sweep takes {found.sweep}"


def remarks(found: Found) -> list[str]:
    """What else there is to say: other kinds of sizes, ties, backends that dropped out."""
    said = [text for crossing in found.crossings for text in _of_crossing(crossing)]
    if ties := _ties(found):
        said.append(f"cannot tell at k = {', '.join(ties)}: differences below {found.floor:.1%} or so are noise here")
    said += [f"k = {size.kernel}: {size.why}" for size in found.sizes if size.why]
    said += [f"{name} {text}" for name, text in _dropped(found).items()]
    if found.interrupted:
        said.append("interrupted: this is what had been found by then")
    return said


def columns(found: Found) -> list[str]:
    """Of the table of sizes; times are medians in milliseconds, ratios with the interval that decides."""
    return [column.format(*found.families) for column in _COLUMNS]


def rows(found: Found) -> list[list[str]]:
    """A row for each size that was measured, ascending."""
    return [_row(found, size) for size in found.sizes]


def as_dict(found: Found) -> dict[str, Any]:
    """Everything, for JSON; seconds."""
    from convbench import machine

    setting = found.setting
    return {
        "machine": machine.machine_name(),
        "versions": machine.versions(),
        "families": list(found.families),
        "layout": setting.layout,
        "image_shape": list(setting.image_shape),
        **{key: getattr(setting, key) for key in ("dtype", "device", "threads")},
        "mode": "same",
        "kernel_min": found.smallest,
        "kernel_max": found.largest,
        "answer": sentence(found),
        "remarks": remarks(found),
        "interrupted": found.interrupted,
        "cells_timed": found.cells,
        "cells_of_a_sweep": found.sweep,
        "noise_floor": found.floor,
        "crossings": [_crossing(crossing) for crossing in found.crossings],
        "left_out": dict(found.left_out),
        "sizes": [_size(found, size) for size in found.sizes],
    }


def _who_leads(found: Found) -> str:
    seen, (a, b) = found.seen, found.families
    if not seen:
        return "nothing was measured"
    if not any(seen.values()):
        return f"{a} and {b} cannot be told apart at k = {_range(min(seen), max(seen))}"
    if not found.crossings:
        sure = [k for k, lead in seen.items() if lead]
        ties = _ties(found)
        but = f"; who leads at k = {', '.join(ties)} cannot be told" if ties else ""
        leader = _named(found, seen[sure[0]], sure)
        return f"no crossover: {leader} is faster at all sizes looked at, k = {_range(sure[0], sure[-1])}{but}"
    first = found.crossings[0].change
    told = f"{_named(found, first.before, [first.low])} is faster up to k = {first.low}"
    for crossing, following in itertools.zip_longest(found.crossings, found.crossings[1:]):
        high = crossing.change.high
        until = f"to {following.change.low}" if following else "on"
        told += f", {_named(found, crossing.change.after, [high])} from k = {high} {until}"
    bands = " and ".join(_range(*crossing.hull) for crossing in found.crossings)
    return f"{told}; band{'s' * (len(found.crossings) > 1)} {bands}"


def _named(found: Found, lead: int, kernels: list[int]) -> str:
    """The family that leads, and its quickest backend, if that is the same one at these sizes."""
    index = 0 if lead < 0 else 1
    best = {entry.backend for size in found.odd if size.kernel in kernels and (entry := size.best[index])}
    return found.families[index] + (f" ({best.pop()})" if len(best) == 1 else "")


def _ties(found: Found) -> list[str]:
    return [_range(low, high) for lead, low, high in runs(found.seen) if not lead]


def _of_crossing(crossing: Crossing) -> list[str]:
    odd = crossing.bands[0]
    said = [f"{crossing.before} and {crossing.after} take the same time at k = {crossing.kernel:.3g}, interpolated"]
    if crossing.change.times > 1:
        said.append(f"between k = {odd.low} and {odd.high} the lead changes {crossing.change.times} times")
    said += [_of_kind(band, odd) for band in crossing.bands[1:]]
    for why, kinds in itertools.groupby(crossing.left_out, key=lambda kind: crossing.left_out[kind]):
        said.append(f"not looked at, {why}: {', '.join(_KINDS[kind] for kind in kinds)}")
    return said


def _of_kind(band: Band, odd: Band) -> str:
    if band.low is None and band.high is None:
        return f"{_KINDS[band.kind]}: cannot tell near this crossover"
    agree = "agree with odd kernels" if band.overlaps(odd) else "differ from odd kernels"
    ends = [str(end) if end is not None else "?" for end in (band.low, band.high)]
    unknown = " (?: that end was not found)" if "?" in ends else ""
    return f"{_KINDS[band.kind]} {agree}: {' to '.join(dict.fromkeys(ends))}{unknown}"


def _dropped(found: Found) -> dict[str, str]:
    """Backends that did not get through to the end, and why."""
    told = {name: f"took no part: {reason}" for name, reason in found.left_out.items()}
    for size in found.sizes:
        for entry in size.entries:
            if entry.status in ("failed", "skipped", "n/a"):
                told.setdefault(entry.backend, f"dropped out at k = {size.kernel}: {entry.status}: {entry.reason}")
    return told


def _row(found: Found, size: Size) -> list[str]:
    ratio = ""
    if size.log_ratio is not None and size.limit is not None:
        middle, low, high = (math.exp(size.log_ratio + d) for d in (0, -size.limit, size.limit))
        ratio = f"{middle:.4g} ({low:.4g} to {high:.4g})"
    return [
        str(size.kernel),
        size.kind,
        " x ".join(map(str, size.image_shape)),
        *(text for entry in size.best for text in _timed(entry)),
        ratio,
        found.leader(size) or "cannot tell",
        str(size.rounds),
    ]


def _timed(entry: Entry | None) -> tuple[str, str]:
    return (entry.backend, f"{entry.seconds * 1e3:.4g}") if entry else ("", "")


def _range(low: int, high: int) -> str:
    return f"{low} to {high}" if low != high else str(low)


def _crossing(crossing: Crossing) -> dict[str, Any]:
    low, high = crossing.hull
    return {
        "faster_below": crossing.before,
        "faster_above": crossing.after,
        "kernel": crossing.kernel,
        "low": low,
        "high": high,
        "changes": crossing.change.times,
        "bands": [{"sizes": band.kind, "low": band.low, "high": band.high} for band in crossing.bands],
        "left_out": dict(crossing.left_out),
    }


def _size(found: Found, size: Size) -> dict[str, Any]:
    return {
        "kernel": size.kernel,
        "sizes": size.kind,
        "image_shape": list(size.image_shape),
        "leads": found.leader(size),
        "best": [entry.backend if entry else None for entry in size.best],
        **{key: getattr(size, key) for key in ("log_ratio", "limit", "rounds", "why")},
        "backends": [_entry(entry) for entry in size.entries],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    low, high = entry.interval if entry.samples else (None, None)
    return {
        **{key: getattr(entry, key) for key in ("backend", "family", "status", "reason")},
        "median_s": entry.seconds if entry.samples else None,
        "low_s": low,
        "high_s": high,
        "samples": list(entry.samples),
        "processes": list(entry.processes),
    }
