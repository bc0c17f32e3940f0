from __future__ import annotations

import sys

import pytest
from fake_cuda import FakeDriver

from convbench.cuda import facts


@pytest.fixture
def driver(monkeypatch):
    """Put cards into this machine, all of them visible."""

    def put(*names: str, **about: object) -> FakeDriver:
        fake = FakeDriver(*names, **about)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        facts.why_none.cache_clear()
        return fake

    monkeypatch.delenv(facts.VISIBLE, raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    yield put
    facts.why_none.cache_clear()
