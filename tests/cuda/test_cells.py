"""Cells on a device: gated and timed on it, and what becomes of faults."""

from __future__ import annotations

import sys

import pytest
from fake_cuda import FakeCuda, FakeDriver, FakeStream

from convbench.cell import Cell, measure_cells
from convbench.cuda.faults import DeviceLostError
from convbench.entries import cell_entry
from convbench.measure import Rule
from convbench.problem import Problem

RULE = Rule(warmup=0.0, sample=1e-4, least=3, fewest=2, most=3, seconds=0.01, hard_seconds=0.1)
PROBLEM = Problem((24, 25), (3, 4), device="cuda:0")


def measure(backend, problem: Problem = PROBLEM, **settings):
    (cell,) = measure_cells(problem, [backend], problem.image(), problem.kernel(), rule=RULE, **settings)
    return cell


def test_a_cell_has_the_times_of_all_clocks() -> None:
    cell = measure(backend := FakeCuda(seconds=20e-6))
    assert cell.status == "ok", cell.reason
    assert cell.execute.median == pytest.approx(20e-6, rel=0.3)
    assert set(cell.clocks) == {"cold", "wall", "graph"}
    assert cell.clocks["cold"].median == pytest.approx(60e-6, rel=0.3)
    assert cell.peak_memory_bytes == 12345
    assert all(stream.log[0] != "mark" for stream in backend.streams)
    assert cell.unclocked == {}
    entry = cell_entry("image", cell, "run", "scipy", "1")
    assert entry["clock"] == "events"
    assert entry["cold_seconds"] == cell.clocks["cold"].median
    assert entry["clocks"]["wall"]["samples"]


def test_a_missing_graph_is_told_with_its_reason_and_costs_nothing_else(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeDriver("Card A"))
    monkeypatch.setattr(FakeStream, "captured", lambda self, call: call.no_such)
    cell = measure(FakeCuda(seconds=20e-6))
    assert (cell.status, set(cell.clocks)) == ("ok", {"cold", "wall"})
    entry = cell_entry("image", cell, "run", "scipy", "1")
    assert entry["clock"].startswith("events; no graph: cannot be captured: AttributeError")
    assert entry["device_state"] == {
        "clock_mhz": 1000,
        "memory_clock_mhz": 2000,
        "power_w": 150.5,
        "temperature_c": 40,
        "free_bytes": 1 << 29,
    }


def test_a_cell_of_the_processor_has_nothing_of_a_device() -> None:
    cell = Cell("a", "direct", Problem((4, 4), (3, 3)), "n/a")
    assert not {"clock", "clocks", "device_state"} & cell_entry("image", cell, "run", "scipy", "1").keys()


def test_further_processes_take_the_main_time_only() -> None:
    assert measure(FakeCuda(), once=False).clocks == {}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "float64"])
def test_every_dtype_of_a_device_passes_the_gate(dtype: str) -> None:
    cell = measure(FakeCuda(), Problem((24, 25), (5, 4), dtype, device="cuda:0"))
    assert cell.status == "ok", cell.reason
    assert 0 < cell.error_over_bound <= 1


def test_too_little_memory_makes_a_cell_not_available_and_says_how_much_it_takes(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeDriver("Card A"))
    problem = Problem((1024, 1024), (3, 4), device="cuda:0")
    for after in (0, 12):
        cell = measure(FakeCuda(fault=RuntimeError("CUDA error: out of memory"), after=after), problem)
        assert cell.status == "n/a"
        assert (
            "out of memory on cuda:0, of which 512 MiB are free; image, kernel and result alone take 8 MiB"
            in cell.reason
        )
        assert cell.execute is None


@pytest.mark.parametrize("after", [0, 40])
def test_a_lost_device_is_not_gone_on_with(after: int) -> None:
    with pytest.raises(DeviceLostError, match="cuda:0 was lost"):
        measure(FakeCuda(fault=RuntimeError("unspecified launch failure"), after=after))


def test_any_other_fault_is_a_failure_of_the_backend() -> None:
    cell = measure(FakeCuda(fault=ValueError("odd")))
    assert (cell.status, "odd" in cell.reason) == ("failed", True)
