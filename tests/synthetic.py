"""Makes folders of results as asv and the gate write them, from known laws of time: the truth is known."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENV = "existing-py3.11"
DATE = 1_790_000_000_000  # asv's milliseconds
PARAMS = ("backend", "image", "kernel", "dtype", "device", "threads")
COLUMNS = (
    "result", "params", "version", "started_at", "duration",
    "stats_ci_99_a", "stats_ci_99_b", "stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile",
)  # fmt: skip

Law = Callable[[int, int], float]


class Model:
    """A made-up backend: its family and its laws, seconds as functions of image length n and kernel length k."""

    def __init__(self, family: str, execute: Law, plan: Law = lambda n, k: 1e-4, dtypes: tuple[str, ...] = ()) -> None:
        self.family, self.execute, self.plan, self.dtypes = family, execute, plan, dtypes


def crossing_at(k: float, n: int = 1024) -> dict[str, Model]:
    """direct = a k^2 and a constant fft that meet at kernel length k; both scale with n^2."""
    return {
        "direct-a": Model("direct", lambda n, kk: 2e-11 * n * n * kk * kk),
        "fft-a": Model("fft", lambda n, kk: 2e-11 * n * n * k * k),
    }


REALISTIC = {
    "numba-direct": Model(
        "direct", lambda n, k: 2.2e-11 * n * n * k * k + 1e-9 * n * n + 3e-6, lambda n, k: 0.6 + 0.04 * k
    ),
    "scipy-direct": Model("direct", lambda n, k: 1.4e-9 * n * n * k * k + 2e-5),
    "ndimage": Model("direct", lambda n, k: 7e-10 * n * n * k * k + 2e-5),
    "numba-separable": Model("separable", lambda n, k: 1.1e-10 * n * n * k + 1e-9 * n * n + 4e-6, lambda n, k: 0.5),
    "ndimage-separable": Model("separable", lambda n, k: 1.2e-9 * n * n * k + 8e-9 * n * n + 3e-5),
    "torch-separable": Model("separable", lambda n, k: 3e-9 * n * n * k + 2e-5),
    "pyfftw-whole": Model("fft", lambda n, k: 8.6e-9 * n * n * (1 + 0.1 * math.sin(k)) + 2e-5, lambda n, k: 1.2),
    "pyfftw-overlap": Model("fft", lambda n, k: 3.6e-9 * n * n * (1 + k / 60) + 1.5e-5, lambda n, k: 0.4),
    "scipy-fft": Model("fft", lambda n, k: 1.25e-8 * n * n * (1 + k / 90) + 5e-5),
    "scipy-oa": Model("fft", lambda n, k: 1.5e-8 * n * n * (1 + 3 / k) + 9e-5),
    "torch-conv": Model("framework", lambda n, k: 4e-10 * n * n * k * k + 3e-8 * n * n, dtypes=("float32", "float64")),
    "torch-fft": Model("framework", lambda n, k: 9.6e-9 * n * n + 4e-5, dtypes=("float32", "float64")),
}


def write_results(
    root: Path,
    models: Mapping[str, Model],
    *,
    images: Sequence[int] = (1024,),
    kernels: Sequence[int] = (3, 5, 7, 11, 15, 21, 31, 51, 101),
    dtypes: Sequence[str] = ("float32",),
    threads: Sequence[int] = (1,),
    layouts: Sequence[str] = ("image",),
    machine: str = "lab",
    commit: str = COMMIT,
    env: str = ENV,
    date: int = DATE,
    noise: float = 0.02,
    repeats: int = 15,
    seed: int = 0,
    budget_s: float = math.inf,
    evidence: bool = True,
    record_samples: bool = False,
    version: str = "1",
) -> Path:
    """Write one asv result file, its evidence, the machine file and benchmarks.json; returns the result file.

    noise: relative scatter of samples. budget_s: dearer cells are skipped with a reason.
    The first dtype is in the class of the layout's name, each other in a class of its own, as the real suite does it.
    """
    rng = np.random.default_rng(seed)
    results: dict[str, Any] = {}
    lines = [run_record(), *gate_records(models, dtypes)]
    benchmarks: dict[str, Any] = {"version": 2}
    for layout, dtype in itertools.product(layouts, dtypes):
        axes = [list(models), list(images), list(kernels), [dtype], ["cpu"], list(threads)]
        columns: dict[str, list[Any]] = {
            m: [] for m in ("execute", "low", "high", "samples", "one_shot", "plan", "error")
        }
        for cell in itertools.product(*axes):
            record, numbers = _cell(layout, cell, models[cell[0]], rng, noise, repeats, budget_s)
            lines.append(record)
            for name, values in columns.items():
                values.append(numbers.get(name, math.nan if name in ("execute", "one_shot", "plan", "error") else None))
        for metric, values in {
            "time_execute": columns["execute"],
            "time_one_shot": columns["one_shot"],
            "time_plan": columns["plan"],
            "track_peak_memory": [8e6 if not math.isnan(v) else math.nan for v in columns["execute"]],
            "track_error_over_bound": columns["error"],
        }.items():
            name = f"{layout}.{layout.capitalize() if dtype == dtypes[0] else dtype.capitalize()}.{metric}"
            stats = [columns["low"], columns["high"]] if metric == "time_execute" else [None, None]
            samples = columns["samples"] if metric == "time_execute" and record_samples else None
            results[name] = result_row(values, axes, version, *stats, samples)
            benchmarks[name] = {
                "name": name, "params": [[repr(v) for v in axis] for axis in axes], "param_names": list(PARAMS),
                "version": version, "type": "track", "unit": "seconds",
            }  # fmt: skip
    folder = root / machine
    folder.mkdir(parents=True, exist_ok=True)
    (root / "benchmarks.json").write_text(json.dumps(benchmarks))
    (folder / "machine.json").write_text(json.dumps(machine_record(machine)))
    path = folder / f"{commit[:8]}-{env}.json"
    path.write_text(json.dumps(result_file(results, machine, commit, env, date)))
    if evidence:
        path.with_suffix(".evidence.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_ceilings(folder: Path, ceilings: Mapping[int, Mapping[str, float]]) -> None:
    """The machine's folder gets these ceilings, by number of threads."""
    content = {"machine": folder.name, "measured_at": "2026-10-01T09:00:00+00:00", "versions": {}, "ceilings": ceilings}
    (folder / "ceilings.jsonl").write_text(json.dumps(content))


def result_row(
    values: list[Any], axes: list[list[Any]], version: str = "1", low: Any = None, high: Any = None, samples: Any = None
) -> list[Any]:
    """One benchmark's row in result_columns order, trailing nulls cut as asv cuts them."""
    row = [
        values,
        [[repr(v) for v in axis] for axis in axes],
        version,
        DATE,
        1.0,
        low,
        high,
        None,
        None,
        None,
        None,
        samples,
    ]
    while row[-1] is None:
        row.pop()
    return row


def result_file(results: dict[str, Any], machine: str, commit: str, env: str, date: int) -> dict[str, Any]:
    return {
        "commit_hash": commit, "env_name": env, "date": date, "params": {"machine": machine, "python": "3.11"},
        "python": "3.11", "requirements": {}, "env_vars": {}, "result_columns": list(COLUMNS), "results": results,
        "durations": {}, "version": 2,
    }  # fmt: skip


def machine_record(machine: str) -> dict[str, Any]:
    return {
        "machine": machine, "os": "Linux 6.1", "arch": "x86_64", "cpu": "Zen 4, 2 cores", "num_cpu": "2",
        "ram": "25282152448", "version": 1,
    }  # fmt: skip


def run_record(run: str = "r1", finished: str | None = "2026-10-01T11:00:00+00:00") -> dict[str, Any]:
    return {
        "kind": "run", "run": run, "versions": {"numpy": "2.4.6", "pyfftw": "0.15.1", "numba": "0.65.1"},
        "machine": {"cpu": "Zen 4", "governor": "performance"}, "preset": "full",
        "started": "2026-10-01T10:00:00+00:00", "finished": finished,
    }  # fmt: skip


def gate_records(models: Mapping[str, Model], dtypes: Sequence[str]) -> list[dict[str, Any]]:
    records = []
    for (backend, model), ndim, dtype in itertools.product(models.items(), (1, 2), dtypes):
        fits = not model.dtypes or dtype in model.dtypes
        records.append({
            "kind": "gate", "backend": backend, "ndim": ndim, "dtype": dtype, "status": "ok" if fits else "n/a",
            "checks": 120 if fits else 0, "error_over_bound": 0.3 if fits else None, "worst": "5x5 kernel" if fits else "",
            "reason": None if fits else f"{backend} has no {dtype}",
        })  # fmt: skip
    return records


def cell_record(layout: str, cell: tuple[Any, ...], family: str, status: str = "ok", **more: Any) -> dict[str, Any]:
    """A line of evidence; cell as in PARAMS."""
    ok = status == "ok"
    return {
        "kind": "cell", "layout": layout, **dict(zip(PARAMS, cell, strict=True)), "family": family, "mode": "same",
        "library": "numpy", "library_version": "2.4.6", "status": status, "reason": None,
        "error_over_bound": 0.2 if ok else None, "worst_index": [3, 4] if ok else None,
        "input_sha256": "ab" * 32 if ok else None, "stopped": "steady" if ok else "", "execute": None,
        "load_seconds": 1e-6, "store_seconds": 2e-6, "time": "2026-10-01T10:30:00+00:00", "run": "r1", **more,
    }  # fmt: skip


def _cell(
    layout: str,
    cell: tuple[Any, ...],
    model: Model,
    rng: np.random.Generator,
    noise: float,
    repeats: int,
    budget_s: float,
) -> tuple[dict[str, Any], dict[str, Any]]:
    backend, n, k, dtype, _, threads = cell
    if model.dtypes and dtype not in model.dtypes:
        return cell_record(layout, cell, model.family, "n/a", reason=f"{backend} has no {dtype}"), {}
    rows = {"image": n, "signal": 1, "rows": n}[layout]
    seconds = model.execute(n, k) * (rows / n) * (2 if dtype in ("float64", "complex64") else 1) / threads**0.8
    if seconds > budget_s:
        reason = f"over the time budget: {seconds:.3g} s an image, allowed are {budget_s:g} s"
        return cell_record(layout, cell, model.family, "skipped", reason=reason), {}
    samples = [float(s) for s in seconds * np.exp(noise * rng.standard_normal(repeats))]
    ordered, middle = sorted(samples), float(np.median(samples))
    record = cell_record(layout, cell, model.family, execute={"samples": samples, "number": 10})
    edge = max(0, repeats // 2 - 4)
    plan = model.plan(n, k)
    return record, {
        "execute": middle, "low": ordered[edge], "high": ordered[-1 - edge], "samples": samples,
        "one_shot": plan + middle, "plan": plan, "error": 0.2,
    }  # fmt: skip
