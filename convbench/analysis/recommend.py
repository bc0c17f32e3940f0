"""Which backend for this problem, from a chooser's table: measured, interpolated, or modelled outside of what is known.

The time of a backend is its model (chooser_model) times the ratio of measured to modelled time, interpolated between
the four cells around the question in the logarithms of image and kernel size (their geometric means where axes differ).
Pure Python on the table alone, so that a decision takes microseconds; chooser.js gives the same answers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from convbench import cost
from convbench.analysis.chooser_model import KINDS, Features, Shape, features
from convbench.errors import ArgumentError
from convbench.problem import Mode, Problem

How = Literal["measured", "interpolated", "modelled"]
HOW: tuple[How, ...] = ("measured", "interpolated", "modelled")

COVERAGE = 1.96
"""Standard errors to each side of an interval: 95 %, if errors were normal."""
LEAST_OUTSIDE = 0.35
"""Standard error of the logarithm for each octave outside the grid, or more where more was seen: a factor of 2."""

ONCE_ERROR = 0.05
"""Standard error of the logarithm of a one-shot time, beyond that of execution: it is the median of a few only."""
MODEL_ERROR = LEAST_OUTSIDE
"""Of what the ceilings alone let expect."""
FORMAT, VERSION = "convbench chooser", 1
_HINT = "`convbench recommend --export FILE` writes one"


@dataclass(frozen=True)
class Question:
    """What is to be convolved, and how often with the same kernel (images; None: so often that planning is nothing).

    image, kernel: one or two axes. separable: whether the kernel is an outer product; threads: the most to use.
    """

    image: Shape
    kernel: Shape
    dtype: str = "float32"
    mode: str = "same"
    device: str = "cpu"
    threads: int = 1
    separable: bool = False
    images: int | None = None

    @property
    def layout(self) -> str:
        return "signal" if len(self.image) == 1 else "rows" if 1 in self.kernel else "image"


@dataclass(frozen=True)
class Estimate:
    """What a backend will cost: seconds an image, planning shared out among the images, with its 95 % interval.

    error: standard error of its logarithm. cost: relative to the best (0 for the best). tied: cannot be told from it.
    threads: of the measurements; fewer than asked for where the backend or the table has no more. apart: its share in
    the error of comparing it with others on a measured cell, where they were sampled side by side.
    """

    backend: str
    family: str
    seconds: float
    error: float
    how: How
    threads: int
    apart: float = 0.0
    cost: float = 0.0
    tied: bool = False

    @property
    def low(self) -> float:
        return self.seconds * math.exp(-COVERAGE * self.error)

    @property
    def high(self) -> float:
        return self.seconds * math.exp(COVERAGE * self.error)


class Surface:
    """One backend's times over a set's grid of sizes: for every cell the log ratio to the model, gaps filled in."""

    def __init__(self, given: Mapping[str, Any], modelled: list[list[Features]], errors: list[list[float]]) -> None:
        self.model = str(given["model"])
        self.a, self.b, self.c = _numbers("coefficients", given["coefficients"], 3)
        if not self.a + self.b + self.c > 0:
            raise ValueError("coefficients are all 0")
        self.wrong = [value / 100 for value in _numbers("wrong_pct", given["wrong_pct"], 3)]
        self.known = [[value is not None for value in row] for row in given["us"]]
        if not any(map(any, self.known)):
            raise ValueError("us has no times")
        self.errors = errors
        self.ratios = [
            [math.log(us / self.modelled(at)) if us is not None else math.nan for us, at in zip(row, ats, strict=True)]
            for row, ats in zip(given["us"], modelled, strict=True)
        ]
        _fill(self.ratios)

    def modelled(self, at: Features) -> float:
        """Microseconds by the model alone."""
        return self.a * at[0] + self.b * at[1] + self.c * at[2]

    def seconds(self, at: Features, place: Place) -> float:
        lower, upper = self.ratios[place.i], self.ratios[place.i2]
        j, j2, u, v = place.j, place.j2, place.u, place.v
        first, second = lower[j] + v * (lower[j2] - lower[j]), upper[j] + v * (upper[j2] - upper[j])
        return 1e-6 * (self.a * at[0] + self.b * at[1] + self.c) * math.exp(first + u * (second - first))

    def how(self, place: Place, exact: bool) -> tuple[How, float]:
        """How the seconds are known, and the standard error of their logarithm.

        exact: the question is of the grid's own shapes, not of others with the same mean.
        """
        corners = place.corners()
        error = max(self.errors[i][j] for i, j in corners)
        known = all(self.known[i][j] for i, j in corners)
        if known and not place.outside:
            if exact and len(corners) == 1:
                return "measured", error
            error = math.hypot(error, self.wrong[0] if place.u or not exact else 0.0)
            return "interpolated", math.hypot(error, self.wrong[1] if place.v or not exact else 0.0)
        beyond = max(LEAST_OUTSIDE, self.wrong[2]) * max(1.0, place.outside)
        return "modelled", math.hypot(math.hypot(error, self.wrong[0]), math.hypot(self.wrong[1], beyond))


@dataclass(slots=True)
class Place:
    """Where a question lies in a grid: between rows i and i2 at share u, columns j and j2 at v; octaves outside."""

    i: int
    i2: int
    u: float
    j: int
    j2: int
    v: float
    outside: float

    def corners(self) -> list[tuple[int, int]]:
        """The cells that count."""
        rows = [self.i] if self.u == 0 else [self.i, self.i2]
        columns = [self.j] if self.v == 0 else [self.j, self.j2]
        return [(i, j) for i in rows for j in columns]


class Entry:
    """A backend in a set. apart: at every cell, see Estimate."""

    def __init__(
        self,
        family: str,
        execute: Surface,
        one_shot: Surface | None,
        refused: set[tuple[int, int]],
        apart: list[list[float]],
    ) -> None:
        self.family, self.execute, self.one_shot, self.refused, self.apart = family, execute, one_shot, refused, apart


class Cells:
    """A set: the grid, and what each backend does on it."""

    def __init__(self, given: Mapping[str, Any], backends: Mapping[str, Any], excess: float) -> None:
        self.layout, self.dtype, self.device = (str(given[name]) for name in ("layout", "dtype", "device"))
        self.threads = int(given["threads"])
        images, kernels = [int(n) for n in given["images"]], [int(k) for k in given["kernels"]]
        self.log_images, self.log_kernels = [math.log(n) for n in images], [math.log(k) for k in kernels]
        shapes = [[cell_shapes(self.layout, n, k) for k in kernels] for n in images]
        self._features = {kind: [[features(kind, *at) for at in row] for row in shapes] for kind in KINDS}
        self.entries: dict[str, Entry] = {}
        for name, entry in given["backends"].items():
            errors, apart = (
                _errors(what, entry[what], len(images), len(kernels), excess)
                for what in ("error_pct", "apart_pct" if "apart_pct" in entry else "error_pct")
            )
            errors_once = [[math.hypot(e, ONCE_ERROR) for e in row] for row in errors]
            given_once = entry["one_shot"]
            execute = Surface(entry["execute"], self._features[entry["execute"]["model"]], errors)
            once = Surface(given_once, self._features[given_once["model"]], errors_once) if given_once else None
            refused = {(int(i), int(j)) for i, j in entry["refused"]}
            self.entries[str(name)] = Entry(str(backends[name]["family"]), execute, once, refused, apart)

    def on_grid(self, surface: Surface) -> list[float]:
        """Seconds at every cell, row by row; filled in where it was not measured."""
        return [
            surface.modelled(at) * math.exp(ratio)
            for row in zip(self._features[surface.model], surface.ratios, strict=True)
            for at, ratio in zip(*row, strict=True)
        ]

    def place(self, image: Shape, kernel: Shape) -> Place:
        """image, kernel: two axes."""
        n1, n2 = (image[1], image[1]) if self.layout == "signal" else image
        k1, k2 = kernel if self.layout == "image" else (max(kernel), max(kernel))
        i, i2, u, above = _between(self.log_images, _mean_log(n1, n2))
        j, j2, v, beyond = _between(self.log_kernels, _mean_log(k1, k2))
        return Place(i, i2, u, j, j2, v, above + beyond)


def cell_shapes(layout: str, image: int, kernel: int) -> tuple[Shape, Shape]:
    """Image and kernel of a cell, with two axes: a signal is an image of one row."""
    return (1 if layout == "signal" else image, image), (kernel if layout == "image" else 1, kernel)


def _errors(what: str, given: Any, images: int, kernels: int, excess: float) -> list[list[float]]:
    """Standard errors at every cell, with what processes add."""
    rows = [[math.hypot(e / 100, excess) for e in _numbers(what, row, kernels)] for row in given]
    if len(rows) != images:
        raise ValueError(f"{what} has {len(rows)} rows, not {images}")
    return rows


def _numbers(what: str, given: Any, count: int) -> list[float]:
    """So many finite numbers that are not below 0; else raises ValueError."""
    numbers = [float(value) for value in given]
    if len(numbers) != count or not all(0 <= value < math.inf for value in numbers):
        raise ValueError(f"{what} should be {count} numbers of at least 0, not {given!r}")
    return numbers


def _mean_log(first: int, second: int) -> float:
    return math.log(first) if first == second else (math.log(first) + math.log(second)) / 2


def _between(grid: list[float], x: float) -> tuple[int, int, float, float]:
    """Neighbours in the grid, the share of the second, and how many octaves outside of it x lies."""
    last = len(grid) - 1
    if x <= grid[0]:
        return 0, 0, 0.0, (grid[0] - x) / math.log(2)
    if x >= grid[last]:
        return last, last, 0.0, (x - grid[last]) / math.log(2)
    i = bisect_right(grid, x) - 1
    u = (x - grid[i]) / (grid[i + 1] - grid[i])
    return i, i + 1, u, 0.0


def _fill(ratios: list[list[float]]) -> None:
    """Gaps take the ratio of the next smaller kernel, else of the next larger, else that of the nearest row above."""
    for row in ratios:
        for j in range(1, len(row)):
            if math.isnan(row[j]):
                row[j] = row[j - 1]
        for j in range(len(row) - 2, -1, -1):
            if math.isnan(row[j]):
                row[j] = row[j + 1]
    for i in [*range(1, len(ratios)), *range(len(ratios) - 2, -1, -1)]:
        if math.isnan(ratios[i][0]):
            near = ratios[i - 1] if i and not math.isnan(ratios[i - 1][0]) else ratios[min(i + 1, len(ratios) - 1)]
            ratios[i][:] = near


class Chooser:
    """A table made ready to answer questions.

    Raises ArgumentError for what is no table, of another version of the format, empty or damaged.
    """

    def __init__(self, table: Any, name: str = "the table") -> None:
        """name: what errors call it."""
        if not isinstance(table, dict) or table.get("format") != FORMAT:
            raise ArgumentError(f"{name} is no chooser's table (its format should be {FORMAT!r}); {_HINT}")
        if table.get("version") != VERSION:
            raise ArgumentError(
                f"{name} has version {table.get('version')!r} of its format, this convbench reads {VERSION}; {_HINT}"
            )
        if not table.get("sets"):
            raise ArgumentError(f"{name} is empty: it has no sets of measurements; {_HINT}, `convbench run` measures")
        self.table: dict[str, Any] = table
        try:
            self.quantile = float(table["noise"]["quantile"])
            excess = float(table["noise"]["excess"]) / math.sqrt(2)  # that of a ratio, so of two cells
            self.sets = [Cells(given, table["backends"], excess) for given in table["sets"]]
            self.ceilings = {str(name): float(value) for name, value in table["ceilings"].items()}
        except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError) as error:
            raise ArgumentError(f"{name} is damaged ({type(error).__name__}: {error}); {_HINT}") from error

    @property
    def machine(self) -> str:
        return str(self.table.get("machine", ""))

    def sets_for(self, question: Question) -> list[Cells]:
        """The sets of this layout, dtype and device on no more threads than asked for, most threads first."""
        layout = question.layout
        found = [
            s
            for s in self.sets
            if s.layout == layout
            and s.dtype == question.dtype
            and s.device == question.device
            and s.threads <= question.threads
        ]
        return sorted(found, key=lambda s: -s.threads)

    def rank(self, question: Question, available: Collection[str] | None = None) -> list[Estimate]:
        """Every backend that can do it, the cheapest first; empty where the table has no such set.

        available: the backends to choose among; None: all.
        """
        image, kernel = two_axes(question.image), two_axes(question.kernel)
        separable = question.separable or 1 in kernel
        found: dict[str, Estimate] = {}
        inside: set[str] = set()
        for cells in self.sets_for(question):
            place = cells.place(image, kernel)
            exact = image == cell_shapes(cells.layout, image[1], 1)[0] and question.mode == "same"
            exact = exact and kernel == cell_shapes(cells.layout, 1, kernel[1])[1]
            known: dict[str, Features] = {}
            for name, entry in cells.entries.items():
                if (available is not None and name not in available) or (entry.family == "separable" and not separable):
                    continue
                # of several numbers of threads the largest, but rather one whose grid the question lies in
                if name in inside or (name in found and place.outside):
                    continue
                estimate = _estimate(name, entry, cells, place, exact, known, question, (image, kernel))
                if estimate is not None:
                    found[name] = estimate
                    if not place.outside:
                        inside.add(name)
        return ranked(list(found.values()), self.quantile)


def modelled(
    question: Question, available: Collection[str] | None = None, ceilings: Mapping[str, float] | None = None
) -> list[Estimate]:
    """What the cost model expects of convbench's own backends, the cheapest first.

    ceilings: another machine's. Empty for devices other than the processor.
    """
    if question.device != "cpu":
        return []
    problem = Problem(
        question.image, question.kernel, question.dtype, cast(Mode, question.mode), "cpu", question.threads
    )
    steady, once = (cost.estimates(problem, planned, ceilings) for planned in (False, True))
    found = []
    for name, family in (("numba-direct", "direct"), ("numba-separable", "separable"), ("pyfftw-overlap", "fft")):
        fits = name in steady and (family != "separable" or question.separable or 1 in question.kernel)
        if fits and (available is None or name in available):
            seconds, images = steady[name], question.images
            if images is not None:
                seconds = (once[name] + (images - 1) * seconds) / images
            found.append(Estimate(name, family, seconds, MODEL_ERROR, "modelled", question.threads))
    return ranked(found)


def ranked(estimates: list[Estimate], quantile: float = COVERAGE) -> list[Estimate]:
    """Cheapest first, with what each costs over the best, and which cannot be told from it."""
    ordered = sorted(estimates, key=lambda e: (e.seconds, e.backend))
    out: list[Estimate] = []
    for one in ordered:
        best = ordered[0]
        cost = one.seconds / best.seconds - 1
        beside = one.how == best.how == "measured" and one.threads == best.threads  # the same cell, so side by side
        # elsewhere it is interpolation that errs, of which A/A pairs know nothing
        limit = quantile * math.hypot(one.apart, best.apart) if beside else COVERAGE * math.hypot(one.error, best.error)
        tied = one is best or math.log1p(cost) <= limit
        out.append(replace(one, cost=cost, tied=tied))
    return out


def two_axes(shape: Shape) -> Shape:
    """A signal as an image of one row."""
    return (1, *shape) if len(shape) == 1 else shape


def _estimate(
    name: str,
    entry: Entry,
    cells: Cells,
    place: Place,
    exact: bool,
    known: dict[str, Features],
    question: Question,
    shapes: tuple[Shape, Shape],
) -> Estimate | None:
    """None where the backend failed on the cells around, or where planning counts and was not measured."""
    if entry.refused and not entry.refused.isdisjoint(place.corners()):
        return None
    execute = _surface(entry.execute, place, exact, known, question, shapes)
    seconds, how, error = execute
    apart = entry.apart[place.i][place.j] if how == "measured" else error
    if question.images is not None:
        if entry.one_shot is None:
            return None
        once, how_once, error_once = _surface(entry.one_shot, place, exact, known, question, shapes)
        further = (question.images - 1) * seconds
        error, apart = ((once * error_once + further * e) / (once + further) for e in (error, apart))
        how = max(how, how_once, key=HOW.index) if further else how_once
        seconds = (once + further) / question.images
    return Estimate(name, entry.family, seconds, error, how, cells.threads, apart)


def _surface(
    surface: Surface,
    place: Place,
    exact: bool,
    known: dict[str, Features],
    question: Question,
    shapes: tuple[Shape, Shape],
) -> tuple[float, How, float]:
    at = known.get(surface.model)
    if at is None:
        at = known[surface.model] = features(surface.model, *shapes, question.mode)
    how, error = surface.how(place, exact)
    return surface.seconds(at, place), how, error
