"""emulate against the real functions, where they are installed in the version measured, on shapes of other kinds."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings

import live
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import convbench
from convbench import atlas
from convbench.errors import EmulatedError, NotMeasuredError

DISTRIBUTIONS = {"opencv": "opencv-python-headless"}
DTYPES = {
    "jax": ("float64", "complex128"),
    "pytensor": ("float64", "float32"),
    "openvino": ("float32", "float64"),
    "onnxruntime": ("float32",),
}
EVERY = ("float64", "float32", "complex128", "int32", "int8", "uint8")
COMPILES = {"jax": 29, "openvino": 5, "pytensor": 5}
"""These compile for each shape, a good tenth of a second: every n-th shape, others for each row."""
DFT = "cv2.filter2D"
"""Large kernels go through a DFT that is not exact to the last bit in integers of 8 bits."""


def installed(system: str) -> live.Operations:
    module, operations = live.SYSTEMS[system]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    rows = [row for row in atlas.entries() if row.system == system]
    version = importlib.metadata.version(DISTRIBUTIONS.get(system, system))
    if not any(version.startswith(row.version) for row in rows):
        pytest.skip(f"{system} {version} was not measured")
    return operations()


def rows_of(system: str, operations: live.Operations):
    newest = {row.op: atlas.find(system, row.op, row.mode).version for row in atlas.entries() if row.system == system}
    for row in atlas.entries():
        if row.system == system and row.version == newest[row.op] and (row.op, row.mode) in operations:
            yield row


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, largest: int) -> np.ndarray:
    least = 0 if dtype.startswith("u") else -largest
    found = rng.integers(least, largest + 1, shape).astype(dtype)
    return found + 1j * rng.integers(-largest, largest + 1, shape) if dtype.startswith("complex") else found


def outcome(function, *arguments):
    """The array that comes back, or the name of the exception's class."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arguments)
    except NotMeasuredError:
        raise
    except Exception as error:
        return type(error).__name__


def rounded(found: np.ndarray) -> np.ndarray:
    """FFTs leave a rounding error."""
    if found.dtype.kind == "c":
        return np.rint(found.real) + 1j * np.rint(found.imag)
    return np.rint(found) if found.dtype.kind == "f" else found


def assert_alike(row: atlas.Row, real: live.Operation, image: np.ndarray, kernel: np.ndarray) -> bool:
    """Whether there was something to compare: nobody has measured, or can, what is not measured or undefined."""
    where = f"{row.op} {row.mode} {image.shape} {kernel.shape} {image.dtype} {kernel.dtype}"
    try:
        mine = outcome(lambda: convbench.emulate(row.system, row.op, image, kernel, row.mode, row.version))
    except NotMeasuredError:
        return False
    if isinstance(mine, str) and mine == "UNDEFINED OUTPUT":
        return False
    theirs = outcome(real, image.copy(), kernel.copy())
    if isinstance(mine, str) or isinstance(theirs, str):
        assert (type(mine), str(mine)) == (type(theirs), str(theirs)), where
        return True
    assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), where
    if row.op == DFT and kernel.size >= 50 and mine.dtype == np.uint8:
        assert np.max(np.abs(mine.astype(int) - theirs), initial=0) <= 1, where
    else:
        np.testing.assert_array_equal(mine, rounded(theirs), where)
    return True


@pytest.mark.timeout(600)
@pytest.mark.parametrize("system", live.SYSTEMS)
def test_other_shapes(system):
    operations = installed(system)
    rng = np.random.default_rng(1)
    compared = 0
    for number, row in enumerate(rows_of(system, operations)):
        step = COMPILES.get(system, 1)
        for shapes in list(live.shapes(row.ndim))[number % step :: step]:
            if system == "ducc0" and shapes[1] > shapes[0]:
                continue  # the kernel is padded to the image's length before the call
            for dtype in DTYPES.get(system, EVERY):
                image, kernel = (
                    integers(rng, shape, dtype, largest) for shape, largest in zip(shapes, (9, 5), strict=True)
                )
                compared += assert_alike(row, operations[row.op, row.mode], image, kernel)
    assert compared > 40


@pytest.mark.timeout(600)
@pytest.mark.parametrize("system", live.SYSTEMS)
def test_identify_recognises_the_real_functions(system):
    """Every third row of those that compile for each shape."""
    operations = installed(system)
    known = {(row.op, row.mode, row.ndim) for row in rows_of(system, operations)}
    for op, mode, ndim in sorted(known)[:: 3 if system in COMPILES else 1]:
        real = operations[op, mode]
        found = convbench.identify(lambda image, kernel, real=real: real(image, kernel), ndim, time_limit=120)
        assert any(match.startswith(f"{system} {op} {mode}") for match in found.matches()), (op, mode, found.describe())


CHOSEN = ["float64", "float32", "complex128", "complex64", "int8", "uint8", "int32", "int64", "float16"]
lengths = st.integers(1, 12)


@pytest.mark.parametrize("system", ["numpy", "scipy"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_shape_and_pair_of_dtypes(system, data):
    operations = installed(system)
    row = data.draw(st.sampled_from(list(rows_of(system, operations))))
    shapes = [tuple(data.draw(st.lists(lengths, min_size=row.ndim, max_size=row.ndim))) for _ in "ab"]
    dtypes = [data.draw(st.sampled_from(CHOSEN)) for _ in "ab"]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    image, kernel = (integers(rng, shape, dtype, 3).astype(dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    assume(assert_alike(row, operations[row.op, row.mode], image, kernel))


def test_opencv_large_kernels_take_dtypes_that_small_ones_do_not():
    operations = installed("opencv")
    image, small, large = np.ones((9, 9), np.int32), np.ones((7, 7)), np.ones((5, 10))
    assert outcome(operations[DFT, "BORDER_CONSTANT"], image, small) == "error"
    assert not isinstance(outcome(operations[DFT, "BORDER_CONSTANT"], image, large), str)
    with pytest.raises(EmulatedError, match="fewer than 50"):
        convbench.emulate("opencv", DFT, image, small, "BORDER_CONSTANT")
    with pytest.raises(NotMeasuredError):
        convbench.emulate("opencv", DFT, image, large, "BORDER_CONSTANT")
