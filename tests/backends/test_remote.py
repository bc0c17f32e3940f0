"""Libraries in processes of their own: the protocol, what may go wrong at either end, and the backends that use it."""

from __future__ import annotations

import ast
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import convbench
from convbench.backends import _interpreter, _remote, _remote_registry, _remote_worker, keras_conv, theano_conv
from convbench.backends._remote import RemoteError, Setup, Worker
from convbench.backends._remote_plan import RemoteBackend
from convbench.backends._remote_registry import worker_for
from convbench.cell import measure_cells
from convbench.errors import UnsupportedError
from convbench.measure import Rule
from convbench.problem import MODES, Problem

HERE = Path(__file__).parent
LIBRARY = HERE / "remote_library.py"
SCRIPTS = [Path(_remote_worker.__file__), Path(theano_conv.__file__).with_name("_remote_theano.py"), LIBRARY]
IMAGE, KERNEL = np.arange(12.0).reshape(3, 4), np.array([[1.0, 2.0]])
TASK = {"padding": [[0, 0], [1, 0]]}
WANTED = IMAGE + 2 * np.pad(IMAGE, [(0, 0), (1, 0)])[:, :-1]


@pytest.fixture(scope="module", autouse=True)
def no_worker_outlives_these_tests():
    yield
    _remote_registry.end_workers()


def setup(start: str = "", python: str = sys.executable, library: Path = LIBRARY) -> Setup:
    return Setup(python, library, (("REMOTE_LIBRARY_START", start),))


def run(worker: Worker, image=IMAGE, **task):
    plan = worker.send("plan", KERNEL.astype(image.dtype), task=TASK | task)
    data = worker.send("load", image, plan=plan.number)
    result = _remote.Kept(worker, worker.ask("execute", plan=plan.number, data=data.number))
    return worker.fetch("store", image.shape, image.dtype.name, plan=plan.number, result=result.number)


def gone(pid: int, patience: float = 10.0) -> bool:
    """Whether a process has ended, or does so soon; a zombie has."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


# what passes between the two


def test_round_trip_and_one_worker():
    worker = worker_for(setup())
    assert worker.versions == {"numpy": np.__version__}
    assert np.array_equal(run(worker), WANTED)
    assert worker_for(setup()) is worker


@pytest.mark.parametrize("size", [1, 100, 1500])
def test_arrays_of_any_size(size):
    worker = worker_for(setup())
    for dtype in ("float32", "float64", "complex128"):
        image = np.random.default_rng(size).integers(-9, 9, (size, size)).astype(dtype)
        wanted = image + 2 * np.pad(image, [(0, 0), (1, 0)])[:, :-1]
        assert np.array_equal(run(worker, image), wanted)


def test_neither_images_nor_results_are_overwritten():
    worker = worker_for(setup())
    plan = worker.send("plan", KERNEL, task=TASK)
    data = [worker.send("load", IMAGE * factor, plan=plan.number) for factor in (1, 3)]
    results = [worker.ask("execute", plan=plan.number, data=d.number) for d in data]
    found = [worker.fetch("store", (3, 4), "float64", plan=plan.number, result=r) for r in results]
    assert np.array_equal(found, [WANTED, 3 * WANTED])


def test_what_is_dropped_here_is_dropped_there():
    worker = worker_for(setup())
    plan = worker.send("plan", KERNEL, task=TASK)
    number = worker.send("load", IMAGE, plan=plan.number).number
    with pytest.raises(RemoteError, match=f"KeyError: {number}"):
        worker.ask("execute", plan=plan.number, data=number)


def test_what_the_library_prints_is_no_answer():
    assert np.array_equal(run(worker_for(setup()), act="print"), WANTED)


def test_errors_have_type_and_text_and_harm_nothing():
    worker = worker_for(setup())
    with pytest.raises(RemoteError, match="ValueError: no such luck, in two\nlines"):
        run(worker, act="raise")
    with pytest.raises(RemoteError, match="SystemExit: had enough"):
        run(worker, act="exit")
    with pytest.raises(UnsupportedError, match=r"^not on a Tuesday$"):
        run(worker, act="refuse")
    plan = worker.send("plan", KERNEL, task=TASK)
    data = worker.send("load", IMAGE, plan=plan.number)
    result = worker.ask("execute", plan=plan.number, data=data.number)
    with pytest.raises(RemoteError, match=r"should be float64 of shape \(9, 9\), got float64 of shape \(3, 4\)"):
        worker.fetch("store", (9, 9), "float64", plan=plan.number, result=result)
    assert np.array_equal(run(worker), WANTED)


def test_no_room(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    worker = worker_for(setup())
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RemoteError, match="no room for 800 MB .* No space left"):
        worker.fetch("store", (10**8,), "float64")
    assert np.array_equal(run(worker), WANTED)


def test_a_file_without_a_name_where_memory_has_none(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    worker = Worker(setup())
    assert np.array_equal(run(worker), WANTED)
    worker.bye()
    assert worker.process.returncode == 0


def test_seconds_are_the_workers_own(monkeypatch):
    clock = [0.0]

    def call(data):
        clock[0] += data

    commands = _remote_worker.Commands("", None)
    commands.kept = {1: (None, call, None), 2: 0.25}
    monkeypatch.setattr(_remote_worker.time, "perf_counter", lambda: clock[0])
    assert commands.time(plan=1, data=2, number=12) == 3.0


def test_as_many_calls_as_are_timed():
    worker = worker_for(setup())
    plan = worker.send("plan", KERNEL, task=TASK | {"counts": True})
    data = worker.send("load", IMAGE, plan=plan.number)
    assert worker.ask("time", plan=plan.number, data=data.number, number=40) > 0
    result = worker.ask("execute", plan=plan.number, data=data.number)
    assert np.array_equal(worker.fetch("store", (3, 4), "float64", plan=plan.number, result=result), 41 * IMAGE)


# what may go wrong


def test_a_worker_that_dies_says_its_last_words_and_is_replaced():
    first = worker_for(setup())
    with pytest.raises(RemoteError, match=r"exit code -9\) at 'execute'.*the last word; make the plan anew"):
        run(first, act="die")
    with pytest.raises(
        RemoteError, match=r"has ended \(exit code -9\), having written: .*last word; make the plan anew"
    ):
        run(first)
    second = worker_for(setup())
    assert second is not first
    assert np.array_equal(run(second), WANTED)
    os.kill(second.process.pid, signal.SIGKILL)
    second.process.wait()
    assert np.array_equal(run(worker_for(setup())), WANTED)


def test_a_worker_that_hangs_is_ended():
    worker = worker_for(setup())
    plan = worker.send("plan", KERNEL, task=TASK | {"act": "hang"})
    data = worker.send("load", IMAGE, plan=plan.number)
    with pytest.raises(RemoteError, match=r"no answer to 'execute' for 0\.2 s.* make the plan anew"):
        worker.ask("execute", 0.2, plan=plan.number, data=data.number)
    assert worker.process.returncode == -signal.SIGKILL


def test_an_interrupted_call_ends_the_worker(monkeypatch):
    """Its answer would be taken for that of the next command."""
    worker = worker_for(setup())

    def interrupt(do, limit):
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "_line", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(worker)
    assert not worker.alive


def test_a_start_that_fails_is_a_reason_and_is_not_repeated(tmp_path, monkeypatch):
    lost = tmp_path / "lost.py"
    lost.write_text("import no_such_library\n")
    for broken, reason in (
        (setup(python="/no/such/python"), "/no/such/python cannot be run: .*No such file"),
        (setup(python=shutil.which("echo")), "does not answer as a worker does"),
        (setup(python=shutil.which("false")), r"the worker ended \(exit code 1\) at 'hello'; import the library in"),
        (setup(library=lost), "ModuleNotFoundError: No module named 'no_such_library'"),
        (setup("refuse"), "not on a Tuesday"),
        (setup("die"), "exit code -9.*the last word"),
    ):
        with pytest.raises(UnsupportedError, match=reason):
            worker_for(broken)
        monkeypatch.setattr(_remote_registry, "Worker", None)
        with pytest.raises(UnsupportedError, match=reason):
            worker_for(broken)
        monkeypatch.setattr(_remote_registry, "Worker", Worker)


def test_a_start_that_hangs(monkeypatch):
    monkeypatch.setattr(_remote, "START_SECONDS", 0.5)
    with pytest.raises(UnsupportedError, match=r"no answer to 'hello' for 0\.5 s"):
        worker_for(setup("hang"))


def test_another_protocol(monkeypatch):
    monkeypatch.setattr(_remote, "PROTOCOL", 99)
    with pytest.raises(RemoteError, match="speaks protocol 1, this is 99"):
        Worker(setup())


@pytest.fixture
def script():
    """Starts processes of their own that have this module's `setup`, `worker_for` and `run`; none is left."""
    started = []

    def start(code: str) -> subprocess.Popen[str]:
        begin = f"import sys; sys.path.insert(0, {str(HERE)!r})\nfrom test_remote import *\n"
        command = [sys.executable, "-c", begin + textwrap.dedent(code)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it forked, too
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("act", ["", "hang"])
def test_a_worker_does_not_outlive_its_parent(script, act):
    parent = script(f"""
        worker = worker_for(setup())
        print(worker.process.pid, flush=True)
        run(worker, act={act!r})
        print("idle", flush=True)
        time.sleep(600)
    """)
    pid = int(parent.stdout.readline())
    if not act:
        parent.stdout.readline()
    time.sleep(0.2 if act else 0)
    parent.kill()
    parent.wait()
    assert gone(pid)


def test_a_fork_has_workers_of_its_own(script):
    parent = script("""
        worker = worker_for(setup())
        run(worker)
        child = os.fork()
        if child:
            said = f"parent {np.array_equal(run(worker), WANTED)} {worker.process.pid} {child}"
        else:
            try:
                run(worker)
            except RemoteError as error:
                said = f"child {'forked' in str(error)}"
            said += f" {np.array_equal(run(worker_for(setup())), WANTED)}"
        os.write(1, said.encode() + b"\\n")
        time.sleep(600)
    """)
    told = dict(parent.stdout.readline().split(maxsplit=1) for _ in range(2))
    right, worker, child = told["parent"].split()
    assert (right, told["child"]) == ("True", "True True\n")
    parent.kill()
    parent.wait()
    assert gone(int(worker))
    assert not gone(int(child), 0.1)  # although it was born with the worker's pipes


# old interpreters


@functools.cache
def interpreters() -> list[str]:
    """Other Pythons of this machine, from 3.6 on."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [shutil.which(f"python3.{minor}") for minor in range(6, 15)]
    found = [name for name in names if name] + [str(path) for path in sorted(pyenv.glob("3.*/bin/python"))]
    asked = [_interpreter.ask(name) for name in found]
    return [each.path for each in asked if not each.fault]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_workers_files_are_python_3_6(path):
    text = path.read_text()
    ast.parse(text, feature_version=(3, 6))
    for python in interpreters():
        subprocess.run([python, "-c", "import sys; compile(sys.stdin.read(), '', 'exec')"], input=text, text=True, check=True)  # fmt: skip


def test_every_interpreter_with_numpy_is_understood():
    for python in interpreters():
        if "numpy" in _interpreter.ask(python, "numpy").versions:
            worker = Worker(Setup(python, LIBRARY, foreign=True))
            assert np.array_equal(run(worker), WANTED)
            worker.bye()


def test_what_is_meant_for_this_python_is_kept_from_others(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert Setup("python", LIBRARY).variables()["PYTHONPATH"] == "/somewhere"
    assert "PYTHONPATH" not in Setup("python", LIBRARY, foreign=True).variables()


# backends


class Remote(RemoteBackend):
    name, family, library, module, rounding = "remote", "direct", "numpy", "numpy", "direct"
    worker_library = str(LIBRARY)


def test_a_remote_backend_is_right():
    for ndim in (1, 2):
        verdict = convbench.check(Remote(), ndim=ndim)
        assert verdict.ok, str(verdict)


def test_a_remote_cell():
    problem = Problem((48, 50), (5, 5))
    (cell,) = measure_cells(
        problem, [Remote()], problem.image(), problem.kernel(), rule=Rule(warmup=0, seconds=0.01), zero_mean=True
    )
    assert cell.status == "ok"
    assert 0 < cell.execute.median < cell.one_shot.median
    assert cell.execute.number * cell.execute.median > 0.001
    assert cell.peak_memory_bytes is None


def test_not_on_windows(monkeypatch):
    monkeypatch.setattr("convbench.backends._remote_plan.os.name", "nt")
    assert "POSIX" in Remote().limits(Problem((9, 9), (3, 3)))


PROBLEM = Problem((9, 9), (3, 3))


@pytest.fixture
def fake_theano(tmp_path, monkeypatch):
    """An interpreter that has a Theano made of NumPy; returns a function that makes another, of other versions."""

    def make(theano="1.0.5", numpy=""):
        folder = tmp_path / f"{theano}-{numpy}"
        for name, version in (("Theano", theano), ("numpy", numpy)):
            if version:
                info = folder / f"{name}-{version}.dist-info"
                info.mkdir(parents=True)
                (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        shutil.copy(HERE / "fake_theano.py", folder / "theano.py")
        python = folder / "python"
        python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        monkeypatch.setenv(theano_conv.VARIABLE, str(python))
        return theano_conv.Theano()

    return make


def test_theano_modes(fake_theano, monkeypatch):
    """Its own are full, valid and half, which is not same for even kernels."""
    backend = fake_theano(numpy="1.21.6")
    assert backend.version() == "1.0.5"
    for ndim in (1, 2):
        verdict = convbench.check(backend, ndim=ndim, dtypes=("float32", "float64"))
        assert verdict.ok, str(verdict)
    assert "takes float32, float64" in backend.unsupported(Problem((9, 9), (3, 3), "complex64"))
    assert "one thread only" in backend.unsupported(Problem((9, 9), (3, 3), threads=2))


def test_theano_where_it_cannot_run(fake_theano, monkeypatch):
    backend = fake_theano(numpy="1.22.0")
    assert "has NumPy 1.22.0, which Theano cannot use" in backend.unsupported(PROBLEM)
    backend = fake_theano(numpy="1.19.5")
    monkeypatch.setenv("FAKE_THEANO_CXX", "")
    with pytest.raises(UnsupportedError, match=r"no C\+\+ compiler.*docs/remote-workers.md"):
        backend.plan(PROBLEM, PROBLEM.kernel())
    backend = fake_theano("1.0.4", numpy="1.19.5")
    monkeypatch.setenv("FAKE_THEANO_CXX", "g++")
    monkeypatch.setenv("FAKE_THEANO_OP", "ConvOp")
    with pytest.raises(UnsupportedError, match="compiles this to ConvOp and not to CorrMM"):
        backend.plan(PROBLEM, PROBLEM.kernel())


def test_theano_settings_that_are_wrong(tmp_path, monkeypatch):
    monkeypatch.delenv(theano_conv.VARIABLE, raising=False)
    backend = theano_conv.Theano()
    assert not backend.available()
    assert f"set {theano_conv.VARIABLE}, see docs/remote-workers.md" in backend.unsupported(PROBLEM)
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\necho \'{"python": [2, 7], "versions": {}}\'\n')
    old.chmod(0o755)
    for given, reason in (
        ("/no/such/python", "'/no/such/python' is not an executable file"),
        (str(tmp_path), "is not an executable file"),
        (str(text), "does not answer as a Python 3 does"),
        (shutil.which("true"), "does not answer as a Python 3 does"),
        (str(old), "is Python 2.7; it must be 3.6 or newer"),
        (sys.executable, f"{sys.executable} has no Theano"),
    ):
        monkeypatch.setenv(theano_conv.VARIABLE, given)
        assert reason in backend.unsupported(PROBLEM)
        assert not backend.available()
        with pytest.raises(UnsupportedError):
            backend.plan(PROBLEM, PROBLEM.kernel())


@pytest.mark.skipif(theano_conv.VARIABLE not in os.environ, reason=f"{theano_conv.VARIABLE} names no Theano")
@pytest.mark.parametrize("mode", MODES)
def test_the_real_theano(mode):
    for ndim in (1, 2):
        verdict = convbench.check("theano", ndim=ndim, modes=mode, dtypes=("float32", "float64"))
        assert verdict.ok, str(verdict)


@pytest.mark.parametrize("backend", [keras_conv.KerasTensorflow(), keras_conv.KerasTorch(), keras_conv.KerasJax()], ids=lambda b: b.name)  # fmt: skip
def test_keras_needs_keras_3_and_a_framework(backend, monkeypatch):
    installed = {}
    monkeypatch.setattr(keras_conv, "distribution_version", installed.get)
    assert "keras is not installed: pip install 'convbench[keras" in backend.unsupported(PROBLEM)
    installed["keras"] = "3.15.1"
    assert f"{backend.framework} is not installed" in backend.unsupported(PROBLEM)
    installed[backend.framework] = "2.0"
    assert backend.unsupported(PROBLEM) is None
    assert backend.version() == "3.15.1"
    installed["keras"] = "2.3.1"
    assert "pip install 'keras>=3'" in backend.unsupported(PROBLEM)


def test_no_worker_is_started_by_asking(script):
    code = """
        from convbench.backends import list_backends, _remote_registry
        [b.unsupported(Problem((9, 9), (3, 3))) for b in list_backends()]
        print(len(_remote_registry._workers), sorted({"keras", "theano"} & set(sys.modules)))
    """
    assert script(code).communicate()[0].strip() == "0 []"
