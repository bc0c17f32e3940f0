"""FFT workspaces: handed on when a plan is gone, never shared by two."""

from __future__ import annotations

import gc

import numpy as np
import pytest

pytest.importorskip("pyfftw")

from convbench.backends import _workspaces, get_backend
from convbench.problem import Problem

CASES = [
    ("pyfftw", Problem((40, 50), (5, 7))),
    ("pyfftw", Problem((40, 50), (1, 7), "complex64")),
    ("pyfftw-overlap", Problem((700, 600), (9, 7))),
    ("pyfftw-overlap", Problem((700, 600), (9, 1), "float64")),
    ("pyfftw-overlap", Problem((90000,), (33,))),
]


@pytest.fixture(autouse=True)
def _none_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workspaces, "_idle", type(_workspaces._idle)())


def idle() -> list[object]:
    return [space for spaces in _workspaces._idle.values() for space in spaces]


@pytest.mark.parametrize(("name", "problem"), CASES)
def test_a_plan_takes_over_from_one_that_is_gone_and_gives_its_own_results(name: str, problem: Problem) -> None:
    backend, image = get_backend(name), problem.image()
    one, two = problem.kernel(seed=1), problem.kernel(seed=2)
    first, second = backend.plan(problem, one), backend.plan(problem, two)
    expected = [plan(image).copy() for plan in (first, second)]
    assert not np.allclose(*expected)
    assert idle() == []
    del first, second
    gc.collect()
    spaces = idle()
    assert len(spaces) == 2
    again = backend.plan(problem, one)
    assert len(idle()) == 1
    np.testing.assert_array_equal(again(image), expected[0])
    other = backend.plan(problem, two)
    assert idle() == []
    np.testing.assert_array_equal(other(image), expected[1])
    np.testing.assert_array_equal(again(image), expected[0])


def test_what_is_idle_is_bounded_and_the_longest_idle_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = get_backend("pyfftw")
    problems = [Problem((n, n), (5, 5)) for n in (100, 110, 120)]
    plans = [backend.plan(problem, problem.kernel()) for problem in problems]
    sizes = [plan.workspace.nbytes for plan in plans]  # type: ignore[attr-defined]
    monkeypatch.setattr(_workspaces, "MOST_BYTES", sizes[1] + sizes[2])
    last = plans[2].workspace  # type: ignore[attr-defined]
    while plans:
        del plans[0]
        gc.collect()
    assert sum(space.nbytes for space in idle()) <= sizes[1] + sizes[2]  # type: ignore[attr-defined]
    assert last in idle()
    assert len(idle()) == 2
