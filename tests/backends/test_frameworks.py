"""TensorFlow, JAX, PyTensor, ONNX Runtime, OpenVINO, DUCC: their threads, their start; the rest is in test_backends."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from convbench.backends import get_backend, onnxruntime_conv
from convbench.gate import check
from convbench.judge import Judge
from convbench.problem import MODES, Problem

NAMES = [
    name
    for name in ("tensorflow", "jax", "jax-fft", "pytensor", "onnxruntime", "openvino", "ducc0-fft")
    if get_backend(name).available()
]


def printed(code: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What a fresh process makes of the code."""
    unset = ("NPROC", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in unset} | more
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)


def needs(*names: str) -> None:
    for name in names:
        if name not in NAMES:
            pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_gate(name: str, ndim: int) -> None:
    backend = get_backend(name)
    # XLA compiles every shape for every dtype and mode
    some = {"modes": ("same",), "dtypes": ("float32", "complex128")} if name.startswith("jax") else {}
    verdict = check(name, ndim, **some)  # type: ignore[arg-type]
    assert verdict.ok, str(verdict)
    assert verdict.checks
    assert all("has no" in reason for reason in verdict.not_run) or len(backend.dtypes) == 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_the_plan_that_is_timed(name: str, mode: str) -> None:
    backend = get_backend(name)
    for dtype in set(backend.dtypes) & {"float32", "float64"}:
        problem = Problem((200, 220), (12, 13), dtype, mode)  # type: ignore[arg-type]
        kernel = problem.kernel()
        verdict = Judge(problem, kernel, problem.image()).judge(backend.plan(problem, kernel), backend)
        assert verdict.ok, str(verdict)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("name", NAMES)
def test_one_thread_is_one_thread(name: str, dtype: str) -> None:
    problem = Problem((400, 401), (15, 15), dtype)
    if get_backend(name).unsupported(problem):
        pytest.skip("asserted in test_supports_what_it_should")
    plan = get_backend(name).plan(problem, problem.kernel())
    data = plan.load(problem.image())
    plan.execute(data)
    time.sleep(0.05)  # what waits for work stops spinning
    processor, clock = time.process_time(), time.perf_counter()
    while time.perf_counter() - clock < 0.3:
        plan.execute(data)
    assert time.process_time() - processor < 1.15 * (time.perf_counter() - clock)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_never_overwritten(name: str) -> None:
    for dtype in get_backend(name).dtypes[:2]:
        problem = Problem((40, 50), (3, 4), dtype)
        plan, image = get_backend(name).plan(problem, problem.kernel()), problem.image()
        data = plan.load(image)
        first = plan.execute(data)
        second, copy = plan(image), plan.store(first).copy()
        for _ in range(5):
            plan(image * 2)
        assert np.array_equal(plan.store(first), copy)
        assert np.array_equal(second, copy)
        assert not np.shares_memory(plan.store(first), second)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written(name: str) -> None:
    """And the user's setting of what JAX's numbers are is as it was."""
    done = printed(f"""
from convbench.backends import get_backend
from convbench.problem import Problem
for dtype in get_backend({name!r}).dtypes:
    problem = Problem((64, 65), (5, 4), dtype)
    get_backend({name!r}).plan(problem, problem.kernel())(problem.image())
import os, sys
print("NPROC" in os.environ, "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64)
""")
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "first_use", "remedy"),
    [
        ("tensorflow", "import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads(2); tf.ones(3)",
         "TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1"),
        ("jax", "import jax; jax.devices()", "NPROC=1"),
    ],
)  # fmt: skip
def test_a_library_that_runs_on_more_threads_is_a_reason(name: str, first_use: str, remedy: str) -> None:
    needs(name)
    ask = f"""
from convbench.backends import get_backend
from convbench.problem import Problem
print(get_backend({name!r}).unsupported(Problem((9, 9), (3, 3))))
"""
    assert remedy in printed(first_use + ask).stdout
    only_imported = "import tensorflow as tf" if name == "tensorflow" else "import jax"
    assert printed(only_imported + ask).stdout.strip() == "None"
    variables = dict(setting.split("=") for setting in remedy.split())
    one = first_use.replace("threads(2)", "threads(0)")
    assert printed(one + ask, **variables).stdout.strip() == "None"


def test_openvino_reports_nothing_and_forks_nothing() -> None:
    needs("openvino")
    done = printed("""
import os, sys
os.register_at_fork(before=lambda: print("forked"))
from convbench.backends import get_backend
from convbench.problem import Problem
problem = Problem((9, 9), (3, 3))
get_backend("openvino").plan(problem, problem.kernel())
print([name for name in sys.modules if name.startswith("openvino_telemetry")])
""")
    assert done.stdout.split() == ["[]"]


def test_asking_leaves_the_threads_as_they_were() -> None:
    needs("tensorflow", "jax")
    done = printed("""
import jax, tensorflow as tf
from convbench.backends import get_backend
from convbench.problem import Problem
tf.config.threading.set_intra_op_parallelism_threads(2)
for name in ("tensorflow", "jax"):
    assert get_backend(name).unsupported(Problem((9, 9), (3, 3))) is None
print(tf.config.threading.get_intra_op_parallelism_threads(), len(jax.devices()))
""")
    assert done.stdout.split() == ["2", "1"]


def test_64_bits_are_there_whatever_the_users_setting() -> None:
    needs("jax")
    import jax

    problem = Problem((20, 21), (3, 4), "float64")
    for name in ("jax", "jax-fft"):
        with jax.enable_x64(True):
            inside = get_backend(name).plan(problem, problem.kernel())(problem.image())
            assert jax.config.jax_enable_x64
        with jax.enable_x64(False):
            outside = get_backend(name).plan(problem, problem.kernel())(problem.image())
            assert not jax.config.jax_enable_x64
        assert np.array_equal(inside, outside)


def test_plans_of_one_geometry_share_what_is_compiled() -> None:
    needs("jax", "tensorflow")
    problem = Problem((20, 21), (3, 4))
    for name in ("jax", "jax-fft", "tensorflow", "pytensor"):
        plans = [get_backend(name).plan(problem, problem.kernel(seed=seed)) for seed in (1, 2)]
        assert plans[0].run is plans[1].run  # type: ignore[attr-defined]
        assert not np.array_equal(plans[0](problem.image()), plans[1](problem.image()))


def test_onnx_missing_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("onnxruntime")
    monkeypatch.setattr(onnxruntime_conv, "distribution_version", lambda _: None)
    reason = get_backend("onnxruntime").unsupported(Problem((9, 9), (3, 3)))
    assert reason == "onnx is not installed: pip install 'convbench[onnxruntime]'"
