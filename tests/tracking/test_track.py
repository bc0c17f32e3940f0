"""The whole way on small cells: commits taken from git, three processes a round, gate, journal, resumption, errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from convbench import tracking
from convbench.errors import ArgumentError, ConvbenchError, UnsupportedError
from convbench.problem import Problem
from convbench.tracking import environment
from convbench.tracking.commits import unpack
from convbench.tracking.sides import Out, _out
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
        return _out(faults, commits)

    a, b = f"A ({right.label})", f"B ({slow.label})"
    assert out(control=("failed", "x")) == Out("wrong", f"wrong in {a}: x")
    both = dict.fromkeys(commits, ("n/a", "y"))
    assert out(**both) == Out("n/a", f"n/a in {a} and {b}: y")
    assert out(base=("n/a", "y"), new=("failed", "z")) == Out("wrong", f"wrong in {b}: z")


def test_exit_statuses(slower):
    problem, found = Problem((9,), (3,)), slower[0]

    def status(*verdicts, strict=False):
        rows = [Row("signal", "numpy", problem, verdict) for verdict in verdicts]
        return tracking.Tracked(found.base, found.new, rows, 0.05, found.calibration, [], 0, "").exit_status(strict)

    assert status("same", "faster", "n/a") == status("same", strict=True) == 0
    assert status("same", "cannot tell") == 0
    assert status("same", "cannot tell", strict=True) == 3
    assert status("cannot tell", "slower", strict=True) == status("wrong") == 1


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), (" 2.5 % ", 0.025), ("0.1", 0.1)])
def test_margins(text, value):
    assert tracking.relative(text) == pytest.approx(value)


def test_a_margin_in_words():
    with pytest.raises(ArgumentError, match="such as 5% or 0.05, got 'some'"):
        tracking.relative("some")
