"""Are convbench's own backends ahead of what else Python users can get? Measures, and says met or not met, row by row.

    python tools/peers.py [--quick] [--only PART] [--out reports]

Every backend is gated on the very problem first. All calls of a problem are then sampled in turn, in random order, and
a ratio is the median over the rounds of (the other's time / ours), so that a drift of the machine touches both. The
share of the ceiling is against a loop of multiply-adds on registers that is sampled among them. A direct sum that was
over three times slower than the best peer on the next smaller image with the same kernel is left out: it cannot be the
best. With --out, what is done is written after every part; what an earlier run measured of other parts is kept.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from convbench import machine
from convbench.api import by_cost_model, choose
from convbench.backends import get_backend
from convbench.cell import certify, gated, peak_memory
from convbench.evidence import now
from convbench.files import atomic_write
from convbench.judge import Judge
from convbench.loops import multiply_adds, operations
from convbench.measure import Rule, Timing, sample
from convbench.problem import Problem

IMAGES = (64, 128, 256, 512, 1024, 2048)
KERNELS = (3, 5, 7, 9, 11, 15, 21, 31, 45, 63, 101)
REAL = ("float32", "float64")
SIGNALS, TAPS = tuple(2**i for i in range(10, 21, 2)), (3, 9, 33, 129, 513, 1025, 4097)
OWN = ("numba-direct", "pyfftw-overlap", "pyfftw")
PEERS = ("opencv-filter2d", "scipy-direct", "scipy-fft", "scipy-oa", "ndimage", "torch", "torch-fft")
SIGNAL_PEERS = ("numpy", "scipy-direct", "scipy-fft", "scipy-oa", "torch", "torch-fft")
SEPARABLE_PEERS = ("opencv-sepfilter2d", "ndimage-separable", "torch-separable")
HOPELESS = 3.0
DIRECT_PEERS = {"scipy-direct", "ndimage", "torch", "numpy"}
ONE_SHOT = "one-shot "
FMA, COPY = "multiply-adds", "copy"
PARTS = ("general", "separable", "signal", "complex", "threads", "memory", "compile")
_FMA_ROUNDS = 20_000
console = Console(width=190)


@dataclass
class Contest:
    """The timings of one problem: by backend, "one-shot " + backend, or yardstick."""

    problem: Problem
    timings: dict[str, Timing]
    left_out: dict[str, str] = field(default_factory=dict)

    def ratio(self, other: str, ours: str) -> float:
        """How many times quicker ours is: the median over the rounds that both were sampled in."""
        both = zip(self.timings[other].samples, self.timings[ours].samples, strict=False)
        return statistics.median(a / b for a, b in both)

    def best(self, names: Iterable[str], prefix: str = "") -> str:
        there = [prefix + name for name in names if prefix + name in self.timings]
        return min(there, key=lambda name: self.timings[name].median)

    def advantage(self, ours: Iterable[str], peers: Iterable[str], prefix: str = "") -> float:
        """The best of ours against the best of the peers."""
        return self.ratio(self.best(peers, prefix), self.best(ours, prefix))

    def share(self, name: str, terms: float) -> float:
        """Of the rate of multiply-adds: terms per output sample (4 real ones a complex term)."""
        flops = 2 * terms * math.prod(self.problem.output_shape) * (4 if self.problem.is_complex else 1)
        peak = _FMA_ROUNDS * operations(self.problem.real_dtype.name)
        return self.ratio(FMA, name) * flops / peak

    def as_dict(self) -> dict[str, object]:
        medians = {name: float(f"{timing.median:.4g}") for name, timing in self.timings.items()}
        return {"cell": label(self), "median_s": medians, "left_out": self.left_out}

    def has(self, *names: str) -> bool:
        return all(name in self.timings for name in names)


def contest(
    problem: Problem,
    backends: Iterable[str],
    *,
    separable: bool = False,
    one_shot: bool = False,
    rule: Rule | None = None,
) -> Contest:
    """Gate and time these backends on the problem, side by side."""
    image, kernel = problem.image(), problem.kernel(separable=separable)
    judge = Judge(problem, kernel, image, zero_mean=True)
    calls: dict[str, Callable[[], object]] = {}
    left_out = {}
    for name in backends:
        backend = get_backend(name)
        fitted = problem if backend.threaded else replace(problem, threads=1)
        cell, plan = gated(backend, fitted, kernel, 60.0, certify, judge)
        if plan is None:
            left_out[name] = f"{cell.status}: {cell.reason}"
            continue
        calls[name] = functools.partial(plan.execute, plan.load(image))
        if one_shot:
            calls[ONE_SHOT + name] = functools.partial(once, name, fitted, kernel, image)
    target, start = np.empty_like(image), problem.real_dtype.type(1)
    calls[COPY] = lambda: np.copyto(target, image)
    calls[FMA] = lambda: multiply_adds(_FMA_ROUNDS, start)
    return Contest(problem, sample(calls, rule), left_out)


def once(name: str, problem: Problem, kernel: np.ndarray, image: np.ndarray) -> object:
    plan = get_backend(name).plan(problem, kernel)
    return plan.execute(plan.load(image))


def grid(
    images: Iterable[int],
    kernels: Iterable[int],
    dtypes: Iterable[str],
    own: Iterable[str],
    peers: Iterable[str],
    rule: Rule,
    shape: Callable[[int], tuple[int, ...]] = lambda n: (n, n),
    **options: bool,
) -> Iterator[Contest]:
    """All problems, the smaller images first; see HOPELESS."""
    hopeless: dict[tuple[int, str], set[str]] = {}
    for n, k, dtype in itertools.product(images, kernels, dtypes):
        out = hopeless.setdefault((k, dtype), set())
        console.print(f"[dim]{n} k {k} {dtype} without {', '.join(sorted(out)) or 'none'}[/dim]")
        done = contest(
            Problem(shape(n), shape(k), dtype), [*own, *(p for p in peers if p not in out)], rule=rule, **options
        )
        done.left_out |= dict.fromkeys(out, "slower by far on the next smaller image")
        there = [p for p in peers if p in done.timings]
        quickest = done.timings[done.best(there)].median
        out |= {
            p for p in DIRECT_PEERS.intersection(there) if n >= 128 and done.timings[p].median > HOPELESS * quickest
        }
        yield done


@dataclass(frozen=True)
class Row:
    """One line of the verdict. sign: ">=" or "<="; values: what was measured, by cell; the worst must be within."""

    what: str
    values: dict[str, float]
    limit: float
    sign: str = ">="
    unit: str = "x"
    mean: bool = False
    """Judge the geometric mean instead of the worst."""
    part: str = ""
    measured_at: str = ""

    @property
    def worst(self) -> tuple[str, float]:
        pick = min if self.sign == ">=" else max
        return pick(self.values.items(), key=lambda item: item[1])

    @property
    def judged(self) -> float:
        return statistics.geometric_mean(self.values.values()) if self.mean else self.worst[1]

    def within(self, value: float) -> bool:
        return value >= self.limit if self.sign == ">=" else value <= self.limit

    @property
    def met(self) -> bool:
        return self.within(self.judged)

    @property
    def misses(self) -> str:
        """The cells that are not within, the worst first."""
        out = {cell: value for cell, value in self.values.items() if not self.within(value)}
        worst_first = sorted(out.items(), key=lambda item: item[1], reverse=self.sign == "<=")
        return ", ".join(f"{cell} {self.text(value)}" for cell, value in worst_first)

    def as_dict(self) -> dict[str, object]:
        return {
            "what": self.what,
            "limit": self.limit,
            "sign": self.sign,
            "unit": self.unit,
            "mean": self.mean,
            "part": self.part,
            "measured_at": self.measured_at,
            "judged": self.judged,
            "met": self.met,
            "values": self.values,
        }

    def text(self, value: float) -> str:
        return f"{value:.0%}" if self.unit == "%" else f"{value:.3g} {self.unit}".replace(" x", "x")


Earlier = tuple[list[Row], list[dict[str, object]]]


def label(c: Contest) -> str:
    return f"{c.problem.image_shape[-1]} k{c.problem.kernel_shape[-1]} {c.problem.dtype}"


def pick(
    contests: Iterable[Contest], images: Iterable[int], kernels: Iterable[int], dtypes: Iterable[str] = REAL
) -> list[Contest]:
    wanted = set(itertools.product(images, kernels, dtypes))
    return [c for c in contests if (c.problem.image_shape[-1], c.problem.kernel_shape[-1], c.problem.dtype) in wanted]


def ratios(contests: Iterable[Contest], ours: str, other: str) -> dict[str, float]:
    return {f"{label(c)} vs {other}": c.ratio(other, ours) for c in contests if c.has(ours, other)}


def modelled(problem: Problem) -> str:
    """What "auto" is without measurements; with them it chooses among more than is timed here (see
    tools/chooser.py)."""
    return choose(problem, problem.kernel(), by_cost_model)


def general_rows(contests: list[Contest]) -> Iterator[Row]:
    """Of kernels that are not separable."""
    at = functools.partial(pick, contests, (1024,))
    direct = "numba-direct"

    def shares(kernels: Iterable[int]) -> dict[str, float]:
        return {label(c): c.share(direct, c.problem.terms) for c in at(kernels)}

    yield Row("numba-direct, k = 7 to 31: share of FMA ceiling", shares((7, 9, 11, 15, 21, 31)), 0.85, unit="%")
    yield Row("numba-direct, k = 5: share of FMA ceiling", shares((5,)), 0.70, unit="%")
    yield Row(
        "numba-direct, k = 3: time over a plain copy", {label(c): c.ratio(direct, COPY) for c in at((3,))}, 1.5, "<="
    )
    cv = "opencv-filter2d"
    yield Row("numba-direct vs filter2D, k = 7 to 11, float32", ratios(at((7, 9, 11), ("float32",)), direct, cv), 1.6)
    yield Row("numba-direct vs filter2D, k = 7 to 11, float64", ratios(at((7, 9, 11), ("float64",)), direct, cv), 2.5)
    yield Row("numba-direct vs filter2D, k = 3 and 5", ratios(at((3, 5)), direct, cv), 1.0)
    overlap = "pyfftw-overlap"
    large = pick(contests, (1024, 2048), (15, 21, 31, 45, 63, 101))
    for other, limit in (("scipy-fft", 2.0), ("scipy-oa", 2.0), (cv, 1.4), ("torch-fft", 1.5)):
        chosen = [c for c in large if other != cv or get_backend(cv).rounding_of(c.problem) == "fft"]
        yield Row(f"pyfftw-overlap vs {other}, k = 15 to 101, 1024 and 2048", ratios(chosen, overlap, other), limit)
    small = pick(contests, (64, 128, 256), KERNELS)
    yield Row("pyfftw-overlap vs whole-image transform, images 64 to 256", ratios(small, overlap, "pyfftw"), 0.95)
    shots = {label(c): c.advantage(OWN, PEERS, ONE_SHOT) for c in pick(contests, IMAGES[2:], KERNELS)}
    yield Row("one-shot, best of convbench vs best peer, every cell 256 to 2048", shots, 1.0)
    whole = {label(c): c.advantage(OWN, PEERS) for c in contests}
    auto = {label(c): c.ratio(ONE_SHOT + modelled(c.problem), c.best(OWN, ONE_SHOT)) for c in contests}
    what = "the cost model's choice over the best of convbench, one-shot: geometric mean"
    yield Row(what, auto, 1.05, "<=", mean=True)
    yield Row("whole grid, best of convbench vs best peer: geometric mean", whole, 1.5, mean=True)
    yield Row("whole grid, best of convbench vs best peer: every cell", whole, 0.95)


def separable_rows(contests: list[Contest]) -> Iterator[Row]:
    at = functools.partial(pick, contests, (1024,))
    own, cv = "numba-separable", "opencv-sepfilter2d"
    yield Row("numba-separable vs sepFilter2D, k = 3 and 7", ratios(at((3, 7)), own, cv), 1.0)
    yield Row("numba-separable vs sepFilter2D, k = 31 and 63", ratios(at((31, 63)), own, cv), 4.0)
    shares = {label(c): c.share(own, sum(c.problem.kernel_shape)) for c in at((31, 63, 101))}
    yield Row("numba-separable, k >= 31: share of FMA ceiling", shares, 0.5, unit="%")
    whole = {label(c): c.advantage((own, "numba-direct"), SEPARABLE_PEERS) for c in contests}
    yield Row("separable kernels, best of convbench vs best peer: every cell", whole, 0.95)


def signal_rows(contests: list[Contest]) -> Iterator[Row]:
    found = {label(c): c.advantage(OWN, SIGNAL_PEERS) for c in contests}
    yield Row("1-D, best of convbench vs best peer: geometric mean", found, 1.3, mean=True)
    yield Row("1-D, best of convbench vs best peer: every cell", found, 0.95)


def complex_rows(rule: Rule) -> Iterator[Row]:
    shares: dict[str, dict[str, float]] = {"numba-direct": {}, "numba-separable": {}}
    overlap: dict[str, float] = {}
    for dtype, k in itertools.product(("complex64", "complex128"), (7, 15, 31)):
        problem = Problem((1024, 1024), (k, k), dtype)
        for name, found in shares.items():
            c = contest(problem, [name], separable=name == "numba-separable", rule=rule)
            found[label(c)] = c.share(name, problem.terms if name == "numba-direct" else sum(problem.kernel_shape))
        c = contest(problem, ["pyfftw-overlap", "scipy-fft", "scipy-oa"], rule=rule)
        overlap |= ratios([c], "pyfftw-overlap", "scipy-fft") | ratios([c], "pyfftw-overlap", "scipy-oa")
    for name, found in shares.items():
        yield Row(f"complex, {name}, k = 7 to 31: share of FMA ceiling", found, 0.6, unit="%")
    yield Row("complex, pyfftw-overlap vs scipy's FFTs, k = 7 to 31", overlap, 2.0)


def thread_rows(rule: Rule) -> Iterator[Row]:
    """Two threads against one at 2048 x 2048, and how far the machine itself gets."""
    from concurrent.futures import ThreadPoolExecutor

    found: dict[str, float] = {}
    given: dict[str, float] = {}
    start, source = np.float32(1), np.ones((2048, 2048), np.float32)
    target = np.empty_like(source)
    with ThreadPoolExecutor(2) as pool:
        for name, k in itertools.product(("numba-direct", "numba-separable", "pyfftw-overlap"), (3, 7, 15, 31, 63)):
            calls: dict[str, Callable[[], object]] = {
                FMA: lambda: multiply_adds(50 * _FMA_ROUNDS, start),
                "both": lambda: list(pool.map(lambda _: multiply_adds(50 * _FMA_ROUNDS, start), range(2))),
                COPY: lambda: np.copyto(target, source),
                "both copy": lambda: list(pool.map(np.copyto, np.split(target, 2), np.split(source, 2))),
            }
            problem = Problem((2048, 2048), (k, k))
            image, kernel = problem.image(), problem.kernel(separable=name == "numba-separable")
            judge = Judge(problem, kernel, image, zero_mean=True)
            for threads in (1, 2):
                _, plan = gated(get_backend(name), replace(problem, threads=threads), kernel, 60.0, certify, judge)
                assert plan is not None
                calls[str(threads)] = functools.partial(plan.execute, plan.load(image))
            c = Contest(problem, sample(calls, rule))
            found[f"{name} k{k}"] = c.ratio("1", "2")
            given[f"multiply-adds on registers, beside {name} k{k}"] = 2 * c.ratio(FMA, "both")
            given[f"copy, beside {name} k{k}"] = c.ratio(COPY, "both copy")
    yield Row("two threads vs one, 2048, float32, every cell", found, 1.7)
    yield Row("(two threads vs one: what the machine gives to registers and to copies)", given, 1.7)


def memory_rows() -> Iterator[Row]:
    mib: dict[str, float] = {}
    for dtype, k in itertools.product(REAL, (3, 31, 255)):
        problem = Problem((8192, 8192), (k, k), dtype)
        plan = get_backend("pyfftw-overlap").plan(problem, problem.kernel())
        spaces = getattr(plan, "workers", None) or [plan.workspace]
        mib[f"8192 k{k} {dtype}"] = sum(space.nbytes for space in spaces) / 2**20
        del plan, spaces
    yield Row("pyfftw-overlap, scratch at 8192 x 8192", mib, 64.0, "<=", unit="MiB")
    copies: dict[str, float] = {}
    for name, k in itertools.product(("numba-direct", "numba-separable"), (3, 31)):
        problem = Problem((4096, 4096), (k, k))
        kernel, image = problem.kernel(separable=True), problem.image()
        size = image.nbytes
        once(name, problem, kernel, image)  # imports and compiles
        peak = peak_memory(functools.partial(once, name, problem, kernel, image)) or math.nan
        copies[f"{name} 4096 k{k}"] = (peak - size) / size
    yield Row("direct and separable, memory beyond the output, in images", copies, 0.1, "<=", unit="images")


_COMPILE = """
import time
import numba
from convbench import Problem, get_backend
get_backend("numba-direct").plan(Problem((8, 8), (1, 1)), Problem((8, 8), (1, 1)).kernel())
for name, k in (("numba-direct", 7), ("numba-direct", 31), ("numba-separable", 15)):
    problem = Problem((64, 64), (k, k))
    kernel = problem.kernel(separable=True)
    start = time.perf_counter()
    get_backend(name).plan(problem, kernel)
    print(name, k, time.perf_counter() - start, sep=",")
"""


def compile_rows() -> Iterator[Row]:
    """The first plan of a new kernel size in a process that has compiled another before; cold and warm disk cache."""
    with tempfile.TemporaryDirectory() as folder:
        for what, limit in (("nothing on disk", 1.5), ("second process", 0.2)):
            environment = {**os.environ, "XDG_CACHE_HOME": folder}
            done = subprocess.run(
                [sys.executable, "-c", _COMPILE], env=environment, capture_output=True, text=True, check=True
            )
            lines = [line.split(",") for line in done.stdout.split()]
            found = {f"{name} k{k}": float(seconds) for name, k, seconds in lines}
            yield Row(f"first plan of a new kernel size, {what}", found, limit, "<=", unit="s")


def tables(rows: list[Row]) -> Table:
    table = Table("what", "target", "measured", "worst cell", "cells within", "verdict")
    for row in rows:
        within = sum(map(row.within, row.values.values()))
        target = f"{'geometric mean ' if row.mean else ''}{row.sign} {row.text(row.limit)}"
        table.add_row(
            row.what, target, row.text(row.judged), f"{row.worst[0]}: {row.text(row.worst[1])}",
            f"{within} of {len(row.values)}", "met" if row.met else "NOT MET",
        )  # fmt: skip
    return table


@click.command()
@click.option("--quick", is_flag=True, help="Fewer problems and samples, for work in progress.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Only this part; may be repeated.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Folder for peers-MACHINE.txt and peers-MACHINE.json.",
)
def main(quick: bool, only: tuple[str, ...], out: Path | None) -> None:
    """Time convbench's backends against their peers, and print what is met and what is not."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a thread pool that spins would disturb the next sample
    rule = (
        Rule(warmup=0.01, seconds=0.06, hard_seconds=0.4, most=15)
        if quick
        else Rule(warmup=0.02, seconds=0.2, hard_seconds=1.5)
    )
    images, kernels = ((256, 1024), (3, 7, 15, 31, 101)) if quick else (IMAGES, KERNELS)
    signals, taps = ((1024, 65536), (3, 33, 1025)) if quick else (SIGNALS, TAPS)
    contests: dict[str, list[Contest]] = {}

    def line(n: int) -> tuple[int, ...]:
        return (n,)

    def measured(name: str, found: Iterable[Contest]) -> list[Contest]:
        contests[name] = list(found)
        return contests[name]

    parts: dict[str, Callable[[], Iterable[Row]]] = {  # as in PARTS
        "general": lambda: general_rows(
            measured("general", grid(images, kernels, REAL, OWN, PEERS, rule, one_shot=True))
        ),
        "separable": lambda: separable_rows(
            measured(
                "separable",
                grid(images, kernels, REAL, ("numba-separable", "numba-direct"), SEPARABLE_PEERS, rule, separable=True),
            )
        ),
        "signal": lambda: signal_rows(
            measured("signal", grid(signals, taps, REAL, OWN, SIGNAL_PEERS, rule, shape=line))
        ),
        "complex": lambda: complex_rows(rule),
        "threads": lambda: thread_rows(rule),
        "memory": memory_rows,
        "compile": compile_rows,
    }
    warnings = machine.warnings()
    before = kept(out / f"{file_name()}.json") if out else ([], [])  # a damaged file shows before anything is measured
    rows: list[Row] = []
    for name, make in parts.items():
        if not only or name in only:
            rows += [replace(row, part=name, measured_at=now()) for row in make() if row.values]
            if out:
                save(out, before, rows, contests, [*warnings, *machine.warnings()])
    console.print(tables(rows))


def file_name() -> str:
    return f"peers-{machine.machine_name()}"


def kept(path: Path) -> Earlier:
    """Rows and cells of an earlier run."""
    if not path.exists():
        return [], []
    try:
        before = json.loads(path.read_text())
        names = [each.name for each in fields(Row)]
        return [Row(**{name: row[name] for name in names}) for row in before["rows"]], before["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{path} is damaged ({error!r}); move it away, or give another --out") from error


def save(out: Path, before: Earlier, rows: list[Row], contests: dict[str, list[Contest]], warnings: list[str]) -> None:
    """Write the table as text, and all that was measured as JSON, under the machine's name."""
    facts, versions, name = machine.describe(), machine.versions(), file_name()
    measured = {row.part for row in rows}
    cells = [cell for cell in before[1] if cell["part"] not in measured]
    cells += [c.as_dict() | {"part": part} for part, found in contests.items() for c in found]
    rows = [*(row for row in before[0] if row.part not in measured), *rows]
    rows.sort(key=lambda row: PARTS.index(row.part))
    text = Console(width=190, record=True, file=io.StringIO())
    text.print(f"convbench against its peers, {now()}, {facts['machine']}: {facts['cpu']}, {facts['cores']}")
    text.print(", ".join(f"{library} {version}" for library, version in versions.items()))
    for warning in dict.fromkeys(warnings):
        text.print(f"noisy: {warning}")
    text.print(tables(rows))
    text.print("\nCells that are not within; docs/performance.md says what limits them.")
    for row in rows:
        if not row.met:
            text.print(f"- {row.what} ({row.sign} {row.text(row.limit)}): {row.misses}")
    atomic_write(out / f"{name}.txt", "".join(f"{line.rstrip()}\n" for line in text.export_text().splitlines()))
    data = {
        "machine": facts,
        "versions": versions,
        "measured_at": now(),
        "rows": [row.as_dict() for row in rows],
        "cells": cells,
    }
    atomic_write(out / f"{name}.json", json.dumps(data) + "\n")


if __name__ == "__main__":
    main()
