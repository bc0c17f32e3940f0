"""Who leads at one size: who takes part, when it is sure, when more samples are taken."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up import Made, World, direct, fft, usual

from convbench.analysis.noise import UNCALIBRATED
from convbench.cell import Cell
from convbench.crossover.contest import ROUNDS, Contest, _merged, entrants
from convbench.crossover.lengths import Setting
from convbench.errors import UnsupportedError
from convbench.measure import Timing

SETTING = Setting((1024, 1024))


def contest(world: World, **options: Any) -> Contest:
    return Contest(("direct", "fft"), world.backends, world, UNCALIBRATED, options.pop("budget", 1.0), **options)


def at(found: Contest, k: int):
    return found.at(SETTING.problem(k), k, "odd")


def names(found: Contest, k: int) -> set[str]:
    return {backend.name for backend in found.candidates(k)}


def test_a_plain_lead_takes_one_round() -> None:
    found = contest(World(usual(17.4)))
    low, high = at(found, 3), at(found, 101)
    assert (low.lead, low.rounds, low.best[0].backend, low.best[1].backend) == (-1, 1, "direct-1", "fft-1")
    assert (high.lead, high.rounds) == (1, 1)
    assert low.log_ratio < -low.limit
    assert high.log_ratio > high.limit
    assert low.cells == 10
    assert found.cells == 20


def test_a_size_is_measured_once() -> None:
    world = World(usual())
    found = contest(world)
    assert at(found, 9) is at(found, 9)
    assert len(world.calls) == 1


def test_equals_are_a_tie() -> None:
    laws = {"direct-1": ("direct", direct()), "fft-1": ("fft", direct())}
    leads = [at(contest(World(laws, seed)), 17).lead for seed in range(200)]
    assert np.count_nonzero(leads) <= 10


def test_a_tie_that_samples_may_resolve_gets_more_of_them() -> None:
    world = World(
        {"direct-1": ("direct", direct()), "fft-1": ("fft", direct(1.07))}, scatter=0.1, offset=0.0, samples=9
    )
    size = at(contest(world), 17)
    assert 1 < size.rounds <= ROUNDS
    assert len(world.calls) == size.rounds
    assert size.entries[0].processes == (9,) * size.rounds
    assert len(size.entries[0].samples) == 9 * size.rounds


def test_a_quiet_tie_is_accepted_at_once() -> None:
    size = at(contest(World({"direct-1": ("direct", direct()), "fft-1": ("fft", direct())}, 1, 0.001, 0.0)), 17)
    assert (size.lead, size.rounds) == (0, 1)


def test_a_small_lead_has_to_show_again() -> None:
    class Once(World):
        """The first round favours the second family by 7 %; it is chance."""

        def cell(self, problem, backend):
            cell = super().cell(problem, backend)
            if len(self.calls) == 1 and backend.family == "fft":
                shrunk = tuple(s / 1.07 for s in cell.execute.samples)
                cell = type(cell)(
                    cell.backend, cell.family, problem, "ok", execute=type(cell.execute)(shrunk, 1, "made up")
                )
            return cell

    laws = {"direct-1": ("direct", direct()), "fft-1": ("fft", direct())}
    size = at(contest(Once(laws, scatter=0.002, offset=0.0)), 17)
    assert size.lead == 0
    assert size.rounds > 1


def test_only_contenders_take_part_between_known_sizes() -> None:
    found = contest(World(usual(17.4)))
    assert len(names(found, 3)) == 10
    at(found, 3)
    assert len(names(found, 101)) == 10
    at(found, 101)
    assert names(found, 17) == {"direct-1", "fft-1", "fft-2", "fft-3"}
    at(found, 15), at(found, 19)
    assert names(found, 17) == {"direct-1", "fft-1", "fft-2"}


def test_one_that_is_best_at_either_end_takes_part() -> None:
    laws = {**usual(17.4), "direct-late": ("direct", direct(6.0, 1.5))}
    found = contest(World(laws))
    assert at(found, 3).best[0].backend == "direct-1"
    assert at(found, 101).best[0].backend == "direct-late"
    assert {"direct-1", "direct-late"} <= names(found, 27)


def test_over_the_budget_is_behind() -> None:
    found = contest(World(usual(17.4), budget=0.02), budget=0.02)
    at(found, 3)
    size = at(found, 101)
    assert size.lead == 1
    assert size.best[0] is None
    assert size.log_ratio is None
    assert "direct is over the budget of 0.02 s" in size.why
    assert {e.status for e in size.entries if e.family == "direct"} == {"skipped"}


def test_over_the_budget_says_nothing_beside_one_that_nearly_is() -> None:
    laws = {"direct-1": ("direct", lambda p: 0.021), "fft-1": ("fft", lambda p: 0.019)}
    assert at(contest(World(laws, budget=0.02), budget=0.02), 101).lead == 0


def test_a_wrong_backend_has_no_time_and_others_take_its_place() -> None:
    world = World(usual(17.4))
    found = contest(world)
    at(found, 3), at(found, 101)
    world.failing = ("direct-1",)
    size = at(found, 17)
    assert {e.backend: e.status for e in size.entries}["direct-1"] == "failed"
    assert size.best[0].backend == "direct-2"
    assert size.lead == 1


def test_a_family_of_wrong_backends_cannot_be_judged() -> None:
    world = World({"direct-1": ("direct", direct()), "fft-1": ("fft", fft(17))}, failing=("direct-1",))
    size = at(contest(world), 3)
    assert size.lead == 0
    assert "direct-1: gate: planted" in size.why


def test_cells_of_several_processes_are_kept_apart() -> None:
    world = World({"direct-1": ("direct", direct()), "fft-1": ("fft", fft(17))})
    found = contest(world)
    found.measure = lambda problem, backends: [*world(problem, backends), *world(problem, backends)]
    size = at(found, 3)
    assert [entry.processes for entry in size.entries] == [(15, 15), (15, 15)]
    assert size.cells == 2


def test_the_latest_round_is_all_its_processes() -> None:
    old = Cell("a", "fft", SETTING.problem(3), "ok", execute=Timing((9.0, 9.0), 1, "made up"))
    first, second = (replace(old, execute=Timing((s, s), 1, "made up")) for s in (1.0, 3.0))
    entry = _merged(_merged({}, [old, old]), [first, second])["a"]
    assert entry.processes == (2, 2, 2, 2)
    assert entry.latest == 2.0
    assert _merged({"a": entry}, [first])["a"].latest == 1.0
    assert entry.seconds == 6.0


def test_what_takes_a_wrong_ones_place_is_sampled_beside_what_it_is_compared_with() -> None:
    world = World(usual(17.4), scatter=0.002, offset=0.0)
    found = contest(world)
    at(found, 3), at(found, 101)
    world.failing = ("direct-1",)
    drift = iter((1.0, 4.0, 4.0, 4.0))  # the machine slows down between the two measurements of the first round

    def measure(problem, backends):
        factor = next(drift)
        cells = world(problem, backends)
        return [
            replace(c, execute=Timing(tuple(factor * s for s in c.execute.samples), 1, "made up")) if c.execute else c
            for c in cells
        ]

    found.measure = measure
    size = at(found, 11)
    a, b = size.best
    assert (a.backend, b.backend) == ("direct-2", "fft-1")
    assert size.log_ratio == pytest.approx(
        math.log(direct(25.0)(SETTING.problem(11)) / fft(17.4)(SETTING.problem(11))), abs=0.01
    )
    assert {e.backend: e.status for e in size.entries}["direct-1"] == "failed"
    assert "direct-1" not in world.calls[-1][1]


def test_wrong_in_one_process_is_wrong() -> None:
    world = World({"direct-1": ("direct", direct()), "fft-1": ("fft", fft(17))})

    def measure(problem, backends):
        world.failing = ("fft-1",)
        wrong = world(problem, backends)
        world.failing = ()
        return [*wrong, *world(problem, backends)]

    found = contest(world)
    found.measure = measure
    assert {e.backend: e.status for e in at(found, 3).entries} == {"direct-1": "ok", "fft-1": "failed"}


def test_who_can_run_it() -> None:
    known = [Made("a", "direct"), Made("b", "direct", "b is not installed: pip install b"), Made("c", "fft")]
    problems = [SETTING.problem(3)]
    chosen, left_out = entrants(("direct", "fft"), known, problems)
    assert [b.name for b in chosen] == ["a", "c"]
    assert left_out == {"b": "b is not installed: pip install b"}
    with pytest.raises(UnsupportedError, match="no fft backend can run this: .*b is not installed"):
        entrants(("direct", "fft"), known[:2], problems)
    with pytest.raises(UnsupportedError, match="no fft backend"):
        entrants(("direct", "fft"), known[:1], problems)
