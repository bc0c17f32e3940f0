"""The section on devices: what it says of cells whose times are known."""

from __future__ import annotations

from types import SimpleNamespace

from two_devices import cells

from convbench.report import devices
from convbench.report.render import render


def section(**settings: float):
    return devices.section(SimpleNamespace(cells=cells(**settings)))


def test_who_wins_at_each_size_and_from_where_on() -> None:
    (found,) = section()["sets"]
    resident, transfers = found["maps"]
    assert (resident["kind"], transfers["kind"]) == ("resident", "transfers")
    assert resident["kernels"] == [15]
    assert [row["image"] for row in resident["rows"]] == ["64 × 64", "256 × 256", "1024 × 1024", "4096 × 4096"]
    assert [row["cells"][0]["where"] for row in resident["rows"]] == ["processor", "cuda:0", "cuda:0", "cuda:0"]
    first, *_, last = (row["cells"][0] for row in resident["rows"])
    assert (first["backend"], first["css"]) == ("quick", "fft")
    assert (last["backend"], last["times"]) == ("gpu", "47 ×")
    assert "gpu (cuda:0)" in last["told"] and "quick (cpu, 2 threads)" in last["told"]
    assert resident["from"][0]["told"].startswith("from about 1")
    assert "(between 64² and 256²)" in resident["from"][0]["told"]


def test_never_and_always_are_said() -> None:
    (found,) = section(bandwidth=1e9)["sets"]
    assert found["maps"][1]["from"][0]["told"] == "never, up to 4096 × 4096"
    (found,) = section(launch=1e-9)["sets"]
    assert found["maps"][0]["from"][0]["told"] == "always, from 64 × 64 on"


def test_without_a_device_there_is_no_section() -> None:
    frame = cells()
    assert devices.section(SimpleNamespace(cells=frame[frame["device"] == "cpu"])) is None
    assert render("devices.html", {"devices": None}).strip() == ""


def test_strange_names_stay_text() -> None:
    frame = cells().replace({"backend": {"gpu": "<script>"}})
    text = render("devices.html", {"devices": devices.section(SimpleNamespace(cells=frame))})
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
