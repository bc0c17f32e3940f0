"""Which functions of OpenCV ran: its own trace; and what its build can do.

Format of the trace: OpenCV's trace.cpp. A file of places ("l", number, file, line, function, flags) and one of each
thread's regions ("b", thread, time, place, region and "e", the same with the region's time in ns, then "tIPP=" where
IPP worked in it).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.algorithm.watch import watched
from convbench.profiling.missing import Missing
from convbench.report.words import percent

PATH, BUILD = "OpenCV's path", "OpenCV's build"
_VARIABLES = {
    "OPENCV_TRACE": "1",
    "OPENCV_TRACE_LOCATION": "{folder}/trace",
    "OPENCV_TRACE_DEPTH_OPENCV": "20",
    "OPENCV_TRACE_MAX_CHILDREN_OPENCV": "100000",
}
_ENTRY = re.compile(r"\bcv::(?:sepF|f)ilter2D\(")
_IPP = 0x10000  # flag of a place
_DFT = re.compile(r"\bcv::(?:dft|mulSpectrums)\(")
_DIRECT = re.compile(r"\bFilterEngine\b|\bFilterEngine__")
_TEMPLATE = re.compile(r"<[^<>]*>")
_NAME = re.compile(r"([\w:]+(?:\(\)|=)?)\(")
_MOST, _NOTHING = 8, 0.005
"""Functions that are shown, and the share of the time below which one is not."""


@dataclass
class Trace:
    """By function: how often it ran, and its own ns, without those of the functions that it called; ns in IPP."""

    calls: Counter[str] = field(default_factory=Counter)
    own: Counter[str] = field(default_factory=Counter)
    ipp: int = 0

    @property
    def filters(self) -> int:
        """Calls of filter2D or sepFilter2D."""
        return sum(count for name, count in self.calls.items() if _ENTRY.search(name))


@dataclass
class _Region:
    place: str
    within: int = 0
    """ns of the regions in it"""


def read(folder: Path) -> Trace:
    """The trace that OpenCV left in a folder; raises OSError where it left none."""
    trace, places = Trace(), _places((folder / "trace.txt").read_text(errors="replace").splitlines())
    for path in sorted(folder.glob("trace-*.txt")):
        _add_thread(trace, path.read_text(errors="replace").splitlines(), places)
    return trace


def _places(lines: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """By number: the function's signature, and whether it is IPP's."""
    rows = csv.reader(line for line in lines if line.startswith("l,"))
    return {row[1]: (row[4], bool(int(row[5], 16) & _IPP)) for row in rows if len(row) >= 6}


def _add_thread(trace: Trace, lines: Iterable[str], places: dict[str, tuple[str, bool]]) -> None:
    around: list[_Region] = []
    for line in lines:
        kind, *fields = line.split(",")
        if kind == "b":
            around.append(_Region(fields[2]))
        elif kind == "e" and around and around[-1].place == fields[2]:
            region, taken = around.pop(), int(fields[4])
            name, is_ipp = places.get(region.place, ("?", False))
            trace.calls[name] += 1
            trace.own[name] += taken - region.within
            if around:
                around[-1].within += taken
            if is_ipp:
                trace.ipp += taken - region.within


def short(signature: str) -> str:
    """'void cv::opt_AVX2::FilterEngine__apply(cv::FilterEngine&, ...)' -> 'opt_AVX2::FilterEngine__apply'."""
    plain = signature.partition(" [with ")[0]
    while (shorter := _TEMPLATE.sub("", plain)) != plain:
        plain = shorter
    found = _NAME.search(plain)
    return found[1].removeprefix("cv::").removesuffix("::operator()") if found else plain


def of_trace(case: Case) -> Iterator[Fact | Missing]:
    """Direct sum or DFT, IPP or not, and the instruction set of the code, from the functions that ran."""
    with watched(case, _VARIABLES) as seen:
        try:
            trace = read(seen.folder)
        except OSError as error:
            why = f"OpenCV wrote no trace ({error.strerror}): it is built without WITH_TRACE"
            yield Missing(PATH, why, "pip install --force-reinstall opencv-python-headless")
            return
    if not trace.filters:
        yield Missing(PATH, "OpenCV's trace has no call of filter2D or sepFilter2D")
        return
    ran, total = trace.calls, trace.own.total()
    if any(_DFT.search(name) for name in ran):
        path = "DFT of blocks of the image"
    else:
        path = "direct sum" if any(_DIRECT.search(name) for name in ran) else "neither FilterEngine nor DFT"
    sets = sorted({found[1] for name in ran if (found := re.search(r"opt_(\w+)::", name))})
    value = f"{path}; {percent(trace.ipp / total)} of the time in IPP; code for {', '.join(sets) or 'the baseline'}"
    details = tuple(
        f"{short(name)}: {percent(own / total)} of the traced time, {ran[name] / trace.filters:.4g} calls a filter"
        for name, own in trace.own.most_common(_MOST)
        if own > _NOTHING * total and ran[name] >= trace.filters  # not what OpenCV does once, when it starts
    )
    yield Fact(PATH, value, "OpenCV's trace (OPENCV_TRACE)", details)


def of_build(case: Case) -> Iterator[Fact]:
    """IPP, threads and instruction sets of this build of OpenCV."""
    import cv2

    told = cv2.getBuildInformation()
    wanted = ("Parallel framework", "Intel IPP", "Baseline", "Dispatched code generation", "Custom HAL")
    found = {
        name: match[1].strip() for name in wanted if (match := re.search(rf"^\s*{name}:\s*(.+)$", told, re.MULTILINE))
    }
    features = " ".join(one.lstrip("*") for one in cv2.getCPUFeaturesLine().split() if not one.endswith("?"))
    value = f"{found.get('Parallel framework', 'no')} threads, optimised code {'on' if cv2.useOptimized() else 'off'}"
    details = (*(f"{name}: {text}" for name, text in found.items()), f"used here: {features}")
    yield Fact(BUILD, value, "cv2.getBuildInformation", details)
