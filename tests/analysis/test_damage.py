"""Whatever happens to the files, reading them ends in a table, named problems or a StorageError, and so do the pages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from synthetic import Model, crossing_at, write_results

from convbench.analysis.schema import measured
from convbench.analysis.table import read_results
from convbench.errors import StorageError
from convbench.report import build_report

ODD: list[Any] = [
    None, True, -1, 0, 1e308, float("nan"), float("inf"), -5.5, 10**30, "", "x", "<b>", [], [1], [None], {}, {"a": 1},
    [[1, 2]], "\ud800",
]  # fmt: skip


def damaged(value: Any, rng: random.Random) -> Any:
    """The value with something in it replaced by something odd, or removed."""
    places = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not places:
        return rng.choice(ODD)
    place = rng.choice(places)
    value[place] = damaged(value[place], rng) if rng.random() < 0.6 else rng.choice(ODD)
    if isinstance(value, dict) and rng.random() < 0.1:
        del value[place]
    return value


def damage(path: Path, rng: random.Random) -> None:
    """Cut a file short, flip bytes of it, or spoil some of its values."""
    data = path.read_bytes()
    kind = rng.choice(["cut", "flip", "spoil", "spoil", "spoil"])
    if kind == "cut":
        path.write_bytes(data[: rng.randrange(len(data))])
    elif kind == "flip":
        flipped = bytearray(data)
        for _ in range(3):
            flipped[rng.randrange(len(flipped))] = rng.randrange(256)
        path.write_bytes(flipped)
    elif path.suffix == ".jsonl":
        records = [json.loads(line) for line in data.splitlines()]
        for _ in range(10):
            place = rng.randrange(len(records))
            records[place] = damaged(records[place], rng)
        path.write_text("".join(json.dumps(r) + "\n" for r in records))
    else:
        path.write_text(json.dumps(damaged(json.loads(data), rng)))


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_damaged_files_are_survived(tmp_path: Path, seed: int) -> None:
    results = tmp_path / "results"
    models = {**crossing_at(17.0), "s": Model("separable", lambda n, k: 1e-4)}
    path = write_results(results, models, images=(64, 128), kernels=(3, 9, 31))
    evidence = path.with_suffix(".evidence.jsonl")
    rng = random.Random(seed)
    damage(rng.choice([path, evidence, evidence, path.with_name("machine.json"), results / "benchmarks.json"]), rng)
    try:
        found = read_results(results)
    except StorageError:
        with pytest.raises(StorageError, match="convbench run"):
            build_report(results, tmp_path / "out")
        return
    assert measured(found.cells)["execute_s"].between(0, 1e300).all()
    if seed % 4 == 0:
        assert "</html>" in build_report(results, tmp_path / "out").read_text(encoding="utf-8")
