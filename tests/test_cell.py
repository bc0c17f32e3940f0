"""Cells: what is wrong, cannot run or is too slow is never timed, and says why."""

from __future__ import annotations

import time

import numpy as np
import pytest
from planted import Spoiled, direct, fourier

from convbench import cell
from convbench.backends.base import Backend
from convbench.cell import measure_cells, peak_memory
from convbench.errors import UnsupportedError
from convbench.measure import Rule
from convbench.problem import Problem

FAST = Rule(warmup=0, sample=1e-4, seconds=0.01, most=8)
PROBLEM = Problem((48, 50), (5, 5))


def measure(*backends, problem=PROBLEM, **options):
    for number, backend in enumerate(backends):
        backend.name = f"b{number}"
    return measure_cells(problem, backends, problem.image(), problem.kernel(), rule=FAST, zero_mean=True, **options)


def test_a_right_backend_is_timed():
    (cell,) = measure(Spoiled(direct))
    assert cell.status == "ok"
    assert cell.reason is None
    assert cell.execute.median > 0
    assert cell.one_shot.median >= cell.plan.median
    assert 0 < cell.error_over_bound <= 1
    assert cell.checks > 10
    assert len(cell.input_sha256) == 64


def test_a_twin_is_another_plan_of_the_same_backend():
    planned = []
    once, twice = Spoiled(direct), Spoiled(direct)
    make_plan = twice.make_plan
    twice.make_plan = lambda problem, kernel: planned.append(problem) or make_plan(problem, kernel)
    seen = []
    first, second = measure(once, twice, twins=lambda names: seen.append(names) or ["b1"])
    assert list(seen[0]) == ["b0", "b1"]
    assert min(seen[0].values()) > 0
    assert first.again is None
    assert second.again.median > 0
    assert second.again.samples != second.execute.samples
    assert sum(p == PROBLEM for p in planned) >= 2
    assert [c.status for c in (first, second)] == ["ok", "ok"]


def test_a_twin_that_fails_takes_its_cell_along():
    twice = Spoiled(direct)
    make_plan, count = twice.make_plan, []

    def second_is_broken(problem, kernel):
        count.append(problem == PROBLEM)
        if sum(count) == 2:
            raise RuntimeError("no second plan")
        return make_plan(problem, kernel)

    twice.make_plan = second_is_broken
    broken, right = measure(twice, Spoiled(direct), twins=lambda names: ["b0"])
    assert broken.status == "failed"
    assert "no second plan" in broken.reason
    assert right.status == "ok"


def test_samples_alone_can_be_had():
    (cell,) = measure(Spoiled(direct), once=False)
    assert cell.status == "ok"
    assert cell.execute.samples
    assert cell.one_shot is cell.plan is cell.load_seconds is cell.peak_memory_bytes is None


def test_first_plan_and_execution_are_kept_and_a_cold_start_where_wanted():
    (first,) = measure(Spoiled(direct))
    assert first.startup_seconds is None
    (first,) = measure(Spoiled(direct), start=lambda backend, problem: 4.5)
    assert first.startup_seconds == 4.5
    assert first.first_plan_seconds > 0
    assert first.first_execute_seconds > 0


def test_a_wrong_backend_is_never_timed():
    wrong, right = measure(Spoiled(lambda p, x, k: direct(p, x, np.flip(k))), Spoiled(direct))
    assert wrong.status == "failed"
    assert "cross-correlation" in wrong.reason
    assert wrong.execute is wrong.first_plan_seconds is wrong.first_execute_seconds is None
    assert right.status == "ok"


def test_wrong_only_at_full_size_is_found():
    def compute(p, x, k):
        y = fourier(p, x, k)
        if p.image_shape == PROBLEM.image_shape:
            y[40, 7] += 0.1
        return y

    (cell,) = measure(Spoiled(compute, "fft"))
    assert cell.status == "failed"
    assert cell.reason.startswith("gate: ")


@pytest.mark.parametrize("step", ["load", "timed", "execute", "store"])
def test_a_plan_that_raises_once_it_is_timed_costs_nobody_else(step, monkeypatch):
    """A library may fail, or its process die, after the gate has passed it."""
    judged = []
    breaks, right = Spoiled(direct), Spoiled(direct)
    make_plan = breaks.make_plan

    def planned(problem, kernel):
        plan = make_plan(problem, kernel)
        working = getattr(plan, step)

        def may_break(*arguments):
            if judged:
                raise OSError("the process is gone")
            return working(*arguments)

        monkeypatch.setattr(plan, step, may_break)
        return plan

    breaks.make_plan = planned
    judge = cell.Judge.judge
    monkeypatch.setattr(cell.Judge, "judge", lambda *a: (judge(*a), judged.append(1))[0])
    first, second = measure(breaks, right)
    assert first.status == "failed"
    assert first.reason.startswith("raised OSError: the process is gone")
    assert first.execute is None
    assert second.status == "ok"


def test_a_backend_that_raises_costs_nobody_else():
    def boom(p, x, k):
        raise MemoryError("no room")

    bad, good = measure(Spoiled(boom), Spoiled(direct))
    assert bad.status == "failed"
    assert "no room" in bad.reason
    assert good.status == "ok"


def test_not_applicable_says_why():
    def never(p, x, k):
        raise UnsupportedError("kernel is not separable")

    (cell,) = measure(Spoiled(never))
    assert (cell.status, cell.reason) == ("n/a", "kernel is not separable")
    (cell,) = measure(Spoiled(direct), problem=Problem((48, 50), (5, 5), threads=2))
    assert cell.status == "n/a"
    assert "one thread only" in cell.reason
    (cell,) = measure(Spoiled(direct), problem=Problem((48, 50), (5, 5), device="cuda:0"))
    assert "not on cuda:0" in cell.reason


def test_over_the_budget_is_skipped_unrun():
    sizes = []

    def slow(p, x, k):
        sizes.append(p.image_shape)
        time.sleep(2e-9 * x.size * k.size)
        return fourier(p, x, k)

    problem = Problem((1024, 1024), (63, 63))
    (cell,) = measure(Spoiled(slow, "fft"), problem=problem, budget=0.5)
    assert cell.status == "skipped"
    assert "over the time budget" in cell.reason
    assert problem.image_shape not in sizes


def test_progress_reaches_its_end():
    seen = []
    measure(Spoiled(direct), Spoiled(direct), progress=lambda done, total, text: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)


def test_peak_memory_sees_what_a_call_allocates():
    used = peak_memory(lambda: np.ones(8_000_000))
    if used is None:
        pytest.skip("no /proc here")
    assert 60e6 < used < 80e6


def test_a_plan_says_what_is_timed_and_a_remote_one_has_no_memory_here():
    class Clocked(Spoiled):
        remote = True

        def make_plan(self, problem, kernel):
            plan = super().make_plan(problem, kernel)
            plan.timed = lambda data: type("", (), {"seconds": lambda self, number: number * 1e-3 * len(data)})()
            return plan

    (cell,) = measure(Clocked(direct))
    assert cell.execute.median == pytest.approx(48e-3)
    assert cell.peak_memory_bytes is None


def test_certification_runs_once_per_dtype_and_mode():
    calls = []

    def counted(p, x, k):
        calls.append(p)
        return direct(p, x, k)

    backend: Backend = Spoiled(counted)
    measure(backend)
    first = len(calls)
    measure(backend)
    assert len(calls) < 2 * first
