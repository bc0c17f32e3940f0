from __future__ import annotations

import os
import sys

import pytest
from fake_cuda import FakeDriver

from convbench.backends import get_backend
from convbench.cuda import facts
from convbench.machine import describe, machine_name, warnings
from convbench.problem import Problem

CUPY, NUMBA = get_backend("cupy-fft"), get_backend("numba-cuda-direct")
PROBLEM = Problem((8, 8), (3, 3), device="cuda:0")


def test_what_the_driver_says_is_kept_and_what_it_does_not_say_is_none(driver) -> None:
    fake = driver("Card A", "Card B")
    first, second = facts.devices()
    assert (first.name, first.index, second.index) == ("Card A", 0, 1)
    assert (first.memory_bytes, first.free_bytes, first.cuda) == (1 << 30, 1 << 29, "13.0")
    assert (first.clock_mhz, first.memory_clock_mhz, first.clock_limit_mhz) == (1000, 2000, 1980)
    assert (first.power_w, first.power_limit_w, first.temperature_c) == (150.5, None, 40)
    assert first.others == 0
    assert facts.device("cuda:1") == second
    assert facts.device("cuda:2") is None
    assert first.conditions["clock_limit_mhz"] == 1980
    assert "up to 1980 MHz" in str(first)
    assert fake.open == 0


def test_no_driver_and_no_library_are_no_devices(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert facts.devices() == []
    assert facts.cards() == []


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("1", ["B"]),
        ("2,0", ["C", "A"]),
        (" 1 , 2 ", ["B", "C"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["A"]),
        ("GPU-1", ["B"]),
        ("GPU-2-abc,GPU-0", ["C", "A"]),
        ("GPU-", []),
        ("GPU-9", []),
        ("MIG-of-0", ["A"]),
        ("nonsense", []),
    ],
)
def test_devices_are_those_that_cuda_shows_in_its_order(said: str, names: list[str], driver, monkeypatch) -> None:
    driver("A", "B", "C")
    monkeypatch.setenv(facts.VISIBLE, said)
    found = facts.devices()
    assert [one.name for one in found] == names
    assert [one.place for one in found] == [f"cuda:{i}" for i in range(len(names))]
    assert facts.cards() == ["A", "B", "C"]
    hidden = 3 - len(names)
    assert (f"{hidden} hidden by CUDA_VISIBLE_DEVICES" in describe()["gpu"]) == (hidden > 0)


def test_a_machines_name_does_not_depend_on_what_is_hidden(driver, monkeypatch) -> None:
    monkeypatch.setattr("convbench.machine._cpu_kind", lambda: {"family": "6"})
    driver("Card A", "Card B", "Card A")
    name = machine_name()
    assert name.endswith("-family6-card-a-card-b")
    monkeypatch.setenv(facts.VISIBLE, "")
    assert machine_name() == name


def test_other_programs_on_a_device_are_a_warning(driver) -> None:
    driver("Card A", pids=(os.getpid(),))
    assert not any("cuda:0" in text for text in warnings(0.0))
    driver("Card A", pids=(os.getpid(), 1, 2))
    (told,) = [text for text in warnings(0.0) if "cuda:0" in text]
    assert "other programs (2) compute on cuda:0" in told and "nvidia-smi" in told


@pytest.mark.parametrize("backend", [CUPY, NUMBA, get_backend("numba-cuda-separable")])
def test_why_there_is_no_device(backend, driver, monkeypatch) -> None:
    monkeypatch.setattr(type(backend), "version", lambda self: "1.0")
    driver()
    assert "no NVIDIA driver answers here" in backend.unsupported(PROBLEM)
    driver("Card A", "Card B")
    assert backend.unsupported(PROBLEM) is None
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # or CUDA's numbers were others than the driver's
    other = Problem((8, 8), (3, 3), device="cuda:5")
    there = "there is no cuda:5 here, but cuda:0 (Card A), cuda:1 (Card B)"
    assert backend.unsupported(other) == f"{there}; see `convbench machine`"
    monkeypatch.setenv(facts.VISIBLE, "1")
    assert "but cuda:0 (Card B); CUDA_VISIBLE_DEVICES='1' hides the others" in backend.unsupported(other)
    monkeypatch.setenv(facts.VISIBLE, "")
    facts.why_none.cache_clear()
    assert "CUDA_VISIBLE_DEVICES='' hides 2; unset it" in backend.unsupported(PROBLEM)


@pytest.mark.parametrize(("newest", "fits"), [(11040, False), (12080, False), (13000, True), (13020, True)])
def test_a_driver_that_is_too_old_is_told_before_anything_fails_on_it(newest: int, fits: bool, driver) -> None:
    driver("Card A", driver="470.1", cuda=newest)
    why = facts.why_not("cuda:0", "torch", "13.1")
    if fits:
        assert why is None
    else:
        assert why == (
            f"torch is built for CUDA 13.1 and finds no device; driver 470.1 runs CUDA up to {facts.devices()[0].cuda}: "
            "update the driver, or install torch for an older CUDA"
        )
    assert facts.why_not("cuda:0", "cupy", "?") is None


def test_torch_tells_it_too_though_it_counts_devices(driver, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    backend = get_backend("torch")
    driver("Card A", driver="470.1", cuda=11040)
    assert "driver 470.1 runs CUDA up to 11.4" in backend.unsupported(PROBLEM)
    driver("Card A")
    assert backend.unsupported(PROBLEM) is None
    assert "there is no cuda:3 here, but cuda:0" in backend.unsupported(Problem((8, 8), (3, 3), device="cuda:3"))
    driver()
    assert backend.unsupported(PROBLEM) is None  # torch finds one, though NVML does not answer
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "no NVIDIA driver answers here" in backend.unsupported(PROBLEM)


def test_numba_is_held_against_the_cuda_of_its_bindings(driver, monkeypatch) -> None:
    monkeypatch.setattr(type(NUMBA), "version", lambda self: "0.30")
    monkeypatch.setattr("convbench.backends.numba_cuda.distribution_version", {"cuda-bindings": "13.5.0"}.get)
    driver("Card A", cuda=12080)
    assert "numba-cuda is built for CUDA 13.5.0" in NUMBA.unsupported(PROBLEM)
    assert isinstance(sys.modules["pynvml"], FakeDriver)
