"""Figures of a profile as SVG inside a page, and as PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convbench.backends import get_backend
from convbench.problem import Problem
from convbench.profiling import figures
from convbench.profiling.against import Against, against
from convbench.profiling.growth import Amdahl, Power
from convbench.profiling.scaling import Point, Scaling
from convbench.profiling.subject import Subject

KNOWN = {
    "fma_float32": 200.0, "fma_float64": 100.0, "fft_float32": 30.0, "fft_float64": 20.0,
    "l2_bytes": 2.0**20, "copy_l2": 150.0, "l3_bytes": 2.0**25, "copy_l3": 80.0, "copy": 20.0,
}  # fmt: skip


def cell(backend: str = "pyfftw", known: dict[str, float] = KNOWN, **options: Any) -> Against:
    problem = Problem((256, 256), (15, 15), **options)
    found = against(Subject(get_backend(backend), problem, problem.image(), problem.kernel()), 1e-3, known)
    assert isinstance(found, Against)
    return found


def growth(axis: Any = "kernel", share: float | None = 0.5, points: int = 7) -> Scaling:
    values = [7, 11, 15, 21, 31, 43, 61][:points] if axis != "threads" else [1, 2, 4, 8][:points]
    exponent = -0.8 if axis == "threads" else 1.9
    shown = tuple(
        Point(
            v, 1e-3 * v**exponent, 0.95e-3 * v**exponent, 1.05e-3 * v**exponent, 0.01, share, 1e6 * v**2, 8e5 * v**1.5
        )
        for v in values
    )
    grown = Power(1e-3, exponent, exponent - 0.1, exponent + 0.1, (0.0,) * len(values)) if points > 1 else None
    threads = axis == "threads"
    return Scaling(
        axis, "direct", "numba-direct, a <label>", shown, {}, grown, -1.0 if threads else 2.0, None if threads else 1.5,
        Amdahl(1e-3, 0.1, 0.05, 0.15) if threads and grown else None, "time grows",
    )  # fmt: skip


SVGS: dict[str, Callable[[str], str]] = {
    "roofline": lambda prefix: figures.roofline_figure(cell(), prefix),
    "kernel": lambda prefix: figures.scaling_figure(growth(), prefix),
    "threads": lambda prefix: figures.scaling_figure(growth("threads"), prefix),
    "one point": lambda prefix: figures.scaling_figure(growth(points=1, share=None), prefix),
}


def texts(svg: str) -> set[str]:
    return {text.text or "" for text in ElementTree.fromstring(svg).iter("text")}


@pytest.mark.parametrize("name", SVGS)
def test_svg_is_small_and_takes_its_colours_from_the_page(name: str) -> None:
    svg = SVGS[name]("p")
    root = ElementTree.fromstring(svg)
    assert root.get("viewBox", "").split()[2] == "360"  # as wide as a phone
    assert root.get("aria-label")
    assert len(svg) < 15_000
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert "http" not in svg and "font-family" not in svg
    assert SVGS[name]("p") == svg


@pytest.mark.parametrize("name", SVGS)
def test_ids_do_not_clash(name: str) -> None:
    first, second = (set(re.findall(r' id="([^"]+)"', SVGS[name](prefix))) for prefix in ("a", "b"))
    assert not first & second


def test_both_counts_are_drawn_below_the_ceilings() -> None:
    found = texts(figures.roofline_figure(cell(), "p"))
    assert {"textbook", "as implemented", "FMA 200 GFLOP/s", "FFT 30 GFLOP/s", "L2 150 GB/s", "memory 20 GB/s"} <= found
    assert {"arithmetic intensity, FLOP / byte", "GFLOP / s"} <= found


def test_equal_counts_are_one_point_with_the_backend_s_name() -> None:
    found = texts(figures.roofline_figure(cell("numba-direct"), "p"))
    assert "numba-direct" in found
    assert not {"textbook", "as implemented"} & found


def test_the_ceilings_are_those_of_the_dtype() -> None:
    assert {"FMA 100 GFLOP/s", "FFT 20 GFLOP/s"} <= texts(figures.roofline_figure(cell(dtype="float64"), "p"))


def test_few_ceilings_will_do() -> None:
    found = texts(figures.roofline_figure(cell(known={"fft_float32": 30.0, "copy": 20.0}), "p"))
    assert "memory 20 GB/s" in found and not any("L2" in text for text in found)


def test_fit_theory_and_shares_are_named() -> None:
    found = texts(figures.scaling_figure(growth(), "p"))
    assert {
        "k^1.90",
        "theory k^2.00",
        "as implemented k^1.50",
        "kernel size k",
        "share of the roofline",
        "50 %",
    } <= found
    assert "share of the roofline" not in texts(figures.scaling_figure(growth(share=None), "p"))


def test_threads_have_amdahl_s_law_and_the_ideal() -> None:
    assert {"Amdahl's law", "ideal", "threads p"} <= texts(figures.scaling_figure(growth("threads"), "p"))


def test_points_lie_where_they_were_measured() -> None:
    drawn = figures._scaling(growth())
    [line] = [line for line in drawn.axes[0].lines if line.get_marker() == "o"]
    assert list(line.get_xdata()) == [7, 11, 15, 21, 31, 43, 61]
    assert list(line.get_ydata()) == [p.median for p in growth().points]


@pytest.mark.parametrize("found", [growth(), cell()], ids=["scaling", "roofline"])
def test_png_is_light(found: Any) -> None:
    png = (figures.scaling_png if isinstance(found, Scaling) else figures.roofline_png)(found)
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert image.shape[1] == 720
    assert tuple(image[0, 0]) == (0xFD, 0xFD, 0xFB)
    assert not (image.max(axis=2) < 0x10).any()  # the colours that stand for a page's are all but black
    assert (abs(image - (0xDF, 0xDE, 0xD7)).max(axis=2) < 8).any()  # the grid


def test_a_family_of_another_package_is_drawn_too() -> None:
    assert "var(--other)" in figures.scaling_figure(replace(growth(), family="winograd"), "p")
