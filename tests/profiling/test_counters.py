"""Counters: what perf says becomes counts per execution, and every way in which it cannot count is said in words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from fakes import Right

from convbench.backends import get_backend
from convbench.machine import cores
from convbench.problem import Problem
from convbench.profiling import counters as module
from convbench.profiling.child import Child, ChildError
from convbench.profiling.counters import HARDWARE, Counters, counters, parse
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

FAKE = """#!{python}
import os, pathlib, signal, sys, time
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
control = [a for a in sys.argv if a.startswith("--control=fd:")]
if not control:  # whether it knows an event
    sys.exit(0 if any(name in given["-e"] for name in {known!r}) else 129)
if {error!r}:
    sys.exit({error!r})
arguments = sys.argv[2:]
arguments.remove(control[0])
given = dict(zip(arguments[::2], arguments[1::2]))
reading, writing = map(int, control[0].partition(":")[2].split(","))

def state():  # a signal takes its time where all cores are busy
    end = time.monotonic() + 5
    while True:
        found = pathlib.Path("/proc/" + given["-p"] + "/stat").read_text().rpartition(")")[2].split()[0]
        if found == "T" or time.monotonic() > end:
            return found
        time.sleep(0.01)

states = [state()]
signal.signal(signal.SIGINT, lambda *_: None)
assert os.read(reading, 64) == b"enable\\n"
os.write(writing, b"ack\\n")
signal.pause()
states.append(state())
pathlib.Path(given["-o"]).write_text("# started\\n\\n" + {rows!r})
pathlib.Path({notes!r}).write_text(" ".join(states) + "|" + given["-e"])
"""
ROWS = "".join(
    f"{line}\n"
    for line in (
        "4000000;;cycles:u;2000;100.00;;",
        "10000000;;instructions:u;2000;100.00;;",
        "2000;;cache-references:u;1000;50.00;;",
        "100;;cache-misses:u;1000;50.00;;",
        "<not supported>;;LLC-loads:u;0;100.00;;",
        "<not counted>;;branches:u;0;0.00;;",
        "1234.5;msec;task-clock;1234500000;100.00;0.99;CPUs utilized",
        "77;;page-faults;2000;100.00;;",
        "0;;context-switches:u;2000;100.00;;",
    )
)


def subject(backend: str = "numpy") -> Subject:
    problem = Problem((4096,), (5,))
    return Subject(get_backend(backend), problem, problem.image(), problem.kernel())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a perf that says these rows, or fails so, before all others; returns the file that notes how it was called."""

    def put(rows: str = ROWS, error: str | int = "", known: tuple[str, ...] = ()) -> Path:
        notes = tmp_path / "notes"
        script = tmp_path / "perf"
        script.write_text(FAKE.format(python=sys.executable, rows=rows, error=error, known=known, notes=str(notes)))
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return notes

    return put


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="perf is of Linux")
class TestCounters:
    def test_counts_are_per_execution_and_planning_is_not_counted(self, fake) -> None:
        notes = fake()
        found = counters(subject(), 0.2)
        assert isinstance(found, Counters), found
        states, _, events = notes.read_text().partition("|")
        assert states == "T T", "the workload was to stand still before perf counted and once it was done"
        assert "cycles:u" in events and "task-clock" in events.split(",")
        assert found.executions > 100
        assert found.events["cycles"].value * found.executions == pytest.approx(4e6)
        assert found.events["task-clock"].value * found.executions == pytest.approx(1.2345)
        assert found.instructions_per_cycle == pytest.approx(2.5)
        assert found.cores_busy == pytest.approx(1.2345 / (found.executions * found.seconds))
        assert found.flops is None and found.packed is None

    def test_each_event_that_could_not_be_counted_is_named_with_its_reason(self, fake) -> None:
        fake()
        found = counters(subject(), 0.2)
        why = {one.what: one for one in found.missing}
        assert set(why) == {"LLC-loads", "branches", "context-switches", "packed vector instructions"}
        assert "no such event" in why["LLC-loads"].why
        assert "nmi_watchdog" in why["branches"].remedy
        assert "perf_event_paranoid" in why["context-switches"].remedy
        assert "context-switches" not in found.events
        assert "(counted 50 % of the time, and scaled)" in dict(found.rows())["cache-references"]
        assert dict(found.rows())["cache misses of references"] == "5.0 %"

    @pytest.mark.parametrize(("vendor", "known"), [("AuthenticAMD", "fp_ret"), ("GenuineIntel", "fp_arith")])
    def test_vector_events_are_those_of_the_vendor_that_perf_knows(self, fake, monkeypatch, vendor, known) -> None:
        monkeypatch.setattr(module, "_processor", lambda field: vendor if field == "vendor_id" else "")
        notes = fake(known=(known,))
        counters(subject(), 0.2)
        events = notes.read_text().partition("|")[2].split(",")
        assert {e.partition(".")[0].removesuffix("_inst_retired") for e in events if e.startswith("fp_")} == {
            {"fp_ret": "fp_ret_sse_avx_ops"}.get(known, known)
        }

    def test_without_permission_the_command_that_gives_it(self, fake, monkeypatch, tmp_path) -> None:
        fake(error="Error:\nAccess to performance monitoring and observability operations is limited.\n")
        level = tmp_path / "level"
        monkeypatch.setattr(module, "PARANOID", level)
        level.write_text("4\n")
        found = counters(subject(), 0.2)
        assert isinstance(found, Missing)
        assert "perf_event_paranoid is 4" in found.why
        assert found.remedy == "sudo sysctl kernel.perf_event_paranoid=1"
        level.write_text("1\n")
        assert "PERFMON" in counters(subject(), 0.2).remedy

    def test_a_perf_that_fails_otherwise_is_quoted(self, fake) -> None:
        fake(error="WARNING: perf not found for kernel 9.9\n")
        assert "perf not found for kernel 9.9" in counters(subject(), 0.2).why

    def test_a_perf_that_is_too_old(self, fake) -> None:
        fake(error="Error: unknown option `control=fd:5,8'\n")
        assert "older" in counters(subject(), 0.2).why

    def test_no_perf_and_how_to_get_it(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "mint", "ID_LIKE": "ubuntu debian"})
        found = counters(subject(), 0.2)
        assert found == Missing(
            "hardware counters", "perf is not installed", "sudo apt install linux-tools-$(uname -r)"
        )
        monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"ID": "plan9"})
        assert "linux-perf" in counters(subject(), 0.2).remedy

    def test_a_workload_that_dies_is_missing_with_its_last_words(self, fake) -> None:
        fake()
        found = counters(Subject(Right(), *_of(subject())), 0.2)  # no backend that another process knows
        assert isinstance(found, Missing)
        assert "failed with exit status 1" in found.why and "unknown backend" in found.why

    @pytest.mark.skipif(shutil.which("perf") is None, reason="perf is not installed")
    def test_the_real_perf_counts_or_says_why_not(self) -> None:
        found = counters(subject(), 0.5)
        if isinstance(found, Missing):
            assert found.why and found.remedy
            return
        assert found.executions > 0
        assert 0 < found.cores_busy < cores() + 0.5
        assert found.events["page-faults"].value >= 0
        for event in HARDWARE:
            assert event in found.events or found.missing


def _of(one: Subject):
    return one.problem, one.image, one.kernel


def test_one_entry_stands_for_all_hardware_counters_where_there_are_none(monkeypatch) -> None:
    monkeypatch.setattr(module, "_processor", lambda field: "fpu hypervisor sse2")
    lines = [f"<not supported>;;{event}:u;0;100.00;;" for event in HARDWARE]
    counts, missing = parse("\n".join([*lines, "3;msec;task-clock;3000000;100.00;0.9;CPUs utilized"]), 10)
    assert set(counts) == {"task-clock"} and counts["task-clock"].value == pytest.approx(3e-4)
    assert [one.what for one in missing] == ["hardware counters"]
    assert "virtual machine" in missing[0].why


def test_two_kinds_of_cores_are_one_count() -> None:
    """300 cycles on the one kind in 3/4 of the time, 20 on the other in the rest: perf scales each to the whole time."""
    text = "400;;cpu_core/cycles/u;750;75.00;;\n80;;cpu_atom/cycles/u;250;25.00;;\n<not counted>;;cpu_atom/branches/u;0;0.00;;\n6;;cpu_core/branches/u;9;100.00;;"
    counts, missing = parse(text, 1)
    assert counts["cycles"].value == pytest.approx(320) and counts["cycles"].share == 1
    assert counts["branches"].value == 6
    assert not missing


def test_floating_point_operations_are_weighted_and_unknown_if_one_part_is() -> None:
    rows = [
        "10;;fp_arith_inst_retired.scalar_single:u;1;100.00;;",
        "3;;fp_arith_inst_retired.256b_packed_single:u;1;100.00;;",
        "2;;fp_arith_inst_retired.512b_packed_double:u;1;100.00;;",
    ]
    found = Counters(1, 1.0, *parse("\n".join(rows), 1))
    assert found.flops == 10 + 3 * 8 + 2 * 8
    assert found.packed == 5
    rows.append("<not counted>;;fp_arith_inst_retired.scalar_double:u;0;0.00;;")
    counts, missing = parse("\n".join(rows), 1)
    assert Counters(1, 1.0, counts, tuple(missing)).flops is None


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class TestChild:
    def start(self, script: str) -> Child:
        pipe = subprocess.PIPE
        return Child(subprocess.Popen([sys.executable, "-c", script], stdout=pipe, stderr=pipe, text=True))

    def test_one_that_hangs_is_ended_with_all_that_it_started(self) -> None:
        script = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); print('pid', p.pid, flush=True); sys.stderr.write('busy\\n'); sys.stderr.flush(); time.sleep(99)"
        with self.start(script) as child:
            grandchild = int(child.expect("pid", 30))
            with pytest.raises(ChildError, match="not done after 0.5 s.*busy"):
                child.expect("done", 0.5)
        end = time.monotonic() + 20  # a process takes its time to die
        while alive(grandchild) and time.monotonic() < end:
            time.sleep(0.05)
        assert not alive(grandchild)

    def test_much_on_standard_error_does_not_stop_it(self) -> None:
        with self.start(
            "import sys; sys.stderr.write('x' * 79 + chr(10)); sys.stderr.write(('y' * 79 + chr(10)) * 9999); print('done 7')"
        ) as child:
            assert child.expect("done", 30) == "7"

    def test_a_signal_is_told(self) -> None:
        with (
            self.start("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)") as child,
            pytest.raises(ChildError, match="signal 11"),
        ):
            list(child.lines(30))

    def test_one_that_ends_well_without_the_word(self) -> None:
        with self.start("print('hello')") as child, pytest.raises(ChildError, match="without 'ready'"):
            child.expect("ready", 30)

    def test_the_limit_is_kept(self) -> None:
        begin = time.monotonic()
        with self.start("import time; time.sleep(60)") as child, pytest.raises(ChildError):
            child.expect("ready", 0.2)
        assert time.monotonic() - begin < 30
