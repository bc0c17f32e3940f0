from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from choosing import LAWS, Law, cells, table_of
from synthetic import REALISTIC, write_results

from convbench import cost, recommendation
from convbench.errors import ArgumentError, ConvbenchError, StorageError, UnsupportedError
from convbench.recommendation import find, parse_shape, recommend, remember

DOCS = Path(__file__).resolve().parent.parent / "docs" / "recommend.md"
HERE = "this-machine"
ALL = set(LAWS)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without measurements, outside of any clone, on a machine of a known name."""
    folder, away = tmp_path / "cache", tmp_path / "away"
    away.mkdir()
    monkeypatch.setattr(recommendation, "cache_folder", lambda: folder)
    monkeypatch.setattr(recommendation, "machine_name", lambda: HERE)
    monkeypatch.setattr(cost, "known_ceilings", lambda: cost.DESKTOP)
    monkeypatch.chdir(away)
    recommendation.forget()
    yield folder
    recommendation.forget()


def table(machine: str = HERE, **more: Any) -> dict[str, Any]:
    return table_of(cells(machine=machine, **more))


def test_the_answer_has_all_that_was_promised() -> None:
    found = recommend((1024, 1024), (31, 31), table=table(), available=ALL)
    assert (found.backend, found.family, found.how, found.machine) == ("pyfftw", "fft", "measured", HERE)
    assert found.seconds == pytest.approx(LAWS["pyfftw"].execute(1024, 31), rel=1e-3)
    assert found.low < found.seconds < found.high
    assert found.runner_up == "scipy-fft"
    assert 1 + (found.runner_up_cost or 0) == pytest.approx(
        LAWS["scipy-fft"].execute(1024, 31) / LAWS["pyfftw"].execute(1024, 31), rel=2e-3
    )
    assert found.ties == []
    assert [one.backend for one in found.alternatives] == ["pyfftw", "scipy-fft", "numba-direct", "slow"]
    assert found.notes == []
    assert json.loads(json.dumps(found.as_dict()))["problem"]["image_shape"] == [1024, 1024]
    assert found.as_dict()["alternatives"][0] == asdict(found.alternatives[0])


def test_it_says_it_in_words() -> None:
    words = str(recommend((1024, 1024), (31, 31), table=table(), available=ALL))
    for part in (
        "use pyfftw (fft)",
        "measured, this very cell",
        "runner-up: scipy-fft, +",
        f"measured on {HERE}",
        "95 %",
    ):
        assert part in words
    words = str(recommend((480, 640), (13, 13), images=10, separable=True, table=table(), available=ALL))
    assert "an image for 10 images, planning counted" in words
    assert "separable kernel 13x13" in words
    assert "interpolated" in words
    laws = {"a": Law("fft", lambda n, k: 1e-3), "b": Law("fft", lambda n, k: 1.01e-3)}
    words = str(recommend((512, 512), (15, 15), images=1, table=table_of(cells(laws)), available=set(laws)))
    assert "a tie: it cannot be told from the best" in words
    assert "planned and executed once" in words
    only = str(recommend((512, 512), (15, 15), table=table(), available={"pyfftw"}))
    assert "no other backend is known" in only


def test_only_what_is_installed_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    laws = LAWS | {"not-a-backend": Law("fft", lambda n, k: 0.9 * LAWS["pyfftw"].execute(n, k))}
    made = table_of(cells(laws, machine=HERE))
    assert recommend((512, 512), (15, 15), table=made, available=set(laws)).backend == "not-a-backend"
    monkeypatch.setattr(recommendation, "installed", lambda: {"scipy-fft"})
    assert recommend((512, 512), (15, 15), table=made).backend == "scipy-fft"


def test_without_measurements_it_is_modelled_and_says_what_to_run() -> None:
    found = recommend((1024, 1024), (31, 31), available={"numba-direct", "pyfftw-overlap"})
    assert (found.backend, found.how, found.machine) == ("pyfftw-overlap", "modelled", "")
    assert "`convbench run` measures" in found.notes[0]
    assert found.notes[0] in str(found)


def test_a_set_that_was_not_measured_is_modelled_by_the_tables_ceilings() -> None:
    laws = {"numba-direct": LAWS["numba-direct"]}
    slow, quick = (
        recommend(1024, 9, dtype="float64", table=table_of(cells(laws), ceilings={"fma_float64": f, "copy_l3": 1e3}))
        for f in (1.0, 100.0)
    )
    assert slow.how == quick.how == "modelled"
    assert slow.seconds > quick.seconds
    assert "no measurements of such a problem (a signal, float64" in " ".join(slow.notes)


def test_another_device_is_unknown() -> None:
    with pytest.raises(UnsupportedError, match=r"nothing is known of .*cuda:0.*convbench run"):
        recommend((64, 64), (3, 3), device="cuda:0", table=table())
    cuda = table_of(cells(device="cuda:0"))
    found = recommend((512, 512), (15, 15), device="cuda:0", table=cuda, available=ALL)
    assert found.backend == "pyfftw"
    assert "without copying images to the device" in str(found)


def test_fewer_threads_and_other_modes_are_noted() -> None:
    found = recommend((512, 512), (15, 15), threads=4, mode="full", table=table(), available=ALL)
    assert "times are those of 1 thread" in found.notes
    assert any("mode full" in note for note in found.notes)
    assert found.how == "interpolated"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"image_shape": (0, 5)}, "at least 1"),
        ({"image_shape": (4, 5, 3)}, "channels one by one"),
        ({"kernel_shape": 31}, "same number of axes"),
        ({"kernel_shape": (2000, 3), "mode": "valid"}, "no longer than the image"),
        ({"dtype": "int8"}, "unknown dtype 'int8'; allowed: float32"),
        ({"mode": "sane"}, "unknown mode"),
        ({"device": "gpu"}, "unknown device"),
        ({"threads": 0}, "threads must be"),
        ({"images": 0}, "images must be a whole number of at least 1, got 0"),
        ({"images": 2.5}, "images must be a whole number"),
        ({"images": True}, "images must be a whole number"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(told)):
        recommend(**{"image_shape": (64, 64), "kernel_shape": (3, 3), "table": table(), **arguments})


@pytest.mark.parametrize(
    ("text", "shape"), [("1024x768", (1024, 768)), ("65536", (65536,)), (" 5X7 ", (5, 7)), ("3×4", (3, 4))]
)
def test_shapes_are_read(text: str, shape: tuple[int, ...]) -> None:
    assert parse_shape("--image", text) == shape


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1024x", "ROWSxCOLUMNS"),
        ("x5", "ROWSxCOLUMNS"),
        ("", "ROWSxCOLUMNS"),
        ("-3x4", "ROWSxCOLUMNS"),
        ("3.5", "ROWSxCOLUMNS"),
        ("9" * 5000, "ROWSxCOLUMNS"),
        ("0x5", "at least 1"),
        ("1024x1024x3", "channels one by one"),
    ],
)
def test_other_shapes_are_errors(text: str, told: str) -> None:
    with pytest.raises(ArgumentError, match="^--image must") as caught:
        parse_shape("--image", text)
    assert told in str(caught.value)


# -- where the table comes from ------------------------------------------------------------------------------------


def test_a_table_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "chooser.json"
    path.write_text(recommendation.as_json(table("elsewhere")))
    found = recommend((1024, 1024), (31, 31), table=path, available=ALL)
    assert (found.backend, found.machine) == ("pyfftw", "elsewhere")
    assert f"the table is of another machine, elsewhere; this one is {HERE}" in found.notes


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "not found"),
        (b"", "empty"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "no chooser's table"),
        (b'{"format": "convbench chooser", "version": 7}', "version 7"),
        (b'{"format": "convbench chooser", "version": 1, "sets": []}', "is empty"),
        (b'{"format": "convbench chooser", "version": 1, "sets": [{}]}', "damaged"),
    ],
)
def test_a_file_that_is_no_table_is_an_error(content: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "chooser.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArgumentError, match=told) as caught:
        recommend((64, 64), (3, 3), table=path)
    assert "chooser.json" in str(caught.value)


def test_a_remembered_table_is_found_again(cache: Path) -> None:
    assert find() == (None, ["nothing was measured here: expected by the cost model; `convbench run` measures"])
    assert remember(table())
    assert (cache / f"chooser-{HERE}.json").is_file()
    found = recommend((1024, 1024), (31, 31), available=ALL)
    assert (found.backend, found.how, found.notes) == ("pyfftw", "measured", [])


def test_another_machines_table_is_not_remembered() -> None:
    assert not remember(table("elsewhere"))
    assert find()[0] is None


def test_a_smaller_table_replaces_a_larger_one_of_another_version_only() -> None:
    small, large = table(images=(512,)), table()
    assert remember(small)
    assert remember(large)
    assert not remember(small)
    assert remember(large | {"commit": "89abcdef"})
    assert remember(small | {"convbench": "99.0"})


def test_a_folder_that_cannot_be_written_only_costs_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("no")

    monkeypatch.setattr(recommendation, "atomic_write", refuse)
    assert not remember(table())
    assert find()[0] is None


def useless() -> str:
    made = json.loads(json.dumps(table()))
    made["sets"][0]["backends"]["pyfftw"]["execute"]["coefficients"] = [0, 0, 0]
    return recommendation.as_json(made)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": "convbench chooser", "version": 1, "sets": [{}]}', useless()]
)
def test_a_damaged_file_is_as_none_and_is_replaced(content: str, cache: Path) -> None:
    cache.mkdir()
    (cache / f"chooser-{HERE}.json").write_text(content)
    assert find()[0] is None
    assert remember(table())
    assert find()[0] is not None


def test_a_clones_results_are_found_from_within_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    write_results(clone / "results", REALISTIC, machine="other")
    (clone / "asv.conf.json").write_text("{}")
    (clone / "docs").mkdir()
    monkeypatch.chdir(clone / "docs")
    assert find()[0] is None  # another machine's are not taken unasked
    write_results(clone / "results", REALISTIC, machine=HERE)
    found = recommend((1024, 1024), (31, 31), available=set(REALISTIC))
    assert (found.backend, found.how, found.machine) == ("pyfftw-overlap", "measured", HERE)


@pytest.mark.parametrize("kept", [["asv.conf.json"], ["asv.conf.json", f"results/{HERE}/machine.json"]])
def test_a_clone_that_has_no_results_yet_is_as_none(
    kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As during a first run: only the line of the run was written."""
    clone = tmp_path / "clone"
    folder = clone / "results" / HERE
    folder.mkdir(parents=True)
    (folder / "01234567-env.evidence.jsonl").write_text('{"kind": "run", "commit": "01234567"}\n')
    for name in kept:
        (clone / name).write_text("{}")
    monkeypatch.chdir(clone)
    found = recommend((1024, 1024), (31, 31), available={"numba-direct", "pyfftw-overlap"})
    assert (found.how, found.machine) == ("modelled", "")
    assert "nothing was measured here" in found.notes[0]
    with pytest.raises(ConvbenchError, match="convbench run"):
        find(results=clone / "results")


def test_what_was_kept_outranks_a_clones_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "clone"
    write_results(clone / "results", REALISTIC, machine=HERE)
    (clone / "asv.conf.json").write_text("{}")
    monkeypatch.chdir(clone)
    assert set(LAWS) != set(find()[0].table["backends"])
    assert remember(table())
    assert set(LAWS) == set(find()[0].table["backends"])


def test_results_may_be_named(tmp_path: Path) -> None:
    write_results(tmp_path, REALISTIC, machine="other")
    found = recommend((1024, 1024), (31, 31), results=tmp_path, available=set(REALISTIC))
    assert found.machine == "other"
    assert "another machine, other" in found.notes[0]
    write_results(tmp_path, REALISTIC, machine=HERE)
    assert recommend((1024, 1024), (31, 31), results=tmp_path).machine == HERE
    assert recommendation.table_of(tmp_path, "other")["machine"] == "other"
    shutil.rmtree(tmp_path / HERE)
    for missing in (tmp_path / HERE, tmp_path / "none"):
        with pytest.raises(ConvbenchError, match="convbench run"):
            recommend((64, 64), (3, 3), results=missing)


# -- docs ----------------------------------------------------------------------------------------------------------


def test_the_example_in_the_docs_answers_from_the_table_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert "convbench" not in source
    assert len([line for line in source.splitlines() if line]) <= 22
    made = table()
    Path("chooser.json").write_text(recommendation.as_json(made))
    names: dict[str, Any] = {}
    exec(compile(source, str(DOCS), "exec"), names)
    name, micro = eval(capsys.readouterr().out)
    told = recommend((1024, 1024), (31, 31), table=made, available=ALL)
    assert name == told.backend
    assert micro == pytest.approx(1e6 * told.seconds, rel=1e-9)
    for n, k in ((300, 4), (700, 9), (1500, 40), (2048, 63), (256, 3)):
        name, micro = names["quickest"](made, n, k)
        told = recommend((n, n), (k, k), table=made, available=ALL)
        assert name == told.backend
        assert micro == pytest.approx(1e6 * told.seconds, rel=0.1)


def test_the_docs_name_every_key_of_the_table() -> None:
    text, made = DOCS.read_text(encoding="utf-8"), table()
    (one,) = made["sets"]
    entry = one["backends"]["pyfftw"]
    keys = [*made, *made["noise"], *made["left_out"], *made["backends"]["pyfftw"], *one, *entry, *entry["execute"]]
    for key in keys:
        assert f"`{key}`" in text, key
