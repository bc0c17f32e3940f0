"""Does the search for a crossover find what a full sweep finds, for a fifth of its cells? Measures both, interleaved.

    python tools/crossover.py [--quick] [--only TEXT] [--out reports] [--fresh]

A sweep times every backend of both families at every odd kernel size, in random order. Some of its sizes are measured
before each look of the search, so that a drift of the machine touches both. Either measures every cell in as many
processes as `convbench crossover` does, but never in the other's. The sweep's processes visit a size at different
times: a machine that others share is quicker at one time than at another, and not for all backends alike. The sweep's
crossover and its interval are those of the report (analysis/crossover.py), with this machine's noise; the search
agrees if each of its bands meets such an interval, and each interval a band. All is kept in a journal in the folder of
--out: the same command goes on after an interruption. Exit status 1 if a case does not agree or took more than a fifth
of the sweep's cells.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pandas as pd
from rich.console import Console
from rich.table import Table

from convbench import machine
from convbench.analysis.crossover import Crossing, crossovers, describe_crossing
from convbench.analysis.medians import median_intervals
from convbench.analysis.noise import Noise
from convbench.backends import list_backends
from convbench.backends.base import Backend
from convbench.calibration import machine_noise
from convbench.cell import Cell
from convbench.crossover import answer, find_crossover
from convbench.crossover.contest import Measure
from convbench.crossover.find import PROCESSES, RULE, SHARE, Progress
from convbench.crossover.lengths import Setting, sizes
from convbench.evidence import EvidenceFile
from convbench.files import atomic_write
from convbench.problem import Problem
from convbench.processes import Processes

SMALLEST, LARGEST = 3, 101
BUDGET = 1.0
LOOKS = 15
"""About how many looks a search takes: the sweep is spread over as many."""


@dataclass(frozen=True)
class Case:
    """What is swept and searched: two families on square images."""

    families: tuple[str, str]
    image: int
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return f"{' / '.join(self.families)}, {self.image} x {self.image}, {self.dtype}"

    @property
    def setting(self) -> Setting:
        return Setting((self.image, self.image), dtype=self.dtype)


CASES = (
    Case(("direct", "fft"), 512),
    Case(("direct", "fft"), 1024),
    Case(("direct", "fft"), 1024, "float64"),
    Case(("direct", "separable"), 1024),
    Case(("separable", "fft"), 1024),
    Case(("framework", "fft"), 512),
)
QUICK = (Case(("direct", "fft"), 128), Case(("direct", "separable"), 128))


@dataclass
class Sweep:
    """The cells of a case, one kernel size after the other, in random order; those in the journal are not measured.

    visits: what measures; each visits every size once, at another time. rows: by kernel size.
    """

    case: Case
    backends: Sequence[Backend]
    visits: Sequence[Measure]
    journal: EvidenceFile
    rows: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [e for e in self.journal.entries() if e["kind"] == "sweep" and e["key"] == self.case.name]
        for entry in known:
            self._add(entry["kernel"], entry["cells"])
        done = {(entry["kernel"], entry["visit"]) for entry in known}
        every = itertools.product(sizes(SMALLEST, LARGEST), range(len(self.visits)))
        self.left = [pair for pair in every if pair not in done]
        random.Random(self.case.name).shuffle(self.left)
        self.share = math.ceil(len(sizes(SMALLEST, LARGEST)) * len(self.visits) / LOOKS)

    def _add(self, kernel: int, cells: list[dict[str, Any]]) -> None:
        """The samples of another visit; a backend that failed once has none."""
        old = {cell["backend"]: cell["samples"] for cell in self.rows.get(kernel, cells) if cell["status"] == "ok"}
        first = kernel not in self.rows
        self.rows[kernel] = [
            cell
            if first or not cell["samples"]
            else cell | {"samples": [*old.get(cell["backend"], []), *cell["samples"]]}
            for cell in cells
        ]

    def go_on(self, most: int | None = None) -> None:
        """Measure some more sizes, all that are left by default."""
        for _ in range(len(self.left) if most is None else min(most, len(self.left))):
            kernel, visit = self.left[-1]
            problem = self.case.setting.problem(kernel)
            assert problem is not None
            cells = [row(cell) for cell in self.visits[visit](problem, self.backends)]
            entry = {"kind": "sweep", "key": self.case.name, "kernel": kernel, "visit": visit, "cells": cells}
            self.journal.append(entry)
            self._add(kernel, cells)
            self.left.pop()

    def searched(self, measure: Measure) -> Measure:
        """Measures for the search, and some of the sweep before."""

        def both(problem: Problem, backends: Sequence[Backend]) -> list[Cell]:
            self.go_on(self.share)
            return measure(problem, backends)

        return both

    @property
    def cells(self) -> int:
        """How many were timed."""
        return sum(bool(cell["samples"]) for cells in self.rows.values() for cell in cells)

    def crossings(self, noise: Noise) -> list[Crossing]:
        """What the report would say of the sweep."""
        where = {"machine": "", "commit": "", "env": "", "layout": "image", "image": self.case.image}
        how = {"dtype": self.case.dtype, "mode": "same", "device": "cpu", "threads": 1}
        flat = [
            {**where, **how, "kernel": k, **cell} for k, cells in self.rows.items() for cell in cells if cell["samples"]
        ]
        cells = pd.DataFrame(flat)
        cells["execute_s"], cells["execute_low_s"], cells["execute_high_s"] = median_intervals(list(cells["samples"]))
        found = crossovers(cells, excess=noise.excess)
        pair = found[(found[["family_a", "family_b"]].isin(self.case.families)).all(axis=1)]
        if pair.empty or math.isnan(pair.iloc[0]["kernel"]):
            return []
        first = Crossing(**{name: pair.iloc[0][name] for name in Crossing.__dataclass_fields__})
        return [first, *pair.iloc[0]["others"]]


@dataclass(frozen=True)
class Verdict:
    """A search beside its sweep. bands, kernels: the crossovers of odd kernels that it found; swept: the sweep's.

    cells, sweep_cells: how many each timed.
    """

    case: str
    answer: str
    bands: list[list[float]]
    kernels: list[float]
    swept: list[Crossing]
    cells: int
    sweep_cells: int

    @property
    def agrees(self) -> bool:
        """Whether each band meets an interval of the sweep, and each interval a band; or neither has a crossover."""
        intervals = [(min(c.low, c.kernel), max(c.high, c.kernel)) for c in self.swept]

        def meet(one: Sequence[float], other: Sequence[float]) -> bool:
            return max(one[0], other[0]) <= min(one[1], other[1])

        forth = all(any(meet(band, interval) for interval in intervals) for band in self.bands)
        return forth and all(any(meet(band, interval) for band in self.bands) for interval in intervals)

    @property
    def share(self) -> float:
        return self.cells / self.sweep_cells

    @property
    def met(self) -> bool:
        return self.agrees and SHARE * self.cells <= self.sweep_cells

    @property
    def differences(self) -> list[float]:
        """Of each crossover, in k, from the nearest of the sweep."""
        return [min((k - c.kernel for c in self.swept), key=abs, default=math.nan) for k in self.kernels]


def validate(
    case: Case,
    backends: Sequence[Backend],
    visits: Sequence[Measure],
    measure: Measure,
    noise: Noise,
    journal: EvidenceFile,
    progress: Progress | None = None,
) -> Verdict:
    """Sweep and search, interleaved; what the journal holds is not measured again. A search starts anew."""
    sweep = Sweep(case, backends, visits, journal)
    known = [e for e in journal.entries() if e["kind"] == "search" and e["key"] == case.name]
    if not known:
        found = find_crossover(
            case.families,
            case.setting.image_shape,
            dtype=case.dtype,
            largest=LARGEST,
            budget=BUDGET,
            backends=[b.name for b in backends],
            measure=sweep.searched(measure),
            noise=noise,
            progress=progress,
        )
        if found.interrupted:
            raise KeyboardInterrupt
        entry = {"kind": "search", "key": case.name, "found": answer.as_dict(found)}
        journal.append(entry)
        known = [entry]
    sweep.go_on()
    told = known[-1]["found"]
    bands = [next(b for b in c["bands"] if b["sizes"] == "odd") for c in told["crossings"]]
    return Verdict(
        case.name,
        told["answer"],
        [[b["low"], b["high"]] for b in bands],
        [c["kernel"] for c in told["crossings"]],
        sweep.crossings(noise),
        told["cells_timed"],
        sweep.cells,
    )


def row(cell: Cell) -> dict[str, Any]:
    """A cell of the sweep for the journal; samples to five digits."""
    samples = [float(f"{s:.5g}") for s in cell.execute.samples] if cell.execute and cell.status == "ok" else []
    return {
        "backend": cell.backend,
        "family": cell.family,
        "status": cell.status,
        "reason": cell.reason,
        "samples": samples,
    }


def taking_part(case: Case) -> list[Backend]:
    """The backends of both families that can run the case."""
    problem = case.setting.problem(SMALLEST)
    assert problem is not None
    return [b for b in list_backends() if b.family in case.families and b.unsupported(problem) is None]


def table(verdicts: Sequence[Verdict]) -> Table:
    """A line for each case."""
    columns = ("case", "search: band, k", "sweep: crossover", "difference, k", "agree", "cells", "share", "")
    shown = Table(*columns)
    for v in verdicts:
        bands = ", ".join(f"{low:g} to {high:g} ({k:.3g})" for (low, high), k in zip(v.bands, v.kernels, strict=True))
        shown.add_row(
            v.case,
            bands or "none",
            ", ".join(describe_crossing(c) for c in v.swept) or "none",
            ", ".join(f"{d:+.2g}" for d in v.differences),
            "yes" if v.agrees else "NO",
            f"{v.cells} of {v.sweep_cells}",
            f"{v.share:.3f}",
            "met" if v.met else "NOT MET",
        )
    return shown


def run(cases: Sequence[Case], journal: EvidenceFile, tell: Callable[[str], None]) -> Iterator[Verdict]:
    """Validate case after case on this machine."""
    noise = machine_noise().of(PROCESSES)
    for case in cases:
        tell(case.name)
        with contextlib.ExitStack() as stack:
            visits = [stack.enter_context(Processes(1, RULE, BUDGET)) for _ in range(PROCESSES)]
            searched = stack.enter_context(Processes(PROCESSES, RULE, BUDGET))
            yield validate(
                case,
                taking_part(case),
                [process.measure for process in visits],
                searched.measure,
                noise,
                journal,
                lambda done, total, text: tell(text),
            )


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Two cases of small images: minutes.")
@click.option("--only", default="", help="Only cases whose name contains this text.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="reports", show_default=True)
@click.option("--fresh", is_flag=True, help="Forget what an earlier run measured.")
def main(quick: bool, only: str, out: Path, fresh: bool) -> None:
    cases = [case for case in (QUICK if quick else CASES) if only in case.name]
    if not cases:
        raise click.UsageError(f"no case contains {only!r}; there are: {'; '.join(c.name for c in CASES)}")
    stem = f"crossovers-{machine.machine_name()}{'-quick' if quick else ''}"
    path = out / f"{stem}.jsonl"
    if fresh:
        path.unlink(missing_ok=True)
    for text in machine.warnings():
        click.echo(f"Warning: {text}", err=True)
    verdicts = []
    for verdict in run(cases, EvidenceFile(path), lambda text: click.echo(f"  {text}", err=True)):
        verdicts.append(verdict)
        click.echo(f"{verdict.case}: {verdict.answer}", err=True)
    with Console(width=190, record=True) as console:
        console.print(table(verdicts))
        atomic_write(
            out / f"{stem}.txt", "\n".join(line.rstrip() for line in console.export_text().splitlines()) + "\n"
        )
    click.echo(json.dumps({"met": sum(v.met for v in verdicts), "of": len(verdicts)}))
    raise SystemExit(0 if all(v.met for v in verdicts) else 1)


if __name__ == "__main__":
    main()
