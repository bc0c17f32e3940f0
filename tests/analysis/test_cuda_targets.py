"""The verdict on the CUDA targets, on results whose times are known."""

from __future__ import annotations

import importlib
import json
import math
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from cuda_cells import CEILINGS, COPY, LAWS, direct, fft, write

from convbench.analysis.cuda_targets import Target, targets
from convbench.analysis.noise import UNCALIBRATED
from convbench.analysis.table import read_results
from convbench.backends import get_backend

ON_DEVICES = [name for name, (_, device, *_) in LAWS.items() if device != "cpu"]
WORDS = (
    "gate",
    "share of the multiply",
    "cuDNN",
    "CuPy",
    "copy bandwidth",
    "torch-overlap",
    "crossover",
    "on the device",
    "host",
)


def judged(root: Path, ceilings: dict[str, float] | None = None, **settings: object) -> dict[str, Target]:
    """Targets by a word of theirs; see cuda_cells.write."""
    write(root, **settings)  # type: ignore[arg-type]
    found = targets(read_results(root).cells, CEILINGS if ceilings is None else ceilings, UNCALIBRATED, ON_DEVICES)
    by_word = {
        word: next(one for one in found if word in one.what.rpartition(",")[2] or word in one.what)
        for word in WORDS[:-2]
    }
    resident, transfers = found[-2:]
    assert "data on the device" in resident.what and "data in host memory" in transfers.what
    return by_word | {"resident": resident, "transfers": transfers}


def states(found: dict[str, Target]) -> dict[str, str]:
    return {word: one.state for word, one in found.items()}


def test_all_are_met_where_times_say_so(tmp_path: Path) -> None:
    found = judged(tmp_path)
    assert set(states(found).values()) == {"met"}, found
    assert found["share of the multiply"].measured.startswith("70% (4096²")
    assert found["copy bandwidth"].measured.startswith("80% (")
    assert found["cuDNN"].measured.endswith("vs torch-benchmark)")
    assert float(found["cuDNN"].measured.split("×")[0]) == pytest.approx(1.4, rel=0.02)
    assert float(found["CuPy"].measured.split("×")[0]) == pytest.approx(0.7 / 0.15, rel=0.02)
    assert float(found["torch-overlap"].measured.split("×")[0]) == pytest.approx(1.2, rel=0.02)
    crossing = next(text for text in found["crossover"].told if text.startswith("4096²"))
    kernel = math.sqrt(60 / COPY * 0.7 * 60e12 / 2)
    assert float(re.search(r"direct is faster up to a kernel size of about ([\d.]+) \(", crossing)[1]) == pytest.approx(
        kernel, rel=0.02
    )
    assert len(found["crossover"].told) == 6
    assert "k = 31: from at most 256² on" in found["resident"].told
    assert any("²" in text and "at most" not in text for text in found["transfers"].told)


@pytest.mark.parametrize(
    ("backend", "law", "word", "told"),
    [
        ("numba-cuda-direct", direct(0.59), "share of the multiply", "4096², k = 7: 59%"),
        ("numba-cuda-direct", direct(0.48), "cuDNN", "vs torch-benchmark: 0.9"),
        ("cupy-ndimage", direct(0.8), "CuPy", "vs cupy-ndimage: 0.87"),
        ("numba-cuda-separable", lambda n, k: 8 * n * n / (0.65 * COPY), "copy bandwidth", "4096², k = 15: 65%"),
        ("torch-overlap", fft(1.4), "torch-overlap", "4096², k = 3: 0.8"),
        ("torch-fft", lambda n, k: math.nan, "gate", "torch-fft: 66 failed, e.g. gate: wrong"),
    ],
)
def test_each_can_be_missed(tmp_path: Path, backend: str, law, word: str, told: str) -> None:
    found = judged(tmp_path, laws={**LAWS, backend: (*LAWS[backend][:3], law)})
    assert found[word].state == "not met"
    assert any(told in text for text in found[word].told), found[word].told
    assert states(found)["copy bandwidth" if word != "copy bandwidth" else "cuDNN"] == "met"


def test_a_tie_is_not_slower_and_not_quicker(tmp_path: Path) -> None:
    same = {**LAWS, "torch-overlap": (*LAWS["torch-overlap"][:3], fft(1.205)),
            "torch-benchmark": (*LAWS["torch-benchmark"][:3], direct(0.705))}  # fmt: skip
    found = judged(tmp_path, laws=same)
    assert (found["torch-overlap"].state, found["cuDNN"].state) == ("met", "not met")


def test_what_was_given_up_because_it_is_slower_has_lost(tmp_path: Path) -> None:
    slow = {name: law for name, law in LAWS.items() if name not in ("torch", "torch-benchmark")}
    slow["torch"] = ("framework", "cuda:0", 1, lambda n, k: 1e-3 if k < 9 else 1.0)
    found = judged(tmp_path, laws=slow)
    assert found["cuDNN"].state == "met"
    assert found["cuDNN"].measured.endswith("(4096², k = 7 vs torch)")


@pytest.mark.parametrize(
    "missing", [("torch", "torch-benchmark"), ("numba-cuda-direct",), ("numba-cuda-separable",), ("torch-overlap",)]
)
def test_what_is_missing_is_not_run_and_says_what(tmp_path: Path, missing: tuple[str, ...]) -> None:
    found = judged(tmp_path, laws={name: law for name, law in LAWS.items() if name not in missing})
    (word,) = {"torch": ["cuDNN"], "numba-cuda-separable": ["copy bandwidth"], "torch-overlap": ["torch-overlap"]}.get(
        missing[0], ["share of the multiply"]
    )
    assert found[word].state == "not run"
    assert any(missing[0] in text for text in found[word].told)


def test_a_part_of_the_grid_is_not_run_though_what_there_is_reaches_the_goal(tmp_path: Path) -> None:
    found = judged(tmp_path, images=(256, 512, 1024, 4096), kernels=(3, 7, 15))
    assert states(found) == {
        "gate": "met", "share of the multiply": "not run", "cuDNN": "not run", "CuPy": "not run",
        "copy bandwidth": "not run", "torch-overlap": "not run", "crossover": "not run", "resident": "met", "transfers": "met",
    }  # fmt: skip
    assert "2048²; 8192²: not both measured" in found["crossover"].told
    assert "256²; 512²; 1024²; 4096²: kernels from 3 to 15 only" in found["crossover"].told


def test_without_ceilings_or_with_one_thread_there_is_no_verdict(tmp_path: Path) -> None:
    laws = {**LAWS, "pyfftw-overlap": ("fft", "cpu", 1, LAWS["pyfftw-overlap"][3])}
    found = judged(tmp_path, ceilings={}, laws=laws)
    assert [found[w].state for w in ("share of the multiply", "copy bandwidth", "resident")] == ["not run"] * 3
    assert "convbench machine --ceilings" in found["share of the multiply"].told[0]
    assert "the processor was measured on one thread only" in found["resident"].told


def test_a_backend_that_never_ran_leaves_the_gate_open(tmp_path: Path) -> None:
    path = write(tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line.get("backend") == "cupy-direct":
            line |= {"status": "n/a", "reason": "cupy is not installed", "execute": None}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    gate = targets(read_results(tmp_path).cells, CEILINGS, UNCALIBRATED, ON_DEVICES)[0]
    assert (gate.state, gate.told) == ("not run", ("cupy-direct: cupy is not installed",))
    gate = targets(read_results(tmp_path).cells, CEILINGS, UNCALIBRATED, [*ON_DEVICES, "jax"])[0]
    assert (gate.state, gate.told[-1]) == ("not run", "jax: not measured")


@pytest.fixture(scope="module")
def tool():
    import sys

    folder = str(Path(__file__).parents[2] / "tools")
    sys.path.insert(0, folder)
    yield importlib.import_module("cuda_targets").main
    sys.path.remove(folder)


def test_the_program_prints_a_line_for_each(tmp_path: Path, tool, monkeypatch) -> None:
    write(tmp_path)
    monkeypatch.setattr("cuda_targets.list_backends", lambda: [get_backend(name) for name in ON_DEVICES])
    done = CliRunner().invoke(tool, ["--results", str(tmp_path), "--strict"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("lab, commit 01234567, existing-py3.11, cuda:0")
    assert done.output.count(" met ") + done.output.count(" met\n") >= 9
    assert "4096²: direct is faster up to" in done.output
    told = CliRunner().invoke(tool, ["--results", str(tmp_path), "--markdown"]).output
    assert told.count("| met |") == 9
    write(tmp_path, laws={**LAWS, "torch-overlap": (*LAWS["torch-overlap"][:3], fft(1.4))})
    done = CliRunner().invoke(tool, ["--results", str(tmp_path), "--strict"])
    assert (done.exit_code, "NOT MET" in done.output) == (1, True)
    assert CliRunner().invoke(tool, ["--results", str(tmp_path)]).exit_code == 0


def test_the_program_takes_the_machine_that_is_asked_for(tmp_path: Path, tool) -> None:
    write(tmp_path, machine="one")
    write(tmp_path, machine="two", device="cuda:1")
    call = CliRunner().invoke
    assert call(tool, ["--results", str(tmp_path)]).output.startswith("one, ")
    assert call(tool, ["--results", str(tmp_path), "--device", "cuda:1"]).output.startswith("two, ")
    wrong = call(tool, ["--results", str(tmp_path), "--machine", "two"])
    assert wrong.exit_code == 2
    assert "no cells measured on cuda:0 of machine 'two'" in wrong.output
    assert "one, two" in wrong.output and "make bench-gpu" in wrong.output
    assert "there is no such folder" in call(tool, ["--results", str(tmp_path / "nothing")]).output
