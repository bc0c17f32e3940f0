"""OpenCV: where it switches methods, where its output starts, its threads; the rest is in test_backends."""

from __future__ import annotations

import platform
import time

import numpy as np
import pytest
from scipy import signal

from convbench.backends import get_backend, opencv
from convbench.errors import UnsupportedError
from convbench.gate import check
from convbench.judge import Judge
from convbench.problem import MODES, Problem, Shape

cv2 = pytest.importorskip("cv2")

NAMES = ("opencv-filter2d", "opencv-sepfilter2d")
ON_X86 = platform.machine().lower() in ("x86_64", "amd64")
SINGLE = 130 if ON_X86 else 50  # float32 kernels from which on filter2D transforms


def integers(shape: Shape, dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def judged(name: str, problem: Problem) -> None:
    kernel, backend = problem.kernel(separable=True), get_backend(name)
    verdict = Judge(problem, kernel, problem.image()).judge(backend.plan(problem, kernel), backend)
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize(("dtype", "switch"), [("float32", SINGLE), ("float64", 50)])
def test_filter2d_is_exact_below_its_switch_and_transforms_from_it_on(dtype: str, switch: int) -> None:
    backend = get_backend("opencv-filter2d")
    image = integers((90, 200), dtype, 1)
    for kernel_shape in [(1, switch - 1), (switch - 1, 1), (1, switch), (switch, 1)]:
        problem, kernel = Problem(image.shape, kernel_shape, dtype), integers(kernel_shape, dtype, 2)
        output = backend.plan(problem, kernel)(image)
        wanted = signal.convolve(image, kernel, method="direct")[problem.output_slices]
        assert np.array_equal(np.round(output), wanted)
        transforms = max(kernel_shape) >= switch
        assert backend.rounding_of(problem) == ("fft" if transforms else "direct")
        assert np.array_equal(output, wanted) != transforms


@pytest.mark.parametrize("name", NAMES)
def test_gate(name: str) -> None:
    verdict = check(name)
    assert verdict.ok, str(verdict)
    assert all("complex" in reason for reason in verdict.not_run)
    assert not check(name, ndim=1).checks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("dtype", "kernel_shape"),
    [("float64", (7, 7)), ("float64", (3, 17)), ("float64", (24, 25)), ("float32", (10, 12)), ("float32", (12, 13))],
)
@pytest.mark.parametrize("name", NAMES)
def test_the_plan_that_is_timed(name: str, dtype: str, kernel_shape: Shape, mode: str) -> None:
    judged(name, Problem((300, 320), kernel_shape, dtype, mode))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kernel_shape", [(1, 1), (1, 4), (4, 1), (2, 2), (4, 6), (5, 6), (20, 3), (9, 30)], ids=str)
def test_an_impulse_lands_where_the_mode_says(name: str, kernel_shape: Shape) -> None:
    kernel = np.multiply.outer(*(np.arange(1.0, k + 1) for k in kernel_shape))
    image = np.zeros((11, 12))
    image[7, 5] = 1
    for mode in ("full", "same"):
        problem = Problem(image.shape, kernel_shape, "float64", mode)  # type: ignore[arg-type]
        output = np.round(get_backend(name).plan(problem, kernel)(image))
        full = np.zeros(problem.full_shape)
        full[7 : 7 + kernel_shape[0], 5 : 5 + kernel_shape[1]] = kernel
        assert np.array_equal(output, full[problem.output_slices])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("width", "k"), [(1024, 15), (500, 31), (127, 100), (2000, 13)])
def test_rows_spread_in_the_cache_change_nothing(
    width: int, k: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem((k + 3, width), (k, 4), "float32", mode)  # type: ignore[arg-type]
    image, kernel = problem.image(), problem.kernel(separable=True)
    spread = get_backend(NAMES[1]).plan(problem, kernel)
    monkeypatch.setattr(opencv, "_LEVEL_1", 1 << 30)
    plain = get_backend(NAMES[1]).plan(problem, kernel)
    if (width, mode) == (1024, "same"):
        assert (spread.right, plain.right) == (1, 0)  # type: ignore[attr-defined]
    # the last columns are summed apart where they do not fill a vector, and so round differently
    np.testing.assert_allclose(spread(image), plain(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_sets_the_process_wide_number_of_threads(name: str) -> None:
    before = cv2.getNumThreads()
    try:
        for threads in (2, 1, 3):
            cv2.setNumThreads(5)
            problem = Problem((1100, 1000), (3, 5), threads=threads)  # large enough for OpenCV to share it out
            judged(name, problem)
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("name", NAMES)
def test_one_thread_is_one_thread(name: str) -> None:
    problem = Problem((1100, 1000), (5, 5))
    plan, image = get_backend(name).plan(problem, problem.kernel(separable=True)), problem.image()
    cv2.setNumThreads(4)
    plan(image)  # sets the number; what waits for work stops spinning
    time.sleep(0.05)
    all_threads, this_thread = time.process_time(), time.thread_time()
    for _ in range(20):
        plan(image)
    spent = time.thread_time() - this_thread
    assert time.process_time() - all_threads < 1.3 * spent


@pytest.mark.parametrize("name", NAMES)
def test_every_call_returns_an_array_of_its_own(name: str) -> None:
    for mode in MODES:
        problem = Problem((40, 50), (3, 4), mode=mode)  # type: ignore[arg-type]
        plan, image = get_backend(name).plan(problem, problem.kernel(separable=True)), problem.image()
        first, second = plan(image), plan(image)
        assert not np.shares_memory(first, second)
        assert not np.shares_memory(first, image)
        assert first.flags.writeable


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "distribution_version", lambda _: None)
    problem = Problem((9, 9), (3, 3))
    message = "opencv-python-headless is not installed: pip install 'convbench[peers]'"
    assert get_backend(name).unsupported(problem) == message
    with pytest.raises(UnsupportedError, match="convbench.peers"):
        get_backend(name).plan(problem, problem.kernel())


def test_any_distribution_of_cv2_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "distribution_version", {"opencv-contrib-python": "9.9"}.get)
    assert get_backend(NAMES[0]).version() == "9.9"
    assert get_backend(NAMES[0]).available()
