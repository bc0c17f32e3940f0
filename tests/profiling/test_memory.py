"""Memory: known arrays are found again, and a part that fails costs itself only."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convbench.backends import get_backend
from convbench.problem import Problem
from convbench.profiling import memory as module
from convbench.profiling.memory import PARTS, Memory, Site, memory
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

IMAGE = Problem((1024, 768), (5, 5))
RESULT = 1024 * 768 * 4
LINUX = sys.platform.startswith("linux")


def subject(backend: str, problem: Problem = IMAGE) -> Subject:
    return Subject(get_backend(backend), problem, problem.image(), problem.kernel(separable=problem.ndim > 1))


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Code that the measuring process runs before all else."""

    def put(code: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    return put


def reasons(found: Memory) -> dict[str, Missing]:
    return {one.what: one for one in found.missing}


@pytest.fixture(scope="module")
def found() -> Memory:
    """A transform of the whole image."""
    return memory(subject("pyfftw"))


@pytest.mark.skipif(not LINUX, reason="resident memory is read from Linux's /proc")
class TestOfAnImage:
    def test_the_result_is_the_array_that_is_returned(self, found: Memory) -> None:
        assert found.arrays_bytes is not None and RESULT <= found.arrays_bytes < 2 * RESULT
        assert found.arrays is not None and found.arrays >= 1
        assert found.traced_bytes is not None and found.traced_bytes >= found.arrays_bytes

    def test_a_plan_that_transforms_keeps_a_padded_image_and_spectra(self, found: Memory) -> None:
        assert found.steady_bytes is not None and found.steady_bytes > 2 * RESULT
        assert found.peak_bytes is not None and found.peak_bytes >= found.steady_bytes + RESULT // 2

    def test_page_faults_are_counted(self, found: Memory) -> None:
        assert found.page_faults is not None and found.page_faults >= 0

    def test_the_rest_is_there_or_explained(self, found: Memory) -> None:
        assert set(reasons(found)) <= {"allocations"}
        assert (found.allocations is None) == ("allocations" in reasons(found))
        assert found.device_peak_bytes is None


@pytest.mark.skipif(not LINUX, reason="resident memory is read from Linux's /proc")
def test_a_direct_sum_keeps_next_to_nothing(found: Memory) -> None:
    direct = memory(subject("numba-direct"))
    assert direct.steady_bytes is not None and found.steady_bytes is not None
    assert direct.steady_bytes < found.steady_bytes / 2


@pytest.mark.skipif(importlib.util.find_spec("memray") is None, reason="memray is not installed")
def test_memray_sees_the_result_allocated() -> None:
    found = memory(subject("numba-direct"))
    assert found.allocated_bytes is not None and RESULT <= found.allocated_bytes < 1.5 * RESULT
    assert found.allocations is not None and found.allocations >= 1
    assert found.sites[0].bytes >= RESULT
    assert "numba_direct.py" in found.sites[0].where


def test_without_memray_the_command_that_installs_it(plant) -> None:
    plant("import sys; sys.modules['memray'] = None")
    found = memory(subject("numpy", Problem((4096,), (5,))))
    assert found.allocations is None
    assert "pip install" in reasons(found)["allocations"].remedy
    assert found.arrays_bytes is not None and 4096 * 4 <= found.arrays_bytes < 4096 * 4 + 2048


def test_a_part_that_raises_costs_itself_only(plant) -> None:
    plant("import resource; resource.getrusage = None")
    found = memory(subject("numpy", Problem((4096,), (5,))))
    assert "TypeError" in reasons(found)["page faults"].why
    assert found.page_faults is None
    assert found.arrays_bytes is not None


def test_a_process_that_dies_keeps_what_it_told(plant) -> None:
    plant("import tracemalloc, os, signal; tracemalloc.start = lambda: os.kill(os.getpid(), signal.SIGKILL)")
    found = memory(subject("numpy", Problem((4096,), (5,))))
    assert found.page_faults is not None
    assert {"memory of Python and NumPy", "allocations"} <= set(reasons(found))
    assert "signal 9" in reasons(found)["allocations"].why


def test_a_process_that_cannot_plan_is_quoted(plant) -> None:
    plant("import sys, os\nif 'memory' in ' '.join(sys.orig_argv): sys.stderr.write('no room\\n'); os._exit(3)\n")
    found = memory(subject("numpy", Problem((4096,), (5,))))
    assert set(reasons(found)) == set(PARTS)
    assert all("exit status 3" in one.why and "no room" in one.why for one in found.missing)


def test_a_process_that_hangs_is_ended(plant, monkeypatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 1.0)
    plant("import time; time.sleep(99)")
    found = memory(subject("numpy", Problem((4096,), (5,))))
    assert "not done after 1 s" in reasons(found)["allocations"].why


def test_a_backend_that_works_elsewhere_is_not_measured_here(monkeypatch) -> None:
    monkeypatch.setattr(module, "piped", None)  # it must not come to that
    found = memory(subject("theano"))
    assert "another process" in found.missing[0].why
    assert found.rows() == []


def test_rows_are_in_words() -> None:
    found = Memory(steady_bytes=3 << 20, page_faults=12.5, sites=(Site("malloc in execute (x.py:3)", 2.0, 2048.0),))
    assert found.rows() == [
        ("kept between executions", "3.00 MiB"),
        ("page faults per execution", "12.5"),
        ("allocated in malloc in execute (x.py:3)", "2.00 KiB in 2 allocations"),
    ]


class _Work:
    """Two executions on a device, each of which takes memory as the statistics of a library would tell."""

    times = 2

    def __init__(self, stream: Any, execute: Any) -> None:
        self.plan, self.execute = SimpleNamespace(stream=stream, problem=SimpleNamespace(device="cuda:0")), execute

    def repeat(self) -> None:
        for _ in range(self.times):
            self.execute()


def test_the_allocator_of_torch_is_asked(monkeypatch, tmp_path) -> None:
    state = {"allocation.all.allocated": 10, "allocated_bytes.all.allocated": 5000, "allocated_bytes.all.current": 700}

    class Stream:
        index, torch = 0, SimpleNamespace(cuda=SimpleNamespace(memory_stats=lambda index: dict(state)))

        def peak_memory(self, call: Any) -> int:
            call()
            return 300

    def execute() -> None:
        state["allocation.all.allocated"] += 3
        state["allocated_bytes.all.allocated"] += 900

    monkeypatch.setattr(module, "_STATISTICS", {Stream: module._torch})
    assert module._device(_Work(Stream(), execute), tmp_path) == {
        "device_steady_bytes": 700,
        "device_peak_bytes": 1000,
        "device_allocations": 3,
        "device_allocated_bytes": 900,
    }


def test_the_allocator_of_cupy_is_watched(monkeypatch, tmp_path) -> None:
    hooks: list[Any] = []

    class Hook:
        def __enter__(self) -> Any:
            hooks.append(self)
            return self

        def __exit__(self, *error: object) -> None:
            hooks.remove(self)

    class Stream:
        index = 0
        cupy = SimpleNamespace(
            cuda=SimpleNamespace(MemoryHook=Hook),
            get_default_memory_pool=lambda: SimpleNamespace(used_bytes=lambda: 512),
        )

        def peak_memory(self, call: Any) -> None:
            return None

    def execute() -> None:
        for hook in hooks:
            hook.malloc_postprocess(mem_size=256, size=200, device_id=0, mem_ptr=0, pmem_id=0)

    monkeypatch.setattr(module, "_STATISTICS", {Stream: module._cupy})
    found = module._device(_Work(Stream(), execute), tmp_path)
    assert (found["device_allocations"], found["device_allocated_bytes"]) == (1, 256)
    assert found["device_steady_bytes"] == 512 and found["device_peak_bytes"] is None


def test_a_library_on_a_device_that_tells_nothing(tmp_path) -> None:
    found = module._device(_Work(SimpleNamespace(index=0), np.zeros), tmp_path)
    assert isinstance(found, Missing) and found.what == "device memory"
