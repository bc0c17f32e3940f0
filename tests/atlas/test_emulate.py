"""What emulate takes, refuses and says; the rows of the atlas."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import convbench
from convbench import atlas
from convbench.atlas.markdown import markdown
from convbench.atlas.table import TABLE
from convbench.convention import Convention, formula
from convbench.errors import ArgumentError, EmulatedError, NotMeasuredError

IMAGE, KERNEL = np.arange(20.0).reshape(4, 5), np.array([[1.0, 2.0], [3.0, 5.0]])
OFFSETS = {"0", "(k-1)//2", "k//2", "k-1", "k//2-1", "(k-1)//2+1", "k-2"}
SIZES = {"n", "n+k-1", "n-k+1", "n+1-k%2", "n-k+3"}


@pytest.mark.parametrize(
    ("system", "op", "mode"),
    [
        ("numpy", "np.convolve", "full"),
        ("numpy", "np.correlate", "valid"),
        ("scipy", "signal.convolve2d", "full"),
        ("scipy", "signal.convolve", "full method=auto"),
        ("scipy", "ndimage.convolve", "reflect (default)"),
        ("keras", "layers.Conv2D", "valid"),
        ("torch", "F.conv2d", "padding=valid"),
        ("opencv", "cv2.filter2D", "BORDER_REFLECT101 (default)"),
        ("seed001", "convolution", "valid"),
    ],
)
def test_the_default_mode_is_the_operations_own(system, op, mode):
    assert atlas.find(system, op).mode == mode


@pytest.mark.parametrize(("system", "op"), [("tensorflow", "tf.nn.conv2d"), ("jax", "lax.conv_general_dilated")])
def test_a_mode_is_asked_for_where_the_operation_has_no_default(system, op):
    with pytest.raises(ArgumentError, match="no default mode; give one of: SAME"):
        convbench.emulate(system, op, IMAGE, KERNEL)


@pytest.mark.parametrize(
    ("system", "op", "version"),
    [
        ("numpy", "np.convolve", "2.4.6"),
        ("scipy", "signal.convolve2d", "1.17.1"),
        ("tensorflow", "tf.nn.conv2d_transpose", "2.21.0"),
        ("keras", "layers.Conv2D", "3.15.0 (tensorflow 2.21.0)"),
        ("keras", "layers.Convolution2D", "1.2.2 (theano 1.0.5)"),
        ("theano", "tensor.nnet.conv2d filter_flip=True", "1.0.5 (C++)"),
        ("theano", "tensor.signal.conv.conv2d", "1.0.5 (C++)"),
        ("seed001", "convolution(img, rot180(kernel))", "answer 2"),
    ],
)
def test_the_default_version_is_the_newest_that_has_the_operation(system, op, version):
    mode = "SAME" if system == "tensorflow" else None
    assert atlas.find(system, op, mode).version == version


def test_default_may_be_left_out_of_a_modes_name():
    short, long = (convbench.emulate("scipy", "ndimage.convolve", IMAGE, KERNEL, m) for m in ("reflect", None))
    np.testing.assert_array_equal(short, long)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sciPy", "signal.convolve2d", IMAGE, KERNEL), "unknown system .* Did you mean 'scipy'"),
        (("scipy", "convolve2d", IMAGE, KERNEL), "unknown operation of scipy .* Did you mean 'signal.convolve2d'"),
        (("scipy", "signal.convolve2d", IMAGE, KERNEL, "samee"), "unknown mode .* Did you mean 'same'"),
        (("scipy", "signal.convolve2d", IMAGE, KERNEL, "same", "1.0"), "unknown version .* 1.17.1, 1.3.0"),
        (("scipy", "signal.convolve2d", IMAGE[0], KERNEL[0]), "image is 1-D, of shape .* takes 2-D"),
        (("scipy", "signal.convolve", IMAGE, KERNEL[0]), "image is 2-D and kernel is 1-D"),
        (("numpy", "np.convolve", [], [1.0]), "image is empty"),
        (("numpy", "np.convolve", ["a"], ["b"]), "must be of numbers"),
        (("numpy", "np.convolve", [[1], [1, 2]], [1.0]), "rows differ in length"),
        (("numpy", "np.convolve", None, [1.0]), "must be of numbers"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        convbench.emulate(*arguments)
    assert not isinstance(caught.value, NotMeasuredError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torch", "F.conv2d", IMAGE.astype("int16"), KERNEL.astype("int16")), "dtype int16.*Use float64"),
        (("torch", "F.conv2d", IMAGE, KERNEL.astype("float32")), "float64 and a kernel of float32"),
        (("numpy", "np.convolve", [np.nan, 1.0], [1.0, 2.0]), "NaN or infinity in the image"),
        (("numpy", "np.convolve", [True], [True]), "dtype bool"),
        (("seed000", "convolve_sum", IMAGE + 1j, KERNEL + 1j), "dtype complex128"),
    ],
)
def test_what_nobody_measured_is_not_called_refused(arguments, message):
    with pytest.raises(NotMeasuredError, match=message):
        convbench.emulate(*arguments)


@pytest.mark.parametrize(("system", "op"), [("numpy", "np.convolve"), ("scipy", "signal.convolve")])
def test_numpy_and_scipy_signal_promote(system, op):
    out = convbench.emulate(system, op, [1, 2, 3], [0.5, 1.0])
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, [0.5, 2.0, 3.5, 3.0])


def test_a_refusal_says_who_what_why_and_what_to_do():
    with pytest.raises(ValueError, match="scipy 1.17.1") as caught:
        convbench.emulate("scipy", "signal.convolve2d", IMAGE, np.ones((5, 2)), "valid")
    error, message = caught.value, str(caught.value)
    assert isinstance(error, EmulatedError) and isinstance(error, convbench.ConvbenchError)
    assert error.kind == type(error).__name__ == "ValueError"
    for part in ("signal.convolve2d", "'valid'", "4×5", "5×2", "float64", "longer", "shorter", "Use "):
        assert part in message
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (type(error), message)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("tensorflow", "tf.nn.conv2d", np.ones((3, 3), "f4"), np.ones((4, 2), "f4"), "VALID"), "undefined-empty"),
        (("scipy", "signal.convolve2d", IMAGE, np.ones((6, 1)), "full boundary=wrap", "1.3.0"), "reads-outside"),
        (("scipy", "ndimage.correlate", np.ones(2), np.ones(16), "reflect"), "reflects-garbage"),
        (("aesara", "tensor.nnet.conv2d filter_flip=True", IMAGE, KERNEL, None, "2.9.4 (C++)"), "cannot-compile"),
        (("jax", "jax.scipy.signal.convolve", IMAGE, np.ones((5, 2)), "same"), "crossed-lengths"),
    ],
)
def test_defects_that_are_refused_are_marked(arguments, name):
    system, op, _, _, mode, version = (*arguments, None)[:6]
    assert name in [defect.name for defect in atlas.defects(system, op, mode, version)]
    with pytest.raises(EmulatedError, match=f"defect of this version .{name}"):
        convbench.emulate(*arguments)


@pytest.mark.parametrize("system", ["scipy", "jax"])
def test_a_defect_that_repeats_is_reproduced(system):
    op = "signal.correlate2d" if system == "scipy" else "jax.scipy.signal.correlate2d"
    image, kernel = np.array([[1 + 2j]]), np.array([[1j, 2.0], [3.0, 4 - 1j]])
    (defect, *_) = atlas.defects(system, op, "valid")
    assert (defect.name, defect.handled) == ("conjugates-image", "reproduced")
    wrong = convbench.emulate(system, op, image, kernel, "valid")
    right = convbench.emulate("scipy", "signal.correlate", image, kernel, "valid method=direct")
    np.testing.assert_array_equal(wrong, right.conj())


def test_the_seeds_function_takes_rows_for_columns():
    def seed(image, kernel):
        return convbench.emulate("seed001", "convolution", image, kernel)

    np.testing.assert_array_equal(seed(IMAGE, [[1.0, 2.0, 4.0]]), 7 * IMAGE)
    assert seed(IMAGE + 1j, KERNEL + 1j).dtype == np.float64
    assert seed(IMAGE, np.ones((5, 2))).shape == (0, 1)
    with pytest.raises(ValueError, match="neither square"):
        seed(IMAGE, np.ones((3, 2)))


def test_inputs_of_any_layout_are_read_and_not_changed():
    image, kernel = IMAGE.astype(">f8")[::-1, ::2], KERNEL.T
    for array in (image, kernel):
        array.flags.writeable = False
    kept = image.copy()
    out = convbench.emulate("scipy", "ndimage.convolve", image, kernel)
    np.testing.assert_array_equal(out, convbench.emulate("scipy", "ndimage.convolve", kept.astype(float), KERNEL.T))
    np.testing.assert_array_equal(image, kept)
    assert not np.shares_memory(out, image)


def test_opencv_saturates_and_takes_any_real_kernel():
    image = np.full((3, 3), 200, np.uint8)
    out = convbench.emulate("opencv", "cv2.filter2D", image, [[2.0]])
    assert out.dtype == np.uint8 and (out == 255).all()
    assert (convbench.emulate("opencv", "cv2.filter2D", image, [[-1]]) == 0).all()


def test_rows_are_unique_and_use_the_canonical_formulas():
    rows = list(atlas.entries(refused=True))
    assert len({row[:5] for row in rows}) == len(rows)
    conventions = {row.convention for row in atlas.entries()}
    assert all(isinstance(convention, Convention) for convention in conventions)
    assert {convention.offset for convention in conventions if convention} <= OFFSETS
    assert {convention.size for convention in conventions if convention} <= SIZES
    for text in OFFSETS | SIZES:
        formula(text)


def test_equal_conventions_are_equal():
    """What the table is for: which operation of one system is which of another."""
    keras = atlas.find("keras", "layers.Conv2D", "same").convention
    assert keras == atlas.find("tensorflow", "tf.nn.conv2d", "SAME").convention
    assert keras == atlas.find("torch", "F.conv2d", "padding=same").convention
    assert atlas.find("keras", "layers.Conv2D", "same channels_last", "2.3.1 (theano 1.0.5)").convention == (
        atlas.find("scipy", "signal.convolve2d", "same").convention
    )


def test_every_default_is_a_mode_of_its_operation():
    for row in atlas.entries(refused=True):
        defaults = {entry.default for entry in TABLE if entry.op == row.op and row.version in entry.versions}
        assert len(defaults - {""}) <= 1
        for default in defaults - {""}:
            assert atlas.find(row.system, row.op, default, row.version).mode == default


def test_the_page_lists_every_entry():
    page = markdown()
    assert all(f"`{entry.op}`" in page for entry in TABLE)
    done = subprocess.run([sys.executable, "-m", "convbench.atlas"], capture_output=True, text=True, check=True)
    assert done.stdout == page


def test_nothing_heavy_is_loaded():
    code = "import sys, convbench; convbench.emulate; print(*{'scipy', 'torch', 'jax', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
