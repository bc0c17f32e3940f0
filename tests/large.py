"""Makes results as large as a year of nightly runs, from the laws of synthetic.py: `python tests/large.py DIR`."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import DATE, ENV, PARAMS, REALISTIC, Model, gate_records, machine_record, result_file, run_record

IMAGES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)
KERNELS = tuple(range(3, 53, 2))
LAYOUTS, DTYPES, THREADS = ("image", "signal"), ("float32", "float64"), (1, 2)
BACKENDS = 25
BLOCK = len(LAYOUTS) * BACKENDS * len(KERNELS) * len(DTYPES) * len(THREADS)
"""Cells of one image length: 5,000."""
DAY = 86_400_000
SAMPLES, PLANS = 7, 4
"""Of each process, for a cell."""
_RUN = "r1"


def write_large(
    root: Path,
    cells: int = 10 * BLOCK,
    commits: int = 20,
    machines: Sequence[str] = ("lab",),
    processes: int = 3,
    pairs: int = 60,
    noise: float = 0.03,
    seed: int = 0,
) -> Path:
    """Write what `commits` runs leave on each machine, as asv and convbench write it; returns root.

    cells: a multiple of BLOCK; all are gated and timed. processes: lines of evidence a cell. pairs: A/A pairs a commit.
    The newest commit keeps to the laws, the oldest is 10 % slower. A million cells are 4 GB, and take a minute.
    """
    if cells % BLOCK or not 0 < cells <= len(IMAGES) * BLOCK:
        raise ValueError(f"cells must be a multiple of {BLOCK} up to {len(IMAGES) * BLOCK}, got {cells}")
    rng = np.random.default_rng(seed)
    models, images = backends(), IMAGES[: cells // BLOCK]
    benchmarks: dict[str, Any] = {"version": 2}
    for machine in machines:
        (root / machine).mkdir(parents=True, exist_ok=True)
        (root / machine / "machine.json").write_text(json.dumps(machine_record(machine)))
    for number, machine in itertools.product(range(commits), machines):
        commit = hashlib.sha1(f"commit {number}".encode()).hexdigest()
        date = DATE + number * DAY
        at = datetime.datetime.fromtimestamp(date / 1000 + 3600, datetime.UTC).isoformat(timespec="seconds")
        path = root / machine / f"{commit[:8]}-{ENV}.json"
        slower = 1 + 0.1 * (commits - 1 - number) / max(1, commits - 1)
        results: list[str] = []
        with open(path.with_suffix(".evidence.jsonl"), "w") as evidence:
            run = {**run_record(_RUN), "started": at, "finished": at}
            evidence.writelines(json.dumps(record) + "\n" for record in (run, *gate_records(models, DTYPES)))
            for layout, dtype in itertools.product(LAYOUTS, DTYPES):
                params = [list(models), list(images), list(KERNELS), [dtype], ["cpu"], list(THREADS)]
                block = _Block(layout, models, list(itertools.product(*params)), slower, noise, processes, rng)
                evidence.writelines(block.lines(at))
                if (layout, dtype) == (LAYOUTS[0], DTYPES[0]):
                    evidence.writelines(block.pairs(at, pairs, noise, rng))
                quoted = [[repr(v) for v in axis] for axis in params]
                for metric, (values, *others) in block.rows().items():
                    name = f"{layout}.{layout.capitalize()}{dtype.capitalize()}.{metric}"
                    row = ", ".join([values, json.dumps(quoted), '"1"', str(date), "1.0", *others])
                    results.append(f'"{name}": [{row}]')
                    benchmarks[name] = {
                        "name": name, "params": quoted, "param_names": list(PARAMS), "version": "1", "type": "track",
                        "unit": "seconds",
                    }  # fmt: skip
        frame = json.dumps(result_file({}, machine, commit, ENV, date))
        path.write_text(frame.replace('"results": {}', f'"results": {{{", ".join(results)}}}'))
    (root / "benchmarks.json").write_text(json.dumps(benchmarks))
    return root


def backends() -> dict[str, Model]:
    """The realistic backends, and slower brothers of theirs."""
    models = {name: Model(model.family, model.execute, model.plan) for name, model in REALISTIC.items()}
    for number, (name, model) in enumerate(itertools.cycle(REALISTIC.items())):
        if len(models) == BACKENDS:
            return models
        factor = 1.3 + 0.2 * (number // len(REALISTIC))
        models[f"{name}-{factor:.1f}"] = Model(
            model.family, lambda n, k, m=model, f=factor: f * m.execute(n, k), model.plan
        )
    raise AssertionError


class _Block:
    """All cells of a layout and dtype: their samples, as text, which goes into both files."""

    def __init__(
        self,
        layout: str,
        models: dict[str, Model],
        cells: list[tuple[Any, ...]],
        slower: float,
        noise: float,
        processes: int,
        rng: np.random.Generator,
    ) -> None:
        self.layout, self.models, self.cells, self.processes = layout, models, cells, processes
        seconds = np.array([
            models[backend].execute(n, k) * (1 if layout == "image" else 1 / n) / threads**0.8
            for backend, n, k, _, _, threads in cells
        ])  # fmt: skip
        self.seconds = seconds * slower * (2 if cells[0][3] == "float64" else 1)
        plans = np.array([models[backend].plan(n, k) for backend, n, k, *_ in cells])
        self.execute = self.seconds[:, None] * np.exp(noise * rng.standard_normal((len(cells), SAMPLES * processes)))
        self.plan = plans[:, None] * np.exp(noise * rng.standard_normal((len(cells), PLANS * processes)))
        self.one_shot = self.plan + self.execute[:, : PLANS * processes]
        self.texts = [_texts(values, processes) for values in (self.execute, self.one_shot, self.plan)]

    def lines(self, at: str) -> Iterator[str]:
        """The evidence of every cell, process by process."""
        first = (10 * self.plan[:, 0]).tolist()
        keys = list(map(self._key, self.cells))
        for process, (number, key) in itertools.product(range(self.processes), enumerate(keys)):
            execute, one_shot, plan = (parts[process][number] for parts in self.texts)
            yield (
                f'{{"kind":"cell",{key},"run":"{_RUN}","process":{process},"time":"{at}",'
                f'"library":"numpy","library_version":"2.4.6","status":"ok","reason":null,"checks":53,'
                f'"error_over_bound":0.2{number % 1000:03},"error_ulp":1.{number % 1000:03},"worst_index":[3,4],'
                f'"input_sha256":"{"ab" * 32}","stopped":"time budget of 0.1 s, noise 3%",'
                f'"execute":{{"samples":[{execute}],"number":10}},"one_shot":{{"samples":[{one_shot}],"number":1}},'
                f'"plan":{{"samples":[{plan}],"number":1}},"startup_seconds":0.25,'
                f'"first_plan_seconds":{first[number]:.6g},"first_execute_seconds":{first[number] / 7:.6g},'
                f'"load_seconds":1e-06,"store_seconds":2e-06,"peak_memory_bytes":8000000}}\n'
            )

    def pairs(self, at: str, count: int, noise: float, rng: np.random.Generator) -> Iterator[str]:
        """A/A pairs: some of the cells, and the same once more."""
        chosen = np.linspace(0, len(self.cells) - 1, min(count, len(self.cells))).astype(int)
        shape = len(chosen), SAMPLES * self.processes
        again = self.seconds[chosen, None] * np.exp(noise * rng.standard_normal(shape))
        for process, texts in enumerate(_texts(again, self.processes)):
            for number, text in zip(chosen, texts, strict=True):
                yield (
                    f'{{"kind":"pair",{self._key(self.cells[number])},"run":"{_RUN}","process":{process},"time":"{at}",'
                    f'"execute":{{"samples":[{self.texts[0][process][number]}],"number":10}},'
                    f'"again":{{"samples":[{text}],"number":10}}}}\n'
                )

    def rows(self) -> dict[str, list[str]]:
        """asv's rows as JSON: values, then what follows the duration."""
        found = {}
        for metric, values, texts in zip(
            ("time_execute", "time_one_shot", "time_plan"), (self.execute, self.one_shot, self.plan), self.texts,
            strict=True,
        ):  # fmt: skip
            ordered, count = np.sort(values, axis=1), values.shape[1]
            stats = [_column(ordered[:, i]) for i in (count // 5, -1 - count // 5, count // 4, -1 - count // 4)]
            stats += [_column(np.full(len(self.cells), n)) for n in (10, count)]
            samples = (f"[{', '.join(parts)}]" for parts in zip(*texts, strict=True))
            found[metric] = [_column(np.median(values, axis=1)), *stats, f"[{', '.join(samples)}]"]
        found["track_peak_memory"] = [_column(np.full(len(self.cells), 8e6))]
        found["track_error_over_bound"] = [_column(0.2 + np.arange(len(self.cells)) % 1000 / 1e4)]
        return found

    def _key(self, cell: tuple[Any, ...]) -> str:
        backend, image, kernel, dtype, device, threads = cell
        return (
            f'"key":"{self.layout}/{backend}/{image}/{kernel}/{dtype}/same/{device}/{threads}",'
            f'"backend":"{backend}","family":"{self.models[backend].family}","layout":"{self.layout}",'
            f'"image":{image},"kernel":{kernel},"dtype":"{dtype}","mode":"same","device":"{device}","threads":{threads}'
        )


def _texts(values: np.ndarray[Any, Any], processes: int) -> list[list[str]]:
    """Of each process, each row's share of the samples as JSON without the brackets."""
    found = []
    for part in np.split(values, processes, axis=1):
        template = ",".join(["%.6g"] * part.shape[1])
        found.append([template % tuple(row) for row in part.tolist()])
    return found


def _column(values: np.ndarray[Any, Any]) -> str:
    return json.dumps(values.tolist())


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=10 * BLOCK)
    parser.add_argument("--commits", type=int, default=20)
    parser.add_argument("--machine", action="append", help="may be repeated; lab by default")
    given = parser.parse_args()
    print(write_large(given.folder, given.cells, given.commits, given.machine or ("lab",)))
