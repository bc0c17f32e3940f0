"""The whole way on small cells: commits taken from git, three processes a round, gate, journal, resumption, errors."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from convbench import tracking
from convbench.backends import get_backend, list_backends
from convbench.backends.base import Plan
from convbench.cell import Cell
from convbench.errors import ArgumentError, ConvbenchError, UnsupportedError
from convbench.judge import Judge
from convbench.measure import Timing
from convbench.problem import Problem
from convbench.tracking import environment
from convbench.tracking.commits import Commit, digest, unpack
from convbench.tracking.journal import Journal
from convbench.tracking.sides import ROLES, Bench, Fault, Out, Sampled, _out
from convbench.tracking.tracked import Row

ROOT = Path(__file__).parent.parent.parent
CELLS = "Signal.*, 4096, 33,"
BACKENDS = ("numpy", "scipy-direct")
ONE = ("numpy",)

TWICE = """
_make = NumpyConvolve.make_plan


def _make_slow(self, problem, kernel):
    plan = _make(self, problem, kernel)
    execute = plan.execute
    plan.execute = lambda data: (execute(data), execute(data))[1]
    return plan


NumpyConvolve.make_plan = _make_slow
"""
FLIPPED = """
_make = NumpyConvolve.make_plan
NumpyConvolve.make_plan = lambda self, problem, kernel: _make(self, problem, kernel[::-1].copy())
"""


def git(folder, *arguments):
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Commits of this very package: `right`, `slow` (numpy twice as slow), `wrong` (numpy), `bare` and `old`."""
    folder = tmp_path_factory.mktemp("clone")
    git(folder, "init", "-q")
    (folder / "asv.conf.json").write_text('{"version": 1, "repo": ".", "environment_type": "no-such-type"}')

    def commit(tag):
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"now {tag}")
        git(folder, "tag", tag)

    package = folder / "convbench"
    commit("bare")
    package.mkdir()
    (package / "__init__.py").write_text("")
    commit("old")
    shutil.copytree(ROOT / "convbench", package, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (folder / ".gitignore").write_text(".asv/\n__pycache__/\n")
    commit("right")
    backend = package / "backends" / "numpy_convolve.py"
    text = backend.read_text()
    for tag, plant in (("slow", TWICE), ("wrong", FLIPPED)):
        backend.write_text(text + plant)
        commit(tag)
    registry = package / "backends" / "__init__.py"
    backend.write_text(text)
    registry.write_text(registry.read_text().replace('    "numpy_convolve:NumpyConvolve",\n', ""))
    commit("without")
    return folder


def track(clone, *commits, **options):
    given = {"bench": CELLS, "backends": BACKENDS, "rounds": 4, "here": True, "root": clone}
    return tracking.track(*commits, **(given | options))


def journal(clone, *commits):
    names = [c if c == "worktree" else git(clone, "rev-parse", c)[:8] for c in commits]
    path = clone / ".asv" / "track" / f"{'-'.join(names)}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def slower(clone):
    """The commit `slow` against `right`, and what was told on the way."""
    told = []
    return track(clone, "right", "slow", progress=lambda done, total, text: told.append((done, total))), told


def test_a_slower_backend_is_found_and_the_other_left_alone(clone, slower):
    found, told = slower
    rows = {row.backend: row for row in found.rows}
    assert rows["numpy"].verdict == "slower"
    assert 1.5 < rows["numpy"].low < rows["numpy"].ratio < rows["numpy"].high < 3
    assert rows["numpy"].base_seconds < rows["numpy"].new_seconds
    assert rows["scipy-direct"].verdict in ("same", "cannot tell")
    assert found.exit_status() == found.exit_status(strict=True) == 1
    assert told[-1] == (8, 8)
    assert found.measured == 8
    assert found.table()[0][0] == "signal, numpy, n = 4096, k = 33, float32"
    assert "1 slower" in found.summary()
    entries = journal(clone, "right", "slow")
    assert [e["kind"] for e in entries] == ["run"] + ["round"] * 8
    assert all(len(samples) >= 3 for e in entries[1:] for samples in e["samples"].values())
    assert not git(clone, "status", "--porcelain")  # .asv is not seen
    json.dumps(found.as_dict())


def test_what_was_measured_is_used_again(clone, slower):
    found, _ = slower
    again = track(clone, "right", "slow")
    assert again.measured == 0
    assert again.rows == found.rows
    assert "8 rounds of 2 cells were measured before" in again.notes[0]


def test_what_is_wrong_is_not_timed(clone):
    found = track(clone, "right", "wrong", rounds=2, backends=ONE)
    rows = {row.backend: row for row in found.rows}
    assert rows["numpy"].verdict == "wrong"
    assert rows["numpy"].reason.startswith("wrong in B (") and "correlation" in rows["numpy"].reason
    assert rows["numpy"].ratio is None
    assert found.exit_status() == 1
    assert [e["verdict"] for e in journal(clone, "right", "wrong") if e["kind"] == "out"] == ["wrong"]


def test_a_backend_that_one_commit_lacks(clone):
    found = track(clone, "without", "worktree", rounds=2)
    rows = {row.backend: row for row in found.rows}
    assert rows["numpy"].verdict == "n/a"
    assert rows["numpy"].reason.startswith("n/a in A (") and rows["numpy"].reason.endswith(
        "and B (worktree): has no backend numpy"
    )
    assert any("A/A test" in note for note in found.notes)  # the last commit is what lies there
    assert found.not_compared() == [f"numpy: 1 cell {rows['numpy'].reason}"]
    assert len(found.table()) == 1


def removed(clone, found):
    b = git(clone, "rev-parse", "without")[:8]
    rows = {row.backend: row for row in found.rows}
    assert rows["numpy"].verdict == "no longer runs"
    assert rows["numpy"].reason == f"no longer runs in B ({b}): has no backend numpy"
    assert found.exit_status() == 1
    assert any(cells[5] == rows["numpy"].reason for cells in found.table())


def test_a_backend_that_the_new_commit_takes_away(clone):
    removed(clone, track(clone, "right", "without", backends=ONE, rounds=2))
    assert [e["lasting"] for e in journal(clone, "right", "without") if e["kind"] == "out"] == [False]


def test_a_backend_that_today_is_not_there_either(clone, monkeypatch):
    """As where the convbench that measures is B's."""
    today = [backend for backend in list_backends() if backend.name != "numpy"]
    monkeypatch.setattr("convbench.grid.list_backends", lambda: today)
    bench = "Signal.*'(numpy|scipy-direct)', 4096, 33,"
    removed(clone, track(clone, "right", "without", backends=(), bench=bench, rounds=2))
    found = track(clone, "right", "slow", backends=(), bench=bench, rounds=2)
    assert [row.backend for row in found.rows] == ["scipy-direct"]  # B has it, it is only this convbench that has not


class Clock(Plan):
    """A plan that takes no time of this machine."""

    def execute(self, data):
        return data


class Commits:
    """Sides whose roles are their own processes."""

    def __init__(self, *lost):
        names = {"base": "A", "new": "B", "control": "A"}
        self.commits = {role: Commit(name, name, "", name, Path(name)) for role, name in names.items()}
        self.order, self.lost = random.Random(1), lost

    def worker(self, role):
        if role in self.lost:
            raise ArgumentError("no room")
        return role

    def shuffled(self):
        return list(reversed(ROLES))


@pytest.fixture
def round_of(monkeypatch):
    """One round of a cell whose seconds in A and B are predicted as given, with a budget of 0.1 s; and who was asked."""
    asked, seconds = [], {}

    def predicted(subject, problem, kernel, budget, certify, judge):
        asked.append(subject.worker)
        took = seconds[subject.worker]
        cell = Cell(subject.name, subject.family, problem, "ok")
        if took > budget:
            return replace(cell, status="skipped", reason=f"{took:g} s, budget {budget:g} s"), None
        return cell, Clock(problem)

    def sampled(calls, *given, **named):
        return {role: Timing((1.0,), 1, "") for role in calls}

    monkeypatch.setattr("convbench.tracking.sides.gated", predicted)
    monkeypatch.setattr("convbench.tracking.sides.sample", sampled)
    problem = Problem((9,), (3,))
    judge = Judge(problem, problem.kernel(separable=True), problem.image(), zero_mean=True)

    def take(a, b, bench=None, lost=(), known=False):
        seconds.update(base=a, control=a, new=b)
        asked.clear()
        return (bench or Bench(0.1)).take(Commits(*lost), get_backend("numpy"), judge, known), list(asked)

    return take


def test_the_budget_is_for_the_base(round_of):
    assert isinstance(round_of(0.085, 0.102)[0], Sampled)  # 20 % slower: measured, not left out
    assert isinstance(round_of(0.085, 1.9)[0], Sampled)
    far, _ = round_of(0.085, 2.5)
    assert far == Out("no longer runs", "no longer runs in B (B): 2.5 s, budget 2 s")
    assert round_of(0.15, 0.01) == (Out("n/a", "n/a in A (A): 0.15 s, budget 0.1 s"), ["base"])  # nothing else is tried


def test_one_slow_probe_does_not_take_out_what_was_measured(round_of):
    bench = Bench(0.1)
    assert isinstance(round_of(0.085, 0.085, bench)[0], Sampled)
    assert isinstance(round_of(0.15, 2.5, bench)[0], Sampled)
    assert isinstance(round_of(0.15, 2.5, known=True)[0], Sampled)


@pytest.mark.parametrize(("role", "where"), [("base", "A (A)"), ("new", "B (B)"), ("control", "A (A)")])
def test_a_process_that_does_not_start_is_an_accident(round_of, role, where):
    assert round_of(0.01, 0.01, lost=(role,))[0] == Out("n/a", f"n/a in {where}: no room", lasting=False)


def test_only_what_lasts_is_not_asked_again(tmp_path):
    def read():
        return Journal(tmp_path / "A-B.jsonl", ["same"], {}, fresh=False)

    first = read()
    first.append("never", Out("n/a", "has no backend", lasting=True))
    first.append("slow probe", Out("n/a", "over the time budget"))
    first.append("gone", Out("no longer runs", "has no backend"))
    first.append("wrong", Out("wrong", "gate"))
    assert read().out == {"never": Out("n/a", "has no backend", lasting=True)}


def test_whatever_decides_how_a_round_is_measured_is_told_apart(tmp_path):
    """All that sides.py imports, but for what only words depend on, and the registry."""
    package = ROOT / "convbench"
    seen, todo = set(), [package / "tracking" / "sides.py"]
    while todo:
        path = todo.pop()
        if path in seen or path == package / "__init__.py":
            continue
        seen.add(path)
        text = path.read_text()
        for module, name in re.findall(r"^from (convbench[\w.]*) import (\w+)", text, re.MULTILINE):
            for parts in (module.split("."), [*module.split("."), name]):
                at = ROOT.joinpath(*parts)
                todo += [found for found in (at.with_suffix(".py"), at / "__init__.py") if found.exists()]
    words = {package / name for name in ("errors.py", "confusion.py", "convention.py", "backends/__init__.py")}
    told = {path for pattern in tracking.MEASURING for path in package.glob(pattern)}
    assert len(seen) > 15
    assert seen - words <= told
    copy = tmp_path / "convbench"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "report"))
    before = digest(copy, *tracking.MEASURING)
    for name in ("cell.py", "gate.py", "judge.py", "oracle.py", "bounds.py", "backends/_remote_worker.py"):
        with (copy / name).open("a") as file:
            file.write("\n")
        after = digest(copy, *tracking.MEASURING)
        assert after != before
        before = after


def test_nothing_that_both_can_run(clone):
    with pytest.raises(UnsupportedError, match="no cell can be run in both commits.*has no backend numpy"):
        track(clone, "without", "right", backends=["numpy"], rounds=2)


def test_a_run_that_was_killed_goes_on(clone):
    code = f"""
import sys
from pathlib import Path
from convbench import tracking
tracking.track("slow", "right", bench={CELLS!r}, backends={ONE!r}, rounds=4, here=True, root=Path({str(clone)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    until = time.monotonic() + 120
    kept = []
    while len(kept) < 2 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.05)
        try:
            kept = [e for e in journal(clone, "slow", "right") if e["kind"] == "round"]
        except (OSError, ValueError):
            continue
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = len([e for e in journal(clone, "slow", "right") if e["kind"] == "round"])
    assert 2 <= before < 4
    found = track(clone, "slow", "right", backends=ONE)
    assert found.measured == 4 - before
    assert found.rows[0].verdict == "faster"
    assert found.exit_status() == 0
    assert track(clone, "slow", "right", backends=ONE, rounds=2, fresh=True).measured == 2


def test_commits_that_cannot_be_compared(clone, tmp_path):
    with pytest.raises(
        ArgumentError, match=r"bare.*is too old: it has no package convbench|commit .* is too old: it has no package"
    ):
        track(clone, "bare", "right")
    with pytest.raises(ArgumentError, match=r"old \(.*\) cannot be tracked: too old: has no Problem"):
        track(clone, "right", "old")
    with pytest.raises(
        ArgumentError, match=r"unknown revision 'x'; .*the word worktree.*now without.*git log --oneline"
    ):
        track(clone, "x", "right")
    with pytest.raises(ArgumentError, match="unknown revision '--help'"):
        track(clone, "--help", "right")
    (tmp_path / "asv.conf.json").write_text("{}")
    with pytest.raises(ConvbenchError, match=r"git knows none in"):
        track(tmp_path, "HEAD", "HEAD")


def test_no_git(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConvbenchError, match="track needs git.*install git"):
        track(clone, "right", "slow")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rounds": 1}, "rounds must be at least 2, got 1"),
        ({"margin": 5}, "margin must lie between 0 and 1, got 5; 0.05 is 5 %"),
        ({"preset": "slow"}, "unknown preset 'slow'"),
        ({"bench": "nothing"}, "no cell of preset 'quick' matches 'nothing' and is of numpy, scipy-direct"),
        ({"bench": "("}, "--bench takes a regular expression"),
        ({"backends": ["nunpy"]}, "Did you mean 'numpy'"),
    ],
)
def test_bad_arguments(clone, options, match):
    with pytest.raises(ArgumentError, match=match):
        track(clone, "right", "slow", **options)


def test_one_at_a_time(clone):
    (clone / ".asv" / "track").mkdir(parents=True, exist_ok=True)
    with (
        filelock.FileLock(clone / ".asv" / "track" / ".lock"),
        pytest.raises(ConvbenchError, match="another `convbench track`"),
    ):
        track(clone, "right", "slow")


def test_asv_says_why_it_has_no_environment(clone):
    with pytest.raises(ConvbenchError, match=r"asv could not build.*[Uu]nknown environment type.*--here"):
        track(clone, "right", "slow", here=False)


def test_asv_names_the_python_of_its_environment(tmp_path):
    """One that needs no network."""
    (tmp_path / "asv.conf.json").write_text('{"version": 1, "repo": ".", "environment_type": "existing"}')
    found = environment.built_by_asv(tmp_path)
    assert found.python == sys.executable
    assert found.foreign


def test_the_same_files_have_the_same_tree_and_paths_of_one_length(clone, tmp_path):
    right, without, files = (unpack(clone, name, tmp_path) for name in ("right", "without", "worktree"))
    assert without.tree == files.tree != right.tree
    assert len(str(right.folder)) == len(str(files.folder))
    assert (files.label, right.subject) == ("worktree", "now right")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([right.tree, files.tree])


def test_in_which_commit_it_is_wrong(clone, tmp_path):
    right, slow = (unpack(clone, name, tmp_path) for name in ("right", "slow"))
    commits = {"base": right, "new": slow, "control": right}

    def out(**faults):
        return _out({role: Fault(*fault) for role, fault in faults.items()}, commits)

    a, b = f"A ({right.label})", f"B ({slow.label})"
    assert out(control=("failed", "x")) == Out("wrong", f"wrong in {a}: x")
    both = dict.fromkeys(commits, ("n/a", "y"))
    assert out(**both) == Out("n/a", f"n/a in {a} and {b}: y", lasting=True)
    assert out(base=("n/a", "y"), new=("failed", "z")) == Out("wrong", f"wrong in {b}: z")
    for status in ("n/a", "skipped"):  # A runs it
        assert out(new=(status, "y")) == Out("no longer runs", f"no longer runs in {b}: y")
    assert out(new=("lost", "no process")) == Out("n/a", f"n/a in {b}: no process")
    assert out(base=("n/a", "y"), control=("n/a", "y")).lasting
    for status in ("skipped", "lost"):  # another time it may be otherwise
        assert out(base=(status, "y")) == Out("n/a", f"n/a in {a}: y", lasting=False)


def test_exit_statuses(slower):
    problem, found = Problem((9,), (3,)), slower[0]

    def status(*verdicts, strict=False):
        rows = [Row("signal", "numpy", problem, verdict) for verdict in verdicts]
        return tracking.Tracked(found.base, found.new, rows, 0.05, found.calibration, [], 0, "").exit_status(strict)

    assert status("same", "faster", "n/a") == status("same", strict=True) == 0
    assert status("same", "cannot tell") == 0
    assert status("same", "cannot tell", strict=True) == 3
    assert status("cannot tell", "slower", strict=True) == status("wrong") == 1
    assert status("same", "no longer runs") == 1


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), (" 2.5 % ", 0.025), ("0.1", 0.1)])
def test_margins(text, value):
    assert tracking.relative(text) == pytest.approx(value)


def test_a_margin_in_words():
    with pytest.raises(ArgumentError, match="such as 5% or 0.05, got 'some'"):
        tracking.relative("some")
