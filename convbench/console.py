"""What the command line prints: tables, JSON, warnings, progress."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from convbench.backends import Backend
    from convbench.compare import Row
    from convbench.identification import Identified

Progress = Callable[[int, int, str], None]


def words(value: Any) -> str:
    """A list as words with commas, anything else as it prints."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def facts(backend: Backend) -> dict[str, Any]:
    """What `list` says of a backend; imports no library."""
    version = backend.version() if backend.available() else f"not installed: {backend.remedy}"
    return {
        "name": backend.name,
        "family": backend.family,
        "library": backend.library,
        "installed": backend.available(),
        "version": version or "unknown",
        "dtypes": list(backend.dtypes),
        "dims": list(backend.ndims),
        "threads": "many" if backend.threaded else "one",
        "devices": list(backend.devices),
    }


def described() -> dict[str, dict[str, Any]]:
    """The registry as the site needs it, by name; imports no library."""
    from convbench.backends import list_backends

    return {
        backend.name: {**facts(backend), "convention": backend.convention.describe(), "remedy": backend.remedy}
        for backend in list_backends()
    }


COMPARED = (
    *("rank", "backend", "family", "time, ms", "99 % interval", "ratio", "Mpixel/s"),
    *("one-shot, ms", "error / bound", "reason"),
)


def compared(row: Row) -> list[str]:
    """A row of `compare` as text, in the order of COMPARED; empty where nothing was measured."""

    def number(value: float | None, pattern: str = "{:.4g}", factor: float = 1) -> str:
        return "" if value is None else pattern.format(value * factor)

    interval = "" if row.low is None or row.high is None else f"{row.low * 1e3:.4g} to {row.high * 1e3:.4g}"
    return [
        number(row.rank, "{:d}"),
        row.backend,
        row.family,
        number(row.time, factor=1e3),
        interval,
        number(row.ratio, "{:.2f}"),
        number(row.mpixel_per_s),
        number(row.one_shot, factor=1e3),
        number(row.error_over_bound, "{:.2g}"),
        "" if row.status == "ok" else f"{row.status}: {row.reason}",
    ]


def identified(found: Identified) -> list[list[str]]:
    """What `identify` found, a row for each fact that there is."""
    called = found.manner
    arrays = f"{called.arrays} arrays, {called.dtype}, {called.layout}"
    facts = {"kind": found.kind, "called with": arrays + (f", mode {found.mode!r}" if found.mode is not None else "")}
    if found.is_convolution:
        facts |= {
            "flips, transposes, conjugates": f"{found.flips}, {found.transposes}, {found.conjugates}",
            "offset in full": words(found.offset),
            "size": words(found.size),
            "scale": found.scale,
            "outside the image": found.boundary if found.outside else "not used",
            "longer kernels": "change places with the image"
            if found.swaps
            else "taken"
            if found.longer_kernels
            else "not taken",
            "complex numbers": found.complex_input or "taken as they are",
            "two channels": found.channels,
        }
    rows = [list(fact) for fact in facts.items()]
    rows += [
        [name, text] for name, texts in (("refuses", found.refusals), ("noticed", found.findings)) for text in texts
    ]
    return rows + [["the same as", match] for match in found.matches()]


def ceilings(measured: Mapping[int, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of a table of ceilings, by number of threads."""
    from convbench.ceilings import unit

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.0f}" if value >= 10_000 else f"{value:.1f}"

    names = dict.fromkeys(name for found in measured.values() for name in found)
    columns = ["ceiling", "unit", *(f"{n} thread{'s' if n > 1 else ''}" for n in measured)]
    rows = [[name, unit(name), *(number(found.get(name)) for found in measured.values())] for name in names]
    return columns, rows


def print_json(value: Any) -> None:
    """JSON on stdout."""
    click.echo(json.dumps(value, indent=1))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """A table on stdout, as wide as the terminal; piped, wide enough for a row to stay on a line."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=Text(title) if title else None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # as text: square brackets are no markup
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 240).print(table)


def warn() -> list[str]:
    """Print on stderr, and return, what would disturb a measurement now."""
    from convbench.machine import warnings

    found = warnings()
    for text in found:
        click.echo(f"Warning: {text}", err=True)
    return found


@contextlib.contextmanager
def progress(lines: bool = False) -> Iterator[Progress]:
    """A bar with the time left on a terminal; elsewhere, if *lines*, a line now and then with the time left."""
    if not sys.stderr.isatty():
        yield _Lines().step if lines else lambda done, total, text: None
        return
    from rich import progress as bars
    from rich.console import Console

    doing = bars.TextColumn("{task.description}", markup=False)
    columns = (bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn(), doing)
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


class _Lines:
    """Progress for logs: a line at the start, at the end, and every so often between."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.first: int | None = None
        self.last = -self.SECONDS

    def step(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        if now - self.last < self.SECONDS and done < total:
            return
        self.last = now
        gained = done - self.first
        left = f", {(now - self.began) * (total - done) / gained / 60:.1f} min left" if gained and done < total else ""
        click.echo(f"[{done}/{total}{left}] {text}", err=True)
