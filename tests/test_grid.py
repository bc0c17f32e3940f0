"""Presets choose from the literal lists in benchmarks/, and both sides spell a cell alike."""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from pathlib import Path

import pytest

from convbench.backends import list_backends
from convbench.errors import ArgumentError
from convbench.grid import CORES, DEVICES, PRESETS, get_preset, problem_of

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def classes():
    sys.path.insert(0, str(ROOT))
    try:
        return {
            f"{name}.{cls}": getattr(importlib.import_module(f"benchmarks.{name}"), cls)
            for name, cls in [
                ("image", "Image"), ("image", "Complex"), ("image", "Threads"), ("image", "Cores"), ("image", "Cuda"), ("image", "CudaDtypes"),
                ("signal", "Signal"), ("signal", "Cuda"), ("rows", "Rows"),
            ]
        }  # fmt: skip
    finally:
        sys.path.remove(str(ROOT))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_selects_cells_of_the_benchmarks(preset, classes):
    for piece in get_preset(preset).slices:
        backends, images, kernels, dtypes, devices, threads = classes[piece.benchmark].params
        assert [b.name for b in piece.backends() if b.name in {x.name for x in list_backends()}] == backends
        assert set(piece.images) <= set(images)
        assert set(piece.kernels) <= set(kernels)
        assert set(piece.dtypes) <= set(dtypes)
        assert piece.device in devices
        assert piece.threads in threads
        cells = itertools.product(*classes[piece.benchmark].params)
        names = [f"{piece.benchmark}.time_plan({', '.join(map(repr, cell))})" for cell in cells]
        chosen = [n for n in names if re.search(piece.regex(), n)]
        assert len(chosen) == len(backends) * len(list(piece.problems()))


def test_all_cores_are_the_most_threads_of_the_list_that_there_are_cores_for(monkeypatch):
    def threads(number):
        monkeypatch.setattr("convbench.grid.cores", lambda: number)
        return sorted({s.threads for s in get_preset("gpu").slices if s.benchmark == "image.Cores"})

    assert [threads(n) for n in (1, 2, 3, 16, 20, 1000)] == [[], [2], [2], [16], [16], [128]]


def test_other_devices_take_the_place_of_the_first():
    every = get_preset("gpu").slices
    chosen = get_preset("gpu", ("cuda:1",)).slices
    assert [s.device for s in every] == [s.device.replace("1", "0") for s in chosen]
    assert {s.device for s in chosen} == {"cpu", "cuda:1"}
    both = get_preset("gpu", ("cuda:0", "cuda:1", "cuda:0")).slices
    on_devices = [s for s in every if s.device != "cpu"]
    assert len(both) == len(every) + len(on_devices)
    with pytest.raises(ArgumentError, match="unknown device 'cuda:2'; allowed: cuda:0, cuda:1. .*`convbench machine`"):
        get_preset("gpu", ("cuda:2",))


def test_the_full_preset_leaves_nothing_out(classes):
    assert {s.benchmark for s in PRESETS["full"].slices} == set(classes)
    assert classes["image.Cores"].params[-1] == list(CORES)
    assert classes["image.Cuda"].params[-2] == list(DEVICES)
    for piece in PRESETS["full"].slices:
        _, images, kernels, dtypes, _, _ = classes[piece.benchmark].params
        assert [list(piece.images), list(piece.kernels), list(piece.dtypes)] == [images, kernels, dtypes]


def test_layouts():
    assert problem_of("image", 64, 5, "float32").kernel_shape == (5, 5)
    assert problem_of("rows", 64, 5, "float32").kernel_shape == (1, 5)
    assert problem_of("signal", 64, 5, "float32").image_shape == (64,)
    with pytest.raises(ArgumentError, match="unknown layout 'cube'; allowed: image, signal, rows"):
        problem_of("cube", 64, 5, "float32")


def test_unknown_preset():
    with pytest.raises(
        ArgumentError, match="unknown preset 'quik'; allowed: quick, standard, gpu, full. Did you mean 'quick'"
    ):
        get_preset("quik")


def test_benchmarks_import_no_framework():
    import subprocess

    code = (
        "import sys, benchmarks, benchmarks.image, benchmarks.signal, benchmarks.rows;"
        "print([m for m in ('torch', 'numba', 'pyfftw', 'scipy', 'cv2', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
