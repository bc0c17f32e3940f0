"""The search: few looks, every change of lead found, curves with steps and ties included."""

from __future__ import annotations

import itertools
import math

import pytest

from convbench.crossover.search import FINE, WIDEST, Change, Enough, around, changes, runs, search

ODD = list(range(3, 102, 2))


def below(crossing: float, tie: float = 0.0):
    """-1 below a crossing, +1 above it, 0 within a relative tie."""
    return lambda k: 0 if abs(math.log(k / crossing)) < tie else -1 if k < crossing else 1


@pytest.mark.parametrize("crossing", [3.5, 7.9, 17.0001, 18.2, 44.5, 99.7])
def test_one_change_is_enclosed_by_neighbours_in_few_looks(crossing: float) -> None:
    seen = search(ODD, below(crossing))
    (change,) = changes(seen)
    assert change.low < crossing < change.high == change.low + 2
    assert (change.before, change.after, change.times) == (-1, 1, 1)
    assert len(seen) <= 13


def test_a_long_range_takes_hardly_more_looks() -> None:
    seen = search(list(range(3, 1026, 2)), below(300.5))
    (change,) = changes(seen)
    assert (change.low, change.high) == (299, 301)
    assert len(seen) <= 20


@pytest.mark.parametrize("lead", [-1, 0, 1])
def test_without_a_change_only_the_gaps_are_filled(lead: int) -> None:
    seen = search(ODD, lambda k: lead)
    assert changes(seen) == []
    assert runs(seen) == [(lead, 3, 101)]
    assert len(seen) == 5
    ordered = sorted(seen)
    assert all(b <= WIDEST * a for a, b in itertools.pairwise(ordered))


def test_ties_lie_within_the_band_and_their_edges_are_found_roughly() -> None:
    seen = search(ODD, below(30, tie=0.3))
    (change,) = changes(seen)
    assert change.low < 30 * math.exp(-0.3) and change.high > 30 * math.exp(0.3)
    assert change.low * FINE**2 > 30 * math.exp(-0.3) and change.high < 30 * math.exp(0.3) * FINE**2
    assert len(seen) <= 16


def test_two_changes_that_cancel_are_found() -> None:
    seen = search(ODD, lambda k: 1 if 8 < k < 40 else -1)
    first, second = changes(seen)
    assert (first.low, first.high, first.after) == (7, 9, 1)
    assert (second.low, second.high, second.after) == (39, 41, -1)


def test_steps_near_a_change_widen_its_band() -> None:
    odd_one_out = {17: 1, 19: -1}
    seen = search(ODD, lambda k: odd_one_out.get(k, -1 if k < 18 else 1))
    (change,) = changes(seen)
    assert (change.low, change.high, change.times) == (15, 21, 3)


def test_changes_far_apart_stay_apart_and_ties_make_none() -> None:
    seen = {3: -1, 5: 1, 7: 0, 9: 1, 31: -1, 33: 0, 35: 1}
    assert changes(seen) == [Change(3, 5, -1, 1), Change(9, 31, 1, -1), Change(31, 35, -1, 1)]
    assert changes({3: -1, 5: 0, 7: -1}) == []
    assert runs({5: 0, 3: -1, 7: 0, 9: 1}) == [(-1, 3, 3), (0, 5, 7), (1, 9, 9)]


@pytest.mark.parametrize("crossing", [17.5, 16.9, 25, 12, 40, 6])
def test_around_finds_the_change_of_other_sizes(crossing: float) -> None:
    even = list(range(4, 101, 2))
    seen = around(even, below(crossing), Change(17, 19, -1, 1))
    (change,) = changes(seen)
    assert change.low < crossing < change.high + 1e-9 <= change.low + 2 + 1e-9
    assert len(seen) <= 8


def test_around_takes_two_looks_where_nothing_differs() -> None:
    looked: list[int] = []

    def look(k: int) -> int:
        looked.append(k)
        return -1 if k < 18 else 1

    around(list(range(4, 101, 2)), look, Change(17, 19, -1, 1))
    assert sorted(looked) == [16, 18]


def test_around_stops_where_sizes_end() -> None:
    assert runs(around(list(range(4, 31, 2)), lambda k: -1, Change(17, 19, -1, 1))) == [(-1, 18, 30)]


@pytest.mark.parametrize("room", [0, 1, 3])
def test_what_was_seen_is_kept_when_there_is_no_more_room(room: int) -> None:
    taken: list[int] = []

    def look(k: int) -> int:
        if len(taken) == room:
            raise Enough
        taken.append(k)
        return below(17.5)(k)

    assert sorted(search(ODD, look)) == sorted(taken)
    taken.clear()
    assert sorted(around(ODD, look, Change(17, 19, -1, 1))) == sorted(taken)
