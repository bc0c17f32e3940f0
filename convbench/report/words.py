"""Numbers and findings in words: the same words on every page, those of docs and command line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from convbench.analysis.crossover import Crossing
from convbench.analysis.envelope import Span
from convbench.analysis.noise import Noise
from convbench.problem import EVERY_DTYPE

LAYOUTS = {"image": "Images", "signal": "Signals", "rows": "Rows"}
LAYOUT_MEANS = {
    "image": "an n × n image with a k × k kernel",
    "signal": "a signal of length n with a kernel of length k",
    "rows": "every row of an n × n image with a 1 × k kernel",
}
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_READING_UNITS = {"mhz": " MHz", "c": " °C", "celsius": " °C", "w": " W"}
# A list of more changes of lead than this is noise between near-equals, not advice.
MOST_SPANS_IN_WORDS = 4


def seconds(value: float) -> str:
    """'1.23 ms': three significant digits with the fitting unit; '' for NaN."""
    if not math.isfinite(value):
        return ""
    scale, unit = next(((s, u) for s, u in _UNITS if value >= s * 0.9995), _UNITS[-1])
    return f"{digits(value / scale)} {unit}"


def seconds_between(low: float, high: float) -> str:
    """'2.49 – 2.61 ms', with both units where they differ; '' if either is NaN."""
    a, b = seconds(low), seconds(high)
    if not a or not b:
        return ""
    number, _, unit = a.partition(" ")
    return f"{number} – {b}" if unit == b.partition(" ")[2] else f"{a} – {b}"


def digits(value: float, count: int = 3) -> str:
    """Significant digits without an exponent: 0.123, 1.23, 12.3, 123, 1234."""
    if not math.isfinite(value):
        return ""
    rounded = abs(float(f"{value:.{count - 1}e}"))  # 0.9999 becomes 1.00, not 1.000
    places = count - 1 - (math.floor(math.log10(rounded)) if rounded else 0)
    return f"{value:.{min(max(places, 0), 9)}f}"


def percent(share: float) -> str:
    """'92 %', '3.4 %'; '' for NaN."""
    return f"{digits(100 * share, 2)} %" if math.isfinite(share) else ""


def cost(regret: float) -> str:
    """What a choice costs beside the best: '3.1 %', '28 %', '4.2 times', '' for NaN; from 100 % on as a ratio."""
    if not math.isfinite(regret):
        return ""
    return percent(regret) if regret < 1 else f"{digits(1 + regret, 2)} times"


def noise(found: Noise) -> str:
    """The smallest difference that is called one on a machine, and how that is known."""
    if found.calibrated:
        return (
            f"Differences below {percent(found.floor)} are ties on this machine: {found.pairs} A/A pairs (one backend "
            f"under two names) show how much equals differ."
        )
    return (
        f"Differences below about {percent(found.floor)} are called ties: no A/A pairs were measured here, so that the "
        f"noise of this machine is assumed, not known. `convbench run` measures them."
    )


def size_bytes(value: float) -> str:
    """'12.3 MiB'; '' for NaN."""
    if not math.isfinite(value):
        return ""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{digits(value)} {unit}" if unit != "B" else f"{value:.0f} B"
        value /= 1024
    return f"{digits(value)} GiB"


def shape(layout: str, n: int) -> str:
    """'1024 × 1024', or '1024' for a signal."""
    return str(n) if layout == "signal" else f"{n} × {n}"


def thread_words(threads: int) -> str:
    return f"{threads} thread" if threads == 1 else f"{threads} threads"


def set_title(layout: str, dtype: str, device: str, threads: int) -> str:
    return f"{LAYOUTS.get(layout, layout)}, {dtype}, {device}, {thread_words(threads)}"


def dtype_place(dtype: str) -> tuple[int, str]:
    """A sort key: the order in which people think of dtypes."""
    return (EVERY_DTYPE.index(dtype) if dtype in EVERY_DTYPE else len(EVERY_DTYPE), dtype)


def things(layout: str, dtype: str, n: int) -> str:
    """'float32 images of 1024 × 1024'."""
    what = {"image": "images of", "signal": "signals of length", "rows": "images, row by row, of"}.get(layout, layout)
    return f"{dtype} {what} {shape(layout, n)}"


def kernel_size(value: float) -> str:
    """A crossover: '18.6' is '19', '5.2' is '5.2': no more digits than the measurement carries."""
    return digits(value, 2) if value < 10 else f"{value:.0f}"


def interval(crossing: Crossing) -> str:
    """'17 to 21'; an end beyond the measured range is said to be so."""
    if crossing.low == -math.inf and crossing.high == math.inf:
        return "not located within the range measured"
    low = "below the range" if crossing.low == -math.inf else digits(crossing.low)
    high = "beyond the range" if crossing.high == math.inf else digits(crossing.high)
    return f"{low} to {high}"


def unbroken(text: str) -> str:
    """The text with 'k = 19', '64 × 64', '5 ms' and '95 %' kept on one line."""
    return re.sub(
        r"(?<=\bk) = (?=\d)|(?<=\d) × (?=\d)|(?<=\d) (?=%|[mµn]?s\b)", lambda m: m[0].replace(" ", "\u00a0"), text
    )


def condition(name: str) -> str:
    """'frequency', from 'frequency_mhz': the unit stands beside the value."""
    return re.sub(r"_(s|mhz|bytes|c|celsius|w)$", "", name).replace("_", " ")


def reading(name: str, value: object) -> str:
    """A condition of the machine with its unit: a number, several, or what the system says."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {reading(name, part)}" for key, part in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        parts = [reading("", part) for part in value]
        unit = _READING_UNITS.get(name.rpartition("_")[2], "") if name else ""
        return " ".join(parts) + unit or "none"
    if value is None or isinstance(value, (str, bool)):
        return moment(value) if name == "time" else "" if value is None else str(value)
    number = float(value) if isinstance(value, (int, float)) else math.nan
    if name.endswith("_bytes"):
        return size_bytes(number)
    if name.endswith("_s"):
        return seconds(number)
    return f"{number:g}{_READING_UNITS.get(name.rpartition('_')[2], '')}" if math.isfinite(number) else str(value)


def moment(value: object) -> str:
    """'2026-10-01 10:00 UTC' from an ISO time; anything else as it is, '' for nothing."""
    try:
        return f"{datetime.fromisoformat(str(value)).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(value) if value else ""


def index_text(index: object) -> str:
    """'3, 4' for a place in an array; '' for none."""
    return ", ".join(map(str, index)) if isinstance(index, (tuple, list)) else ""


def joined(items: Sequence[str], last: str = "and") -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def backends(span: Span) -> str:
    """The backends of a span, the one that wins most first: 'pyfftw-overlap' or 'ndimage, then numba-direct'."""
    names = list(dict.fromkeys(span.backends))
    if len(names) <= 2:
        return ", then ".join(names)
    most = max(names, key=span.backends.count)
    return f"mostly {most}"


def spans(found: Sequence[Span]) -> str:
    """A sentence fragment: which family leads from where to where."""
    if not found:
        return "nothing was measured"
    if len(found) == 1:
        sizes = found[0].kernels
        everywhere = (
            f"at every size measured, k = {sizes[0]} to {sizes[-1]}"
            if len(sizes) > 1
            else f"at k = {sizes[0]}, the only size measured"
        )
        return f"{found[0].family} ({backends(found[0])}) {everywhere}"
    if len(found) > MOST_SPANS_IN_WORDS:
        return f"{_share(found)}; the lead changes {len(found) - 1} times, see the winner map"
    parts = [
        f"{span.family} ({backends(span)})"
        + (f" up to about k = {kernel_size(span.until.kernel)}" if span.until else "")
        for span in found
    ]
    return ", then ".join(parts)


def _share(found: Sequence[Span]) -> str:
    counts: dict[str, int] = {}
    for span in found:
        counts[span.family] = counts.get(span.family, 0) + len(span.kernels)
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    return joined([f"{family} at {count} of {total} sizes" for family, count in ranked])
