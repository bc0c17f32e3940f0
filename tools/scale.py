"""Shows that the report of a year of nightly runs is built quickly enough: python tools/scale.py.

Makes synthetic results (50,000 cells x 20 commits by default: 4 GB in a folder that is removed unless --keep
names one), builds the report of them in a process of its own, and prints seconds and memory of each phase.
Exit status 1 if it took more than 60 s or 2 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SECONDS, BYTES = 60.0, 2 << 30
TESTS = Path(__file__).parents[1] / "tests"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=50_000, help="of each commit: a multiple of 5,000")
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that read")
    parser.add_argument("--keep", type=Path, help="folder for the results and pages; results there are used again")
    parser.add_argument("--read-only", action="store_true", help="read the results, build no pages")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        print(json.dumps(build(given.build, given.workers, given.read_only)))
        return 0
    with tempfile.TemporaryDirectory(prefix="convbench-scale-") as temporary:
        folder = given.keep or Path(temporary)
        if not (folder / "results").is_dir():
            print(f"make {given.cells} cells x {given.commits} commits in {folder}", flush=True)
            size = ["--cells", str(given.cells), "--commits", str(given.commits)]
            subprocess.run([sys.executable, TESTS / "large.py", folder / "results", *size], check=True)
        command = [sys.executable, __file__, "--build", folder, "--workers", str(given.workers)]
        with subprocess.Popen(command + ["--read-only"] * given.read_only, stdout=subprocess.PIPE, text=True) as child:
            megabytes = peak(child)
            printed = child.stdout.read() if child.stdout else ""
        if child.returncode:
            return child.returncode
    found = {**json.loads(printed.splitlines()[-1]), "peak, MB": megabytes}
    for name, value in found.items():
        print(f"{name:<40} {value}")
    good = found["seconds"] <= SECONDS and found["peak, MB"] <= BYTES / 2**20
    print(f"{'within' if good else 'NOT within'} {SECONDS:g} s and {BYTES / 2**20:g} MB")
    return 0 if good else 1


def peak(child: subprocess.Popen[str]) -> float:
    """The most megabytes that the process and its children held together; what they share counts once."""
    most, tree = 0.0, psutil.Process(child.pid)
    while child.poll() is None:
        total = 0
        with contextlib.suppress(psutil.Error):
            for process in (tree, *tree.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    used = process.memory_full_info()
                    total += getattr(used, "pss", used.uss)
        most = max(most, total / 2**20)
        time.sleep(0.2)
    return round(most, 1)


def build(folder: Path, workers: int, read_only: bool) -> dict[str, float]:
    """Build the report of folder/results: seconds in all, of each phase, and of the processors."""
    from convbench.analysis.table import read_results
    from convbench.report import build_report

    phases: dict[str, float] = {}
    began = last = time.perf_counter()
    phase = "start"

    def progress(done: int, total: int, text: str) -> None:
        nonlocal last, phase
        now = time.perf_counter()
        phases[phase] = phases.get(phase, 0.0) + now - last
        last, phase = now, re.split("[/:-]", " ".join(text.split()[:2]))[0]

    if read_only:
        cells = len(read_results(folder / "results", progress=progress, workers=workers).cells)
        phases["cells"] = cells
    else:
        build_report(folder / "results", folder / "reports", progress=progress, workers=workers)
    progress(0, 0, "")
    found = {"seconds": time.perf_counter() - began}
    cpu = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found["seconds of processor time"] = sum(used.ru_utime + used.ru_stime for used in cpu)
    return {name: round(value, 1) for name, value in (found | phases).items()}


if __name__ == "__main__":
    sys.exit(main())
