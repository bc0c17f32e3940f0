"""The targets of the CUDA backends, met or not, from results that `make bench-gpu` wrote; measures nothing.

    python tools/cuda_targets.py [--results DIR] [--machine NAME] [--device cuda:0] [--markdown]

Of the machine that is named, or the one whose cells on the device are newest, the newest commit counts. Exit status 0
whatever was reached, 1 if some target was not run or not met and --strict is given, 2 where there are no such cells.
"""

from __future__ import annotations

from pathlib import Path

import click
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from convbench.analysis.cuda_targets import Target, targets
from convbench.analysis.noise import calibrate
from convbench.analysis.schema import WHERE
from convbench.analysis.table import Results, Where, read_results
from convbench.backends import list_backends
from convbench.errors import ConvbenchError


def place_of(results: Results, device: str, machine: str | None) -> Where | None:
    """The newest commit of the machine that has cells on the device."""
    cells = results.cells[(results.cells["device"] == device) & (results.cells["status"] == "ok")]
    if machine is not None:
        cells = cells[cells["machine"] == machine]
    if cells.empty:
        return None
    newest = cells.sort_values(["measured_at", "date"], kind="stable").iloc[-1]
    return str(newest["machine"]), str(newest["commit"]), str(newest["env"])


def at(table: pd.DataFrame, where: Where) -> pd.DataFrame:
    for column, value in zip(WHERE, where, strict=True):
        table = table[table[column] == value]
    return table


def markdown(found: list[Target]) -> str:
    lines = ["| target | goal | measured | |", "|---|---|---|---|"]
    for one in found:
        state = one.state if one.state == "met" else f"**{one.state}**"
        lines.append(f"| {one.what} | {one.goal} | {one.measured} | {state} |")
    told = [f"- {one.what}: {text}" for one in found for text in one.told]
    return "\n".join([*lines, "", *told])


def show(found: list[Target]) -> None:
    table = Table("target", "goal", "measured", "verdict", box=box.SIMPLE_HEAD)
    for one in found:
        table.add_row(one.what, one.goal, one.measured, one.state.upper() if one.state != "met" else one.state)
    console = Console(width=200)
    console.print(table)
    for one in found:
        for text in one.told:
            console.print(f"- {one.what}: {text}", markup=False, highlight=False, soft_wrap=True)


@click.command()
@click.option("--results", type=click.Path(path_type=Path), default=Path("results"), help="The folder of results.")
@click.option("--machine", help="Its name in results/; by default the one measured last on the device.")
@click.option("--device", default="cuda:0")
@click.option("--markdown", "as_markdown", is_flag=True, help="As docs/performance.md has it.")
@click.option("--strict", is_flag=True, help="Exit status 1 unless all targets are met.")
def main(results: Path, machine: str | None, device: str, as_markdown: bool, strict: bool) -> None:
    """Print each target of the CUDA backends: met, not met, or not run."""
    try:
        read = read_results(results)
    except ConvbenchError as error:
        raise click.UsageError(str(error)) from None
    where = place_of(read, device, machine)
    if where is None:
        known = ", ".join(sorted(set(read.cells.loc[read.cells["device"] != "cpu", "machine"]))) or "none"
        raise click.UsageError(
            f"no cells measured on {device}{f' of machine {machine!r}' if machine else ''} in {results}; machines that "
            f"have cells on devices: {known}; `make bench-gpu` measures, `convbench merge DIR` adds others'"
        )
    ceilings = read.ceilings.get(where[0], {}).get(device, {})
    pairs = at(read.pairs, where)
    noise = calibrate(pairs[pairs["device"] == device])
    backends = [backend.name for backend in list_backends() if "cuda" in backend.devices]
    found = targets(at(read.cells, where), ceilings, noise, backends, device)
    click.echo(f"{where[0]}, commit {where[1]}, {where[2]}, {device}")
    if as_markdown:
        click.echo(markdown(found))
    else:
        show(found)
    if strict and any(one.state != "met" for one in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
