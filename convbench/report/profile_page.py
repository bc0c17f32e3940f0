"""The page of a profile: one file that holds everything, so that it can be sent and opened from anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import convbench
from convbench.machine import machine_name
from convbench.profiling.accounting import Phase
from convbench.profiling.figures import roofline_figure, scaling_figure
from convbench.profiling.profile import Profile
from convbench.profiling.spans import Span
from convbench.profiling.tables import REST, side_by_side, tables
from convbench.profiling.trace import trace
from convbench.profiling.versus import Versus
from convbench.report import words
from convbench.report.names import slug
from convbench.report.palette import family_class
from convbench.report.render import render, static

COLOURS = ("direct", "fft", "separable", "framework", "other")
"""Of the stages of a phase, in turn: the families' colours can be told apart by everyone."""
NARROWEST = 0.0004
"""Spans below this share of the time line's width cannot be seen, and are not drawn."""


def page(profiles: Sequence[Profile], versus: Versus | None, command: str) -> str:
    """HTML of one profile, or of two side by side. command: what takes it again."""
    return render(
        "profile.html",
        {
            "version": convbench.__version__,
            "style": static("style.css") + static("profile.css"),
            "scripts": [static("theme.js"), static("site.js")],
            "title": " and ".join(dict.fromkeys(p.subject.backend.name for p in profiles)),
            "versus": side_by_side(versus, *profiles) if versus else [],
            "profiles": [_one(profile, number) for number, profile in enumerate(profiles)],
            "machine": machine_name(),
            "command": command,
        },
    )


def stem(profiles: Sequence[Profile]) -> str:
    """The name of the page's file, without its suffix."""
    return "-versus-".join(slug(profile.subject.label) for profile in profiles)


def _one(profile: Profile, number: int) -> dict[str, Any]:
    subject, account = profile.subject, profile.account
    found = {table.name: table for table in tables(profile)}
    spans = [span for span in account.spans if span.path[0] != "plan"] if account else []
    return {
        "id": f"profile-{number + 1}",
        "backend": subject.backend.name,
        "css": family_class(subject.backend.family),
        "family": subject.backend.family,
        "label": subject.label,
        "library": f"{subject.backend.library} {subject.backend.version()}",
        "lead": _capital(profile.against.sentence) if profile.against else "",
        "execute": words.seconds(account.execute.median) if account else "",
        "interval": words.seconds_between(account.execute.low, account.execute.high) if account else "",
        "gate": _evidence(profile),
        "bars": [_bar(phase) for phase in account.phases if phase.stages] if account else [],
        "tables": found,
        "facts": profile.algorithm,
        "order": [name for name in ("ceilings", "counters", "memory", "scaling") if name in found],
        "figures": _figures(profile, number),
        "time_line": _time_line([span for span in spans if span.path[0] == "execute" or len(span.path) == 1]),
        "trace": _data_uri(json.dumps(trace(account.spans, subject.label)), "application/json") if account else "",
        "flame": {suffix: _data_uri(text, _MEDIA[suffix]) for suffix, text in profile.flame.items()},
        "file": slug(subject.label),
    }


def _capital(text: str) -> str:
    """As a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def _evidence(profile: Profile) -> str:
    cell = profile.cell
    return f"{cell.checks} checks, error {words.digits(cell.error_over_bound or 0.0, 2)} of the bound"


_MEDIA = {"json": "application/json", "svg": "image/svg+xml"}


def _figures(profile: Profile, number: int) -> dict[str, list[tuple[str, str]]]:
    """(caption, SVG) by the table that they stand beside."""
    found: dict[str, list[tuple[str, str]]] = {"ceilings": [], "scaling": []}
    if profile.against:
        found["ceilings"].append(("The cell under the roofline", roofline_figure(profile.against, f"roof{number}")))
    for i, scaling in enumerate(profile.scaling):
        found["scaling"].append((f"Scaling with {scaling.axis}", scaling_figure(scaling, f"scale{number}-{i}")))
    return found


def _bar(phase: Phase) -> dict[str, Any]:
    """A phase as a bar of its stages and the rest."""
    total = max(phase.seconds, sum(stage.seconds for stage in phase.stages)) or 1.0
    parts = [(stage.name, stage.seconds, COLOURS[i % len(COLOURS)]) for i, stage in enumerate(phase.stages)]
    if phase.rest > 0:
        parts.append((REST, phase.rest, "none"))
    return {
        "name": phase.name,
        "seconds": words.seconds(phase.seconds),
        "parts": [
            {"name": name, "width": round(100 * seconds / total, 3), "css": css, "seconds": words.seconds(seconds),
             "share": words.percent(seconds / total)}
            for name, seconds, css in parts
        ],
    }  # fmt: skip


def _time_line(spans: Sequence[Span]) -> dict[str, Any] | None:
    """Rectangles of one execution, a row for each thread and depth; positions and widths in per cent."""
    spans = [span for span in spans if "execute" in span.path or len({s.thread for s in spans}) > 1]
    if not spans:
        return None
    begin, end = min(span.begin for span in spans), max(span.end for span in spans)
    length = end - begin or 1.0
    names = list(dict.fromkeys(span.name for span in spans if span.name != "execute"))
    rows = sorted({(span.thread, len(span.path)) for span in spans}, key=_first(spans))
    shown = [span for span in spans if span.seconds >= NARROWEST * length]
    return {
        "rows": len(rows),
        "left_out": len(spans) - len(shown),
        "seconds": words.seconds(length),
        "spans": [
            {
                "x": round(100 * (span.begin - begin) / length, 3),
                "width": round(100 * span.seconds / length, 3),
                "row": rows.index((span.thread, len(span.path))),
                "name": span.name,
                "css": COLOURS[names.index(span.name) % len(COLOURS)] if span.name in names else "none",
                "told": f"{span.name}: {words.seconds(span.seconds)}, after {words.seconds(span.begin - begin)}",
            }
            for span in shown
        ],
    }


def _first(spans: Sequence[Span]) -> Any:
    """Rows in the order in which their threads begin, then by depth."""
    begins = {thread: min(s.begin for s in spans if s.thread == thread) for thread in {s.thread for s in spans}}
    return lambda row: (begins[row[0]], row[0], row[1])


def _data_uri(text: str, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(text.encode()).decode()}"
