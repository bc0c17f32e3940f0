"""Numbers and findings in words."""

from __future__ import annotations

import math
import re

import pytest

from convbench.analysis.crossover import Crossing
from convbench.analysis.envelope import Span
from convbench.analysis.noise import UNCALIBRATED, Noise
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
    ("regret", "told"),
    [(0.0, "0.0 %"), (0.031, "3.1 %"), (0.28, "28 %"), (0.999, "100 %"), (1.0, "2.0 times"), (29.0, "30 times"), (math.nan, "")],
)  # fmt: skip
def test_cost(regret: float, told: str) -> None:
    assert words.cost(regret) == told


def test_noise() -> None:
    told = words.noise(Noise(48, 0.01, 2.24, 0.009))
    assert re.fullmatch(r"Differences below 3\.\d % are ties on this machine: 48 A/A pairs \(.*\) show .*", told)
    assert "no A/A pairs were measured here" in words.noise(UNCALIBRATED)


@pytest.mark.parametrize(
    ("name", "value", "what", "told"),
    [("load", [0.5, 1, 2.25], "load", "0.5 1 2.25"), ("frequency_mhz", {"0": 3000.0, "1": 2999.5}, "frequency", "0 3000 MHz, 1 2999.5 MHz"),
     ("temperature_c", 41.0, "temperature", "41 °C"), ("frequency_mhz", [3000, 2000], "frequency", "3000 2000 MHz"),
     ("probe_s", 1.5e-4, "probe", "150 µs"), ("memory_available_bytes", 2**30, "memory available", "1.00 GiB"),
     ("governor", "unknown", "governor", "unknown"), ("affinity", [], "affinity", "none"), ("turbo", None, "turbo", ""),
     ("time", "2026-10-01T10:00:00+00:00", "time", "2026-10-01 10:00 UTC"), ("swap", True, "swap", "True")],
)  # fmt: skip
def test_conditions(name: str, value: object, what: str, told: str) -> None:
    assert words.condition(name) == what
    assert words.reading(name, value) == told


def test_index_text() -> None:
    assert words.index_text((3, 4)) == "3, 4"
    assert words.index_text(math.nan) == words.index_text(None) == ""


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
