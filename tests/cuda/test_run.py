"""The whole way on a device that is none: workers, evidence, asv, faults, two devices, another card, a limit of time."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_suite import asv_result, cells, clone, column, commit, evidence, plant, run  # noqa: F401

from convbench.ceilings import store_ceilings
from convbench.machine import machine_name

TESTS = Path(__file__).parent.parent
CELLS = r"image.Cuda.*\('cupy-(?:direct|fft)', 256, (?:3|7),"
INSTALL = f"import os, sys; sys.path.insert(0, {str(TESTS)!r}); import fake_cuda; "


def cards(tmp_path: Path, clone: Path, *names: str, backends: str = "") -> None:  # noqa: F811
    """The machine has these cards, whose ceilings are known; CuPy's direct and fft work on them, unless told otherwise."""
    ours = backends or "CupyDirect=fake_cuda.FakeCuda(), CupyFft=fake_cuda.FakeCuda(4e-5)"
    plant(tmp_path, f"{INSTALL}fake_cuda.install({', '.join(map(repr, names))}, {ours})\n")
    known = {f"cuda:{i}": name for i, name in enumerate(names)}
    name = machine_name() + "".join("-" + card.lower().replace(" ", "-") for card in dict.fromkeys(names))
    for folder in {clone / "results" / machine_name(), clone / "results" / name}:
        store_ceilings(folder, folder.name, {1: {"copy": 20.0}, **{place: {"copy": 4e3} for place in known}}, known)


@pytest.fixture(autouse=True)
def visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_cells_of_two_devices_are_measured_and_recorded_with_their_cards(clone, run, tmp_path):  # noqa: F811
    commit(clone)
    cards(tmp_path, clone, "Card A", "Card B")
    both = ("--device", "cuda:1", "--device", "cuda:0")
    status, out = run("convbench", "run", "--preset", "gpu", "--bench", CELLS.replace("|7", ""), *both)
    assert status == 0, out
    found = cells(clone)
    assert sorted((c["device"], c["backend"]) for c in found) == [
        (device, backend) for device in ("cuda:0", "cuda:1") for backend in ("cupy-direct", "cupy-fft")
    ]
    assert {c["status"] for c in found} == {"ok"}
    assert all(c["clock"] == "events" and c["graph_seconds"] and c["cold_seconds"] and c["wall_seconds"] for c in found)
    assert all(c["device_state"]["temperature_c"] == 40 for c in found)
    last = [e for e in evidence(clone) if e["kind"] == "run"][-1]
    assert last["cards"] == {"cuda:0": "Card A", "cuda:1": "Card B"}
    assert last["machine"]["cuda:1 measured"] == "Card B"
    assert last["before"]["cuda:0_clock_limit_mhz"] == 1980
    values = column(asv_result(clone)[1], "image.Cuda.time_execute", "result")
    assert sum(isinstance(v, float) and v == v for v in values) == 4


def test_faults_cost_their_cells_and_the_run_goes_on(clone, run, tmp_path):  # noqa: F811
    commit(clone)
    faults = {"CupyDirect": "fault=RuntimeError('CUDA error: unspecified launch failure')",
              "CupyOa": "fault=MemoryError('out of memory')", "CupyFft": ""}  # fmt: skip
    backends = ", ".join(f"{name}=fake_cuda.FakeCuda({fault})" for name, fault in faults.items())
    cards(tmp_path, clone, "Card A", backends=backends)
    status, out = run(
        "convbench", "run", "--preset", "gpu", "--bench", r"image.Cuda.*\('cupy-(?:direct|fft|oa)', 256, 3,"
    )
    assert status == 1
    assert "cuda:0 was lost: raised RuntimeError: CUDA error: unspecified launch failure" in out
    found = {c["backend"]: c for c in cells(clone)}
    assert {name: c["status"] for name, c in found.items()} == {
        "cupy-direct": "failed",
        "cupy-fft": "ok",
        "cupy-oa": "n/a",
    }
    told = "out of memory on cuda:0, of which 512 MiB are free; image, kernel and result alone take 1 MiB"
    assert told in found["cupy-oa"]["reason"]


def test_another_card_of_the_same_name_is_refused(clone, run, tmp_path):  # noqa: F811
    commit(clone)
    install = "import convbench.machine; convbench.machine.cards = lambda: ()\n"  # as on a host whose name says no card
    for card in ("Card A", "Card B"):
        cards(tmp_path, clone, card)
        (tmp_path / "plant" / "sitecustomize.py").open("a").write(install)
        status, out = run("convbench", "run", "--preset", "gpu", "--bench", r"image.Cuda.*\('cupy-direct', 256, 3,")
        assert status == (2 if card == "Card B" else 0), out
    assert "cuda:0 is Card B here and was Card A there" in out.splitlines()[-1]
    assert len(cells(clone)) == 1


LATE = """
import convbench.suite as suite, time, types
late, measure = [0.0], suite.Workers.measure
def measured(*arguments):
    late[0] += 120
    return measure(*arguments)
suite.Workers.measure = measured
suite.time = types.SimpleNamespace(monotonic=lambda: time.monotonic() + late[0])
"""
"""Every group takes a process two minutes."""


def test_a_run_that_was_given_little_time_goes_on_where_it_was(clone, run, tmp_path):  # noqa: F811
    commit(clone)
    cards(tmp_path, clone, "Card A")
    with (tmp_path / "plant" / "sitecustomize.py").open("a") as file:
        file.write(LATE)
    command = ("convbench", "run", "--preset", "gpu", "--bench", CELLS)
    status, out = run(*command, "--minutes", "1.5")
    assert status == 0, out
    assert "the time was up: 2 cells are left" in out
    assert [(c["backend"], c["kernel"]) for c in cells(clone)] == [("cupy-direct", 3), ("cupy-fft", 3)]
    assert [e["finished"] for e in evidence(clone) if e["kind"] == "run"] == [None, None]
    values = column(asv_result(clone)[1], "image.Cuda.time_execute", "result")
    assert sum(isinstance(v, float) and v == v for v in values) == 2
    status, out = run(*command)
    assert status == 0, out
    assert "resumed: 2 were measured" in out
    assert "are left" not in out
    assert [(c["backend"], c["kernel"]) for c in cells(clone)][2:] == [("cupy-direct", 7), ("cupy-fft", 7)]
    assert len({e["run"] for e in evidence(clone)}) == 1
    values = column(asv_result(clone)[1], "image.Cuda.time_execute", "result")
    assert sum(isinstance(v, float) and v == v for v in values) == 4


PROCESS = """
import multiprocessing
execute = fake_cuda.FakePlan.execute
def noted(self, data):
    open({path!r}, "a").write(multiprocessing.current_process().name + chr(10))
    return execute(self, data)
if "convbench.coldstart" not in sys.orig_argv:
    fake_cuda.FakePlan.execute = noted
"""


def test_bare_asv_measures_cells_of_a_device_in_a_spawned_process(clone, run, tmp_path):  # noqa: F811
    commit(clone)
    cards(tmp_path, clone, "Card A")
    with (tmp_path / "plant" / "sitecustomize.py").open("a") as file:
        file.write(PROCESS.format(path=str(tmp_path / "names")))
    asked = ("--bench", "image.Cuda.*'cupy-direct', 256, 3, 'float32', 'cuda:0'")
    status, out = run("asv", "run", "-E", "installed", "--set-commit-hash", "HEAD", *asked)
    assert status == 0, out
    (cell,) = cells(clone)
    assert (cell["status"], cell["backend"]) == ("ok", "cupy-direct")
    assert {name.partition("-")[0] for name in (tmp_path / "names").read_text().split()} == {"SpawnProcess"}
    (about,) = [e for e in evidence(clone) if e["kind"] == "run"]
    assert about["cards"] == {"cuda:0": "Card A"}


def test_without_a_device_bare_asv_spawns_nothing(clone, run, tmp_path):  # noqa: F811
    commit(clone)
    plant(tmp_path, "import convbench.suite as s\ns.Workers = None\n")
    asked = ("--bench", "image.Cuda.*'cupy-direct', 256, 3, 'float32', 'cuda:0'")
    status, out = run("asv", "run", "-E", "installed", "--set-commit-hash", "HEAD", *asked)
    assert status == 0, out
    assert [c["status"] for c in cells(clone)] == ["n/a"]
