"""A folder of results of a device whose times are known, as evidence alone tells them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import COMMIT, ENV, cell_record, machine_record, run_record

from convbench.ceilings import store_ceilings

Law = Callable[[int, int], float]
PEAK, COPY = 60e12, 4e12
"""Multiply-adds, FLOP/s, and bytes/s, of the device."""
CEILINGS = {"fma_float32": PEAK / 1e9, "copy": COPY / 1e9, "copy_l2": 3 * COPY / 1e9, "l2_bytes": 60e6}
LAUNCH = 1e-8


def direct(share: float) -> Law:
    return lambda n, k: LAUNCH + 2 * k * k * n * n / (share * PEAK)


def fft(relative: float) -> Law:
    return lambda n, k: LAUNCH * 4 + relative * 60 * n * n / COPY


LAWS: dict[str, tuple[str, str, int, Law]] = {
    "numba-cuda-direct": ("direct", "cuda:0", 1, direct(0.7)),
    "numba-cuda-separable": ("separable", "cuda:0", 1, lambda n, k: 8 * n * n / (0.8 * COPY)),
    "torch": ("framework", "cuda:0", 1, direct(0.3)),
    "torch-benchmark": ("framework", "cuda:0", 1, direct(0.5)),
    "cupy-direct": ("direct", "cuda:0", 1, direct(0.1)),
    "cupy-ndimage": ("direct", "cuda:0", 1, direct(0.15)),
    "torch-fft": ("fft", "cuda:0", 1, fft(1.2)),
    "torch-overlap": ("fft", "cuda:0", 1, fft(1.0)),
    "numba-direct": ("direct", "cpu", 1, lambda n, k: 2 * k * k * n * n / 100e9),
    "pyfftw-overlap": ("fft", "cpu", 16, lambda n, k: 3e-6 + 60 * n * n / 100e9),
}
"""Backend -> family, device, threads, seconds for an image of n x n and a kernel of k x k. All targets are met."""
IMAGES = (256, 512, 1024, 2048, 4096, 8192)
KERNELS = (3, 5, 7, 9, 11, 15, 21, 31, 63, 127, 255)


def write(
    root: Path,
    laws: Mapping[str, tuple[str, str, int, Law]] = LAWS,
    images: tuple[int, ...] = IMAGES,
    kernels: tuple[int, ...] = KERNELS,
    machine: str = "lab",
    ceilings: Mapping[str, float] = CEILINGS,
    budget: float = 0.25,
    device: str = "cuda:0",
) -> Path:
    """One machine with its ceilings; what takes longer than the budget is skipped. Returns the file of evidence."""
    rng = np.random.default_rng(0)
    folder = root / machine
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.json").write_text(json.dumps(machine_record(machine)))
    if ceilings:
        store_ceilings(folder, machine, {device: dict(ceilings)}, {device: "Card A"})
    lines: list[dict[str, Any]] = [{**run_record(), "cards": {device: "Card A"}}]
    for n in images:
        for k in kernels:
            for name, (family, place, threads, law) in laws.items():
                lines.append(_line(name, family, device if place != "cpu" else place, threads, n, k, law, budget, rng))
    path = folder / f"{COMMIT[:8]}-{ENV}.evidence.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _line(
    name: str, family: str, device: str, threads: int, n: int, k: int, law: Law, budget: float, rng: np.random.Generator
) -> dict[str, Any]:
    cell = (name, n, k, "float32", device, threads)
    seconds = law(n, k)
    if math.isnan(seconds):
        return cell_record("image", cell, family, "failed", reason="gate: wrong")
    if seconds > budget:
        return cell_record("image", cell, family, "skipped", reason="over the time budget")
    samples = [float(s) for s in seconds * np.exp(0.005 * rng.standard_normal(15))]
    moved = n * n * 4 / 20e9 if device != "cpu" else 1e-7
    return cell_record(
        "image", cell, family, execute={"samples": samples, "number": 10}, group=f"{n}/{k}/{device}",
        load_seconds=moved, store_seconds=moved, one_shot={"samples": [2 * s for s in samples], "number": 1},
        plan={"samples": samples, "number": 1},
    )  # fmt: skip
