"""The error in units in the last place that the judge records."""

from __future__ import annotations

import numpy as np
import pytest

from convbench import bounds, oracle
from convbench.backends import get_backend
from convbench.judge import Judge
from convbench.problem import DTYPES, Problem
from convbench.verdict import Verdict


class Off:
    """The definition in higher precision, rounded, with every sample off by so many ulp of the largest output."""

    name, deterministic, precision = "off", True, "full"

    def __init__(self, problem: Problem, kernel: np.ndarray, ulp: float) -> None:
        self.problem, self.kernel, self.ulp = problem, kernel, ulp

    def rounding_of(self, problem: Problem) -> str:
        return "fft"

    def __call__(self, image: np.ndarray) -> np.ndarray:
        exact = oracle.paint(image, self.kernel)[self.problem.output_slices]
        eps = np.finfo(self.problem.real_dtype).eps
        return (exact + self.ulp * eps * np.abs(exact).max()).astype(self.problem.dtype)


def judged(problem: Problem, ulp: float) -> tuple[Verdict, float]:
    """The verdict, and by how much the largest output exceeds the largest at the points: that is the unit."""
    kernel = problem.kernel()
    off = Off(problem, kernel, ulp)
    judge = Judge(problem, kernel, problem.image())
    exceeds = max(np.abs(off(part.image)).max() / np.abs(part.wanted).max() for part in (judge.main, judge.other))
    return judge.judge(off, off), float(exceeds)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("image", "kernel"), [((40, 50), (5, 4)), ((300,), (7,))])
def test_the_planted_error_is_found_in_ulp(dtype: str, image: tuple[int, ...], kernel: tuple[int, ...]) -> None:
    verdict, exceeds = judged(Problem(image, kernel, dtype), 8.0)
    assert verdict.ok, str(verdict)
    assert verdict.ulp == pytest.approx(8 * exceeds, abs=1)
    correctly_rounded, _ = judged(Problem(image, kernel, dtype), 0.0)
    assert 0 < correctly_rounded.ulp <= 0.71  # half a unit in each part


def test_a_wrong_result_has_an_error_too() -> None:
    verdict, _ = judged(Problem((40, 50), (5, 4)), 1e6)
    assert not verdict.ok
    assert verdict.ulp > 1e5


def test_units_do_not_depend_on_the_scale() -> None:
    problem = Problem((64, 64), (5, 5))
    backend = get_backend("scipy-direct")
    found = []
    for scale in (1.0, 2.0**40, 2.0**-40):
        kernel = problem.kernel() * np.float32(scale)
        found.append(Judge(problem, kernel, problem.image()).judge(backend.plan(problem, kernel), backend).ulp)
    assert found[0] == found[1] == found[2] > 0


def test_nothing_but_zero_has_no_unit() -> None:
    problem = Problem((8, 8), (3, 3))
    zeros = np.zeros(5)
    assert bounds.ulp_error(problem, zeros, zeros) is None
    kernel = problem.kernel()
    blank = Judge(problem, np.zeros_like(kernel), problem.image())
    backend = get_backend("scipy-direct")
    verdict = blank.judge(backend.plan(problem, np.zeros_like(kernel)), backend)
    assert verdict.ok
    assert verdict.ulp is None


def test_a_verdict_keeps_the_largest() -> None:
    verdict = Verdict("x")
    for ulp in (None, 0.5, 2.0, None, 1.0):
        verdict.note_ulp(ulp)
    assert verdict.ulp == 2.0
