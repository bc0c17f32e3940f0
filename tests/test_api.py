from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from choosing import Law, cells, chooser_of
from fakes import Absent, Right, Threaded, Wrong, use
from scipy import signal

import convbench
from convbench import api, cost
from convbench.analysis.chooser_quick import Decider
from convbench.api import choose, convolve
from convbench.backends import get_backend, list_backends
from convbench.errors import ArgumentError, ConvbenchError, UnsupportedError
from convbench.machine import cores
from convbench.problem import Problem

RNG = np.random.default_rng(0)
IMAGE, KERNEL = RNG.uniform(-1, 1, (9, 12)), RNG.uniform(-1, 1, (3, 4))


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three backends, and no measurements that were kept for this user."""
    Threaded.seen = []
    monkeypatch.setattr(api, "_decider", lambda: None)
    use(monkeypatch, Right(), Threaded(), Absent())


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_it_is_the_convolution(mode: str) -> None:
    assert np.allclose(convolve(IMAGE, KERNEL, mode), signal.convolve2d(IMAGE, KERNEL, mode))  # type: ignore[arg-type]
    row, taps = IMAGE[0], KERNEL[0]
    assert np.allclose(convolve(row, taps, mode), np.convolve(row, taps, mode))  # type: ignore[arg-type]


def test_same_keeps_the_images_size_where_the_kernel_is_longer() -> None:
    assert convolve(KERNEL, IMAGE, "same").shape == KERNEL.shape


def test_it_is_public_and_full_by_default() -> None:
    assert convbench.convolve is convolve
    assert convolve(IMAGE, KERNEL).shape == (11, 15)


@pytest.mark.parametrize(
    ("image", "kernel", "result"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("float32", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
        ("uint8", "float32", "float32"),
        ("int64", "float32", "float64"),
        ("bool", "bool", "float32"),
        (">f4", "float32", "float32"),
        ("float16", "float16", "float32"),
    ],
)
def test_dtypes_are_promoted_as_numpy_does(image: str, kernel: str, result: str) -> None:
    out = convolve(IMAGE.astype(image), KERNEL.astype(kernel))
    assert out.dtype == np.dtype(result)
    assert out.dtype.isnative


def test_lists_are_arrays() -> None:
    assert convolve([1, 2, 3], [1, 1]).tolist() == [1, 3, 5, 3]


def test_inputs_stay_as_they_are() -> None:
    image, kernel = IMAGE[::-1], KERNEL.T
    image.flags.writeable = False
    before = image.copy(), kernel.copy()
    convolve(image, kernel, "same")
    assert np.array_equal(image, before[0])
    assert np.array_equal(kernel, before[1])


def test_threads_are_all_cores_where_the_backend_can_and_one_where_it_cannot() -> None:
    convolve(IMAGE, KERNEL, backend="right-threaded")
    convolve(IMAGE, KERNEL, backend="right-threaded", threads=1)
    assert Threaded.seen == [cores(), 1]
    convolve(IMAGE, KERNEL, backend="right")
    convolve(IMAGE, KERNEL, backend="right", threads=7)


def test_a_backend_may_be_given_itself() -> None:
    assert np.allclose(convolve(IMAGE, KERNEL, backend=Wrong()), signal.correlate2d(IMAGE, np.conj(KERNEL)))


@pytest.mark.parametrize(
    ("image_shape", "kernel", "name"),
    [
        ((64, 64), np.ones((3, 3)), "numba-direct"),
        ((64, 64), np.ones((15, 15)), "numba-direct"),  # so little work that finding the rank costs more
        ((512, 512), np.ones((15, 15)), "numba-separable"),
        ((512, 512), np.multiply.outer(np.arange(1.0, 40), np.arange(2.0, 50)), "numba-separable"),
        ((512, 512), RNG.uniform(-1, 1, (11, 11)), "numba-direct"),
        ((512, 512), RNG.uniform(-1, 1, (31, 31)), "pyfftw-overlap"),
        ((2, 3), RNG.uniform(-1, 1, (31, 31)), "numba-direct"),
        ((2048, 2048), np.ones((1, 15)), "numba-direct"),  # the one pass there is
        ((5000,), np.ones(20), "numba-direct"),
        ((50000,), np.ones(2000), "pyfftw-overlap"),
    ],
)
def test_auto_takes_what_costs_least_on_a_desktop(
    image_shape: tuple[int, ...], kernel: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "known_ceilings", lambda: cost.DESKTOP)
    api._seconds.cache_clear()
    assert choose(Problem(image_shape, kernel.shape, "float64"), kernel) == name


def test_auto_goes_by_the_ceilings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, kernel = Problem((512, 512), (31, 31)), RNG.uniform(-1, 1, (31, 31))
    chosen = []
    for fma in (20.0, 2000.0):
        monkeypatch.setattr(cost, "known_ceilings", lambda fma=fma: cost.DESKTOP | {"fma_float32": fma})
        api._seconds.cache_clear()
        chosen.append(choose(problem, kernel))
    assert chosen == ["pyfftw-overlap", "numba-direct"]


def use_table(monkeypatch: pytest.MonkeyPatch, laws: dict[str, Law], names: set[str] | None = None) -> None:
    """What was measured, and which backends "auto" may use."""
    table = chooser_of(cells(laws, dtype="float64"), cells(laws, dtype="float64", layout="rows"))
    decider = Decider(table, set(laws) if names is None else names)
    monkeypatch.setattr(api, "_decider", lambda: decider)


MEASURED = {
    "numba-direct": Law("direct", lambda n, k: 1e-10 * n * n * k * k),
    "fast-once": Law("fft", lambda n, k: 3e-9 * n * n, lambda n, k: 0.0),
    "fast-later": Law("fft", lambda n, k: 1e-9 * n * n, lambda n, k: 1.0),
    "two-passes": Law("separable", lambda n, k: 2e-10 * n * n, lambda n, k: 0.0),
}


def test_auto_goes_by_the_measurements_that_were_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    use_table(monkeypatch, MEASURED)
    shapes = {"numba-direct": (3, 3), "fast-once": (15, 15)}
    for name, shape in shapes.items():
        assert choose(Problem((512, 512), shape, "float64"), RNG.uniform(-1, 1, shape)) == name
        assert choose(Problem((700, 500), shape, "float64"), RNG.uniform(-1, 1, shape)) == name


def test_auto_uses_measured_passes_for_kernels_of_low_rank_only(monkeypatch: pytest.MonkeyPatch) -> None:
    use_table(monkeypatch, MEASURED)
    problem = Problem((512, 512), (15, 15), "float64")
    assert choose(problem, np.ones((15, 15))) == "two-passes"
    assert choose(problem, RNG.uniform(-1, 1, (15, 15))) == "fast-once"
    two = np.ones((15, 15)) + np.multiply.outer(np.arange(15.0), np.arange(15.0) ** 2)
    assert choose(problem, two) == "two-passes"
    assert choose(Problem((512, 512), (1, 15), "float64"), np.ones((1, 15))) == "fast-once"


def test_auto_leaves_out_what_is_not_light_or_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Heavy(Right):
        name, library = "heavy", "tensorflow"

        def version(self) -> str:
            return "9"

    use(monkeypatch, Right(), Absent(), Heavy())
    laws = {name: Law("direct", lambda n, k: 1e-9 * n * n) for name in ("right", "absent", "heavy")}
    decider = api.deciding(chooser_of(cells(laws)))
    names = {one.name for own in decider.sets.values() for _, contenders in own for one in contenders}
    assert names == {"right"}


def test_every_library_of_its_own_backends_is_light_and_no_framework_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    light = {b.name for b in list_backends() if b.library in api.LIGHT}
    own = {"numba-direct", "numba-separable", "pyfftw", "pyfftw-overlap", "scipy-direct", "scipy-fft", "numpy"}
    assert own <= light
    assert not any(b.remote or b.library in ("torch", "tensorflow", "jax", "keras") for b in map(get_backend, light))


def test_where_nothing_was_measured_the_cost_model_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    use_table(monkeypatch, MEASURED)
    for problem in (Problem((512, 512), (15, 15), "complex64"), Problem((5000,), (20,), "float64")):
        assert api.expected(problem) == api.by_cost_model(problem)
    problem = Problem((512, 512), (15, 15), "float64")
    assert api.expected(problem) != api.by_cost_model(problem)
    assert choose(problem, RNG.uniform(-1, 1, (15, 15)), api.by_cost_model) in ("numba-direct", "pyfftw-overlap")


def test_the_measured_choice_is_what_convolves(monkeypatch: pytest.MonkeyPatch) -> None:
    laws = {"right": Law("direct", lambda n, k: 1e-3), "right-threaded": Law("fft", lambda n, k: 5e-4)}
    use_table(monkeypatch, laws)
    assert np.allclose(convolve(IMAGE, KERNEL), signal.convolve2d(IMAGE, KERNEL))
    assert Threaded.seen == [cores()]
    use_table(monkeypatch, laws, {"right"})
    convolve(IMAGE, KERNEL)
    assert Threaded.seen == [cores()]


def test_the_table_is_read_once_and_not_when_convbench_is_imported() -> None:
    code = """
import pathlib, sys
opened = []
read = pathlib.Path.read_bytes
pathlib.Path.read_bytes = lambda path: (opened.append(path.name), read(path))[1]
import convbench.api
assert not opened, opened
import numpy as np
for n in (8, 9, 10):
    convbench.convolve(np.ones((n, n)), np.ones((3, 3)))
assert sum(name.startswith("chooser-") for name in opened) == 1, opened
assert not {"pandas", "torch", "tensorflow", "jax"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "fma"),
    [
        ('{"fma_float32": 250.5, "copy_l2": 9}', 250.5),
        ('{"fma_float32": -1}', cost.DESKTOP["fma_float32"]),
        ('{"fma_float32": null}', cost.DESKTOP["fma_float32"]),
        ('{"fma_flo', cost.DESKTOP["fma_float32"]),
        ("[1, 2]", cost.DESKTOP["fma_float32"]),
        (None, cost.DESKTOP["fma_float32"]),
    ],
)
def test_known_ceilings_are_read_or_a_desktops(
    text: str | None, fma: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ceilings.json"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(cost, "ceilings_file", lambda: file)
    found = cost.known_ceilings.__wrapped__()
    assert found["fma_float32"] == fma
    assert set(found) == set(cost.DESKTOP)


def test_more_work_is_expected_to_cost_more() -> None:
    for seconds in (cost.direct_seconds, cost.separable_seconds, cost.fft_seconds):
        small = seconds(Problem((256, 256), (7, 7)))
        for more in (
            Problem((512, 512), (7, 7)),
            Problem((256, 256), (7, 7), "float64"),
            Problem((256, 256), (7, 7), "complex64"),
        ):
            assert seconds(more) > small
        assert seconds(Problem((2048, 2048), (31, 31), threads=2)) < seconds(Problem((2048, 2048), (31, 31)))


def test_auto_takes_the_next_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    class OneDimension(Right):
        name, ndims = "numba-direct", (1,)

    class Refuses(Threaded):
        name, family = "refuses", "direct"

        def limits(self, problem: Problem) -> str | None:
            return "never"

    use(monkeypatch, Absent(), Refuses(), OneDimension(), Threaded())
    assert convolve(IMAGE, KERNEL).shape == (11, 15)
    assert Threaded.seen == [cores()]


def test_when_no_backend_can_every_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Absent(), Right())
    with pytest.raises(UnsupportedError) as caught:
        convolve(IMAGE, KERNEL, device="cuda:0")
    for part in ("absent: no-such-library is not installed: pip install", "right runs on cpu only", "`convbench list`"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"image": np.ones((4, 4, 3))}, ["1 or 2 axes", "(4, 4, 3)", "channels one by one"]),
        ({"image": np.ones((0, 4))}, ["at least 1", "(0, 4)"]),
        ({"image": np.array([[1, np.nan]])}, ["image must be finite", "nan at index (0, 1)", "nan_to_num"]),
        ({"image": [["a"]]}, ["image must be numeric", "<U1"]),
        ({"image": [[1, 2], [3]]}, ["image must be an array", "equal length", "inhomogeneous"]),
        ({"image": IMAGE.astype(np.longdouble)}, ["unknown dtype", "allowed: float32, float64"]),
        ({"kernel": np.ones(3)}, ["same number of axes", "(9, 12)", "(3,)", "(1, k)"]),
        ({"kernel": 3.0}, ["kernel shape", "1 or 2 axes", "()"]),
        ({"kernel": np.array([[np.inf]])}, ["kernel must be finite", "inf"]),
        ({"kernel": None}, ["kernel must be numeric", "object"]),
        ({"mode": "sane"}, ["unknown mode 'sane'", "full, same, valid", "Did you mean 'same'"]),
        ({"mode": "valid", "kernel": np.ones((20, 3))}, ["no longer than the image", "(20, 3)", "'same' or 'full'"]),
        ({"backend": "rihgt"}, ["unknown backend 'rihgt'", "right, right-threaded", "convbench list"]),
        ({"backend": 3}, ["backend must be a name", "got 3"]),
        ({"device": "gpu"}, ["unknown device 'gpu'", "cuda:0"]),
        ({"threads": 0}, ["threads must be a positive int, got 0"]),
        ({"threads": "two"}, ["threads must be a positive int, got 'two'"]),
    ],
)
def test_wrong_arguments_say_what_was_wrong_given_and_allowed(arguments: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        convolve(**{"image": IMAGE, "kernel": KERNEL, **arguments})  # type: ignore[arg-type]
    assert isinstance(caught.value, ConvbenchError)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_backend_by_name_says_how_to_install_it() -> None:
    with pytest.raises(UnsupportedError, match="pip install no-such-library"):
        convolve(IMAGE, KERNEL, backend="absent")
