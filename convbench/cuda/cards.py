"""Which card a device is: times of two cards are never kept under one name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from convbench.cuda.facts import devices, no_such, why_none
from convbench.errors import ArgumentError, ConvbenchError


def asked_for(names: Iterable[str]) -> None:
    """Raises ArgumentError where one of these devices is not there, with those that are."""
    found = devices()
    for name in names:
        if not found:
            raise ArgumentError(f"there is no {name} here: {why_none('convbench', '?')}")
        if name not in {one.place for one in found}:
            raise ArgumentError(no_such(name, found))


def cards_of(names: Collection[object] | None = None) -> dict[str, str]:
    """The cards of those of these devices that are there, by default of all."""
    return {one.place: one.name for one in devices() if names is None or one.place in names}


def cards_in(run: Mapping[str, Any]) -> dict[str, str]:
    """The cards that a run names; none in a record that is older, or damaged."""
    known = run.get("cards")
    return {str(place): str(card) for place, card in known.items()} if isinstance(known, dict) else {}


def contradiction(cards: Mapping[str, str], others: Mapping[str, str]) -> str | None:
    """A device that is another card there, in words; None where there is none."""
    for place, card in cards.items():
        if others.get(place, card) != card:
            return f"{place} is {card} here and was {others[place]} there"
    return None


def same_cards(cards: Mapping[str, str], entries: Iterable[Mapping[str, Any]], where: str) -> None:
    """Raises ConvbenchError where one of these lines of evidence is of a run on other cards. where: what holds them."""
    for entry in entries:
        if entry["kind"] == "run" and (told := contradiction(cards, cards_in(entry))):
            raise ConvbenchError(
                f"{told}: {where} holds times of the other card, and those of two cards do not go under one name; "
                f"choose the card with CUDA_VISIBLE_DEVICES, or move that file away and run the same command again"
            )
