"""tools/crossover.py: a search beside a sweep, on made-up machines."""

from __future__ import annotations

import io
from pathlib import Path

import programs
import pytest
from made_up import World, direct, usual

from convbench.analysis.crossover import Crossing
from convbench.analysis.noise import UNCALIBRATED
from convbench.evidence import EvidenceFile


@pytest.fixture(scope="module")
def tool():
    return programs.program("crossover")


@pytest.fixture
def validate(tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def validate(world: World, swept: World | None = None):
        table = {backend.name: backend for backend in world.backends}
        monkeypatch.setattr("convbench.backends._registry", lambda: table)
        case = tool.Case(("direct", "fft"), 1024)
        journal = EvidenceFile(tmp_path / "journal.jsonl")
        return tool.validate(case, world.backends, [swept or world], world, UNCALIBRATED, journal)

    return validate


@pytest.mark.parametrize("seed", range(5))
def test_a_search_agrees_with_a_sweep_of_the_same_machine(validate, seed: int) -> None:
    verdict = validate(World(usual(17.4), seed), World(usual(17.4), seed + 100))
    assert verdict.agrees
    assert verdict.met
    assert verdict.sweep_cells == 500
    assert 0 < verdict.share <= 0.2
    (difference,) = verdict.differences
    assert abs(difference) < 1
    assert [c.kernel for c in verdict.swept] == pytest.approx([17.4], abs=0.5)


def test_a_search_of_another_machine_does_not(validate) -> None:
    verdict = validate(World(usual(31.0)), World(usual(17.4)))
    assert not verdict.agrees
    assert not verdict.met


def test_no_crossover_on_both_sides_is_agreement(validate) -> None:
    never = {**usual(400.0), "fft-8": ("fft", direct(1.2))}
    assert validate(World(never)).met
    assert validate(World(never)).differences == []


def test_a_band_or_an_interval_without_counterpart_is_no_agreement(tool) -> None:
    swept = [Crossing(17.4, 17.1, 17.8, 17, 19, "direct", "fft"), Crossing(60.0, 55.0, 64.0, 59, 61, "fft", "direct")]

    def verdict(bands, swept):
        return tool.Verdict("", "", bands, [sum(b) / 2 for b in bands], swept, 20, 100)

    assert verdict([[17, 19], [57, 63]], swept).agrees
    assert not verdict([[17, 19]], swept).agrees
    assert not verdict([[17, 19], [57, 63]], swept[:1]).agrees
    assert not verdict([], swept).agrees
    assert not tool.Verdict("", "", [[17, 19]], [18.0], swept[:1], 21, 100).met


def test_a_sweep_visits_every_size_at_several_times(tool, tmp_path: Path) -> None:
    worlds, journal = [World(usual(17.4), seed) for seed in (1, 2)], EvidenceFile(tmp_path / "journal.jsonl")
    case = tool.Case(("direct", "fft"), 1024)
    sweep = tool.Sweep(case, worlds[0].backends, worlds, journal)
    sweep.go_on(30)
    assert all(worlds[i].calls for i in range(2))
    sweep.go_on()
    assert [len(world.calls) for world in worlds] == [50, 50]
    assert sweep.cells == 500
    assert {len(cell["samples"]) for cells in sweep.rows.values() for cell in cells} == {30}
    again = tool.Sweep(case, worlds[0].backends, worlds, journal)
    assert again.left == []
    assert again.cells == 500
    assert {len(cell["samples"]) for cells in again.rows.values() for cell in cells} == {30}


def test_an_interrupted_validation_goes_on(validate) -> None:
    class Stopped(World):
        def __call__(self, problem, backends):
            if len(self.calls) == 20:
                raise KeyboardInterrupt
            return super().__call__(problem, backends)

    swept = Stopped(usual(17.4))
    with pytest.raises(KeyboardInterrupt):
        validate(World(usual(17.4)), swept)
    measured = {k for k, _ in swept.calls}
    again = World(usual(17.4), 1)
    assert validate(World(usual(17.4)), again).met
    assert measured.isdisjoint({k for k, _ in again.calls})
    assert len(measured) + len(again.calls) == 50
    third = World(usual(17.4), 2)
    search = World(usual(17.4))
    assert validate(search, third).met
    assert not third.calls and not search.calls


def test_the_table_says_what_was_met(tool, validate) -> None:
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(tool.table([validate(World(usual(17.4)))]))
    text = console.export_text()
    assert "of 500" in text and "met" in text and "NOT" not in text
