from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import Absent, Right, Threaded, Wrong, use
from scipy import signal

from convbench import cell, compare
from convbench.errors import ArgumentError, StorageError, UnsupportedError
from convbench.images import read_image
from convbench.measure import Timing
from convbench.problem import Array, Problem

RNG = np.random.default_rng(0)
GREY, COLOUR = RNG.uniform(0, 1, (20, 30)), RNG.uniform(0, 1, (20, 30, 3))
BLUR = np.full((3, 3), 1 / 9)
SECONDS = {"right": 0.004, "right-threaded": 0.001}


def _timing(seconds: float) -> Timing:
    return Timing((seconds * 0.9, seconds, seconds * 1.1), 1, "a test")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """Fake backends and fixed times, so that nothing depends on the machine."""
    use(monkeypatch, Right(), Threaded(), Wrong(), Absent())
    problems: list[Problem] = []

    def measure_cells(
        problem: Problem, backends: list, image: Array, kernel: Array, *, budget: float, progress
    ) -> list:
        problems.append(problem)
        assert image.dtype == kernel.dtype == np.dtype(problem.dtype)
        cells = []
        for number, backend in enumerate(backends):
            if progress:
                progress(number, len(backends), backend.name)
            made = cell.Cell(backend.name, backend.family, problem, "n/a", "no such thing")
            if backend.name in SECONDS:
                seconds = SECONDS[backend.name]
                made = cell.Cell(
                    *(backend.name, backend.family, problem, "ok", None, 0.25 * len(problems)),
                    execute=_timing(seconds),
                    one_shot=_timing(2 * seconds),
                    plan=_timing(seconds),
                    load_seconds=1e-6,
                    store_seconds=1e-6,
                    peak_memory_bytes=1000 * len(problems),
                )
            elif backend.name == "wrong":
                made = cell.Cell(backend.name, backend.family, problem, "failed", "gate: off by one")
            cells.append(made)
        return cells

    monkeypatch.setattr(cell, "measure_cells", measure_cells)
    return problems


def test_rows_are_ranked_and_the_others_keep_their_reasons() -> None:
    found = compare.compare(GREY, BLUR)
    assert [(row.rank, row.backend, row.status) for row in found.rows] == [
        (1, "right-threaded", "ok"),
        (2, "right", "ok"),
        (None, "wrong", "failed"),
        (None, "absent", "n/a"),
    ]
    best, second = found.rows[:2]
    assert found.best is best
    assert second.ratio == pytest.approx(4)
    assert best.mpixel_per_s == pytest.approx(0.6)
    assert best.low is not None
    assert best.high is not None
    assert best.low < 0.001 < best.high
    assert found.rows[2].time is None
    assert found.rows[2].reason == "gate: off by one"


def test_channels_are_measured_one_by_one_and_summed(asked: list[Problem]) -> None:
    seen: list[tuple[int, int, str]] = []
    found = compare.compare(COLOUR, BLUR, progress=lambda *step: seen.append(step))
    assert asked == [Problem((20, 30), (3, 3))] * 3
    assert found.best is not None
    assert found.best.time == pytest.approx(0.003)
    assert found.best.one_shot == pytest.approx(0.006)
    assert found.best.mpixel_per_s == pytest.approx(0.2)
    assert found.best.error_over_bound == 0.75
    assert found.best.peak_memory_bytes == 3000
    assert seen[0] == (0, 12, "channel 1 of 3: right")
    assert [done for done, *_ in seen] == list(range(12))


@pytest.mark.parametrize("image", [GREY, COLOUR])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_result_is_the_convolution_of_every_channel(image: Array, mode: str) -> None:
    result = compare.compare(image, BLUR, mode=mode, dtype="float64").result()  # type: ignore[arg-type]
    planes = image[:, :, None] if image.ndim == 2 else image
    wanted = np.stack([signal.convolve2d(p, BLUR, mode) for p in np.moveaxis(planes, -1, 0)], axis=-1)
    assert np.allclose(result, wanted[:, :, 0] if image.ndim == 2 else wanted)


@pytest.mark.parametrize(
    ("image", "kernel", "dtype"),
    [(GREY, BLUR, "float32"), (COLOUR, BLUR - 0.2, "float32"), (COLOUR, BLUR, "complex64")],
)
def test_save_writes_result_figure_and_table(tmp_path: Path, image: Array, kernel: Array, dtype: str) -> None:
    found = compare.compare(image, kernel, dtype=dtype)
    paths = compare.save(found, tmp_path / "new")
    assert [p.name for p in paths] == ["result.npy", "result.png", "figure.png", "table.json"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in paths)
    assert np.array_equal(np.load(paths[0]), found.result())
    assert read_image(paths[1]).shape[:2] == image.shape[:2]
    assert read_image(paths[2]).ndim == 3
    table = json.loads(paths[3].read_text())
    assert table["rows"][0]["backend"] == "right-threaded"
    assert table["kernel_shape"] == [3, 3]


def test_save_without_a_result_and_to_a_file(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="wrong: gate: off by one"):
        compare.save(compare.compare(GREY, BLUR, ["wrong"]), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="a part of the path is a file"):
        compare.save(compare.compare(GREY, BLUR), tmp_path / "file")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"image": np.ones(5)}, ["(height, width)", "(5,)"]),
        ({"image": np.ones((0, 5))}, ["(0, 5)"]),
        ({"image": np.full((4, 4), np.nan)}, ["finite", "nan at index (0, 0)"]),
        ({"image": GREY + 1j}, ["image channel 0 is complex128", "float32", "complex dtype"]),
        ({"kernel": np.ones(3)}, ["2 axes", "(3,)", "newaxis"]),
        ({"kernel": BLUR + 1j}, ["kernel is complex128", "float32"]),
        ({"backends": ["rigth"]}, ["unknown backend 'rigth'", "Did you mean 'right'"]),
        ({"mode": "valid", "kernel": np.ones((50, 50))}, ["no longer than the image"]),
        ({"dtype": "int8"}, ["unknown dtype 'int8'", "float32"]),
        ({"threads": 0}, ["positive int"]),
        ({"device": "tpu"}, ["unknown device 'tpu'"]),
        ({"budget": 0}, ["above 0", "got 0"]),
        ({"budget": float("nan")}, ["above 0", "got nan"]),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], parts: list[str]) -> None:
    with pytest.raises(ArgumentError) as caught:
        compare.compare(**{"image": GREY, "kernel": BLUR, **arguments})  # type: ignore[arg-type]
    for part in parts:
        assert part in str(caught.value)


def test_the_real_gate_and_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    use(monkeypatch, Right(), Wrong(), Absent())
    found = compare.compare(COLOUR[:, :, :2], np.array([[1.0, 2.0], [3.0, 4.0]]), dtype="float64")
    assert [(row.backend, row.status) for row in found.rows] == [
        ("right", "ok"),
        ("wrong", "failed"),
        ("absent", "n/a"),
    ]
    assert found.rows[0].error_over_bound is not None
    assert 0 <= found.rows[0].error_over_bound <= 1
    assert "not flipped" in (found.rows[1].reason or "")
