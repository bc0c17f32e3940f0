"""What do the marks cost, and how much of an execution do they explain? For convbench's own backends and others.

    python tools/marks.py [--quick]

On: the median of how much longer two executions take with recording than the ones before and after them without, and
its 95 % interval. Off: what entering and leaving a mark takes when nobody records, times the marks that an execution
passes, over its time. Rest: what no stage explains. Exit status 1 if for a backend of convbench's own, on an image of
1024 x 1024, marks that are on cost 1 % or more, or the rest is more than 5 %.
"""

from __future__ import annotations

import itertools
import statistics
import time
import timeit
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

from convbench import machine
from convbench.backends import get_backend
from convbench.measure import median_interval
from convbench.problem import Problem
from convbench.profiling.accounting import Marked, Phase, account
from convbench.profiling.libraries import marks_within
from convbench.profiling.subject import Subject
from convbench.report import words
from convbench.stages import EXECUTE, PAD

OWN = ("numba-direct", "numba-separable", "pyfftw", "pyfftw-overlap")
OTHERS = ("ducc0-fft", "torch-fft", "torch", "scipy-fft", "scipy-oa")
IMAGES, KERNELS = (64, 256, 1024), (3, 15, 31)
LARGE = 1024
PAIRED_SECONDS = 15.0
MOST_ON, MOST_REST = 0.01, 0.05


@dataclass(frozen=True)
class Row:
    """One cell: how the execution changes with marks, the marks of an execution, and what they leave unexplained."""

    backend: str
    problem: Problem
    seconds: float
    marks: float
    on: tuple[float, float, float]
    off: float
    rest: float

    @property
    def met(self) -> bool | None:
        """None where the targets do not apply."""
        if self.backend not in OWN or self.problem.image_shape[0] != LARGE:
            return None
        marked = self.marks == 0 or self.on[0] - 1 < MOST_ON
        return marked and abs(self.rest) <= MOST_REST


def nothing() -> None:
    with PAD:
        pass


def off_seconds() -> float:
    """Of a mark that nobody records, without the call around it."""
    number = 100_000
    with_mark, without = (
        min(timeit.repeat(call, number=number, repeat=7)) / number for call in (nothing, lambda: None)
    )
    return max(0.0, with_mark - without)


def on_ratio(subject: Subject) -> tuple[float, float, float]:
    """The median of marked to unmarked time, and its 95 % interval."""
    plan, clock = subject.plan(), time.perf_counter
    data = plan.load(subject.image)
    marked = Marked(plan, data, marks_within(subject))

    def unmarked() -> float:
        begin = clock()
        plan.execute(data)
        return clock() - begin

    for _ in range(5):
        unmarked(), marked.seconds(1)
    ratios = []
    end = clock() + PAIRED_SECONDS
    while clock() < end or len(ratios) < 10:
        before, between, after = unmarked(), marked.seconds(1) + marked.seconds(1), unmarked()
        ratios.append(between / (before + after))
    return statistics.median(ratios), *median_interval(tuple(ratios), 0.95)


def measure(name: str, problem: Problem, off: float) -> Row:
    """The row of a cell, the middle one of three accounts by its rest."""
    subject = Subject(get_backend(name), problem, problem.image(), problem.kernel(separable=True))
    found = sorted((execution(subject) for _ in range(3)), key=lambda phase: phase.rest / phase.seconds)[1]
    marks = sum(stage.calls for stage in found.stages if stage.how == "marked")
    on = on_ratio(subject) if marks else (1.0, 1.0, 1.0)
    return Row(name, problem, found.seconds, marks, on, marks * off / found.seconds, found.rest / found.seconds)


def execution(subject: Subject) -> Phase:
    return next(phase for phase in account(subject, library=marks_within(subject)).phases if phase.name == EXECUTE.name)


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Fewer cells.")
def main(quick: bool) -> None:
    for text in machine.warnings():
        click.echo(f"Warning: {text}", err=True)
    off = off_seconds()
    shown = Table("backend", "image", "kernel", "execute", "marks", "on: ratio", "interval", "off", "rest", "")
    met = []
    for name, image, kernel in itertools.product((*OWN, *OTHERS), IMAGES[-2:] if quick else IMAGES, KERNELS[:2]):
        problem = Problem((image, image), (kernel, kernel))
        if get_backend(name).unsupported(problem):
            continue
        row = measure(name, problem, off)
        verdict = {True: "met", False: "NOT MET", None: ""}[row.met]
        met += [row.met] if row.met is not None else []
        ratio, low, high = row.on
        marks = words.digits(row.marks, 2) if row.marks else "clocked within"
        on = (f"{ratio:.4f}", f"{low:.4f} to {high:.4f}") if row.marks else ("", "")
        line = (
            name,
            f"{image}",
            f"{kernel}",
            words.seconds(row.seconds),
            marks,
            *on,
            f"{row.off:.3%}",
            f"{row.rest:.1%}",
        )
        shown.add_row(*line, verdict)
        click.echo(f"{name} {image} {kernel} {verdict}", err=True)
    Console(width=140).print(shown)
    click.echo(f"A mark that nobody records takes {off * 1e9:.0f} ns.")
    raise SystemExit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
