"""A profile as tables of text: the same rows for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convbench.profiling.accounting import Phase
from convbench.profiling.algorithm import Fact
from convbench.profiling.profile import Profile
from convbench.profiling.versus import Versus
from convbench.report import words

REST = "rest, in no stage"
MOST_DETAILS = 4


@dataclass(frozen=True)
class Table:
    """title, columns and rows of text; notes are sentences below. name: for anchors."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def tables(profile: Profile) -> list[Table]:
    """Those that have something to say."""
    found = [
        _stages(profile), _algorithm(profile), _against(profile), _counters(profile), _memory(profile),
        _scaling(profile), _missing(profile),
    ]  # fmt: skip
    return [table for table in found if table.rows]


def _stages(profile: Profile) -> Table:
    phases = ([profile.first_plan] if profile.first_plan else []) + list(
        profile.account.phases if profile.account else ()
    )
    rows: list[tuple[str, ...]] = []
    for phase in phases:
        rows += _phase(phase)
    return Table(
        "stages", "Stages", ("phase", "stage", "time", "share", "calls", "known from"), tuple(rows), _marks(phases)
    )


def _phase(phase: Phase) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(phase.name, "", words.seconds(phase.seconds), "", "", "")]
    if not phase.stages:
        return rows
    rows += [
        ("", stage.name, words.seconds(stage.seconds), words.percent(phase.share(stage.seconds)),
         words.digits(stage.calls), stage.how)
        for stage in phase.stages
    ]  # fmt: skip
    if phase.stages[0].how != "one call":
        rows.append(("", REST, signed(phase.rest), percent(phase.share(phase.rest)), "", ""))
    return rows


def _marks(phases: Sequence[Phase]) -> tuple[str, ...]:
    """What the marks cost, and how several threads are counted."""
    notes = []
    for phase in phases:
        if phase.marks is not None and any(stage.how == "marked" for stage in phase.stages):
            ratio, low, high = phase.marks
            notes.append(f"With marks it takes {ratio:.3f} times as long as without ({low:.3f} to {high:.3f}).")
        if phase.threads > 1:
            notes.append(
                f"{phase.threads} threads work at once: seconds are their sum over {phase.threads}, and the rest is "
                f"mostly waiting."
            )
    return tuple(notes)


def _algorithm(profile: Profile) -> Table:
    found = tuple((fact.what, _with_details(fact), fact.source) for fact in profile.algorithm)
    return Table("algorithm", "What really ran", ("what", "value", "known from"), found)


def _with_details(fact: Fact) -> str:
    """The value with the first of its details; all are in the JSON and on the page."""
    shown, left = fact.details[:MOST_DETAILS], len(fact.details) - MOST_DETAILS
    return "\n".join((fact.value, *shown, *([f"... and {left} lines more"] if left > 0 else [])))


def _against(profile: Profile) -> Table:
    found = profile.against
    rows = tuple((name, value) for name, value in found.rows()) if found else ()
    return Table("ceilings", "Against the ceilings", ("what", "value"), rows, (found.sentence,) if found else ())


def _counters(profile: Profile) -> Table:
    rows = tuple(profile.counters.rows()) if profile.counters else ()
    return Table("counters", "Counters, per execution", ("what", "value"), rows)


def _memory(profile: Profile) -> Table:
    rows = tuple(profile.memory.rows()) if profile.memory else ()
    return Table("memory", "Memory", ("what", "value"), rows)


def _scaling(profile: Profile) -> Table:
    rows = []
    for scaling in profile.scaling:
        for point in scaling.points:
            share = words.percent(point.share) if point.share is not None else ""
            between = words.seconds_between(point.low, point.high)
            rows.append((scaling.axis, str(point.value), words.seconds(point.median), between, share))
    columns = ("with", "value", "time", "99 % interval", "share of ceiling")
    return Table("scaling", "Scaling", columns, tuple(rows), tuple(s.verdict for s in profile.scaling))


def _missing(profile: Profile) -> Table:
    rows = tuple((one.what, one.why, one.remedy) for one in profile.missing)
    return Table("missing", "Not to be had here", ("what", "why", "what helps"), rows)


def side_by_side(found: Versus, a: Profile, b: Profile) -> list[Table]:
    """Stages of two executions beside each other, and what was counted in both."""
    stages = tuple(
        (s.name, signed(s.a) if s.a else "", signed(s.b) if s.b else "", signed(s.difference)) for s in found.stages
    )
    ratio, low, high, limit = map(words.digits, (found.ratio, found.low, found.high, found.limit))
    note = f"Time of {found.b} over {found.a}: {ratio} ({low} to {high}); up to {limit} it may be noise."
    tables = [
        Table("versus", "Side by side", ("stage", found.a, found.b, "difference"), stages, (found.sentence, note))
    ]
    pairs = {"Counters": _counters, "Ceilings": _against, "Memory": _memory}
    for title, of in pairs.items():
        first, second = of(a), of(b)
        left, right = ({name: value for name, value, *_ in table.rows} for table in (first, second))
        rows = tuple((name, left.get(name, ""), right.get(name, "")) for name in {**left, **right})
        if rows:
            tables.append(Table(f"versus-{title.lower()}", title, ("what", found.a, found.b), rows))
    return tables


def signed(seconds: float) -> str:
    """'-12 µs'; words.seconds is for what is above 0."""
    return f"{'-' if seconds < 0 else ''}{words.seconds(abs(seconds))}" if seconds else "0 s"


def percent(share: float) -> str:
    return f"{'-' if share < 0 else ''}{words.percent(abs(share))}"
