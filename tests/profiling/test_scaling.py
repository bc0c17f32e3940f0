"""Growth: known laws with noise are found again; ladders; what is gated, timed and said."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import fakes
import numpy as np
import pytest

from convbench.analysis.noise import UNCALIBRATED, Noise
from convbench.backends import get_backend
from convbench.measure import Rule, Timing
from convbench.problem import Problem
from convbench.profiling import ladder as ladders
from convbench.profiling.growth import amdahl, power
from convbench.profiling.ladder import COUNT, ladder
from convbench.profiling.missing import Missing
from convbench.profiling.scaling import Measured, Scaling, scaling, side_by_side
from convbench.profiling.subject import Subject
from convbench.separate import separable_rank

QUIET = Noise(30, 0.002, 2.24, 0.002)
KNOWN = {
    "fma_float32": 200.0, "fft_float32": 30.0, "l2_bytes": 2.0**20, "copy_l2": 150.0, "l3_bytes": 2.0**25,
    "copy_l3": 80.0, "copy": 20.0,
}  # fmt: skip


def subject(backend: Any = "numba-direct", image: Any = (256, 256), kernel: Any = (9, 9), **options: Any) -> Subject:
    problem = Problem(image, kernel, **options)
    chosen = get_backend(backend) if isinstance(backend, str) else backend
    return Subject(chosen, problem, problem.image(), problem.kernel(separable=problem.ndim > 1))


# -- fits --------------------------------------------------------------------------------------------------------


def test_a_known_exponent_lies_within_its_interval() -> None:
    values = [7, 11, 15, 21, 31, 43, 63]
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        times = 1e-6 * np.array(values) ** 1.7 * np.exp(rng.normal(0, 0.03, len(values)))
        found = power(values, times, [0.03] * len(values))
        assert found is not None
        covered += found.low <= 1.7 <= found.high
    assert covered >= 180


def test_the_interval_excludes_what_is_false() -> None:
    values = [7, 11, 15, 21, 31, 43, 63]
    excluded = 0
    for seed in range(200):
        times = np.array(values) ** 1.7 * np.exp(np.random.default_rng(seed).normal(0, 0.03, len(values)))
        found = power(values, times, [0.03] * len(values))
        assert found is not None
        excluded += not found.low <= 2.0 <= found.high
    assert excluded >= 190


def test_uncertain_points_weigh_less() -> None:
    values, times = [1, 2, 4, 8], [1.0, 4.0, 16.0, 640.0]
    found = power(values, times, [0.01, 0.01, 0.01, 3.0])
    assert found is not None
    assert found.exponent == pytest.approx(2.0, abs=0.01)
    assert found.residuals[-1] == pytest.approx(np.log(10), abs=0.05)


def test_two_points_have_the_interval_of_their_errors() -> None:
    found = power([1, 2], [1.0, 0.5], [0.02, 0.02])
    assert found is not None
    assert found.exponent == pytest.approx(-1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.02 * 2**0.5 / np.log(2), rel=1e-3)
    assert power([4], [1.0], [0.02]) is None
    assert power([], [], []) is None


def test_a_planted_serial_fraction_is_found() -> None:
    threads = [1, 2, 3, 4, 6, 8, 12, 16]
    covered = 0
    for seed in range(200):
        noise = np.exp(np.random.default_rng(seed).normal(0, 0.02, len(threads)))
        times = 3e-3 * (0.1 + 0.9 / np.array(threads)) * noise
        found = amdahl(threads, times, [0.02] * len(threads))
        assert found is not None
        assert found.serial == pytest.approx(0.1, abs=0.03)
        assert found.one == pytest.approx(3e-3, rel=0.1)
        covered += found.low <= 0.1 <= found.high
    assert covered >= 180


def test_two_thread_counts_give_a_serial_fraction() -> None:
    found = amdahl([1, 2], [1.0, 0.6], [0.01, 0.01])
    assert found is not None
    assert found.serial == pytest.approx(0.2)
    assert found.low < 0.2 < found.high < 0.3
    assert found.at(1) == pytest.approx(1.0) and found.at(4) == pytest.approx(0.4)
    assert amdahl([2], [1.0], [0.01]) is None


# -- ladders -----------------------------------------------------------------------------------------------------


def test_images_double_in_two_steps_and_keep_their_shape() -> None:
    wanted = ladder(subject(image=(400, 800), kernel=(3, 3)), "image")
    assert isinstance(wanted, dict)
    assert list(wanted) == [200, 283, 400, 566, 800, 1131, 1600]
    assert [one.problem.image_shape for one in wanted.values()][::2] == [
        (100, 200),
        (200, 400),
        (400, 800),
        (800, 1600),
    ]
    assert all(one.image.shape == one.problem.image_shape for one in wanted.values())
    assert {one.problem.kernel_shape for one in wanted.values()} == {(3, 3)}


@pytest.mark.parametrize(("kernel", "first"), [((31, 31), 7), ((8, 8), 4), ((3, 3), 3), ((1, 21), 5), ((40, 8), 10)])
def test_kernels_stay_odd_or_even(kernel: tuple[int, int], first: int) -> None:
    wanted = ladder(subject(kernel=kernel), "kernel")
    assert isinstance(wanted, dict)
    assert len(wanted) == COUNT and next(iter(wanted)) == first and max(kernel) in wanted
    for value, one in wanted.items():
        assert max(one.problem.kernel_shape) == value
        assert all(k == 1 or (k - given) % 2 == 0 for k, given in zip(one.problem.kernel_shape, kernel, strict=True))
        assert [k == 1 for k in one.problem.kernel_shape] == [k == 1 for k in kernel]


def test_ladders_end_at_the_image_and_begin_at_the_kernel() -> None:
    kernels = ladder(subject(image=(40, 400), kernel=(31, 31), mode="valid"), "kernel")
    images = ladder(subject(image=(40, 400), kernel=(31, 31), mode="valid"), "image")
    assert isinstance(kernels, dict) and isinstance(images, dict)
    assert (max(kernels), min(images), max(images)) == (31, 400, 1600)
    assert all(min(one.problem.output_shape) >= 1 for one in (*kernels.values(), *images.values()))


def test_a_kernel_of_one_sample_grows_too() -> None:
    wanted = ladder(subject(kernel=(1, 1)), "kernel")
    assert isinstance(wanted, dict)
    assert list(wanted)[:3] == [1, 3, 5]


def test_the_subject_s_own_data_are_kept() -> None:
    one = subject()
    for axis in ("image", "kernel"):
        wanted = ladder(one, axis)
        assert isinstance(wanted, dict)
        here = wanted[256 if axis == "image" else 9]
        assert here.image is one.image and here.kernel is one.kernel


def test_images_keep_within_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    room = type("Memory", (), {"available": ladders.PART * 3 * (2 * 256 * 256 * 4)})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: room)
    wanted = ladder(subject(), "image")
    assert isinstance(wanted, dict)
    assert max(wanted) == 362  # 2 times as many samples, not 4


def test_kernels_for_passes_keep_their_rank() -> None:
    one = subject("numba-separable", kernel=(21, 21))
    kernel = one.kernel + one.problem.kernel(separable=True, seed=1)
    wanted = ladder(Subject(one.backend, one.problem, one.image, kernel), "kernel")
    assert isinstance(wanted, dict)
    assert {separable_rank(one.kernel) for one in wanted.values()} == {2}


@pytest.mark.parametrize(
    ("cores", "expected"), [(2, [1, 2]), (6, [1, 2, 3, 4, 6]), (20, [1, 2, 3, 4, 6, 8, 12, 16, 20])]
)
def test_threads_reach_all_cores(monkeypatch: pytest.MonkeyPatch, cores: int, expected: list[int]) -> None:
    monkeypatch.setattr(ladders, "cores", lambda: cores)
    wanted = ladder(subject(), "threads")
    assert isinstance(wanted, dict)
    assert list(wanted) == expected
    assert [one.problem.threads for one in wanted.values()] == expected


def test_where_there_are_no_threads_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladders, "cores", lambda: 4)
    missing = scaling(subject("ndimage"), "threads")
    assert isinstance(missing, Missing) and missing.why == "ndimage runs on one thread only"
    assert "cuda:0" in str(ladder(subject(device="cuda:0"), "threads"))
    monkeypatch.setattr(ladders, "cores", lambda: 1)
    assert ladder(subject(), "threads") == "this process may use one core only"


# -- what is said ------------------------------------------------------------------------------------------------


def law(seconds: Callable[[Problem], float], noise: float = 0.005) -> Callable[..., Measured]:
    """A measure whose times follow a law."""

    def measure(subjects: Mapping[int, Subject], tell: object) -> Measured:
        rng = np.random.default_rng(0)
        return {
            value: Timing(tuple(seconds(one.problem) * np.exp(rng.normal(0, noise, 20))), 1, "done")
            for value, one in subjects.items()
        }

    return measure


def scaled(one: Subject, axis: Any, seconds: Callable[[Problem], float], **options: Any) -> Scaling:
    found = scaling(one, axis, measure=law(seconds), noise=QUIET, **options)
    assert isinstance(found, Scaling)
    return found


def test_a_direct_sum_grows_with_the_kernel_s_area() -> None:
    found = scaled(subject(kernel=(31, 31)), "kernel", lambda p: 1e-9 * p.kernel_shape[0] ** 2)
    assert found.theory == pytest.approx(2.0)
    assert found.grown is not None and found.grown.exponent == pytest.approx(2.0, abs=0.02)
    assert found.verdict.startswith("time grows as k^2.0")
    assert "theory over this range says k^2.00: they agree" in found.verdict
    assert [p.value for p in found.points] == [7, 11, 15, 21, 31, 43, 63]


@pytest.mark.parametrize(
    ("backend", "axis", "theory"),
    [
        ("numba-separable", "kernel", 1.0),
        ("scipy-fft", "kernel", 0.17),
        ("scipy-fft", "image", 1.84),
        ("numba-direct", "image", 2.0),
    ],
)
def test_theory_is_the_operations_over_this_range(backend: str, axis: Any, theory: float) -> None:
    found = scaled(subject(backend, kernel=(31, 31)), axis, lambda p: 1e-3)
    assert found.theory == pytest.approx(theory, abs=0.08)
    assert found.theory != pytest.approx(0.0, abs=1e-3)
    assert found.implemented is not None


def test_fixed_costs_make_it_slower_and_falling_rates_faster() -> None:
    slower = scaled(subject(kernel=(31, 31)), "kernel", lambda p: 1e-6 + 1e-9 * p.kernel_shape[0] ** 2)
    faster = scaled(subject(kernel=(31, 31)), "kernel", lambda p: 1e-9 * p.kernel_shape[0] ** 2.4)
    assert "at small sizes" in slower.verdict
    assert "at large sizes" in faster.verdict


def test_a_jump_is_named() -> None:
    found = scaled(subject(), "image", lambda p: 1e-9 * p.image_shape[0] ** 2 * (2 if p.image_shape[0] == 181 else 1))
    assert "n = 181 takes" in found.verdict and "more than the fit" in found.verdict
    even = scaled(subject(), "image", lambda p: 1e-9 * p.image_shape[0] ** 2)
    assert "takes" not in even.verdict


def test_shares_of_the_roofline() -> None:
    one = subject(image=(512, 512), kernel=(31, 31))
    found = scaled(one, "kernel", lambda p: 2 * p.kernel_shape[0] ** 2 * 512**2 / 100e9, ceilings={1: KNOWN})
    assert [p.share for p in found.points] == pytest.approx([0.5] * COUNT, rel=0.01)
    assert all(p.share is None for p in scaled(one, "kernel", lambda p: 1e-3).points)


def test_threads_are_held_against_the_ideal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladders, "cores", lambda: 8)
    found = scaled(subject(), "threads", lambda p: 1e-3 * (0.2 + 0.8 / p.threads), ceilings={1: KNOWN})
    assert found.theory == -1.0
    assert found.amdahl is not None and found.amdahl.serial == pytest.approx(0.2, abs=0.02)
    assert "on 8 threads 3.3" in found.verdict and "42 % of the ideal" in found.verdict
    assert "20 % of the work" in found.verdict
    assert [p.share is None for p in found.points] == [False, True, True, True, True, True]


def test_few_points_are_said_to_be_few() -> None:
    def first(points: int) -> Callable[..., Measured]:
        def measure(subjects: Mapping[int, Subject], tell: object) -> Measured:
            timed = law(lambda p: 1e-3)(subjects, tell)
            return {value: timed[value] if i < points else "too slow" for i, value in enumerate(subjects)}

        return measure

    for points, told in ((1, "too few points: only k = 3"), (2, "of two points"), (3, "few points, 3")):
        found = scaling(subject(), "kernel", measure=first(points))
        assert isinstance(found, Scaling)
        assert told in found.verdict
        assert set(found.left_out.values()) == {"too slow"}
    missing = scaling(subject(), "kernel", measure=first(0))
    assert isinstance(missing, Missing)
    assert "k = 3: too slow" in missing.why


# -- real runs ---------------------------------------------------------------------------------------------------

SHORT = functools.partial(side_by_side, budget=60.0, rule=Rule(warmup=0.001, seconds=0.02, most=10))


def test_a_wrong_backend_is_not_timed() -> None:
    missing = scaling(subject(fakes.Wrong(), (24, 24), (5, 5)), "kernel", measure=SHORT)
    assert isinstance(missing, Missing)
    assert "gate: " in missing.why


def test_a_real_backend() -> None:
    told: list[tuple[int, int, str]] = []
    found = scaling(
        subject(fakes.Right(), (48, 48), (5, 5)), "kernel", measure=SHORT, noise=UNCALIBRATED,
        progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert isinstance(found, Scaling)
    assert len(found.points) == COUNT and not found.left_out
    assert all(0 < p.low <= p.median <= p.high for p in found.points)
    assert found.grown is not None and found.grown.exponent > 0.3
    assert told[-1][:2] == (2 * COUNT, 2 * COUNT)
    assert sorted(told) == told


def test_what_is_over_the_budget_is_left_out() -> None:
    found = side_by_side({5: subject(fakes.Right(), (24, 24), (5, 5))}, lambda *now: None, budget=1e-7)
    assert "over the time budget" in str(found[5])


def test_one_size_that_fails_leaves_the_others() -> None:
    class Fails(fakes.Right):
        def make_plan(self, problem: Problem, kernel: Any) -> Any:
            if problem.kernel_shape[0] > 9 and problem.image_shape == (48, 48):
                raise MemoryError("no room")
            return super().make_plan(problem, kernel)

    found = scaling(subject(Fails(), (48, 48), (5, 5)), "kernel", measure=SHORT)
    assert isinstance(found, Scaling)
    assert found.points and found.left_out
    assert all("no room" in why for why in found.left_out.values())


def test_executions_are_timed_warm() -> None:
    calls: list[int] = []
    from convbench.profiling.scaling import _Warm

    warm = _Warm(lambda: calls.append(1))
    assert warm.seconds(5) >= 0
    assert len(calls) == 6
