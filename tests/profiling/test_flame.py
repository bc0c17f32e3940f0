"""Flame graph: what is kept of the samples, two valid files, and each way in which there is none."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from xml.etree import ElementTree

import pytest

from convbench.backends import get_backend
from convbench.problem import Problem
from convbench.profiling import flame as module
from convbench.profiling import workload
from convbench.profiling.flame import Frame, Stack, executions, flame, read, short, speedscope, svg
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

WORKLOAD = workload.__file__
MAIN = Frame("<module>", WORKLOAD, 80)
LOOP = Frame("execute_repeatedly", WORKLOAD, 70)
PLAN = Frame("main", WORKLOAD, 60)
EXECUTE = Frame("execute", "/x/site-packages/convbench/backends/torch_conv.py", 50)
NATIVE = Frame("at::conv2d<float> & more", "/x/site-packages/torch/lib/libtorch_cpu.so")
POOL = Frame("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py", 83)
WORK = Frame("work", "/x/site-packages/convbench/backends/_numba_kernels.py", 245)
STACKS = [
    *[Stack("main", (MAIN, LOOP, EXECUTE, NATIVE), 0.01)] * 3,
    Stack("main", (MAIN, LOOP, EXECUTE), 0.01),
    Stack("main", (MAIN, PLAN, EXECUTE, NATIVE), 0.01),
    Stack("main", (MAIN, Frame("read", WORKLOAD, 40), Frame("get_backend", "convbench/backends/__init__.py", 9)), 0.01),
    Stack("main", (MAIN, LOOP), 0.01),
    Stack("pool", (POOL, WORK), 0.01),
    Stack("pool", (POOL,), 0.01),
]

FAKE = """#!{python}
import json, pathlib, sys
if {fails!r} and ("--native" in sys.argv or {always!r}):
    sys.exit({fails!r})
workload = pathlib.Path("/proc", sys.argv[sys.argv.index("--pid") + 1], "cmdline")
assert not workload.parent.parent.exists() or "convbench.profiling.workload" in workload.read_text(), sys.argv
pathlib.Path(sys.argv[sys.argv.index("--output") + 1]).write_text({told!r})
"""


def subject() -> Subject:
    problem = Problem((4096,), (5,))
    return Subject(get_backend("numpy"), problem, problem.image(), problem.kernel())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a py-spy before all others that saw these samples, or fails with these words."""

    def put(stacks: list[Stack] = STACKS, fails: str = "", always: bool = False) -> Path:
        script = tmp_path / "py-spy"
        told = speedscope(stacks, "py-spy profile")
        script.write_text(FAKE.format(python=sys.executable, told=told, fails=fails, always=always))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        (tmp_path / "out").mkdir()
        return tmp_path / "out"

    return put


def test_only_what_is_below_the_loop_is_kept() -> None:
    kept = executions(STACKS)
    assert [stack.frames for stack in kept] == [(EXECUTE, NATIVE)] * 3 + [(EXECUTE,), (WORK,)]


def test_the_json_is_read_as_it_was_written() -> None:
    kept = executions(STACKS)
    told = json.loads(speedscope(kept, "title"))
    again = read(told)
    names = [[frame.name for frame in stack.frames] for stack in again]
    assert names == [[frame.name for frame in stack.frames] for stack in kept]
    assert told["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert {profile["name"] for profile in told["profiles"]} == {"main", "pool"}
    for profile in told["profiles"]:
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] == pytest.approx(sum(profile["weights"]))
        assert all(i < len(told["shared"]["frames"]) for sample in profile["samples"] for i in sample)


def test_code_without_a_name_is_told_by_its_library_once() -> None:
    names = ["execute", "0x7f01", "0x7f02", "0x7f03", "0x7f04"]
    files = [EXECUTE.file, "/usr/lib/libfftw3f.so.3", "/usr/lib/libfftw3f.so.3", "?", "?"]
    told = {
        "shared": {"frames": [{"name": n, "file": f, "line": 0} for n, f in zip(names, files, strict=True)]},
        "profiles": [{"name": 'Thread 0x7F "numba_0"', "samples": [[0, 1, 2, 3, 4], [0]], "weights": [0.01, 0.01]}],
    }
    first, second = read(told)
    assert [frame.name for frame in first.frames] == ["execute", "[libfftw3f.so.3]", "[generated code]"]
    assert [frame.kind for frame in first.frames] == ["convbench", "native", "native"]
    assert first.thread == "numba_0" and len(second.frames) == 1


def test_no_path_of_this_machine_is_told() -> None:
    assert short("/home/me/.venv/lib/python3.11/site-packages/torch/nn/conv.py") == "torch/nn/conv.py"
    assert short("/home/me/secret/convbench/backends/opencv.py") == "convbench/backends/opencv.py"
    text = speedscope(executions(STACKS), "title") + svg(executions(STACKS), "title")
    assert "/x/" not in text


def test_boxes_of_the_drawing_are_as_wide_as_their_time_and_lie_on_their_callers() -> None:
    drawn = ElementTree.fromstring(svg(executions(STACKS), "a <title> & more"))
    name = "{http://www.w3.org/2000/svg}"
    boxes = {}
    for group in drawn.iter(f"{name}g"):
        rect = group.find(f"{name}rect").attrib
        tooltip = group.find(f"{name}title").text
        boxes[tooltip.partition(" (")[0]] = (*(float(rect[of]) for of in ("x", "y", "width")), tooltip)
    execute, work, native = boxes["execute"], boxes["work"], boxes[NATIVE.name]
    assert execute[2] == pytest.approx(module.WIDTH * 4 / 5, abs=1) and "80 %" in execute[3]
    assert native[2] == pytest.approx(module.WIDTH * 3 / 5, abs=1) and work[2] == pytest.approx(module.WIDTH / 5, abs=1)
    assert execute[1] == work[1] > native[1]
    assert execute[0] <= native[0] and native[0] + native[2] <= execute[0] + execute[2] + 0.1


def test_two_files_are_written(fake) -> None:
    out = fake()
    paths = flame(subject(), out, "cell", 1)
    assert isinstance(paths, list), paths
    assert [path.name for path in paths] == ["cell.speedscope.json", "cell.svg"]
    assert len(read(json.loads(paths[0].read_text()))) == 5
    ElementTree.parse(paths[1])


def test_without_native_frames_the_title_says_so(fake) -> None:
    paths = flame(subject(), fake(fails="Error: Failed to unwind\n"), "cell", 1)
    assert isinstance(paths, list), paths
    for path in paths:
        assert "without native frames" in path.read_text() and "Failed to unwind" in path.read_text()


def test_not_permitted(fake, monkeypatch, tmp_path) -> None:
    out = fake(fails="Permission Denied: Try running again with elevated permissions\n", always=True)
    scope = tmp_path / "scope"
    monkeypatch.setattr(module, "SCOPE", scope)
    found = flame(subject(), out, "cell", 1)
    assert isinstance(found, Missing) and "SYS_PTRACE" in found.remedy
    scope.write_text("2\n")
    found = flame(subject(), out, "cell", 1)
    assert isinstance(found, Missing) and found.remedy == "sudo sysctl kernel.yama.ptrace_scope=1"


def test_one_that_fails_is_quoted(fake) -> None:
    found = flame(subject(), fake(fails="Error: unsupported version of Python\n", always=True), "cell", 1)
    assert isinstance(found, Missing) and "unsupported version of Python" in found.why


def test_nothing_seen_while_executing(fake) -> None:
    found = flame(subject(), fake([STACKS[4]]), "cell", 1)
    assert isinstance(found, Missing) and "none of 1 samples" in found.why


def test_no_py_spy(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    found = flame(subject(), tmp_path, "cell", 1)
    assert found == Missing("flame graph", "py-spy is not installed", "pip install 'convbench[profile]'")


@pytest.mark.skipif(
    shutil.which("py-spy", path=os.pathsep.join([os.environ["PATH"], sysconfig.get_path("scripts")])) is None,
    reason="py-spy is not installed",
)
def test_the_real_one_sees_the_backend_or_says_why_not(tmp_path) -> None:
    paths = flame(subject(), tmp_path, "cell", 1)
    if isinstance(paths, Missing):
        assert paths.remedy
        return
    stacks = read(json.loads(paths[0].read_text()))
    names = {frame.name for stack in stacks for frame in stack.frames}
    assert any(name.endswith("execute") for name in names)
    assert not names & {"execute_repeatedly", "plan"}
