"""The whole way on small cells: worker, evidence, asv, interruption, faults, no repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from convbench import suite
from convbench.ceilings import read_ceilings, store_ceilings
from convbench.evidence import EvidenceFile, merged
from convbench.grid import get_preset
from convbench.machine import machine_name
from convbench.problem import Problem
from convbench.worker import Result

ROOT = Path(__file__).parent.parent
CELLS = "Signal.*'(?:numpy|scipy-direct)', 4096, (?:9|33),"


@pytest.fixture
def clone(tmp_path):
    """What a run needs of the project, as a repository with one commit, and a home folder of its own."""
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(ROOT / "asv.conf.json", folder)
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    # Known already, so that no run has to measure them.
    name = machine_name()
    store_ceilings(folder / "results" / name, name, {1: {"copy": 20.0}, 2: {"copy": 20.0}})
    return folder


@pytest.fixture
def run(clone, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("CONVBENCH", "ASV"))}
    environment |= {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment |= {"PYTHONPATH": str(tmp_path / "plant")}
    (tmp_path / "home").mkdir()

    def start(*command, wait=True, **options):
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=clone, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options,
        )  # fmt: skip
        if not wait:
            return process
        out, _ = process.communicate(timeout=240)
        return process.returncode, out

    return start


def commit(folder):
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for step in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *step], cwd=folder, check=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def plant(tmp_path, code):
    """Code that every process of the run executes at its start."""
    (tmp_path / "plant").mkdir(exist_ok=True)
    (tmp_path / "plant" / "sitecustomize.py").write_text(code)


def evidence(clone):
    (path,) = clone.glob("results/*/*.evidence.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def cells(clone):
    """The cells, each with its lines of all processes together, run by run."""
    lines = {}
    for e in evidence(clone):
        if e["kind"] == "cell":
            lines.setdefault((e["run"], e["key"]), []).append(e)
    return [merged(parts) for parts in lines.values()]


def asv_result(clone):
    (path,) = [p for p in clone.glob("results/*/*.json") if p.name != "machine.json"]
    return path, json.loads(path.read_text())


def column(content, benchmark, name):
    row = content["results"][benchmark]
    return row[content["result_columns"].index(name)]


def test_run_records_measures_and_resumes_nothing(clone, run):
    head = commit(clone)
    status, out = run("convbench", "run", "--bench", CELLS)
    assert status == 0, out
    found = cells(clone)
    assert len(found) == 4
    assert {c["status"] for c in found} == {"ok"}
    assert all(c["input_sha256"] and 0 < c["error_over_bound"] <= 1 for c in found)
    assert all(len(c["execute"]["processes"]) == get_preset("quick").processes > 1 for c in found)
    assert {e["process"] for e in evidence(clone) if e["kind"] == "cell"} == {0, 1}
    pairs = [e for e in evidence(clone) if e["kind"] == "pair"]
    assert all(e["execute"]["samples"] and e["again"]["samples"] for e in pairs)
    by_process = [{e["key"] for e in pairs if e["process"] == process} for process in (0, 1)]
    assert by_process[0] == by_process[1] != set()  # the same in every process
    assert {e["backend"] for e in evidence(clone) if e["kind"] == "gate"} == {"numpy", "scipy-direct"}
    runs = [e for e in evidence(clone) if e["kind"] == "run"]
    assert [bool(r["finished"]) for r in runs] == [False, True]
    assert runs[0]["versions"]["numpy"]
    assert runs[1]["before"]["load"]
    assert runs[1]["after"]["load"]

    path, content = asv_result(clone)
    assert path.name == f"{head[:8]}-installed-py{sys.version_info[0]}.{sys.version_info[1]}.json"
    for private in (str(clone.parent), sys.executable, sys.prefix):
        assert private not in path.read_text()
    assert content["requirements"]["numpy"] == runs[0]["versions"]["numpy"]
    values = [v for v in column(content, "signal.Signal.time_execute", "result") if isinstance(v, float) and v == v]
    assert len(values) == 4
    medians = sorted(statistics.median(c["execute"]["samples"]) for c in found)
    assert sorted(values) == pytest.approx(medians, rel=1e-3)
    numbers = [n for n in column(content, "signal.Signal.time_execute", "stats_number") if n]
    assert min(numbers) > 1  # microsecond cells are batched
    assert [s for s in column(content, "signal.Signal.time_execute", "samples") if s]
    for figure in ("time_one_shot", "time_plan", "track_peak_memory", "track_error_over_bound"):
        assert any(isinstance(v, (int, float)) and v == v for v in column(content, f"signal.Signal.{figure}", "result"))

    status, out = run("convbench", "run", "--bench", CELLS)
    assert status == 0
    assert len(cells(clone)) == 8  # a finished run is measured anew


def test_ceilings_are_measured_once_and_may_fail(clone, run, tmp_path):
    commit(clone)
    (path,) = clone.glob("results/*/ceilings.jsonl")
    path.unlink()
    one = "Signal.*'numpy', 4096, 9,"
    plant(tmp_path, "import os, convbench.ceilings as m\nm._gemm_rate = lambda *_: os.abort()\n")
    status, out = run("convbench", "run", "--bench", one)
    assert status == 0, out
    assert "ceilings of this machine, once" in out
    assert "Warning: no ceilings, so that the report shows no share of them: exit status -6" in out
    assert [c["status"] for c in cells(clone)] == ["ok"]

    plant(tmp_path, "import convbench.ceilings as m\nm.ceilings = lambda threads: {'copy': 20.0}\n")
    status, out = run("convbench", "run", "--bench", one)
    assert status == 0, out
    assert read_ceilings(path, path.parent.name) == {1: {"copy": 20.0}}
    assert "no ceilings" not in out
    status, out = run("convbench", "run", "--bench", one)
    assert "ceilings of this machine" not in out


def test_killed_run_goes_on(clone, run):
    commit(clone)
    many = r"Signal.*\('(numba-direct|pyfftw|scipy-\w+|ndimage|numpy|torch)', 4096,"
    process = run("convbench", "run", "--bench", many, wait=False)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if list(clone.glob("results/*/*.evidence.jsonl")) and any(e["kind"] == "cell" for e in evidence(clone)):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    kept = {(e["key"], e["process"]) for e in evidence(clone) if e["kind"] == "cell"}
    assert kept
    status, out = run("convbench", "run", "--bench", many)
    assert status == 0, out
    assert "resumed" in out
    keys = [(e["key"], e["process"]) for e in evidence(clone) if e["kind"] == "cell"]
    assert len(keys) == len(set(keys))  # nothing was measured twice
    assert kept < set(keys)
    runs = [e for e in evidence(clone) if e["kind"] == "run"]
    assert len({e["started"] for e in runs}) == 1
    assert all(e["before"] == runs[0]["before"] for e in runs)


def test_only_rivals_are_measured_again():
    found = {
        "best": {0: Result("ok", 1.0)},
        "near": {0: Result("ok", 9.0)},
        "far": {0: Result("ok", 11.0)},
        "wrong": {0: Result("failed")},
        "n/a": {0: Result("n/a")},
        "broke": {0: Result("ok", 1.0), 1: Result("failed")},
    }
    assert suite._rivals(found) == {"best", "near"}
    assert suite._rivals({"wrong": {0: Result("failed")}}) == set()


def test_what_falls_behind_is_skipped_at_larger_kernels(monkeypatch, tmp_path):
    """slow falls behind, steep catches up, passes and transforms do not grow with the area."""
    times = {
        "best": ("direct", lambda k: 1.0 * k), "slow": ("framework", lambda k: 40.0 * k),
        "steep": ("framework", lambda k: 100.0), "fft": ("fft", lambda k: 900.0), "passes": ("separable", lambda k: 0.1),
    }  # fmt: skip
    asked = []

    class Fake:
        def __init__(self, *arguments):
            pass

        def measure(self, layout, problem, backends, twins, tell):
            k = problem.kernel_shape[-1]
            asked.extend((b.name, k) for b in backends)
            return {b.name: Result("ok", times[b.name][1](k)) for b in backends}, None, ""

        def end(self):
            pass

    monkeypatch.setattr(suite, "Worker", Fake)
    backends = [SimpleNamespace(name=n, family=f, library="x", version=lambda: "1") for n, (f, _) in times.items()]
    groups = [("image", Problem((64, 64), (k, k)), backends) for k in (3, 5, 7, 9)]
    evidence = EvidenceFile(tmp_path / "e.jsonl")
    suite._measure(groups, get_preset("quick"), evidence, "r", None, {})
    assert [k for name, k in asked if name == "slow"] == [3, 5]
    for name in ("steep", "fft", "passes"):
        assert {k for n, k in asked if n == name} == {3, 5, 7, 9}
    skipped = list(evidence.entries())
    assert [(e["backend"], e["kernel"], e["status"]) for e in skipped] == [("slow", k, "skipped") for k in (7, 9)]
    assert skipped[0]["reason"].startswith("40 times slower than the best already at k = 5, and falling behind")


def test_a_wrong_backend_is_shown_failed_and_never_timed(clone, run, tmp_path):
    commit(clone)
    plant(tmp_path, "import convbench.backends.numpy_convolve as m, numpy as np\n"
          "m._Plan.execute = lambda self, data: np.convolve(data, self.kernel[::-1], self.mode)[self.crop]\n")  # fmt: skip
    status, out = run("convbench", "run", "--bench", CELLS)
    assert status == 1
    assert "cross-correlation" in out
    wrong = [e for e in evidence(clone) if e["kind"] == "cell" and e["backend"] == "numpy"]
    assert {e["status"] for e in wrong} == {"failed"}
    assert all(e["execute"] is None for e in wrong)
    results = column(asv_result(clone)[1], "signal.Signal.time_execute", "result")
    assert results.count(None) >= 2  # asv's word for failed


def test_a_backend_that_kills_its_process_costs_only_its_cells(clone, run, tmp_path):
    commit(clone)
    plant(tmp_path, "import convbench.backends.numpy_convolve as m, os, multiprocessing\n"
          "m._Plan.execute = lambda self, data: os._exit(7)\n")  # fmt: skip
    status, out = run("convbench", "run", "--bench", CELLS)
    assert status == 1
    by_status = {(e["backend"], e["status"]) for e in evidence(clone) if e["kind"] == "cell"}
    assert by_status == {("numpy", "failed"), ("scipy-direct", "ok")}
    assert "the process died (exit code 7)" in out


def test_without_commits_results_are_kept_under_a_clear_label(clone, run):
    status, out = run("convbench", "run", "--bench", CELLS)
    assert status == 0, out
    assert "results are kept under the label 'unversioned'" in out
    assert len(cells(clone)) == 4
    status, out = run("convbench", "report")
    assert status == 0, out
    assert (clone / "reports" / "index.html").exists()


def test_bare_asv_measures_for_itself_and_publishes_offline_pages(clone, run):
    head = commit(clone)
    command = (
        "asv",
        "run",
        "-E",
        "installed",
        "--set-commit-hash",
        "HEAD",
        "--bench",
        "Signal.*'numpy', 4096, 9, 'float32'",
    )
    status, out = run(*command)
    assert status == 0, out
    (cell,) = [e for e in evidence(clone) if e["kind"] == "cell"]
    assert cell["status"] == "ok"
    (about,) = [e for e in evidence(clone) if e["kind"] == "run"]
    assert about["versions"]["numpy"]
    assert asv_result(clone)[0].name.startswith(head[:8])
    status, out = run("asv", "publish")
    assert status == 0, out
    page = (clone / "reports" / "asv" / "index.html").read_text()
    assert 'src="https:' not in page
    assert 'href="../index.html"' in page
    script = (clone / "reports" / "asv" / "offline-data.js").read_text()
    data = json.loads(script.removeprefix("window.asvFiles =").strip().removesuffix(";"))
    assert "index.json" in data
    (summary,) = [content for name, content in data.items() if name.endswith("summary.json")]
    assert {row["pretty_name"].partition("(")[2] for row in summary} == {"'numpy', 4096, 9, 'float32', 'cpu', 1)"}
    assert not list((clone / "reports" / "asv").rglob("*.json"))


def test_asv_profiles_what_is_timed_and_keeps_nothing(clone, run):
    commit(clone)
    cell = r"signal.Signal.time_execute\('numpy', 4096, 9, 'float32', 'cpu', 1\)"
    status, out = run("asv", "profile", "-E", "installed", cell)
    assert status == 0, out
    calls = re.search(r"(\d+) .*numpy_convolve\.py:\d+\(execute\)", out)
    assert calls and int(calls[1]) > 10
    assert not list(clone.glob("results/*/*.evidence.jsonl"))


def test_run_outside_a_clone(run, clone):
    (clone / "asv.conf.json").unlink()
    status, out = run("convbench", "run")
    assert status == 2
    assert "no asv.conf.json in" in out


def test_run_with_a_pattern_that_selects_nothing(run):
    status, out = run("convbench", "run", "--bench", "nonsense")
    assert status == 2
    assert "no cell of preset 'quick' matches 'nonsense'" in out
    status, out = run("convbench", "run", "--bench", "(")
    assert status == 2
    assert "--bench takes a regular expression, got '('" in out
