"""Can the verdicts of `convbench track` be trusted on this machine? Plants slowdowns and counts which are found.

    python tools/tracking.py [--runs 12] [--backend numba-direct] [--other NAME ...] [--bench REGEX] [--asv]

In a repository of its own (.asv/track-check) the package of this clone is the base; in further commits a backend waits,
busy, for 0, 5 or 10 % of each call's own time. Every run tracks one of them from the start. With 0 %, and for the other
backends, nothing differs: whatever is called different there is a false alarm. Targets: 10 % found in 95 % of cases,
5 % in 80 %, at most 5 % false alarms. Runs that were done are kept: the same command goes on, --runs may grow.
"""

from __future__ import annotations

import collections
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from scipy import stats

from convbench import console, tracking
from convbench.evidence import EvidenceFile, now
from convbench.machine import machine_name, warnings
from convbench.tracking.commits import digest

ROOT = Path(__file__).resolve().parent.parent
SHARES = (0, 5, 10)
LEAST = {5: 0.80, 10: 0.95}
MOST = 0.05
CELLS = "Image.*, (256|512), (5|15|31), 'float32'"

PLANT = '''

_planted_get = get_backend


def get_backend(name: str) -> Backend:
    """Planted: every call of {backend} takes {share} % longer than it would."""
    import time

    backend = _planted_get(name)
    if name != {backend!r} or "make_plan" in vars(backend):
        return backend
    make = backend.make_plan

    def make_plan(problem, kernel):
        plan = make(problem, kernel)
        execute, clock = plan.execute, time.perf_counter

        def slow(data):
            begin = clock()
            result = execute(data)
            end = clock()
            until = end + (end - begin) * {share} / 100
            while clock() < until:
                pass
            return result

        plan.execute = slow
        return plan

    backend.make_plan = make_plan
    return backend
'''


def repository(folder: Path, backend: str, shares: tuple[int, ...] = SHARES) -> Path:
    """A repository with a tag slower-N for each share, made unless it is there, of this very package."""
    place, made = folder / backend, digest(ROOT / "convbench", "**/*.py")
    if (place / ".made").exists() and (place / ".made").read_text() == made:
        return place
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(ROOT / "convbench", place / "convbench", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "asv.conf.json", place)
    (place / ".gitignore").write_text(".asv/\n.made\n__pycache__/\n")
    registry = place / "convbench" / "backends" / "__init__.py"
    text = registry.read_text()

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=convbench", "-c", "user.email=convbench@localhost")
        subprocess.run(["git", *who, *arguments], cwd=place, check=True, capture_output=True)

    git("init", "-q")
    for share in shares:
        registry.write_text(text + PLANT.format(backend=backend, share=share))
        git("add", "-A")
        git("commit", "-q", "-m", f"{backend} takes {share} % longer")
        git("tag", f"slower-{share}")
    (place / ".made").write_text(made)
    return place


def tally(runs: list[dict[str, Any]], backend: str) -> list[list[str]]:
    """Rows of the table, for each share: verdicts, the rate that matters with its interval, the target."""
    counts: dict[int, collections.Counter[str]] = {share: collections.Counter() for share in SHARES}
    for run in runs:
        for name, verdict in run["verdicts"]:
            counts[run["share"] if name == backend else 0][verdict] += 1
    rows = []
    for share, found in counts.items():
        total = sum(found.values())
        hits = found["slower"] + (0 if share else found["faster"])
        if not total:
            continue
        interval = stats.binomtest(hits, total).proportion_ci(0.95)
        target = f"at least {LEAST[share]:.0%}" if share else f"at most {MOST:.0%}"
        met = hits / total >= LEAST[share] if share else hits / total <= MOST
        row = [f"{share} %", str(total), *(str(found[v]) for v in ("slower", "faster", "same", "cannot tell"))]
        row += ["found" if share else "false alarms", f"{hits / total:.1%}"]
        row += [f"{interval.low:.1%} to {interval.high:.1%}", target, "met" if met else "not met"]
        rows.append(row)
    return rows


COLUMNS = (
    *("planted", "comparisons", "slower", "faster", "same", "cannot tell"),
    *("rate of", "rate", "95 % interval", "target", ""),
)


@click.command()
@click.option("--runs", default=12, show_default=True, help="Of each of the three.")
@click.option("--backend", default="numba-direct", show_default=True, help="Made slower.")
@click.option("--other", "others", multiple=True, default=("ndimage-separable", "scipy-fft"), show_default=True)
@click.option("--bench", default=CELLS, show_default=True)
@click.option("--rounds", default=tracking.ROUNDS, show_default=True)
@click.option("--asv", is_flag=True, help="In the environment that asv builds, not in this Python.")
@click.option("--folder", type=click.Path(path_type=Path), default=ROOT / ".asv" / "track-check")
@click.option("--report", "only_report", is_flag=True, help="Measure nothing, print what there is.")
def main(
    runs: int,
    backend: str,
    others: tuple[str, ...],
    bench: str,
    rounds: int,
    asv: bool,
    folder: Path,
    only_report: bool,
) -> None:
    """Plant slowdowns into a backend and count how often `convbench track` finds them."""
    place = repository(folder, backend)
    file = EvidenceFile(folder / f"{backend}.jsonl")
    same = [machine_name(), bench, sorted(others), rounds, asv, (place / ".made").read_text()]
    done = [e for e in file.entries() if e["kind"] == "run" and e["same"] == same]
    for text in [] if only_report else warnings():
        click.echo(f"Warning: {text}", err=True)
    for number in range(0 if only_report else runs):
        for share in SHARES:
            if sum(run["share"] == share for run in done) > number:
                continue
            click.echo(f"run {number + 1} of {runs}, {share} %", err=True)
            with console.progress(lines=True) as progress:
                found = tracking.track(
                    "slower-0", f"slower-{share}", bench=bench, backends=(backend, *others), rounds=rounds,
                    here=not asv, fresh=True, progress=progress, root=place,
                )  # fmt: skip
            rows = [row for row in found.rows if row.verdict != "n/a"]
            entry = {
                "kind": "run", "time": now(), "same": same, "share": share, "measured": found.measured,
                "verdicts": [[row.backend, row.verdict] for row in rows],
                "ratios": [row.ratio for row in rows],
                "sigma": found.calibration.sigma, "widened": found.calibration.widened,
            }  # fmt: skip
            file.append(entry)
            done.append(entry)
    table = Table(title=f"{backend} made slower, {len(done)} runs on {machine_name()}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column)
    for row in tally(done, backend):
        table.add_row(*row)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
