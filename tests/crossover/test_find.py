"""The whole search on made-up machines: the truth is known, so coverage, economy and false alarms can be counted."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from made_up import Made, World, direct, fft, usual

from convbench.crossover import Found, answer, find_crossover
from convbench.crossover.find import SHARE
from convbench.crossover.lengths import Setting
from convbench.errors import ArgumentError, UnsupportedError

RUNS = 200


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch):
    def find(world: World, families: tuple[str, ...] = ("direct", "fft"), **options: Any) -> Found:
        table = {backend.name: backend for backend in world.backends}
        monkeypatch.setattr("convbench.backends._registry", lambda: table)
        return find_crossover(families, measure=world, **options)

    return find


def cheap(world: World, found: Found) -> bool:
    """Whether it timed what it says, and at most a fifth of the cells of a sweep."""
    assert found.cells == len(world.timed)
    assert found.sweep == 50 * len(world.laws)
    return SHARE * found.cells <= found.sweep


@pytest.mark.parametrize(
    ("like", "scatter", "offset"),
    [(17.4, 0.02, 0.01), (7.9, 0.04, 0.02), (60.0, 0.08, 0.02)],
)
def test_the_band_covers_the_truth_for_a_fifth_of_the_cells(find, like: float, scatter: float, offset: float) -> None:
    covered = []
    for seed in range(RUNS):
        world = World(usual(like), seed, scatter, offset)
        found = find(world)
        assert cheap(world, found)
        (crossing,) = found.crossings
        odd = crossing.bands[0]
        assert (crossing.before, crossing.after) == ("direct", "fft")
        assert odd.low <= crossing.kernel <= odd.high
        assert odd.high - odd.low <= max(6, like / 3)
        covered.append(odd.low <= like <= odd.high and crossing.hull[0] <= odd.low and odd.high <= crossing.hull[1])
    assert np.mean(covered) >= 0.95


def test_what_was_seen_in_another_state_of_the_machine_is_looked_at_again(find) -> None:
    """Somebody else's work makes the FFT slower by 40 % at first: then the lead changes at 20.6, later at 17.4."""

    class Shared(World):
        def __call__(self, problem, backends):
            busy = len(self.calls) < 10
            self.laws = {
                n: (f, (lambda p, law=law: 1.4 * law(p)) if busy and f == "fft" else law)
                for n, (f, law) in quiet.items()
            }
            return super().__call__(problem, backends)

    quiet, covered, looks = usual(17.4), [], []
    for seed in range(RUNS):
        world = Shared(quiet, seed)
        found = find(world)
        (crossing,) = found.crossings
        covered.append(crossing.bands[0].low <= 17.4 <= crossing.bands[0].high)
        looks.append(sum(size.kind == "odd" for size in found.sizes))
    assert np.mean(covered) >= 0.95
    assert np.median(looks) <= 16


def test_steps_of_unfriendly_lengths_make_a_wider_band(find) -> None:
    """Where n+k-1 has a large prime factor the FFT takes 40 % longer: direct stays ahead up to k = 20."""
    covered, unfinished = [], 0
    rough = 17.4 * math.sqrt(1.4)
    for seed in range(RUNS):
        world = World(usual(17.4, step=0.4), seed)
        found = find(world)
        assert cheap(world, found)
        (crossing,) = found.crossings
        bands = {band.kind: band for band in crossing.bands}
        assert set(bands) >= {"odd", "even", "unfriendly", "friendly"}
        (low, high), (rough_low, rough_high) = ((bands[k].low, bands[k].high) for k in ("friendly", "unfriendly"))
        unfinished += None in (low, high, rough_low, rough_high)
        covered.append((low or 0) <= 17.4 <= (high or 101) and (rough_low or 0) <= rough <= (rough_high or 101))
        assert crossing.hull[0] <= 17.4
        assert crossing.hull[1] >= rough
    assert np.mean(covered) >= 0.95
    assert unfinished <= 0.05 * RUNS


@pytest.mark.parametrize("factor", [1.12, 1 / 1.12])
def test_no_crossing_is_made_up_where_one_leads_throughout(find, factor: float) -> None:
    false = 0
    for seed in range(RUNS):
        world = World({**usual(400.0), "fft-8": ("fft", direct(factor))}, seed)
        found = find(world)
        assert cheap(world, found)
        false += bool(found.crossings)
        wrong = 1 if factor > 1 else -1
        false += wrong in found.seen.values()
    assert false <= 0.05 * RUNS
    who = "direct (direct-1)" if factor > 1 else "fft (fft-8)"
    assert answer.sentence(found).startswith(f"no crossover: {who} is faster at all sizes looked at, k = 3 to 101; ")


@pytest.mark.parametrize(("scatter", "offset"), [(0.02, 0.01), (0.1, 0.02)])
def test_equals_cannot_be_told_apart(find, scatter: float, offset: float) -> None:
    told = 0
    for seed in range(RUNS):
        world = World({**usual(400.0), "fft-8": ("fft", direct())}, seed, scatter, offset)
        found = find(world)
        told += bool(found.crossings)
    assert told <= 0.05 * RUNS
    quiet = find(World({**usual(400.0), "fft-8": ("fft", direct())}, 0, 0.005, 0.0))
    assert answer.sentence(quiet).startswith("direct and fft cannot be told apart at k = 3 to 101")
    assert any(text.startswith("cannot tell at k = 3 to 101: differences below 4.7%") for text in answer.remarks(quiet))


def test_two_crossings_are_found(find) -> None:
    def valley(problem) -> float:
        distance = math.log(problem.kernel_shape[-1] / 18)
        return direct()(problem) * math.exp(0.8 * (distance**2 - 1))

    first, second = 18 / math.e, 18 * math.e
    found_both = 0
    for seed in range(RUNS):
        world = World({**usual(400.0), "fft-8": ("fft", valley)}, seed)
        found = find(world)
        assert cheap(world, found)
        hulls = [crossing.hull for crossing in found.crossings]
        found_both += len(hulls) == 2 and all(
            low <= truth <= high for (low, high), truth in zip(hulls, (first, second), strict=True)
        )
    assert found_both >= 0.95 * RUNS
    assert "direct (direct-1) is faster up to k = 5, fft (fft-8) from k = 7 to 4" in answer.sentence(found)


def test_over_the_budget_the_sweep_is_shorter(find) -> None:
    """direct-3 passes 20 ms before k = 6, direct-2 before k = 9, direct-1 at k = 44."""
    world = World(usual(17.4), budget=0.02)
    found = find(world, budget=0.02)
    reach = {f"direct-{i}": sum(law[1](Setting((1024, 1024)).problem(k)) <= 0.02 for k in range(3, 102, 2))
             for i, law in enumerate(list(world.laws.values())[:3], 1)}  # fmt: skip
    slow_ffts = sum(
        law(Setting((1024, 1024)).problem(101)) > 0.02 for family, law in world.laws.values() if family == "fft"
    )
    assert slow_ffts == 0
    assert found.sweep == pytest.approx(7 * 50 + sum(reach.values()), abs=3)
    (crossing,) = found.crossings
    assert crossing.hull[0] <= 17.4 <= crossing.hull[1]
    told = " ".join(answer.remarks(found))
    assert "direct-1 dropped out at k = 101: skipped: over the time budget" in told
    assert "k = 101: direct is over the budget of 0.02 s" in told


def test_the_answer_as_a_sentence_a_table_and_json(find) -> None:
    found = find(World(usual(17.4), scatter=0.004, offset=0.0))
    told = answer.sentence(found)
    assert told.startswith("direct (direct-1) is faster up to k = ")
    assert ", fft (fft-1) from k = 19 on; band 1" in told
    assert told.endswith(f"{found.cells} cells timed, a sweep takes 500")
    table = answer.rows(found)
    assert {len(row) for row in table} == {len(answer.columns(found))}
    assert [int(row[0]) for row in table] == sorted(int(row[0]) for row in table)
    assert answer.columns(found)[7] == "direct / fft"
    assert {row[8] for row in table} >= {"direct", "fft"}
    whole = json.loads(json.dumps(answer.as_dict(found)))
    assert whole["answer"] == told
    assert (
        whole["cells_timed"]
        == found.cells
        == sum(b["median_s"] is not None for s in whole["sizes"] for b in s["backends"])
    )
    (crossing,) = whole["crossings"]
    assert [band["sizes"] for band in crossing["bands"]] == ["odd", "even", "unfriendly", "friendly"]
    assert crossing["low"] <= crossing["kernel"] <= crossing["high"]
    assert "even kernels agree with odd kernels" in " ".join(whole["remarks"])


def test_a_line_of_the_table_shows_the_interval_that_decides(find) -> None:
    found = find(World(usual(17.4), scatter=0.004, offset=0.0))
    for row in answer.rows(found):
        low, high = (float(part) for part in row[7].split("(")[1].rstrip(")").split(" to "))
        assert row[8] == "cannot tell" or not low < 1 < high
        assert float(row[7].split()[0]) < 1 or row[8] != "direct"


def test_two_backends_leave_no_room_for_other_kinds_unless_asked(find) -> None:
    world = World({"direct-1": ("direct", direct()), "fft-1": ("fft", fft(17.4))})
    found = find(world)
    assert any(text.startswith("not looked at, it would time more than 1/5") for text in answer.remarks(found))
    found = find(World(world.laws), every_kind=True)
    assert [band.kind for band in found.crossings[0].bands] == ["odd", "even", "unfriendly", "friendly"]


def test_backends_by_name(find) -> None:
    found = find(World(usual()), backends=["direct-2", "fft-1", "fft-1"])
    assert {e.backend for size in found.sizes for e in size.entries} == {"direct-2", "fft-1"}
    assert found.sweep == 100


def test_an_interruption_keeps_what_was_found(find) -> None:
    class Stopped(World):
        def __call__(self, problem, backends):
            if len(self.calls) == self.limit:
                raise KeyboardInterrupt
            return super().__call__(problem, backends)

    whole = World(usual())
    find(whole)
    for limit in (0, 1, 4, len(whole.calls) - 1):
        world = Stopped(usual())
        world.limit = limit
        found = find(world)
        assert found.interrupted
        assert found.cells == len(world.timed)
        assert answer.remarks(found)[-1].startswith("interrupted")
        assert answer.sentence(found)
        json.dumps(answer.as_dict(found))
    assert found.crossings
    assert "interrupted" in found.crossings[0].left_out.values()


def test_progress_never_runs_backwards_and_ends(find) -> None:
    told: list[tuple[int, int, str]] = []
    find(World(usual()), progress=lambda *step: told.append(step))
    done = [step[0] for step in told]
    assert done == sorted(done)
    assert all(d <= total for d, total, _ in told)
    assert told[-1][0] == told[-1][1]
    assert any("k = 3 (odd)" in text for _, _, text in told)


@pytest.mark.parametrize(
    ("options", "layout", "kernel", "largest"),
    [
        ({"image": (64, 200)}, "image", (63, 63), 63),
        ({"image": (64, 200), "rows": True}, "rows", (1, 199), 199),
        ({"image": (4096,)}, "signal", (1025,), 1025),
        ({"image": (4096,), "largest": 40}, "signal", (39,), 39),
    ],
)
def test_layouts_and_their_ranges(find, options: dict[str, Any], layout: str, kernel: tuple, largest: int) -> None:
    world = World({"direct-1": ("direct", lambda p: 1e-3), "fft-1": ("fft", lambda p: 2e-3)})
    found = find(world, **options)
    assert found.setting.layout == layout
    assert (found.smallest, found.largest) == (3, largest)
    assert kernel in {problem.kernel_shape for _, problem in world.timed}


@pytest.mark.parametrize(
    ("families", "options", "words"),
    [
        (("direct", "fftt"), {}, "unknown family 'fftt'; allowed: direct, separable, fft, framework. Did you mean 'fft'"),
        (("fft", "fft"), {}, "two different families, got fft and fft"),
        (("fft",), {}, "two different families, got fft"),
        ((), {}, "two different families, got none"),
        (("direct", "fft", "separable"), {}, "two different families"),
        (("direct", "fft"), {"backends": ["nobody"]}, "unknown backend 'nobody'"),
        (("direct", "fft"), {"backends": ["direct-1", "other"]}, "'other' is of the family framework, not direct or fft"),
        (("direct", "fft"), {"smallest": 9, "largest": 9}, "give 1 <= --min < --max"),
        (("direct", "fft"), {"smallest": 9, "largest": 3}, "give 1 <= --min < --max"),
        (("direct", "fft"), {"smallest": 0}, "give 1 <= --min < --max"),
        (("direct", "fft"), {"smallest": 4, "largest": 5}, "no two odd ones"),
        (("direct", "fft"), {"image": (50, 2000), "largest": 51}, "51 is longer than the image .50 x 2000.; give --max 50"),
        (("direct", "fft"), {"dtype": "float8"}, "dtype 'float8'"),
        (("direct", "fft"), {"device": "gpu"}, "device 'gpu'"),
        (("direct", "fft"), {"threads": 0}, "threads"),
        (("direct", "fft"), {"budget": 0.0}, "budget"),
        (("direct", "fft"), {"budget": math.nan}, "budget"),
        (("direct", "fft"), {"image": (4, 4, 4)}, "1 or 2 axes"),
        (("direct", "fft"), {"image": (0, 4)}, "at least 1"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_before_anything_is_measured(
    find, families, options: dict[str, Any], words: str
) -> None:
    world = World({**usual(), "other": ("framework", direct())})
    with pytest.raises(ArgumentError, match=words):
        find(world, families, **options)
    assert not world.calls


def test_a_family_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {b.name: b for b in (Made("a", "direct"), Made("b", "fft", "b runs on cuda only, not on cpu"))}
    monkeypatch.setattr("convbench.backends._registry", lambda: table)
    with pytest.raises(UnsupportedError, match="no fft backend can run this: b: b runs on cuda only"):
        find_crossover(("direct", "fft"), measure=World({}))
    with pytest.raises(UnsupportedError, match="no separable backend can run this: none was asked for"):
        find_crossover(("direct", "separable"), measure=World({}))


def test_real_backends_are_gated_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from fakes import Right, Threaded, Wrong, use

    class WrongDirect(Wrong):
        name, family = "wrong-direct", "direct"

    use(monkeypatch, Right(), Threaded(), WrongDirect())
    told: list[str] = []
    found = find_crossover(
        ("direct", "fft"), (40, 36), largest=5, threads=1, progress=lambda done, total, text: told.append(text)
    )
    assert found.cells == 4
    assert list(found.failed) == ["wrong-direct"]
    assert "gate" in found.failed["wrong-direct"]
    assert any("gate right" in text for text in told)
