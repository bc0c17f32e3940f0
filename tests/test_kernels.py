from __future__ import annotations

import io

import numpy as np
import pytest
from scipy import ndimage, signal

from convbench.errors import ArgumentError
from convbench.kernels import KERNELS, named_kernel

SPECS = [
    "gaussian:sigma=3",
    "gaussian:sigma=3,size=21",
    "box:size=9",
    "box:size=1x9",
    "sobel:axis=x",
    "sobel:axis=y",
    "laplacian",
    "laplacian:neighbours=8",
    "log:sigma=2",
    "motion:length=15,angle=30",
    "airy:radius=4",
    "random:size=15,seed=1",
    *KERNELS,
]


@pytest.mark.parametrize("spec", SPECS)
def test_every_kernel_is_float64_2d_finite_and_the_same_again(spec: str) -> None:
    kernel = named_kernel(spec)
    assert kernel.dtype == np.float64
    assert kernel.ndim == 2
    assert kernel.flags.c_contiguous
    assert np.isfinite(kernel).all()
    assert np.array_equal(kernel, named_kernel(spec))


@pytest.mark.parametrize("spec", ["gaussian:sigma=2.5", "box:size=4x7", "motion:length=9.5,angle=-20", "airy:radius=3"])
def test_blurs_sum_to_one(spec: str) -> None:
    kernel = named_kernel(spec)
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    assert (kernel >= 0).all()


@pytest.mark.parametrize(
    "spec", ["sobel", "laplacian", "laplacian:neighbours=8", "log:sigma=2", "log:sigma=2,size=5x9"]
)
def test_derivatives_sum_to_zero(spec: str) -> None:
    assert named_kernel(spec).sum() == pytest.approx(0, abs=1e-12)


def test_gaussian_is_scipys() -> None:
    impulse = np.zeros((25, 25))
    impulse[12, 12] = 1
    assert np.allclose(named_kernel("gaussian:sigma=3"), ndimage.gaussian_filter(impulse, 3), atol=1e-15)
    assert named_kernel("gaussian:sigma=3").shape == (25, 25)
    assert named_kernel("gaussian:sigma=3,size=1x9").shape == (1, 9)


@pytest.mark.parametrize(("axis", "shape"), [("x", (1, -1)), ("y", (-1, 1))])
def test_sobel_is_positive_uphill_under_true_convolution(axis: str, shape: tuple[int, int]) -> None:
    ramp = np.broadcast_to(np.arange(8.0).reshape(shape), (8, 8))
    assert np.array_equal(signal.convolve2d(ramp, named_kernel(f"sobel:axis={axis}"), "valid"), np.full((6, 6), 8.0))
    other = "y" if axis == "x" else "x"
    assert not signal.convolve2d(ramp, named_kernel(f"sobel:axis={other}"), "valid").any()


@pytest.mark.parametrize("neighbours", [4, 8])
def test_laplacian_of_a_paraboloid(neighbours: int) -> None:
    y, x = np.mgrid[:7, :7].astype(float)
    seen = signal.convolve2d(x**2 + y**2, named_kernel(f"laplacian:neighbours={neighbours}"), "valid")
    assert np.allclose(seen, 4 if neighbours == 4 else 12)


def test_log_is_the_laplacian_of_the_gaussian() -> None:
    y, x = np.mgrid[-40:41, -40:41].astype(float)
    response = signal.convolve2d(x**2 + y**2, named_kernel("log:sigma=3"), "valid")
    assert np.allclose(response, 4, rtol=5e-3)  # the cut-off at 4 sigma leaves 0.3 %
    assert named_kernel("log:sigma=3").argmin() == 25 * 25 // 2


def test_motion_along_the_axes_is_a_box() -> None:
    assert np.allclose(named_kernel("motion:length=7"), np.full((1, 7), 1 / 7))
    assert np.allclose(named_kernel("motion:length=7,angle=90"), np.full((7, 1), 1 / 7))
    assert named_kernel("motion:length=1").tolist() == [[1]]


def test_motion_angle_is_anticlockwise_and_symmetric() -> None:
    kernel = named_kernel("motion:length=9,angle=45")
    assert kernel[0, -1] > 0  # up and to the right
    assert kernel[0, 0] == 0
    assert np.allclose(kernel, np.flip(kernel))
    assert np.allclose(named_kernel("motion:length=9,angle=225"), kernel)
    assert np.allclose(named_kernel("motion:length=9,angle=135"), np.fliplr(kernel))


def test_airy_is_dark_at_its_radius() -> None:
    kernel = named_kernel("airy:radius=4,size=21")
    row = kernel[10]
    assert row.argmax() == 10
    assert row[14] < 1e-9 * row[10]  # first dark ring
    assert row[16] > 1e-3 * row[10]  # between the rings, 1.7 % at most
    assert named_kernel("airy:radius=4").shape == (23, 23)


def test_random_depends_on_the_seed_alone() -> None:
    kernel = named_kernel("random:size=15,seed=1")
    assert np.array_equal(kernel, np.random.default_rng(1).uniform(-1, 1, (15, 15)))
    assert not np.array_equal(kernel, named_kernel("random:size=15,seed=2"))


def test_every_function_documents_its_source_or_its_seed() -> None:
    for make, parameters in KERNELS.values():
        assert make.__doc__
        assert "Source:" in make.__doc__ or "seed" in make.__doc__
        assert set(parameters) == set(make.__code__.co_varnames[: make.__code__.co_argcount])


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("gausian:sigma=3", ["unknown kernel 'gausian'", "allowed: gaussian, box", "Did you mean 'gaussian'", ".npy"]),
        ("gaussian:sgma=3", ["'sgma'", "allowed: sigma, size", "Did you mean 'sigma'"]),
        ("gaussian:sigma=-1", ["sigma", "above 0", "got '-1'"]),
        ("gaussian:sigma=nan", ["above 0", "got 'nan'"]),
        ("gaussian:sigma=big", ["above 0", "got 'big'"]),
        ("gaussian:sigma", ["'sigma'", "no value", "sigma=VALUE"]),
        ("gaussian:sigma=", ["above 0", "got ''"]),
        ("gaussian:sigma=1,sigma=2", ["'sigma'", "twice"]),
        ("gaussian:sigma=4000", ["32001x32001", "4096", "size="]),
        ("gaussian:sigma=1e-3,size=2", ["every weight of the kernel is 0", "sigma=0.001", "odd size"]),
        ("box:size=0", ["size", "from 1 to 4096", "got '0'"]),
        ("box:size=3x3x3", ["1x9", "got '3x3x3'"]),
        ("box:size=99999", ["from 1 to 4096", "got '99999'"]),
        ("sobel:axis=z", ["x or y", "got 'z'"]),
        ("laplacian:neighbours=6", ["4 or 8", "got '6'"]),
        ("motion:length=0.5", ["from 1 to 4096", "got '0.5'"]),
        ("motion:angle=inf", ["a number of degrees", "got 'inf'"]),
        ("airy:radius=0", ["above 0", "got '0'"]),
        ("random:seed=-1", ["at least 0", "got '-1'"]),
        ("", ["kernel must be text", "got ''"]),
        ("missing.npy", ["kernel file not found", "'missing.npy'", "check the path"]),
    ],
)
def test_wrong_specs_say_what_was_wrong_given_and_allowed(spec: str, parts: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        named_kernel(spec)
    for part in parts:
        assert part in str(caught.value)


def _npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty (0 bytes)"),
        (b"no array at all", "is not a .npy file"),
        (_npy(np.ones((5, 5)))[:-9], "damaged or cut short"),
        (_npy(np.array([{}, None], dtype=object)), "holds Python objects"),
        (_npz(), ".npz archive"),
        (_npy(np.ones((2, 2, 2))), "1 or 2 axes"),
        (_npy(np.ones((0, 3))), "at least 1 on every axis"),
        (_npy([[1, np.nan]]), "finite, got nan at index (0, 1)"),
        (_npy(["a"]), "must be numeric, got dtype <U1"),
        (_npy([[1j]]), "real numbers, got dtype complex128"),
    ],
)
def test_wrong_npy_files(tmp_path, content: bytes, part: str) -> None:
    path = tmp_path / "kernel.npy"
    path.write_bytes(content)
    with pytest.raises(ArgumentError) as caught:
        named_kernel(str(path))
    assert part in str(caught.value)


def test_npy_files_of_any_real_dtype_and_byte_order(tmp_path) -> None:
    for dtype in ("uint8", "int64", "float16", ">f4", "float64"):
        np.save(tmp_path / "k.npy", np.arange(6).reshape(2, 3).astype(dtype))
        kernel = named_kernel(str(tmp_path / "k.npy"))
        assert kernel.dtype == np.dtype("=f8")
        assert np.array_equal(kernel, np.arange(6).reshape(2, 3))
    np.save(tmp_path / "row.npy", np.arange(3.0))
    assert named_kernel(str(tmp_path / "row.npy")).shape == (1, 3)


def test_a_folder_is_no_kernel(tmp_path) -> None:
    (tmp_path / "k.npy").mkdir()
    with pytest.raises(ArgumentError, match="got the folder"):
        named_kernel(str(tmp_path / "k.npy"))
