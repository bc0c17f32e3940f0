"""What the CUDA backends are to reach, target by target: met, not met, or not run, from the cells of one machine.

All are about images of float32 on one device. Ratios are between backends that were sampled side by side, shares are of
ceilings that were measured on the same card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from convbench.analysis.crossover import crossovers
from convbench.analysis.devices import HOST, KINDS, best_by_device, overtakes
from convbench.analysis.noise import Noise, Rounds
from convbench.analysis.roofline import bandwidth, bytes_moved, operations
from convbench.analysis.schema import measured

Ceilings = Mapping[str, float]

DIRECT, SEPARABLE, OVERLAP, WHOLE = "numba-cuda-direct", "numba-cuda-separable", "torch-overlap", "torch-fft"
RIVALS = {"cuDNN": ("torch", "torch-benchmark"), "CuPy": ("cupy-direct", "cupy-ndimage")}
LARGE = 4096
IMAGES = (256, 512, 1024, 2048, 4096, 8192)
SMALLEST, LARGEST = 3, 255
FMA_SHARE, COPY_SHARE = 0.60, 0.70
NOT_RUN = "not run"
_OPEN = ": an end of the interval is not known"


@dataclass(frozen=True)
class Target:
    """One line of the verdict.

    goal, measured: in words; measured is the worst of what was measured. state: met, not met or not run. told: what
    misses the goal, what was not measured, or each answer where the target asks for answers.
    """

    what: str
    goal: str
    measured: str
    state: str
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Values:
    """Numbers by where they were measured; where one is lacking, and why; those that count as reached though they are
    below the goal, since noise does not tell them from it."""

    found: dict[str, float]
    lacking: tuple[tuple[str, str], ...] = ()
    ties: frozenset[str] = frozenset()

    def judged(self, what: str, least: float, form: Callable[[float], str]) -> Target:
        """met: all are at least so much, and none lacks."""
        goal = f"at least {form(least)}"
        if not self.found:
            return Target(what, goal, "", NOT_RUN, _together(self.lacking))
        worst = min(self.found, key=lambda where: self.found[where])
        misses = tuple(
            f"{where}: {form(value)}" for where, value in self.found.items() if value < least and where not in self.ties
        )
        state = "not met" if misses else NOT_RUN if self.lacking else "met"
        return Target(what, goal, f"{form(self.found[worst])} ({worst})", state, (*misses, *_together(self.lacking)))


def _together(lacking: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Where and why, each reason once."""
    places: dict[str, list[str]] = {}
    for where, why in lacking:
        places.setdefault(why, []).append(where)
    return tuple(f"{'; '.join(filter(None, where))}: {why}".removeprefix(": ") for why, where in places.items())


def targets(
    cells: pd.DataFrame, ceilings: Ceilings, noise: Noise, backends: Iterable[str], device: str = "cuda:0"
) -> list[Target]:
    """Every target, from the cells of one machine, commit and environment.

    ceilings: of the device. noise: the machine's. backends: the names of those that run on devices.
    """
    images = cells[(cells["layout"] == "image") & (cells["dtype"] == "float32")]
    here = images[images["device"] == device]
    rows = measured(here)
    return [
        _gate(cells[cells["device"] == device], backends),
        _share(here, ceilings).judged(
            f"{DIRECT}, {LARGE}², k = 7 to 31: share of the multiply-add ceiling", FMA_SHARE, _percent
        ),
        *(_quicker(here, name, rivals) for name, rivals in RIVALS.items()),
        _copies(here, ceilings).judged(
            f"{SEPARABLE}, {LARGE}², k up to 15: share of copy bandwidth", COPY_SHARE, _percent
        ),
        _not_slower(rows, noise),
        _crossovers(here, noise),
        *(_overtakes(images[images["device"].isin([HOST, device])], kind, device) for kind in KINDS),
    ]


def _gate(cells: pd.DataFrame, backends: Iterable[str]) -> Target:
    """That whatever ran on the device was right, and that every backend did run."""
    lacking, wrong = [], []
    for name in backends:
        rows = cells[cells["backend"] == name]
        bad = rows[rows["status"] == "failed"]
        if len(bad):
            wrong.append(f"{name}: {len(bad)} failed, e.g. {bad['reason'].iloc[0]}")
        elif not (rows["status"] == "ok").any():
            lacking.append(f"{name}: {rows['reason'].iloc[0] if len(rows) else 'not measured'}")
    right = int((cells["status"] == "ok").sum())
    told = f"{right} of {right + int((cells['status'] == 'failed').sum())} cells that ran are right" if right else ""
    state = "not met" if wrong else NOT_RUN if lacking or not right else "met"
    return Target("the gate, every backend on the device", "all right", told, state, (*wrong, *lacking))


def _share(cells: pd.DataFrame, ceilings: Ceilings) -> _Values:
    peak = ceilings.get("fma_float32")
    if peak is None:
        return _Values({}, (("", _no_ceiling("fma_float32")),))

    def share(row: pd.Series) -> float:
        work = operations("direct", "image", int(row["image"]), int(row["kernel"]), "float32")
        return float(work / row["execute_s"] / 1e9 / peak)

    return _each(cells, DIRECT, (7, 9, 11, 15, 21, 31), share)


def _copies(cells: pd.DataFrame, ceilings: Ceilings) -> _Values:
    def share(row: pd.Series) -> float:
        moved = bytes_moved("image", int(row["image"]), "float32")
        return float(moved / row["execute_s"] / 1e9 / ceilings[bandwidth(moved, ceilings)])

    if "copy" not in ceilings:
        return _Values({}, (("", _no_ceiling("copy")),))
    return _each(cells, SEPARABLE, (3, 5, 7, 9, 11, 15), share)


def _each(
    cells: pd.DataFrame,
    backend: str,
    kernels: Iterable[int],
    value: Callable[[pd.Series], float],
) -> _Values:
    """A value of each of these cells of a backend."""
    rows = measured(cells)
    found, lacking = {}, []
    for kernel in kernels:
        if (row := _cell(rows, backend, LARGE, kernel)) is None:
            lacking.append((_where(LARGE, kernel), _missing(cells, backend, LARGE, kernel)))
        else:
            found[_where(LARGE, kernel)] = value(row)
    return _Values(found, tuple(lacking))


def _quicker(cells: pd.DataFrame, name: str, rivals: Sequence[str]) -> Target:
    """Ours against the quickest of a library's; one that was given up because it is slower has lost."""
    found, lacking = {}, []
    for kernel in (7, 9, 11, 15, 21, 31):
        at, where = cells[(cells["image"] == LARGE) & (cells["kernel"] == kernel)], _where(LARGE, kernel)
        timed = measured(at)
        ours = _cell(timed, DIRECT, LARGE, kernel)
        theirs = timed[timed["backend"].isin(list(rivals))].sort_values("execute_s")
        if ours is None:
            lacking.append((where, _missing(cells, DIRECT, LARGE, kernel)))
        elif len(theirs):
            found[f"{where} vs {theirs['backend'].iloc[0]}"] = math.exp(_log_ratio(theirs.iloc[0], ours)[0])
        elif not at[at["backend"].isin(list(rivals))]["status"].eq("skipped").any():
            lacking.append((where, f"neither of {' and '.join(rivals)} was measured"))
    return _Values(found, tuple(lacking)).judged(f"{DIRECT} against {name}, {LARGE}², k = 7 to 31", 1.0, _times)


def _not_slower(rows: pd.DataFrame, noise: Noise) -> Target:
    found, lacking, ties = {}, [], set()
    for image in (LARGE, 2 * LARGE):
        kernels = sorted(set(rows.loc[rows["image"] == image, "kernel"]))
        pairs = [(k, _cell(rows, WHOLE, image, k), _cell(rows, OVERLAP, image, k)) for k in kernels]
        both = [(k, whole, ours) for k, whole, ours in pairs if whole is not None and ours is not None]
        if not both:
            lacking.append((f"{image}²", f"{OVERLAP} and {WHOLE} were not both measured"))
        for kernel, whole, ours in both:
            ratio, error = _log_ratio(whole, ours)
            found[_where(image, kernel)] = math.exp(ratio)
            if abs(ratio) <= noise.limit(error):
                ties.add(_where(image, kernel))
    values = _Values(found, tuple(lacking), frozenset(ties))
    return values.judged(f"{OVERLAP} against {WHOLE}, from {LARGE}² on; a tie is not slower", 1.0, _times)


def _crossovers(cells: pd.DataFrame, noise: Noise) -> Target:
    """Where the FFT overtakes the direct sum, for every size of image."""
    told, lacking = [], []
    table = crossovers(cells, excess=noise.excess)
    pairs = table[(table["family_a"] == "direct") & (table["family_b"] == "fft")].set_index("image")
    for image in IMAGES:
        if image not in pairs.index or not pairs.loc[image, "kernels"]:
            lacking.append((f"{image}²", "not both measured"))
            continue
        row = pairs.loc[image]
        ends = [row["low"], row["high"]] if math.isfinite(row["kernel"]) else []
        kernels = cells.loc[cells["image"] == image, "kernel"]
        if kernels.min() > SMALLEST or kernels.max() < min(LARGEST, image - 1):
            lacking.append((f"{image}²", f"kernels from {kernels.min()} to {kernels.max()} only"))
        known = all(map(math.isfinite, ends))
        told.append(f"{image}²: {row['statement']}{'' if known else _OPEN}")
    what = f"crossover of direct and FFT with its interval, {IMAGES[0]}² to {IMAGES[-1]}², k = {SMALLEST} to {LARGEST}"
    open_ended = any(text.endswith(_OPEN) for text in told)
    state = NOT_RUN if lacking else "not met" if open_ended else "met"
    return Target(what, "an answer for each", f"{len(told)} of {len(IMAGES)}", state, (*told, *_together(lacking)))


def _overtakes(cells: pd.DataFrame, kind: str, device: str) -> Target:
    """From which image on the device is quicker than the processor, with all its cores."""
    usual = measured(cells[cells["family"] != "separable"])
    table = overtakes(best_by_device(usual))
    table = table[(table["kind"] == kind) & (table["device"] == device)]
    told = [_from(int(r.kernel), r.from_image, r.leads, int(r.smallest), int(r.largest)) for r in table.itertuples()]
    lacking = [] if told else [f"{device} and the processor were not measured on the same sizes"]
    if told and usual.loc[usual["device"] == HOST, "threads"].max() == 1:
        lacking.append("the processor was measured on one thread only")
    how = "data on the device" if kind == "resident" else "data in host memory"
    return Target(
        f"where the device overtakes the processor, {how}", "an answer for each kernel", f"{len(told)} kernels",
        NOT_RUN if lacking else "met", (*told, *lacking),
    )  # fmt: skip


def _from(kernel: int, image: float, leads: str, smallest: int, largest: int) -> str:
    if leads == HOST:
        return f"k = {kernel}: never, up to {largest}²"
    return f"k = {kernel}: from {'' if image == image else 'at most '}{image if image == image else smallest:.0f}² on"


def _cell(rows: pd.DataFrame, backend: str, image: int, kernel: int) -> pd.Series | None:
    found = rows[(rows["backend"] == backend) & (rows["image"] == image) & (rows["kernel"] == kernel)]
    return found.iloc[0] if len(found) else None


def _missing(cells: pd.DataFrame, backend: str, image: int, kernel: int) -> str:
    """Why there is no time of a cell."""
    row = _cell(cells, backend, image, kernel)
    return f"{backend} was not measured" if row is None else f"{backend} is {row['status']}: {row['reason']}"


def _log_ratio(slower: pd.Series, quicker: pd.Series) -> tuple[float, float]:
    """Logarithm of the ratio of two cells' times, and its standard error; see noise.Rounds."""
    if not len(slower["samples"]) or not len(quicker["samples"]):
        return math.log(slower["execute_s"] / quicker["execute_s"]), 0.0
    a, b = (Rounds.of([row["samples"]], [row["processes"]], [row["groups"]]) for row in (slower, quicker))
    ratio, error = a.against(b, np.zeros(1, int))
    return float(ratio[0]), float(error[0])


def _where(image: int, kernel: int) -> str:
    return f"{image}², k = {kernel}"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _times(value: float) -> str:
    return f"{value:.3g}×"


def _no_ceiling(name: str) -> str:
    return f"no ceiling {name} of the device: `convbench machine --ceilings --device cuda:0`"
