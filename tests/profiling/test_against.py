"""Operations and bytes counted by hand and by watching transforms run; what binds, and how it is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fakes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convbench.backends import get_backend
from convbench.measure import Rule, sample
from convbench.problem import Problem
from convbench.profiling import against as module
from convbench.profiling.against import Against, against
from convbench.profiling.implemented import Traffic, Work, implemented
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject

KNOWN = {
    "fma_float32": 200.0, "fma_float64": 100.0, "fft_float32": 30.0, "fft_float64": 20.0,
    "l2_bytes": 2.0**20, "copy_l2": 150.0, "l3_bytes": 2.0**25, "copy_l3": 80.0, "copy": 20.0,
}  # fmt: skip


def subject(backend: str | Any, image: tuple[int, ...], kernel: tuple[int, ...], **options: Any) -> Subject:
    problem = Problem(image, kernel, **options)
    chosen = get_backend(backend) if isinstance(backend, str) else backend
    if not isinstance(chosen, fakes.Right) and (reason := chosen.unsupported(problem)):
        pytest.skip(reason)
    return Subject(chosen, problem, problem.image(), problem.kernel(separable=True))


def found(one: Subject, seconds: float, known: dict[str, float] = KNOWN) -> Against:
    result = against(one, seconds, known)
    assert isinstance(result, Against)
    return result


def by_stage(work: Work) -> dict[str, float]:
    moved: dict[str, float] = {}
    for traffic in work.traffic:
        moved[traffic.stage] = moved.get(traffic.stage, 0) + traffic.moved
    return moved


# -- counted by hand ---------------------------------------------------------------------------------------------


def test_a_direct_sum_skips_the_kernel_rows_outside() -> None:
    work = implemented(subject("numba-direct", (4, 5), (3, 3)))
    assert work is not None
    assert work.operations == 2 * (2 + 3 + 3 + 2) * 3 * 5
    assert by_stage(work) == {"convolve": (20 + 20 + 9) * 4}


@pytest.mark.parametrize(("dtype", "times"), [("complex64", 4), ("float64", 1)])
def test_complex_sums_count_four_times(dtype: str, times: int) -> None:
    work = implemented(subject("numba-direct", (50,), (3,), dtype=dtype, mode="valid"))
    assert work is not None
    assert work.operations == times * 2 * 3 * 48


@pytest.mark.parametrize("mode", ["same", "full"])
def test_row_and_column_passes(mode: Any) -> None:
    work = implemented(subject("numba-separable", (4, 6), (3, 5), mode=mode))
    assert work is not None
    rows, columns = (4, 6) if mode == "same" else (6, 10)
    assert work.operations == 2 * (5 * 4 * columns + 3 * rows * columns)
    assert by_stage(work) == {"row pass": 2 * 4 * columns * 4, "column pass": (4 + rows) * columns * 4}


def test_passes_of_a_kernel_of_rank_two_add_to_the_output() -> None:
    one = subject("numba-separable", (32, 32), (15, 15))
    kernel = one.kernel + one.problem.kernel(separable=True, seed=1)
    first, both = (implemented(Subject(one.backend, one.problem, one.image, k)) for k in (one.kernel, kernel))
    assert first is not None and both is not None
    assert both.operations == 2 * first.operations
    assert by_stage(both)["column pass"] == 2 * by_stage(first)["column pass"] + 32 * 32 * 4


def test_one_fft() -> None:
    one = subject("pyfftw", (62, 62), (3, 3))
    assert one.plan().workspace.sizes == (64, 64)  # type: ignore[attr-defined]
    work = implemented(one)
    assert work is not None
    spectrum, image = 64 * 33 * 8, 62 * 62 * 4
    assert work.operations == 5 * 4096 * 12 + 6 * 64 * 33
    assert by_stage(work) == {
        "pad": image + 64 * 64 * 4,
        "forward FFT": 64 * 64 * 4 + 3 * spectrum,  # rows, then columns in place
        "multiply": 3 * spectrum,
        "inverse FFT": 64 * 64 * 4 + 3 * spectrum,
        "crop": 2 * image,
    }


def test_a_kernel_of_one_row_has_one_transform() -> None:
    work = implemented(subject("pyfftw", (10, 62), (1, 3)))
    assert work is not None
    assert work.operations == 5 * 10 * 64 * 6 + 6 * 10 * 33
    assert by_stage(work)["multiply"] == 2 * 10 * 33 * 8 + 33 * 8


@pytest.mark.parametrize("name", ["pyfftw", "scipy-fft", "scipy-oa", "ducc0-fft", "torch-fft", "jax-fft"])
@pytest.mark.parametrize("shapes", [((20, 24), (1, 1)), ((20, 24), (1, 5)), ((20, 24), (5, 1)), ((40,), (5,))])
def test_every_fft_backend_counts_odd_shapes(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    for dtype in ("float32", "complex128"):
        work = implemented(subject(name, *shapes, dtype=dtype))
        assert work is not None
        assert work.operations > 0 and all(t.moved > 0 for t in work.traffic)


def test_torch_unfolds_what_onednn_does_not_take() -> None:
    work = implemented(subject("torch", (8, 8), (3, 3), dtype="float64"))
    assert work is not None
    assert work.operations == 2 * 9 * 64
    padded, unfolded = 10 * 10 * 8, 9 * 64 * 8
    assert by_stage(work) == {"pad": 64 * 8 + padded, "convolve": padded + 2 * unfolded + 64 * 8}
    assert "unfolded 9-fold" in work.how


def test_onednn_fills_a_vector_with_channels() -> None:
    one = subject("torch", (100, 200), (5, 5))
    plan: Any = one.plan()
    channels = {"AVX512": 16, "AVX2": 8}.get(plan.torch.backends.cpu.get_cpu_capability())
    if channels is None or not plan.torch.backends.mkldnn.is_available():
        pytest.skip("no oneDNN on this processor")
    work = implemented(one)
    assert work is not None
    assert work.operations == channels * 2 * 25 * 100 * 200
    moved = by_stage(work)
    assert moved["crop"] == 2 * 100 * 200 * 4  # strips are put together
    assert moved["convolve"] >= 2 * channels * 100 * 200 * 4


def test_what_torch_does_with_complex_data_is_not_known() -> None:
    assert implemented(subject("torch", (8, 8), (3, 3), dtype="complex64")) is None


# -- counted by watching -----------------------------------------------------------------------------------------


def watched(call: Callable[[], Any], counts: list[float]) -> Callable[[], Any]:
    """An FFTW plan's execution that adds its operations to the counts."""
    plan = getattr(call, "__self__", None)
    if plan is None:
        return call  # no transform along this axis
    real = plan.input_dtype.kind == "f" or plan.output_dtype.kind == "f"
    samples = max(math.prod(plan.input_shape), math.prod(plan.output_shape))
    if real:
        samples = math.prod(plan.input_shape if plan.input_dtype.kind == "f" else plan.output_shape)

    def run() -> Any:
        counts.append((2.5 if real else 5.0) * samples * math.log2(plan.N))
        return call()

    return run


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("image", "kernel"),
    [((700, 900), (31, 31)), ((1000, 3000), (1, 31)), ((3000, 1000), (31, 1)), ((200_000,), (301,))],
)
def test_tiles_count_the_transforms_that_run(
    image: tuple[int, ...], kernel: tuple[int, ...], threads: int, dtype: str
) -> None:
    one = subject("pyfftw-overlap", image, kernel, threads=threads, dtype=dtype)
    plan: Any = one.plan()
    assert plan.workers  # not one transform of all
    counts: list[float] = []
    with pytest.MonkeyPatch.context() as patch:  # the workers are lent to later plans, as they were
        for worker in plan.workers:
            for name in ("head", "forward", "down", "up", "backward"):
                if hasattr(worker, name):
                    patch.setattr(worker, name, watched(getattr(worker, name), counts))
        plan.execute(one.image)
    work = implemented(one)
    assert work is not None
    multiplied = work.operations - sum(counts)
    assert 0 < multiplied < 0.2 * work.operations  # the products of the spectra
    assert by_stage(work)["crop"] >= 2 * math.prod(image) * one.image.itemsize


@contextmanager
def watched_scipy(counts: list[float]) -> Iterator[None]:
    import scipy.fft

    class Watching:
        __ua_domain__ = "numpy.scipy.fft"

        @staticmethod
        def __ua_function__(method: Any, args: Any, options: Any) -> Any:
            with scipy.fft.skip_backend(Watching):
                result = method(*args, **options)
            axes = options["axes"] if "axes" in options else args[2]
            inverse = method.__name__.startswith("i")
            lengths = list(options["s"] if "s" in options else args[1])
            whole = list((result if inverse else args[0]).shape)
            for axis, length in zip(axes, lengths, strict=True):
                whole[axis] = length
            factor = 2.5 if "r" in method.__name__[:2] else 5.0
            counts.append(factor * math.prod(whole) * math.log2(math.prod(lengths)))
            return result

    with scipy.fft.set_backend(Watching):
        yield


@pytest.mark.parametrize("name", ["scipy-fft", "scipy-oa"])
@pytest.mark.parametrize(
    ("image", "kernel"), [((300, 410), (15, 15)), ((300, 410), (1, 31)), ((30, 40), (25, 25)), ((9000,), (101,))]
)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_scipy_s_transforms_are_counted(name: str, image: tuple[int, ...], kernel: tuple[int, ...], dtype: str) -> None:
    one = subject(name, image, kernel, dtype=dtype)
    plan, counts = one.plan(), []
    with watched_scipy(counts):
        plan.execute(one.image)
    work = implemented(one)
    assert work is not None and counts
    assert sum(counts) < work.operations < 1.3 * sum(counts)  # with the products


# -- ceilings ----------------------------------------------------------------------------------------------------


def test_bound_by_arithmetic() -> None:
    one = subject("numba-direct", (64, 64), (15, 15))
    work = implemented(one)
    assert work is not None
    result = found(one, work.operations / (0.8 * 200e9))
    assert result.arithmetic == pytest.approx(0.8)
    assert (result.bound, result.peak_name, result.level) == ("arithmetic", "fma_float32", "copy_l2")
    assert result.faster == pytest.approx(1.25)
    assert result.sentence.startswith("bound by arithmetic: 80 % of the FMA ceiling; ")
    assert result.sentence.endswith("at most 1.2 x faster on this machine by this method")


def test_bound_by_bandwidth() -> None:
    one = subject("numba-direct", (64, 64), (1, 2))
    result = found(one, 2 * 64 * 64 * 4 / (0.5 * 150e9))
    assert result.bandwidth == pytest.approx(0.5, rel=1e-3)
    assert (result.bound, result.faster) == ("bandwidth", pytest.approx(2.0))


def test_bound_by_neither_names_the_call() -> None:
    one = subject("numba-direct", (8, 8), (3, 3))
    result = found(one, 20e-6)
    assert result.bound == "neither"
    assert "the calls themselves" in result.sentence
    assert "the calls themselves" not in found(one, 2e-3).sentence


def test_slow_code_and_extra_work_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one = subject("numba-direct", (256, 256), (15, 15))
    textbook = 2 * 15 * 15 * 256 * 256
    work = Work(16.0 * textbook, (Traffic("convolve", 2 * 256 * 256 * 4 * 10, 0.0),), "float32", "told")
    monkeypatch.setattr(module, "implemented", lambda subject: work)
    result = found(one, work.operations / 150e9)
    assert result.bound == "arithmetic"
    assert "16 x the operations of the textbook" in result.sentence
    assert result.faster == pytest.approx(16 * 200 / 150)  # the textbook's would do
    slow = found(one, work.operations / 2e9)
    assert slow.bound == "neither"
    assert "without vector instructions" in slow.sentence
    assert "10 x the least" in slow.sentence


def test_work_below_the_textbook_s_lowers_what_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    one = subject("numba-direct", (256, 256), (15, 15))
    textbook = 2 * 15 * 15 * 256 * 256
    monkeypatch.setattr(module, "implemented", lambda subject: Work(textbook / 4, (), "float32", "told"))
    assert found(one, textbook / 4 / 100e9).faster == pytest.approx(2.0)


def test_double_precision_counts_against_its_own_ceiling() -> None:
    one = subject("ndimage-separable", (128, 128), (9, 9))
    result = found(one, 1e-3)
    assert result.arithmetic == pytest.approx(result.operations_done / 1e-3 / 100e9)  # type: ignore[operator]


def test_arrays_count_against_the_level_that_holds_them() -> None:
    known = KNOWN | {"l2_bytes": 2.0**18, "l3_bytes": 2.0**20}
    levels = [found(subject("numba-direct", (n, n), (3, 3)), 1e-3, known).level for n in (100, 256, 512)]
    assert levels == ["copy_l2", "copy_l3", "copy"]


def test_each_stage_counts_against_its_own_level() -> None:
    one = subject("numba-separable", (1024, 1024), (9, 9))
    image = 1024 * 1024 * 4
    result = found(one, 1e-3)
    # image and output lie in L3, the row sums between the passes in L2
    assert result.bandwidth == pytest.approx((2 * image / 80e9 + 2 * image / 150e9) / 1e-3)
    assert result.level == "copy_l3"


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(4, 300), k=st.sampled_from([1, 3, 31]), seconds=st.floats(1e-7, 10), mode=st.sampled_from(["same", "full"]),
    dtype=st.sampled_from(["float32", "float64", "complex64", "complex128"]),
)  # fmt: skip
def test_the_share_is_never_more_than_the_formula_gives(n: int, k: int, seconds: float, mode: Any, dtype: str) -> None:
    result = found(subject("numba-direct", (n, n), (k, k), mode=mode, dtype=dtype), seconds)
    intensity, attained = result.points["textbook"]
    roof = min(KNOWN["fma_float64" if dtype in ("float64", "complex128") else "fma_float32"], intensity * result.rate)
    assert result.share == pytest.approx(attained / roof)
    assert result.operations == (8 if dtype.startswith("complex") else 2) * k * k * n * n
    assert result.faster >= 1
    assert result.share * result.faster >= 1 - 1e-9 or result.operations_done < result.operations  # type: ignore[operator]


def test_what_is_not_known_is_said() -> None:
    one = subject("scipy-direct", (64, 64), (5, 5))
    result = found(one, 1e-3)
    assert (result.operations_done, result.moved, result.traffic) == (None, None, ())
    assert result.how.startswith("not known: scipy")
    assert list(result.points) == ["textbook"]


def test_a_plan_that_fails_leaves_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(subject: Subject) -> Work:
        raise RuntimeError("no wisdom")

    monkeypatch.setattr(module, "implemented", broken)
    result = found(subject("pyfftw", (64, 64), (5, 5)), 1e-3)
    assert result.how == "not known: RuntimeError: no wisdom"
    assert result.operations_done is None


def test_rows_are_named_once_and_say_something() -> None:
    for name in ("pyfftw-overlap", "scipy-direct", "numba-direct"):
        rows = found(subject(name, (256, 256), (9, 9)), 1e-3).rows()
        assert len({name for name, _ in rows}) == len(rows)
        assert all(name and value for name, value in rows)


@pytest.mark.parametrize("lost", ["fft_float32", "copy"])
def test_without_the_ceilings_it_is_missing(lost: str) -> None:
    known = {name: rate for name, rate in KNOWN.items() if name != lost and not name.startswith(("l", "copy_"))}
    result = against(subject("pyfftw", (64, 64), (5, 5)), 1e-3, known)
    assert isinstance(result, Missing)
    assert lost in result.why and "1 thread" in result.why
    assert result.remedy == "convbench machine --ceilings"


def test_what_cannot_be_counted_is_missing() -> None:
    class Winograd(fakes.Right):
        family = "winograd"  # type: ignore[assignment]

    one = subject(Winograd(), (8, 8), (3, 3))
    assert "winograd" in against(one, 1e-3, KNOWN).why  # type: ignore[union-attr]
    for seconds in (0.0, -1.0, math.nan, math.inf):
        result = against(subject("numba-direct", (8, 8), (3, 3)), seconds, KNOWN)
        assert isinstance(result, Missing) and "above 0" in result.why


@pytest.mark.parametrize(
    "name", ["numba-direct", "numba-separable", "pyfftw-overlap", "scipy-fft", "opencv-sepfilter2d"]
)
def test_a_real_execution(name: str) -> None:
    one = subject(name, (200, 200), (9, 9))
    plan = one.plan()
    timing = sample({name: plan.timed(plan.load(one.image))}, Rule(seconds=0.05))[name]
    result = found(one, timing.median)
    assert result.operations_done is not None and result.moved is not None
    assert result.moved >= result.least
    assert result.share > 0 and result.arithmetic > 0 and result.bandwidth > 0
    assert result.sentence.startswith("bound by ")
