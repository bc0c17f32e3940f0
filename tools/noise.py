"""Is what is called a win a win? Equals, and planted slowdowns, told apart or not on this machine, now.

    python tools/noise.py [--comparisons 200] [--out reports]

Each comparison takes a backend on a problem, in as many processes and with as many samples as the standard preset gives
a cell. Four plans of it are sampled in turn, in random order: two as they are (an A/A pair), one that is 5 % slower and
one that is 10 % slower, by waiting that share of each call's own time. The limit is calibrated on the pairs of one half
of the comparisons and judges the other half, and the other way round. With --out, what was measured is kept after every
comparison, and an interrupted run goes on from there.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy import stats

from convbench import __version__, console, machine
from convbench.analysis.noise import calibrated_on, log_ratio
from convbench.backends import get_backend
from convbench.cell import certify, gated
from convbench.errors import ConvbenchError
from convbench.evidence import now
from convbench.files import atomic_write
from convbench.grid import get_preset, problem_of
from convbench.judge import Judge
from convbench.measure import sample

PRESET = get_preset("standard")
BACKENDS = (
    "numba-direct", "numba-separable", "pyfftw", "pyfftw-overlap", "scipy-fft", "scipy-oa", "ndimage-separable",
    "opencv-filter2d", "opencv-sepfilter2d", "torch-fft", "ducc0-fft", "torch",
)  # fmt: skip
SIZES = tuple(itertools.product((256, 512, 1024), (3, 7, 15, 31)))
PLANTED = {"same": 0.0, "5 %": 0.05, "10 %": 0.10}
TARGETS = {"same": 0.05, "5 %": 0.80, "10 %": 0.95}
"""Called different: of equals at most, of slowdowns at least."""


class Slowed:
    """A call that takes longer by a share of its own time."""

    def __init__(self, call: Callable[[], object], share: float) -> None:
        self.call, self.share = call, share

    def __call__(self) -> None:
        start = time.perf_counter()
        self.call()
        end = time.perf_counter()
        until = end + self.share * (end - start)
        while time.perf_counter() < until:
            pass


def measure(backend: str, image: int, kernel: int, dtype: str, seed: int) -> dict[str, list[float]]:
    """Samples of a reference and of each variant, sampled in turn in this process."""
    problem = problem_of("image", image, kernel, dtype)
    data, weights = problem.image(), problem.kernel(separable=True)
    judge = Judge(problem, weights, data)
    plans, calls = [], {}
    for name in ("reference", *PLANTED):
        cell, plan = gated(get_backend(backend), problem, weights, np.inf, certify, judge)
        if plan is None:
            raise ConvbenchError(f"{backend}: {cell.reason}")
        plans.append(plan)
        # the two that are compared are called alike, whatever is planted in the second
        calls[name] = Slowed(plan.timed(plan.load(data)), PLANTED.get(name, 0.0))
    return {name: list(timing.samples) for name, timing in sample(calls, PRESET.rule, seed).items()}


def compared(parts: list[dict[str, list[float]]]) -> dict[str, tuple[float, float]]:
    """Log ratio of each variant to the reference, and its standard error, from the samples of every process."""

    def joined(name: str) -> tuple[list[float], list[int]]:
        return [s for part in parts for s in part[name]], [len(part[name]) for part in parts]

    return {name: log_ratio(*joined(name), *joined("reference")) for name in PLANTED}


def judged(found: list[dict[str, Any]]) -> dict[str, Any]:
    """How many of each kind are called different, each by a limit calibrated on the other half of the comparisons."""
    halves = found[::2], found[1::2]
    called = dict.fromkeys(PLANTED, 0)
    noises = []
    for mine, others in (halves, halves[::-1]):
        pairs = np.array([cell["same"] for cell in others]).reshape(-1, 2)
        noise = calibrated_on(np.abs(pairs[:, 0]), pairs[:, 1])
        noises.append(noise)
        for cell, name in itertools.product(mine, PLANTED):
            estimate, error = cell[name]
            called[name] += (estimate if PLANTED[name] else abs(estimate)) > noise.limit(error)
    rows = []
    for name, count in called.items():
        low, high = stats.binomtest(count, len(found)).proportion_ci(method="wilson")
        share = count / len(found)
        met = share <= TARGETS[name] if name == "same" else share >= TARGETS[name]
        rows.append({"planted": name, "called": count, "of": len(found), "share": share, "low": low, "high": high,
                     "target": TARGETS[name], "met": bool(met)})  # fmt: skip
    return {"rates": rows, "noise": [{**vars(noise), "floor": noise.floor} for noise in noises]}


@click.command()
@click.option("--comparisons", default=200, show_default=True, type=click.IntRange(min=40))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep the figures there.")
@click.option("--fresh", is_flag=True, help="Do not go on with what an interrupted run has measured.")
def main(comparisons: int, out: Path | None, fresh: bool) -> None:
    """Count how often equals are called different, and slowdowns of 5 % and 10 % are found."""
    console.warn()
    kept = out / f"noise-{machine.machine_name()}.json" if out else None
    found: list[dict[str, Any]] = []
    same = [__version__, vars(PRESET.rule), PRESET.processes, machine.versions()]
    if kept and kept.exists() and not fresh:
        earlier = json.loads(kept.read_text())
        found = earlier["comparisons"] if earlier["same"] == json.loads(json.dumps(same)) else []
    found = found[:comparisons]
    choose = random.Random(1)
    cells = [(choose.choice(BACKENDS), *choose.choice(SIZES), choose.choice(("float32", "float64")))
             for _ in range(comparisons)]  # fmt: skip
    context = multiprocessing.get_context("spawn")
    pools = [ProcessPoolExecutor(1, context) for _ in range(PRESET.processes)]
    try:
        with console.progress(lines=True) as progress:
            for seed in range(len(found), comparisons):
                progress(seed, comparisons, " ".join(map(str, cells[seed])))
                parts = [pool.submit(measure, *cells[seed], seed).result() for pool in pools]
                names = dict(zip(("backend", "image", "kernel", "dtype"), cells[seed], strict=True))
                found.append({**names, **compared(parts)})
                if kept:
                    about = {"machine": machine.describe(), "measured_at": now(), "same": same, **judged(found)}
                    atomic_write(kept, json.dumps({**about, "comparisons": found}) + "\n")
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
    result = judged(found)
    console.print_table(
        ("planted", "called different", "share", "95 % interval", "target", ""),
        [[r["planted"], f"{r['called']} of {r['of']}", f"{r['share']:.1%}", f"{r['low']:.1%} to {r['high']:.1%}",
          f"{'at most' if r['planted'] == 'same' else 'at least'} {r['target']:.0%}", "met" if r["met"] else "NOT MET"]
         for r in result["rates"]],
    )  # fmt: skip
    for noise in result["noise"]:
        click.echo(f"calibrated on {noise['pairs']} pairs: differences below {noise['floor']:.1%} are ties "
                   f"(quantile {noise['quantile']:.2f}, excess {noise['excess']:.2%})")  # fmt: skip


if __name__ == "__main__":
    main()
