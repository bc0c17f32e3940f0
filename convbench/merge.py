"""merge: results that were measured elsewhere, or in parts, added to a folder of results; nothing there is overwritten.

Of the same machine, commit and environment, evidence is added line by line, and asv's numbers cell by cell. What
contradicts what is there already is a conflict: it is named, and left out.
"""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convbench.analysis.schema import CELL
from convbench.ceilings import FILE, read_cards, read_ceilings, store_ceilings
from convbench.cuda.cards import cards_in, contradiction
from convbench.errors import ArgumentError, ConvbenchError
from convbench.evidence import SUFFIX, EvidenceFile
from convbench.files import atomic_write, locked

MACHINE = "machine.json"
_SAME_MACHINE = ("machine", "cpu")
"""What two files about one machine must agree in."""


@dataclass
class Merged:
    """What was added: cells of evidence, cells of asv's, whole files; conflicts: what was left out, and why."""

    machines: list[str] = field(default_factory=list)
    files: int = 0
    evidence: int = 0
    cells: int = 0
    conflicts: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        what = f"{self.files} new files, {self.evidence} lines of evidence and {self.cells} cells added to known ones"
        return f"{', '.join(self.machines)}: {what}; {len(self.conflicts)} conflicts"


def merge(source: Path, results: Path) -> Merged:
    """Add the machines in *source* to *results*: source is a folder of results, or that of one machine.

    Raises ArgumentError if there are no results in source, ConvbenchError if a run holds a folder, StorageError if one
    cannot be written. Files that cannot be read are conflicts.
    """
    folders = _machines(source)
    if source.resolve() == results.resolve() or any(f.resolve().parent == results.resolve() for f in folders):
        raise ArgumentError(f"{source} is the folder that results are merged into; name another one")
    done = Merged()
    for folder in folders:
        try:
            name = str(json.loads((folder / MACHINE).read_text())["machine"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            done.conflicts.append(f"{folder.name}/{MACHINE} cannot be read ({type(error).__name__}): folder left out")
            continue
        target = results / name
        with locked(target, f"a run is writing to {target}; merge when it has ended"):
            if _same_machine(folder, target, done):
                done.machines.append(name)
                other = _on_other_cards(folder, target, done)
                for path in sorted(folder.iterdir()):
                    if path.is_file() and not path.name.startswith(".") and path.name not in other:
                        _merge_file(path, target / path.name, name, done)
    benchmarks = next((f.parent / "benchmarks.json" for f in folders if (f.parent / "benchmarks.json").exists()), None)
    if benchmarks and not (results / "benchmarks.json").exists():
        shutil.copyfile(benchmarks, results / "benchmarks.json")
    return done


def _machines(source: Path) -> list[Path]:
    """The folders of machines in what was named: it, those in it, or those in its folder results."""
    for folder in (source, source / "results"):
        if (folder / MACHINE).is_file():
            return [folder]
        if folder.is_dir() and (found := sorted(path.parent for path in folder.glob(f"*/{MACHINE}"))):
            return found
    raise ArgumentError(
        f"no results in {str(source)!r}: it should hold a folder for each machine, with {MACHINE} in it, as results/ "
        f"does after `convbench run`"
    )


def _same_machine(folder: Path, target: Path, done: Merged) -> bool:
    """Whether both folders are of one machine."""
    try:
        theirs, ours = (json.loads((f / MACHINE).read_text()) for f in (folder, target))
    except FileNotFoundError:
        return True
    except ValueError as error:
        raise ConvbenchError(f"{target / MACHINE} is damaged ({error}); `asv machine --yes` writes it anew") from error
    other = [name for name in _SAME_MACHINE if theirs.get(name) != ours.get(name)]
    if other:
        facts = "; ".join(f"{name} {theirs.get(name)!r}, here {ours.get(name)!r}" for name in other)
        done.conflicts.append(f"{folder.name}: another machine of the same name ({facts}): folder left out")
    return not other


def _on_other_cards(folder: Path, target: Path, done: Merged) -> set[str]:
    """The names of files of one commit and environment whose devices are other cards than here: they are left out."""
    found: set[str] = set()
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        theirs, ours = (_cards(EvidenceFile(f / path.name)) for f in (folder, target))
        if told := contradiction(ours, theirs):
            stem = path.name.removesuffix(SUFFIX)
            done.conflicts.append(f"{stem}: {told}, and times of two cards do not go under one name: left out")
            found |= {path.name, f"{stem}.json"}
    return found


def _cards(evidence: EvidenceFile) -> dict[str, str]:
    """The card of every device that the runs of a file tell of."""
    return {
        place: card for entry in evidence.entries() if entry["kind"] == "run" for place, card in cards_in(entry).items()
    }


def _merge_file(path: Path, target: Path, machine: str, done: Merged) -> None:
    if not target.exists():
        atomic_write(target, path.read_bytes())
        done.files += 1
    elif path.name.endswith(SUFFIX):
        _merge_evidence(path, target, done)
    elif path.name == FILE:
        _merge_ceilings(path, target, machine, done)
    elif path.suffix == ".json" and path.name != MACHINE:
        _merge_asv(path, target, done)


def _merge_evidence(path: Path, target: Path, done: Merged) -> None:
    """Lines that are not there yet; a second measurement of a cell by one run's process is a conflict."""
    file, new = EvidenceFile(target), []
    known = {_identity(entry): entry for entry in file.entries()}
    for entry in EvidenceFile(path).entries():
        identity = _identity(entry)
        if identity not in known:
            known[identity] = entry
            new.append(entry)
        elif known[identity] != entry:
            cell = "/".join(str(entry.get(name)) for name in CELL)
            done.conflicts.append(f"{target.name}: {cell} of run {entry.get('run')} is there with other figures")
    if new:
        file.append(*new)
    done.evidence += len(new)


def _identity(entry: dict[str, Any]) -> tuple[Any, ...]:
    """What there can be only one line of: a cell of a run's process; of other kinds (a run tells of itself twice) a
    text."""
    if entry["kind"] not in ("cell", "pair"):
        return (json.dumps(entry, sort_keys=True),)
    return entry["kind"], *(entry.get(name) for name in CELL), entry.get("run"), entry.get("process", 0)


def _merge_ceilings(path: Path, target: Path, machine: str, done: Merged) -> None:
    """Those of threads and devices that are not there yet."""
    try:
        theirs, ours = read_ceilings(path, machine), read_ceilings(target, machine)
    except ValueError as error:
        done.conflicts.append(f"{FILE} {error}: left out")
        return
    if told := contradiction(read_cards(target), read_cards(path)):
        done.conflicts.append(f"{FILE}: {told}: those of the other card are left out")
    if new := {place: peaks for place, peaks in theirs.items() if place not in ours}:
        store_ceilings(target.parent, machine, new, {k: v for k, v in read_cards(path).items() if k in new})
        done.files += 1


def _merge_asv(path: Path, target: Path, done: Merged) -> None:
    """Cells that asv has no figure of yet, each benchmark with the parameters that its file tells."""
    try:
        theirs, ours = (json.loads(p.read_text()) for p in (path, target))
        columns = [[*one["result_columns"]] for one in (theirs, ours)]
        if columns[0] != columns[1] or theirs["commit_hash"] != ours["commit_hash"]:
            raise ValueError("other columns, or of another commit")
        added = 0
        for name, row in theirs["results"].items():
            if name not in ours["results"]:
                ours["results"][name] = row
                added += sum(value is not None for value in row[0] or [])
            else:
                added += _merge_row(name, _Row(columns[1], ours["results"][name]), _Row(columns[0], row), target, done)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        done.conflicts.append(f"{target.name} cannot be merged ({type(error).__name__}: {str(error)[:80]}): left out")
        return
    if added:
        atomic_write(target, json.dumps(ours, separators=(",", ":")))
    done.cells += added


class _Row:
    """A benchmark in asv's file: columns by name, the lists among them one value a cell."""

    def __init__(self, columns: list[str], row: list[Any]) -> None:
        self.columns, self.row = columns, row
        row += [None] * (len(columns) - len(row))
        self.cells = list(itertools.product(*self["params"]))

    def __getitem__(self, name: str) -> Any:
        return self.row[self.columns.index(name)]

    def __setitem__(self, name: str, value: Any) -> None:
        self.row[self.columns.index(name)] = value

    def lists(self) -> list[str]:
        """The columns that hold a value for each cell."""
        return [name for name in self.columns if name in ("result", "samples") or name.startswith("stats_")]


def _merge_row(name: str, ours: _Row, theirs: _Row, target: Path, done: Merged) -> int:
    if ours["version"] != theirs["version"]:
        done.conflicts.append(f"{target.name}: {name} was measured with another version of the benchmark: left out")
        return 0
    if ours["result"] is None:
        ours["result"] = [None] * len(ours.cells)
    place = {cell: i for i, cell in enumerate(ours.cells)}
    strange = [cell for cell in theirs.cells if cell not in place]
    if strange:
        done.conflicts.append(f"{target.name}: {name} has other parameters there, e.g. {strange[0]}: those left out")
    added = 0
    for j, cell in enumerate(theirs.cells):
        value, i = (theirs["result"] or [None] * len(theirs.cells))[j], place.get(cell)
        if i is None or not _is_number(value):
            continue
        if _is_number(ours["result"][i]):
            if ours["result"][i] != value:
                done.conflicts.append(f"{target.name}: {name}({', '.join(cell)}) has another time there: left out")
            continue
        for column in theirs.lists():
            if theirs[column] is not None:
                if ours[column] is None:
                    ours[column] = [None] * len(ours.cells)
                ours[column][i] = theirs[column][j]
        added += 1
    return added


def _is_number(value: Any) -> bool:
    """Whether asv has a figure: None is a failure, NaN says n/a."""
    return isinstance(value, (int, float)) and value == value
