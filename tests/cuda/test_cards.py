"""Which card a device is: asked for by a number that is not there, or another card under the same name."""

from __future__ import annotations

import pytest

from convbench.ceilings import FILE, read_cards, read_ceilings, store_ceilings
from convbench.cuda import facts
from convbench.cuda.cards import asked_for, cards_in, cards_of, contradiction, same_cards
from convbench.errors import ArgumentError, ConvbenchError


def test_devices_that_are_asked_for_must_be_there(driver, monkeypatch) -> None:
    asked_for([])
    driver("Card A", "Card B")
    asked_for(["cuda:1", "cuda:0"])
    with pytest.raises(ArgumentError, match=r"there is no cuda:2 here, but cuda:0 \(Card A\), cuda:1 \(Card B\); see"):
        asked_for(["cuda:0", "cuda:2"])
    monkeypatch.setenv(facts.VISIBLE, "")
    facts.why_none.cache_clear()
    with pytest.raises(ArgumentError, match="there is no cuda:0 here: .* hides 2; unset it"):
        asked_for(["cuda:0"])
    driver()
    with pytest.raises(ArgumentError, match="no NVIDIA driver answers here; `nvidia-smi`"):
        asked_for(["cuda:0"])


def test_the_card_of_every_device_in_use(driver) -> None:
    driver("Card A", "Card B")
    assert cards_of({"cpu", "cuda:1", "cuda:7", 2}) == {"cuda:1": "Card B"}


@pytest.mark.parametrize("run", [{}, {"cards": None}, {"cards": ["cuda:0"]}])
def test_older_and_damaged_runs_name_no_cards(run) -> None:
    assert cards_in(run) == {}


def test_another_card_under_the_same_name_is_refused() -> None:
    runs = [{"kind": "cell"}, {"kind": "run"}, {"kind": "run", "cards": {"cuda:0": "Card A"}}]
    same_cards({"cuda:0": "Card A", "cuda:1": "Card B"}, runs, "file")
    same_cards({"cuda:1": "Card B"}, runs, "file")
    with pytest.raises(
        ConvbenchError, match="cuda:0 is Card B here and was Card A there: file holds times of the other"
    ):
        same_cards({"cuda:0": "Card B"}, runs, "file")
    assert contradiction({}, {"cuda:0": "Card A"}) is None


def test_ceilings_know_whose_they_are(tmp_path) -> None:
    store_ceilings(tmp_path, "m", {1: {"copy": 20.0}, "cuda:0": {"copy": 4000.0}}, {"cuda:0": "Card A"})
    store_ceilings(tmp_path, "m", {"cuda:1": {"copy": 3000.0}}, {"cuda:1": "Card B"})
    assert read_cards(tmp_path / FILE) == {"cuda:0": "Card A", "cuda:1": "Card B"}
    assert set(read_ceilings(tmp_path / FILE, "m")) == {1, "cuda:0", "cuda:1"}
    assert read_cards(tmp_path / "none") == {}
    (tmp_path / FILE).write_text("[]")
    assert read_cards(tmp_path / FILE) == {}
