from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convbench.errors import ArgumentError, ConvbenchError, StorageError
from convbench.images import channels, read_image, sample_photograph, write_image

GREY = np.arange(256, dtype=np.uint8).reshape(8, 32)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def _file(folder: Path, name: str, picture: Image.Image, **settings: object) -> Path:
    picture.save(folder / name, **settings)
    return folder / name


def test_eight_bits_become_zero_to_one(tmp_path: Path) -> None:
    grey = read_image(_file(tmp_path, "a.png", Image.fromarray(GREY)))
    assert grey.dtype == np.float32
    assert np.array_equal(grey, GREY.astype(np.float32) / 255)
    colour = read_image(_file(tmp_path, "b.PNG", Image.fromarray(COLOUR)))
    assert colour.shape == (8, 32, 3)
    assert np.array_equal(colour, COLOUR.astype(np.float32) / 255)


def test_jpeg(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.jpeg"):
        image = read_image(_file(tmp_path, name, Image.fromarray(np.full((9, 7, 3), 128, np.uint8))))
        assert image.shape == (9, 7, 3)
        assert np.allclose(image, 128 / 255, atol=2 / 255)
    assert read_image(_file(tmp_path, "c.jpg", Image.fromarray(COLOUR).convert("CMYK"))).shape == (8, 32, 3)


def test_sixteen_bits_one_bit_and_palettes(tmp_path: Path) -> None:
    wide = GREY.astype(np.uint16) * 257
    assert np.array_equal(read_image(_file(tmp_path, "w.png", Image.fromarray(wide))), wide.astype(np.float32) / 65535)
    black_white = read_image(_file(tmp_path, "1.png", Image.fromarray(GREY > 99)))
    assert np.array_equal(black_white, (GREY > 99).astype(np.float32))
    palette = Image.fromarray(COLOUR).quantize(16)
    seen = read_image(_file(tmp_path, "p.png", palette))
    assert np.array_equal(seen, np.asarray(palette.convert("RGB"), dtype=np.float32) / 255)


def test_transparent_pixels_count_as_black(tmp_path: Path) -> None:
    alpha = np.zeros((8, 32), np.uint8)
    alpha[:, :16] = 255
    image = read_image(_file(tmp_path, "a.png", Image.fromarray(np.dstack([COLOUR, alpha]))))
    assert image.shape == (8, 32, 3)
    assert np.array_equal(image[:, :16], COLOUR[:, :16].astype(np.float32) / 255)
    assert not image[:, 16:].any()
    grey = read_image(_file(tmp_path, "g.png", Image.fromarray(np.dstack([GREY, alpha]), mode=None)))
    assert grey.shape == (8, 32)
    assert not grey[:, 16:].any()
    keyed = read_image(_file(tmp_path, "t.png", Image.fromarray(COLOUR).quantize(4), transparency=0))
    assert keyed.shape == (8, 32, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "int32", ">f4", "float16"])
def test_npy_values_are_kept(tmp_path: Path, dtype: str) -> None:
    array = np.arange(-6, 6).reshape(3, 4).astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    image = read_image(tmp_path / "a.npy")
    assert np.array_equal(image, array)
    assert image.dtype.isnative
    assert image.dtype.kind in "fc"


def test_npy_of_unsigned_integers_is_scaled_and_a_single_channel_is_grey(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", COLOUR)
    assert np.array_equal(read_image(tmp_path / "a.npy"), COLOUR.astype(np.float32) / 255)
    np.save(tmp_path / "b.npy", (GREY.astype(np.uint16) * 257)[:, :, None])
    assert read_image(tmp_path / "b.npy").shape == (8, 32)
    assert read_image(tmp_path / "b.npy").max() == 1


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, format="png")
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.gif", b"GIF89a", ["unknown image file ending '.gif'", "allowed: .png, .jpg, .jpeg, .npy"]),
        ("ending", b"x", ["unknown image file ending", "ending", "allowed: .png"]),
        ("a.png", None, ["image file not found", "a.png", "check the path"]),
        ("a.png", b"", ["is empty (0 bytes)"]),
        ("a.png", b"this is text", ["no known format", "PNG, JPEG, .npy"]),
        ("a.png", _png()[:-60], ["damaged or cut short", "write or download it again"]),
        ("a.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 50, ["a.jpg"]),
        ("a.npy", b"this is text", ["not a .npy file", "numpy.save"]),
        ("a.npy", _npy(GREY)[:-1], ["damaged or cut short"]),
        ("a.npy", _npy(np.ones(9)), ["(height, width)", "got (9,)"]),
        ("a.npy", _npy(np.ones((2, 2, 2, 2))), ["(height, width, channels)", "got (2, 2, 2, 2)"]),
        ("a.npy", _npy(np.ones((0, 4))), ["is empty", "(0, 4)"]),
        ("a.npy", _npy(np.ones((3, 20, 30))), ["channels come last", "(3, 20, 30)", "moveaxis"]),
        ("a.npy", _npy(np.array([[0, np.nan]])), ["finite", "nan at index (0, 1)", "nan_to_num"]),
        ("a.npy", _npy(np.array([["a"]])), ["must be numeric"]),
        ("a.npy", _npy(np.ones((2, 2), "datetime64[s]")), ["must be numeric"]),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, name: str, content: bytes | None, parts: list[str]) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError) as caught:
        read_image(tmp_path / name)
    for part in parts:
        assert part in str(caught.value)


def test_nan_in_a_channel_names_the_channel(tmp_path: Path) -> None:
    array = np.ones((4, 5, 3))
    array[1, 2, 2] = np.inf
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ArgumentError, match=r"image channel 2 must be finite, got inf at index \(1, 2\)"):
        read_image(tmp_path / "a.npy")


def test_too_many_pixels(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    path = tmp_path / "a.png"
    path.write_bytes(_png())
    with pytest.raises(ArgumentError, match="too large"):
        read_image(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "npy"])
def test_damage_anywhere_is_an_error_of_ours_or_an_image(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, COLOUR)
    else:
        Image.fromarray(COLOUR).save(path)
    good, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(good[: rng.integers(1, len(good) + 1)])
        for _ in range(3):
            damaged[rng.integers(min(len(damaged), 200))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_image(path)
        except ConvbenchError as error:
            assert str(path) in str(error) or "image" in str(error)  # noqa: PT017


@pytest.mark.parametrize("array", [GREY, COLOUR, GREY / 255, COLOUR.astype(np.float32) / 255])
def test_png_round_trip(tmp_path: Path, array: np.ndarray) -> None:
    assert write_image(tmp_path / "a.png", array) == "values in [0, 1]"
    wanted = array / 255 if array.dtype == np.uint8 else array
    assert np.allclose(read_image(tmp_path / "a.png"), wanted, atol=1e-6)


def test_png_clips_what_is_above_one_and_rounding_below_zero(tmp_path: Path) -> None:
    how = write_image(tmp_path / "a.png", np.array([[0.0, 0.5, 2.0, -1e-7]]))
    assert how == "clipped to [0, 1]: 1 values above 1, the largest 2"
    assert np.allclose(read_image(tmp_path / "a.png"), [[0, 0.5, 1, 0]], atol=0.002)


def test_png_of_signed_values_is_grey_at_zero(tmp_path: Path) -> None:
    how = write_image(tmp_path / "a.png", np.array([[-4.0, 0.0, 2.0]]))
    assert how == "signed: mid-grey is 0, black and white are -/+4"
    assert np.allclose(read_image(tmp_path / "a.png"), [[0, 0.5, 0.75]], atol=0.002)


def test_npy_is_written_as_it_is(tmp_path: Path) -> None:
    array = np.array([[-4.0, 2.5 + 1j]], dtype=np.complex64)
    write_image(tmp_path / "a.npy", array)
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)


@pytest.mark.parametrize(
    ("name", "array", "part"),
    [
        ("a.bmp", GREY, "unknown image file ending '.bmp'; allowed: .png, .npy"),
        ("a.png", np.array([[1j]]), "real values, got complex128"),
        ("a.png", np.ones((4, 4, 2)), "1 or 3 channels here, got shape (4, 4, 2)"),
        ("a.png", np.array([[np.nan]]), "finite"),
        ("a.png", np.ones(4), "(height, width)"),
        ("a.png", np.ones((0, 4)), "is empty"),
    ],
)
def test_wrong_arrays_are_not_written(tmp_path: Path, name: str, array: np.ndarray, part: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        write_image(tmp_path / name, array)
    assert part in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_image(tmp_path: Path, monkeypatch) -> None:
    write_image(tmp_path / "a.png", GREY)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_image(tmp_path / "a.png", COLOUR)
    assert read_image(tmp_path / "a.png").ndim == 2


def test_sample_photograph_without_importing_matplotlib() -> None:
    code = "import sys, convbench.images as i; print(i.sample_photograph().exists(), 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
    assert read_image(sample_photograph()).shape == (600, 512, 3)


def test_channels_are_contiguous() -> None:
    planes = channels(COLOUR)
    assert len(planes) == 3
    assert all(p.flags.c_contiguous and np.array_equal(p, COLOUR[:, :, c]) for c, p in enumerate(planes))
    assert len(channels(GREY)) == 1
