"""Find the crossover of two families: bisection over odd kernels, then a look at other kinds of sizes around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from convbench.analysis.noise import UNCALIBRATED, Noise
from convbench.backends import FAMILIES, Backend, get_backend, list_backends
from convbench.cell import Cell, measure_cells
from convbench.crossover.contest import Contest, Measure, entrants
from convbench.crossover.found import Band, Crossing, Found
from convbench.crossover.lengths import LARGEST, OTHER_KINDS, Kind, Setting, sizes
from convbench.crossover.meeting import meeting_point
from convbench.crossover.search import Change, Enough, around, changes, search
from convbench.errors import ArgumentError, one_of
from convbench.measure import Rule
from convbench.problem import Problem, Shape

Progress = Callable[[int, int, str], None]

PROCESSES = 2
"""Of the command line: memory and code lie elsewhere in each."""
RULE = Rule(warmup=0.01, seconds=0.2, hard_seconds=1.5, noise=0.01, patience=10, most=30)
SMALLEST = 3
SHARE = 5
"""The other kinds of sizes may bring the cells timed up to a fifth of a sweep's."""
_NEAR = 3.0
"""Other kinds of sizes have their crossover within this factor of the odd kernels', or it is not found."""


def find_crossover(
    families: Sequence[str],
    image: Shape = (1024, 1024),
    *,
    rows: bool = False,
    dtype: str = "float32",
    device: str = "cpu",
    threads: int = 1,
    backends: Sequence[str] = (),
    smallest: int = SMALLEST,
    largest: int | None = None,
    budget: float = 1.0,
    every_kind: bool = False,
    measure: Measure | None = None,
    noise: Noise = UNCALIBRATED,
    progress: Progress | None = None,
) -> Found:
    """Who of two families is faster up to which kernel size, as bands, measured on the way.

    image: (height, width) with k x k kernels, or 1 x k if rows; (samples,) with k taps. backends: names, by default all
    of both families. smallest, largest: kernel sizes; largest is by default 101 for images, 1025 for signals and rows,
    and never above the image's length. budget: seconds that one execution may take. every_kind: look at even,
    FFT-friendly and unfriendly sizes however many cells that takes. measure: see contest.Measure; by default in this
    process. noise: the machine's. progress: called as progress(done, total, text); the total is an estimate.
    Ctrl-C ends the search, not the answer: what was found so far is returned, marked as interrupted.
    Raises ArgumentError for arguments that do not fit, UnsupportedError where a family has no backend that can run it.
    """
    pair, setting = _families(families), Setting(tuple(image), rows, dtype, device, threads)
    smallest, largest = _range(setting, smallest, largest)
    if not (math.isfinite(budget) and budget > 0):
        raise ArgumentError(f"budget must be a number of seconds above 0, got {budget!r}")
    ends = [problem for k in (smallest, largest) if (problem := setting.problem(k))]
    chosen, left_out = entrants(pair, _backends(pair, backends), ends)
    odd = sizes(smallest, largest)
    status = _Status(progress, 8 + round(1.5 * math.log2(len(odd))))
    contest = Contest(pair, chosen, measure or in_this_process(budget, tell=status.tell), noise, budget)
    hunt = _Hunt(setting, contest, status)
    interrupted = False
    try:
        search(odd, hunt.look("odd"))
        hunt.confirm(odd)
    except KeyboardInterrupt:
        interrupted = True
    sweep = cells_of_a_sweep(contest, odd, len(setting.axes))
    hunt.room = math.inf if every_kind else sweep // SHARE
    crossings = []
    for change in changes(hunt.seen):
        before, after = pair if change.before < 0 else pair[::-1]
        bands: list[Band] = [Band("odd", change.low, change.high)]
        missing: dict[Kind, str] = {}
        for kind in OTHER_KINDS:
            try:
                band = "interrupted" if interrupted else hunt.band(kind, change, sizes(smallest, largest, kind))
            except KeyboardInterrupt:
                interrupted, band = True, "interrupted"
            if isinstance(band, Band):
                bands.append(band)
            else:
                missing[kind] = band
        kernel = meeting_point(contest.sizes.values(), change)
        crossings.append(Crossing(change, kernel, before, after, tuple(bands), missing))
    status.end()
    ordered = sorted(contest.sizes.values(), key=lambda size: (size.kernel, size.kind != "odd", size.kind))
    return Found(
        pair, setting, smallest, largest, tuple(ordered), tuple(crossings), sweep, left_out, noise.floor, interrupted
    )


def in_this_process(budget: float = 1.0, rule: Rule = RULE, tell: Callable[[str], None] = lambda text: None) -> Measure:
    """Measures cells here: gated, then side by side.

    tell: called with what is being done.
    """
    seen: set[tuple[Problem, str]] = set()

    def measure(problem: Problem, backends: Sequence[Backend]) -> list[Cell]:
        here = {(problem, backend.name) for backend in backends}
        known = here <= seen
        seen.update(here)
        try:
            data = (problem.image(), problem.kernel(separable=True))
        except MemoryError:
            shape = " x ".join(map(str, problem.image_shape))
            raise ArgumentError(f"an image of {shape} does not fit into memory; give a smaller one") from None
        return measure_cells(
            problem,
            backends,
            *data,
            budget=math.inf if known else budget,
            rule=rule,
            zero_mean=True,
            once=False,
            progress=lambda done, total, text: tell(text),
        )

    return measure


class _Status:
    """Progress in looks; how many there will be is an estimate that grows where it must."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.done, self.total, self.at = progress, 0, total, ""

    def begin(self, text: str) -> None:
        self.at, self.total = text, max(self.total, self.done + 2)
        self.tell("")

    def tell(self, text: str) -> None:
        if self.progress:
            self.progress(self.done, self.total, ", ".join(filter(None, (self.at, text))))

    def end(self) -> None:
        self.done = self.total
        self.at = ""
        self.tell("done")


class _Hunt:
    """Looks at sizes of each kind. room: no look that may lead beyond so many cells is taken."""

    def __init__(self, setting: Setting, contest: Contest, status: _Status) -> None:
        self.setting, self.contest, self.status = setting, contest, status
        self.room, self.full = math.inf, False

    def look(self, kind: Kind) -> Callable[[int], int]:
        """What `search` calls."""

        def look(kernel: int) -> int:
            problem = self.setting.problem(kernel, kind)
            if problem is None:
                return 0
            if problem not in self.contest.sizes:
                if self.contest.cells + len(self.contest.candidates(kernel)) > self.room:
                    self.full = True
                    raise Enough
                self.status.begin(f"{self.contest.cells} cells timed; k = {kernel} ({kind})")
                self.contest.at(problem, kernel, kind)
                self.status.done += 1
            return self.contest.sizes[problem].lead

        return look

    def confirm(self, kernels: Sequence[int]) -> None:
        """Come back to the ends of each change: what does not hold at another time belongs to the change.

        It costs no cells, which are counted once.
        """
        held: set[int] = set()
        while ends := {k for change in changes(self.seen) for k in (change.low, change.high)} - held:
            for kernel in sorted(ends):
                self.status.begin(f"{self.contest.cells} cells timed; k = {kernel} again")
                if problem := self.setting.problem(kernel):
                    self.contest.again(problem)
                self.status.done += 1
                held.add(kernel)
            search(kernels, self.look("odd"), self.seen)

    @property
    def seen(self) -> dict[int, int]:
        """Who leads at the odd sizes."""
        return {size.kernel: size.lead for size in self.contest.sizes.values() if size.kind == "odd"}

    def band(self, kind: Kind, change: Change, kernels: Sequence[int]) -> Band | str:
        """The band of another kind of sizes near this change, or why there is none."""
        near = [k for k in kernels if change.low / _NEAR <= k <= change.high * _NEAR]
        kernels = [k for k in near if self.setting.problem(k, kind)]
        if not kernels:
            return "no such size near"
        self.full = False
        found = around(kernels, self.look(kind), change)
        if self.full and not any(found.values()):
            return f"it would time more than 1/{SHARE} of a sweep's cells"
        same = [c for c in changes(found) if (c.before, c.after) == (change.before, change.after)]
        if same:
            return Band(kind, same[0].low, same[-1].high)
        lows = [k for k, lead in found.items() if lead == change.before]
        highs = [k for k, lead in found.items() if lead == change.after]
        return Band(kind, max(lows, default=None), min(highs, default=None))


def cells_of_a_sweep(contest: Contest, kernels: Sequence[int], power: int) -> int:
    """How many cells a sweep over these kernel sizes would time: every backend, as far as the budget carries it.

    power: a direct sum's time grows with this power of the kernel size.
    """
    count = 0
    for backend in contest.entrants:
        here = [(s.kernel, e) for s in contest.sizes.values() for e in s.entries if e.backend == backend.name]
        last = max((k for k, entry in here if entry.samples), default=0)
        skipped = min((k for k, entry in here if entry.status == "skipped" and k > last), default=math.inf)
        reach = math.inf
        if skipped < math.inf and last:
            seconds = max(entry.seconds for k, entry in here if k == last and entry.samples)
            reach = last * max(1.0, contest.budget / seconds) ** (1 / power)
        if last:
            count += sum(k <= reach and k < skipped for k in kernels)
    return count


def _families(given: Sequence[str]) -> tuple[str, str]:
    known = [*FAMILIES, *sorted({b.family for b in list_backends()} - set(FAMILIES))]
    for family in given:
        if family not in known:
            raise one_of("family", family, known)
    if len(given) != 2 or given[0] == given[1]:
        raise ArgumentError(
            f"a crossover is between two different families, got {' and '.join(given) or 'none'}; of {', '.join(known)}"
        )
    return given[0], given[1]


def _backends(families: tuple[str, str], names: Sequence[str]) -> list[Backend]:
    if not names:
        return [backend for backend in list_backends() if backend.family in families]
    chosen = [get_backend(name) for name in dict.fromkeys(names)]
    for backend in chosen:
        if backend.family not in families:
            raise ArgumentError(
                f"backend {backend.name!r} is of the family {backend.family}, not {' or '.join(families)}; "
                f"`convbench list` shows the families"
            )
    return chosen


def _range(setting: Setting, smallest: int, largest: int | None) -> tuple[int, int]:
    """The range of kernel sizes; its ends are made odd, inwards."""
    setting.problem(1)  # the image, dtype, device and threads are looked at first
    if largest is None:
        largest = min(LARGEST[setting.layout], setting.longest)
    if largest > setting.longest:
        shape = " x ".join(map(str, setting.image_shape))
        raise ArgumentError(
            f"a kernel of {largest} is longer than the image ({shape}); give --max {setting.longest} or less"
        )
    if smallest < 1 or len(sizes(smallest, largest)) < 2:
        raise ArgumentError(
            f"kernel sizes from {smallest} to {largest} hold no two odd ones to search between; give 1 <= --min < --max"
        )
    odd = sizes(smallest, largest)
    return odd[0], odd[-1]
