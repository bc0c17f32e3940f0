"""Cells of a processor and a device whose times are known."""

from __future__ import annotations

import pandas as pd


def cells(launch: float = 20e-6, bandwidth: float = 1e10, rate: float = 50.0) -> pd.DataFrame:
    """The processor takes 1 ns a sample, the device a launch and 1/rate of that; its transfers 8 bytes a sample."""
    rows = []
    for n in (64, 256, 1024, 4096):
        for backend, family, device, threads, seconds in (
            ("slow", "direct", "cpu", 1, 4e-9 * n * n), ("quick", "fft", "cpu", 2, 1e-9 * n * n),
            ("gpu", "direct", "cuda:0", 1, launch + 1e-9 * n * n / rate),
            ("gpu-passes", "separable", "cuda:0", 1, 1e-9),
        ):  # fmt: skip
            moved = 4 * n * n / bandwidth if device != "cpu" else 0.0
            rows.append({
                "machine": "m", "commit": "c", "env": "e", "layout": "image", "dtype": "float32", "mode": "same",
                "kernel": 15, "image": n, "backend": backend, "family": family, "device": device, "threads": threads,
                "status": "ok", "execute_s": seconds, "load_s": moved, "store_s": moved,
            })  # fmt: skip
    return pd.DataFrame(rows)
