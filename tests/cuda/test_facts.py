from __future__ import annotations

import sys

import pytest
from fake_cuda import FakeDriver

from convbench.backends import get_backend
from convbench.cuda import facts
from convbench.problem import Problem

CUPY, NUMBA = get_backend("cupy-fft"), get_backend("numba-cuda-direct")


@pytest.fixture
def driver(monkeypatch):
    """Put cards into this machine."""

    def put(*names: str, **about: object) -> FakeDriver:
        fake = FakeDriver(*names, **about)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        facts.why_none.cache_clear()
        return fake

    yield put
    facts.why_none.cache_clear()


def test_what_the_driver_says_is_kept_and_what_it_does_not_say_is_none(driver) -> None:
    fake = driver("Card A", "Card B")
    first, second = facts.devices()
    assert (first.name, first.index, second.index) == ("Card A", 0, 1)
    assert (first.memory_bytes, first.free_bytes, first.cuda) == (1 << 30, 1 << 29, "13.0")
    assert (first.clock_mhz, first.memory_clock_mhz, first.clock_limit_mhz) == (1000, 2000, 1980)
    assert (first.power_w, first.power_limit_w, first.temperature_c) == (150.5, None, 40)
    assert facts.device("cuda:1") == second
    assert facts.device("cuda:2") is None
    assert fake.open == 0


def test_no_driver_and_no_library_are_no_devices(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert facts.devices() == []


@pytest.mark.parametrize("backend", [CUPY, NUMBA, get_backend("numba-cuda-separable")])
def test_why_there_is_no_device(backend, driver, monkeypatch) -> None:
    monkeypatch.setattr(type(backend), "version", lambda self: "1.0")
    problem = Problem((8, 8), (3, 3), device="cuda:0")
    driver()
    assert "no NVIDIA driver answers here" in backend.unsupported(problem)
    driver("Card A")
    assert backend.unsupported(problem) is None
    other = Problem((8, 8), (3, 3), device="cuda:1")
    assert backend.unsupported(other) == "there are 1 CUDA devices, so there is no cuda:1; see `convbench machine`"


def test_a_library_that_sees_no_card_though_there_is_one(driver, monkeypatch) -> None:
    driver("Card A", driver="470.1", cuda=11040)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert facts.why_none("torch", "13.0") == (
        "torch is built for CUDA 13.0 and finds no device; driver 470.1 runs CUDA up to 11.4: update the driver, or "
        "install torch for an older CUDA"
    )
    facts.why_none.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES='' hides 1; unset it" in facts.why_none("torch", "13.0")
