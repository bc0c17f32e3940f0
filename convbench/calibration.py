"""The noise of this machine, as the A/A pairs of its last run show it."""

from __future__ import annotations

from pathlib import Path

from convbench.analysis.journal import read_evidence
from convbench.analysis.noise import UNCALIBRATED, Noise, calibrate
from convbench.errors import ConvbenchError
from convbench.evidence import SUFFIX
from convbench.machine import machine_name
from convbench.repository import find_root


def machine_noise(results: Path | None = None) -> Noise:
    """From the newest evidence of this machine that has enough pairs; UNCALIBRATED where there is none.

    results: the folder; by default that of the project in the current folder.
    """
    try:
        folder = (results or find_root() / "results") / machine_name()
    except ConvbenchError:
        return UNCALIBRATED
    for path in sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            noise = calibrate(read_evidence(path).pair_frame())
        except OSError:
            continue
        if noise.calibrated:
            return noise
    return UNCALIBRATED
