"""Sizes and the problems they stand for."""

from __future__ import annotations

import pytest

from convbench.crossover.lengths import Setting, is_friendly, is_unfriendly, largest_prime, read_shape, sizes
from convbench.errors import ArgumentError


@pytest.mark.parametrize(
    ("length", "prime", "friendly", "unfriendly"),
    [
        *((1, 1, True, False), (1024, 2, True, False), (1050, 7, True, False), (1040, 13, False, False)),
        *((1042, 521, False, True), (1031, 1031, False, True), (11, 11, False, True), (7, 7, True, False)),
    ],
)
def test_lengths(length: int, prime: int, friendly: bool, unfriendly: bool) -> None:
    assert largest_prime(length) == prime
    assert is_friendly(length) is friendly
    assert is_unfriendly(length) is unfriendly


def test_the_problem_of_a_kernel_size() -> None:
    assert Setting((90, 120)).problem(7).kernel_shape == (7, 7)
    assert Setting((90, 120), rows=True).problem(7).kernel_shape == (1, 7)
    assert Setting((500,), dtype="complex64").problem(7).kernel_shape == (7,)
    assert Setting((90, 120)).problem(7).image_shape == (90, 120)
    assert [Setting((90, 120)).longest, Setting((90, 120), rows=True).longest] == [90, 120]
    assert [Setting(s, r).layout for s, r in (((9, 9), False), ((9, 9), True), ((9,), False))] == [
        "image",
        "rows",
        "signal",
    ]


@pytest.mark.parametrize(("kind", "wanted"), [("friendly", is_friendly), ("unfriendly", is_unfriendly)])
@pytest.mark.parametrize("rows", [False, True])
def test_friendly_and_unfriendly_images_are_the_nearest(kind, wanted, rows: bool) -> None:
    for k in (3, 17, 31):
        problem = Setting((1024, 700), rows).problem(k, kind)
        for axis, n in enumerate((1024, 700)):
            near = problem.image_shape[axis]
            if rows and axis == 0:
                assert near == n
                continue
            assert wanted(near + k - 1)
            assert abs(near - n) <= n // 16
            between = range(n - abs(near - n) + 1, n + abs(near - n))
            assert not any(wanted(m + k - 1) for m in between)


def test_where_no_image_is_near_there_is_none() -> None:
    assert Setting((22,)).problem(3, "unfriendly").image_shape == (21,)
    assert Setting((4,)).problem(3, "unfriendly") is None  # 4 to 8 have no prime factor above 7


def test_sizes_of_a_kind() -> None:
    assert sizes(3, 9) == [3, 5, 7, 9]
    assert sizes(3, 9, "even") == [4, 6, 8]
    assert sizes(4, 9, "unfriendly") == [5, 7, 9]


def test_shapes_are_read() -> None:
    assert read_shape("1024x768") == (1024, 768)
    assert read_shape(" 64 X 64 ") == (64, 64)


@pytest.mark.parametrize("text", ["", "1024", "64x64x3", "0x64", "64x", "-4x4", "axb", "64x000"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="HEIGHTxWIDTH"):
        read_shape(text)
