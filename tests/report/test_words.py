"""Numbers and findings in words."""

from __future__ import annotations

import math

import pytest

from convbench.analysis.crossover import Crossing
from convbench.analysis.envelope import Span
from convbench.report import words

AT_19 = Crossing(18.6, 17.2, 20.9, 15, 21, "direct", "fft")


@pytest.mark.parametrize(
    ("value", "told"),
    [(1.5, "1.50 s"), (0.9999, "1.00 s"), (0.0123, "12.3 ms"), (1.234e-6, "1.23 µs"), (5e-9, "5.00 ns"), (5e-11, "0.0500 ns"),
     (12345.0, "12345 s"), (math.nan, ""), (math.inf, "")],
)  # fmt: skip
def test_seconds(value: float, told: str) -> None:
    assert words.seconds(value) == told


def test_seconds_between() -> None:
    assert words.seconds_between(2.49e-3, 2.61e-3) == "2.49 – 2.61 ms"
    assert words.seconds_between(0.9e-3, 1.1e-3) == "900 µs – 1.10 ms"
    assert words.seconds_between(math.nan, 1.0) == ""


@pytest.mark.parametrize(("value", "told"), [(12, "12 B"), (8e6, "7.63 MiB"), (3e9, "2.79 GiB"), (math.nan, "")])
def test_size_bytes(value: float, told: str) -> None:
    assert words.size_bytes(value) == told


@pytest.mark.parametrize(
    ("share", "told"), [(0.923, "92 %"), (0.0345, "3.5 %"), (0.0004, "0.040 %"), (1.041, "104 %"), (math.nan, "")]
)
def test_percent(share: float, told: str) -> None:
    assert words.percent(share) == told


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(17.2, 20.9, "17.2 to 20.9"), (-math.inf, 4.0, "below the range to 4.00"), (4.0, math.inf, "4.00 to beyond the range"),
     (-math.inf, math.inf, "not located within the range measured")],
)  # fmt: skip
def test_interval(low: float, high: float, told: str) -> None:
    assert words.interval(Crossing(5.0, low, high, 3, 7, "direct", "fft")) == told


def test_spans() -> None:
    one = Span("separable", (3, 7, 101), ("a", "a", "a"), None)
    assert words.spans([one]) == "separable (a) at every size measured, k = 3 to 101"
    assert words.spans([Span("fft", (7,), ("f",), None)]) == "fft (f) at k = 7, the only size measured"
    direct = Span("direct", (3, 7, 15), ("a", "b", "b"), AT_19)
    fft = Span("fft", (21, 31), ("f", "f"), None)
    assert words.spans([direct, fft]) == "direct (a, then b) up to about k = 19, then fft (f)"
    assert words.spans([]) == "nothing was measured"
    many = words.spans([direct, fft] * 3)
    assert many == "direct at 9 of 15 sizes and fft at 6 of 15 sizes; the lead changes 5 times, see the winner map"


def test_unbroken_keeps_figures_on_one_line() -> None:
    told = words.unbroken("up to k = 19, 64 × 64 images, 5 ms, 95 % of work = 3")
    assert told == "up to k\u00a0=\u00a019, 64\u00a0×\u00a064 images, 5\u00a0ms, 95\u00a0% of work = 3"
