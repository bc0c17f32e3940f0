"""Against the ceilings: what an execution reaches of the machine's arithmetic and bandwidth, and which of them binds.

The roofline model (Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009): so many operations take at
least their number over the peak, so many bytes at least their number over the bandwidth. Both are counted twice: by the
textbook of the method, with the image read once and the output written once, and as they are implemented. The ceilings
are measured ones, each cache level's bandwidth its own; arrays count against the level that holds them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from convbench.analysis.roofline import bandwidth, ceiling, counted_as, least_bytes, peak, textbook
from convbench.profiling.implemented import Traffic, Work, implemented
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject
from convbench.report import words
from convbench.separate import separable_rank

Bound = Literal["arithmetic", "bandwidth", "neither"]
WHAT = "against the ceilings"
REMEDY = "convbench machine --ceilings"
FAR, NEAR = 1 / 3, 2 / 3
"""Below the first share of a ceiling it is not that ceiling which binds, below the second it does so loosely."""
CALL = 50e-6
"""Seconds: a few calls of a library take as long, whatever they compute."""
SCALAR = {"float32": 1 / 8, "float64": 1 / 4}
"""The share of the peak that is left without vector instructions, of 256 bits at least."""
MORE = 1.5
"""So many times the textbook's operations, or bytes, are worth a word."""
_LEVELS = {"copy_l2": "the second-level cache", "copy_l3": "the third-level cache", "copy": "memory"}


@dataclass(frozen=True)
class Against:
    """Operations are floating-point operations, rates GFLOP/s and GB/s (10^9), intensities operations a byte.

    operations, least: by the textbook of the method, and the bytes that must move. operations_done, moved: as
    implemented, from `traffic`; None where it is not known, as `how` says. peak, rate: the ceilings that count, by
    name in peak_name and level; the peak is that of the precision in which it is computed. share: of the textbook's
    roofline, min(peak, intensity * rate) in the cell's dtype. arithmetic, bandwidth: the shares of the time that
    operations and bytes take at their ceilings, as implemented where that is known. faster: how many times as fast the
    method could be on this machine. why: what holds it back, in words. known: all ceilings of this place.
    """

    backend: str
    family: str
    label: str
    method: str
    dtype: str
    seconds: float
    operations: float
    operations_done: float | None
    least: float
    moved: float | None
    traffic: tuple[Traffic, ...]
    how: str
    peak_name: str
    peak: float
    level: str
    rate: float
    share: float
    arithmetic: float
    bandwidth: float
    bound: Bound
    faster: float
    why: str
    known: dict[str, float]

    @property
    def points(self) -> dict[str, tuple[float, float]]:
        """Intensity and attained GFLOP/s, by the textbook and as implemented."""
        found = {"textbook": (self.operations / self.least, self.operations / self.seconds / 1e9)}
        if self.operations_done is not None and self.moved:
            found["as implemented"] = (self.operations_done / self.moved, self.operations_done / self.seconds / 1e9)
        return found

    @property
    def sentence(self) -> str:
        """What binds, and how much faster it could be."""
        where = "the levels that its arrays lie in" if self.traffic else _LEVELS[self.level]
        shares = {
            "arithmetic": f"{words.percent(self.arithmetic)} of the {self._kind} ceiling",
            "bandwidth": f"{words.percent(self.bandwidth)} of the bandwidth of {where}",
        }
        if self.bound == "neither":
            told = f"bound by neither arithmetic ({shares['arithmetic']}) nor bandwidth ({shares['bandwidth']})"
        else:
            loosely = ", loosely" if max(self.arithmetic, self.bandwidth) < NEAR else ""
            told = f"bound by {self.bound}{loosely}: {shares[self.bound]}"
        more = f"; {self.why}" if self.why else ""
        return f"{told}{more}; at most {words.digits(self.faster, 2)} x faster on this machine by this method"

    def rows(self) -> list[tuple[str, str]]:
        """Name and value, in words."""
        stages: dict[str, float] = {}
        for one in self.traffic:
            stages[one.stage] = stages.get(one.stage, 0.0) + one.moved
        peak, rate = f"{words.digits(self.peak)} GFLOP/s", f"{words.digits(self.rate)} GB/s"
        rows = [
            ("operations, textbook", _operations(self.operations)),
            ("operations, as implemented", _operations(self.operations_done)),
            ("bytes, least possible", words.size_bytes(self.least)),
            ("bytes, as implemented", words.size_bytes(self.moved) if self.moved is not None else "not known"),
            ("bytes by stage", ", ".join(f"{stage} {words.size_bytes(moved)}" for stage, moved in stages.items())),
            ("implemented as", self.how),
            *((f"attained, {name}", _attained(*point)) for name, point in self.points.items()),
            ("share of the roofline", words.percent(self.share)),
            (f"ceiling of {self._kind}", f"{peak}, {self._precision}; reached {words.percent(self.arithmetic)}"),
            ("ceiling of bandwidth", f"{rate}, {_LEVELS[self.level]}; reached {words.percent(self.bandwidth)}"),
            ("bound by", self.bound),
        ]
        return [(name, value) for name, value in rows if value]

    @property
    def _kind(self) -> str:
        return self.peak_name.partition("_")[0].upper()

    @property
    def _precision(self) -> str:
        return self.peak_name.partition("_")[2]


def against(subject: Subject, seconds: float, known: Mapping[str, float]) -> Against | Missing:
    """seconds: the median of an execution. known: the ceilings of this device, or of so many threads."""
    backend, problem = subject.backend, subject.problem
    method = counted_as(backend.family, backend.name)
    if method is None:
        return Missing(WHAT, f"no textbook counts the operations of the family {backend.family!r}")
    if not (math.isfinite(seconds) and seconds > 0):
        return Missing(WHAT, f"the time of an execution must be a number of seconds above 0, got {seconds!r}")
    own, least = peak(method, problem.dtype), float(least_bytes(problem))
    level = bandwidth(least, known)
    absent = [name for name in (own, level) if name not in known]
    if absent:
        place = words.thread_words(problem.threads) if problem.device == "cpu" else problem.device
        return Missing(WHAT, f"not measured for {place}: {', '.join(absent)}", REMEDY)
    operations = textbook(method, problem, separable_rank(subject.kernel) if method == "separable" else 1)
    roof = ceiling(method, operations / least, least, problem.dtype, known)
    assert roof is not None  # its ceilings are known
    work, how = _implemented(subject)
    done, moved = (work.operations, sum(t.moved for t in work.traffic)) if work else (None, None)
    # where the ceiling of its own precision is not known, that of the cell's is the nearest
    used = name if work and (name := peak(method, work.dtype)) in known else own
    arithmetic = (operations if done is None else done) / known[used] / 1e9 / seconds
    moving = _moving(work, least, known) / seconds
    bound = _bound(arithmetic, moving)
    possible = max(min(operations, done or operations) / known[own], least / known[level]) / 1e9
    return Against(
        backend.name, backend.family, subject.label, method, problem.real_dtype.name, seconds,
        operations, done, least, moved, work.traffic if work else (), how, used, known[used], level, known[level],
        operations / seconds / 1e9 / roof, arithmetic, moving, bound, max(1.0, seconds / possible),
        _why(arithmetic, moving, seconds, operations, least, work), dict(known),
    )  # fmt: skip


def _implemented(subject: Subject) -> tuple[Work | None, str]:
    """What the plan does, and how it is known or why it is not."""
    try:
        work = implemented(subject)
    except Exception as error:  # the textbook's counts stand without it
        return None, f"not known: {type(error).__name__}: {error}"
    if work is None:
        return None, f"not known: {subject.backend.library} decides it within one call"
    return work, work.how


def _moving(work: Work | None, least: float, known: Mapping[str, float]) -> float:
    """Seconds that the bytes take, each at the bandwidth of the level that it lies in; the least where not known."""
    parts = [(t.moved, t.among) for t in work.traffic] if work else [(least, least)]
    fallback = known[bandwidth(least, known)]
    return sum(moved / known.get(bandwidth(among, known), fallback) for moved, among in parts) / 1e9


def _bound(arithmetic: float, moving: float) -> Bound:
    if max(arithmetic, moving) < FAR:
        return "neither"
    return "arithmetic" if arithmetic >= moving else "bandwidth"


def _why(arithmetic: float, moving: float, seconds: float, operations: float, least: float, work: Work | None) -> str:
    """What of the numbers says why it is no faster; the most likely reason where neither ceiling is near."""
    bound, told = _bound(arithmetic, moving), []
    if work and bound != "bandwidth" and work.operations > MORE * operations:
        told.append(f"it does {words.digits(work.operations / operations, 2)} x the operations of the textbook")
    moved = sum(t.moved for t in work.traffic) if work else least
    if bound != "arithmetic" and moved > MORE * least:
        told.append(f"it moves {words.digits(moved / least, 2)} x the least possible")
    if bound == "neither":
        told.append(_rest(arithmetic, moving, seconds, work))
    return ", ".join(told)


def _rest(arithmetic: float, moving: float, seconds: float, work: Work | None) -> str:
    """What takes the time that neither operations nor bytes explain."""
    if seconds < CALL:
        return f"{words.seconds(seconds)} are little more than the calls themselves take"
    if work is None:
        return "what it does besides is not known: more operations, more traffic, or no vector instructions"
    if moving < arithmetic < SCALAR.get(work.dtype, 0.0):
        return "slow enough for code without vector instructions, or that waits for one result after another"
    return "the rest goes into latency and instructions that are not counted, as for addresses and shuffles"


def _operations(count: float | None) -> str:
    if count is None:
        return "not known"
    scale, unit = next(((s, u) for s, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if count >= s), (1.0, ""))
    return f"{words.digits(count / scale)} {unit}FLOP"


def _attained(intensity: float, rate: float) -> str:
    return f"{words.digits(rate)} GFLOP/s at {words.digits(intensity)} FLOP/byte"
