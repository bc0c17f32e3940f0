"""Overlap-save with torch.fft, on the processor: the arithmetic and the tiles are the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convbench.backends import get_backend
from convbench.backends.torch_overlap import OverlapPlan, TorchOverlap, candidates
from convbench.gate import check
from convbench.judge import Judge
from convbench.problem import Problem

torch = pytest.importorskip("torch")


class OnCpu(TorchOverlap):
    """Every tile in turn, where a device would try them."""

    name = "overlap-on-cpu"
    devices = ("cpu",)

    def __init__(self, number: int) -> None:
        self.number = number

    def make_plan(self, problem, kernel):
        tiles = candidates(problem)
        return OverlapPlan(problem, kernel, tiles[self.number % len(tiles)])


@pytest.mark.parametrize(("number", "ndim"), list(itertools.product((0, 1), (1, 2))))
def test_the_gate_passes_whatever_the_tile(number: int, ndim: int) -> None:
    verdict = check(OnCpu(number), ndim=ndim)
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize(
    ("image", "kernel"),
    [((300, 410), (31, 17)), ((257, 64), (1, 9)), ((64, 700), (9, 1)), ((5000,), (33,)), ((40, 40), (63, 63))],
)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_many_tiles_and_batches(image, kernel, mode: str, monkeypatch) -> None:
    if mode == "valid" and any(k > n for n, k in zip(image, kernel, strict=True)):
        return
    monkeypatch.setattr("convbench.backends.torch_overlap._BATCH", 1 << 14)
    for dtype in ("float32", "complex128"):
        problem = Problem(image, kernel, dtype, mode)
        taps, judge = problem.kernel(), None
        for tile in candidates(problem):
            judge = judge or Judge(problem, taps, problem.image())
            verdict = judge.judge(OverlapPlan(problem, taps, tile), get_backend("torch-overlap"))
            assert not verdict.failures, (tile, str(verdict))


def test_candidates_cover_the_image_and_leave_room_beside_the_kernel() -> None:
    problem = Problem((4096, 4096), (31, 31))
    whole, *tiles = candidates(problem)
    assert min(whole) >= 4096 + 15
    assert 1 < len(tiles) <= 3
    assert all(62 <= n <= 2048 for tile in tiles for n in tile)
    rows = candidates(Problem((512, 512), (1, 31)))
    assert all(tile[0] == 512 for tile in rows)


def test_nothing_is_transformed_for_a_kernel_of_one_sample() -> None:
    problem = Problem((5, 6), (1, 1))
    plan = OverlapPlan(problem, problem.kernel(), (5, 6))
    assert np.array_equal(plan(problem.image()), problem.image() * problem.kernel()[0, 0])
