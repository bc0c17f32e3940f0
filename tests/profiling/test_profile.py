"""The whole profile: its parts, what is missing, interruption, two side by side, JSON and page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from convbench.backends import get_backend
from convbench.cli import main
from convbench.errors import GateError, UnsupportedError
from convbench.problem import Problem
from convbench.profiling import Profiles
from convbench.profiling import profile as profiling
from convbench.profiling.accounting import Account, Phase, StageTime
from convbench.profiling.missing import Missing
from convbench.profiling.profile import Profile, profile
from convbench.profiling.subject import Subject
from convbench.profiling.versus import StageDifference, Versus
from convbench.report.profile_index import profiles_in
from convbench.report.profile_page import stem

SMALL = ("--image", "256x200", "--kernel", "7")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["profile", *words])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def told(site: Path) -> dict:
    """Of one profile, as JSON."""
    result = run("numba-direct", *SMALL, "--sweep", "kernel", "--json", "--out", str(site))
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_json_has_every_part_or_says_why_not(told: dict) -> None:
    [one] = told["profiles"]
    assert told["versus"] is None
    assert one["backend"] == "numba-direct"
    assert one["problem"]["image_shape"] == [256, 200]
    assert one["gate"]["checks"] > 0
    assert [phase["name"] for phase in one["account"]["phases"]] == ["plan", "load", "execute", "store"]
    assert one["algorithm"]
    missing = " ".join(entry["what"] for entry in one["missing"])
    for part, word in {"against": "ceiling", "counters": "counter", "memory": "memory"}.items():
        assert one[part] or word in missing
    assert all(entry["why"] for entry in one["missing"])
    assert not one["interrupted"]


def test_the_page_holds_everything(told: dict, site: Path) -> None:
    [path] = (site / "profiles").glob("*.html")
    page = path.read_text(encoding="utf-8")
    assert path.with_suffix(".json").exists()
    assert told["command"].startswith("convbench profile numba-direct --image 256x200 --kernel 7 --sweep kernel")
    assert told["command"] in page
    for text in ("interior", "border", "Where the time goes", "What really ran", "Against the ceilings"):
        assert text in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)


def test_the_site_finds_the_page(told: dict, site: Path) -> None:
    [(machine, [cell])] = profiles_in(site).items()
    assert machine == told["profiles"][0]["machine"]
    assert cell["layout"] == ""  # not square: no cell of the suite
    assert (site / cell["file"]).exists()
    assert cell["backend"] == "numba-direct"


def test_a_damaged_profile_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    for name, text in (("a", "{"), ("b", '{"profiles": [1]}'), ("c", '{"profiles": [{"machine": "m"}]}')):
        (tmp_path / "profiles" / f"{name}.json").write_text(text)
        (tmp_path / "profiles" / f"{name}.html").write_text("")
    assert profiles_in(tmp_path) == {}


def test_two_are_set_side_by_side(tmp_path: Path) -> None:
    result = run("numba-direct", "pyfftw", *SMALL, "--json", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [one["backend"] for one in told["profiles"]] == ["numba-direct", "pyfftw"]
    versus = told["versus"]
    assert versus["low"] <= versus["ratio"] <= versus["high"]
    assert {"interior", "forward FFT", "rest"} <= {stage["name"] for stage in versus["stages"]}
    assert "numba-direct" in versus["sentence"]
    [page] = (tmp_path / "profiles").glob("*.html")
    assert "Side by side" in page.read_text(encoding="utf-8")


def test_the_terminal_says_the_same(tmp_path: Path) -> None:
    result = run("numba-separable", *SMALL, "--no-page")
    assert result.exit_code == 0, result.output
    for text in ("row pass", "column pass", "Stages", "What really ran", "Memory"):
        assert text in result.stdout
    assert not (tmp_path / "profiles").exists()


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("numpi",), 2, "numpi"),
        (("numba-direct", "pyfftw", "torch"), 2, "one or two backends, got 3"),
        (("numba-direct", "--kernel", "3", "--kernel", "5", "--kernel", "7"), 2, "one or two kernels"),
        (("numba-direct", "--image", "64xx"), 2, "64xx"),
        (("numba-direct", "--image", "64x64", "--kernel", "0"), 2, "at least 1"),
        (("numba-direct", "--threads", "0"), 2, "threads"),
        (("numba-direct", "--device", "gpu"), 2, "unknown device"),
        (("numba-direct", "--device", "cuda:0"), 2, "cpu only"),
        (("scipy-direct", "--threads", "2", *SMALL), 2, "one thread only"),
        (("numba-direct", "--mode", "valid", "--image", "8x8", "--kernel", "9"), 2, "mode 'valid'"),
        (("numba-direct", "--sweep", "dtype"), 2, "dtype"),
        ((), 2, "BACKEND"),
    ],
)
def test_wrong_input(words: tuple[str, ...], status: int, text: str, tmp_path: Path) -> None:
    result = run(*words, "--out", str(tmp_path / "site"))
    assert result.exit_code == status
    assert text in result.output
    assert not (tmp_path / "site").exists()


def test_out_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("")
    result = run("numba-direct", *SMALL, "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "--out takes a folder" in result.output


# -- parts that fail, and interruption -------------------------------------------------------------------------------


def subject(name: str = "numba-direct", **options: object) -> Subject:
    problem = Problem((32, 32), (3, 3), **options)  # type: ignore[arg-type]
    return Subject(get_backend(name), problem, problem.image(), problem.kernel())


def parts(monkeypatch: pytest.MonkeyPatch, **taken: object) -> None:
    def of(part):
        return lambda found: part()

    monkeypatch.setattr(
        profiling, "_parts", lambda subject, sweeps: {n.replace("_", " "): of(p) for n, p in taken.items()}
    )


def raising(error: BaseException):
    def part():
        raise error

    return part


def test_a_part_that_raises_is_missing_and_the_others_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Missing("memory", "no such tool", "pip install it")
    parts(monkeypatch, counters=raising(OSError("no perf")), memory=lambda: gone, flame_graph=lambda: {"svg": "<svg/>"})
    found = profile(subject())
    assert found.flame == {"svg": "<svg/>"}
    assert found.missing == [Missing("counters", "raised OSError: no perf"), gone]
    assert str(gone) == "memory: no such tool; pip install it"


def test_an_interrupted_profile_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parts(
        monkeypatch,
        flame_graph=lambda: {"svg": "<svg/>"},
        counters=raising(KeyboardInterrupt()),
        memory=raising(OSError()),
    )
    found = profile(subject())
    assert found.interrupted
    assert found.flame
    assert [one.what for one in found.missing] == ["counters", "memory"]
    assert {one.why for one in found.missing} == {"interrupted"}
    paths = Profiles((found,), None, "convbench profile").write(tmp_path)
    assert [path.name for path in paths] == [f"{stem([found])}-interrupted{suffix}" for suffix in (".html", ".json")]


def test_what_is_wrong_is_not_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    parts(monkeypatch)
    wrong = subject()
    monkeypatch.setattr(
        type(wrong.backend.plan(wrong.problem, wrong.kernel)), "store", lambda self, result: result + 1, raising=False
    )
    with pytest.raises(GateError, match="not profiled"):
        profile(wrong)


def test_what_cannot_run_is_said_so() -> None:
    with pytest.raises(UnsupportedError, match="one thread only"):
        profile(subject("scipy-direct", threads=2))


# -- two side by side --------------------------------------------------------------------------------------------


def between(ratio: float, *stages: tuple[str, float, float]) -> Versus:
    return Versus("a", "b", ratio, ratio * 0.99, ratio * 1.01, 1.05, tuple(StageDifference(*s) for s in stages))


def test_the_sentence_names_who_is_faster_and_why() -> None:
    slower = between(4.0, ("convolve", 0.0, 0.040), ("forward FFT", 0.010, 0.0), ("rest", 0.001, 0.002))
    assert slower.sentence == "a is 4.00 times as fast as b; the difference comes from convolve (40.0 ms more)."
    faster = between(0.25, ("convolve", 0.040, 0.0), ("forward FFT", 0.0, 0.010))
    assert faster.sentence == "b is 4.00 times as fast as a; the difference comes from convolve (40.0 ms more)."


def test_two_of_a_backend_are_named_by_what_differs() -> None:
    from convbench.profiling.versus import _name

    def of(image: int, kernel: int, name: str = "numba-direct") -> Subject:
        problem = Problem((image, image), (kernel, kernel))
        return Subject(get_backend(name), problem, problem.image(), problem.kernel())

    assert _name(of(32, 3), of(32, 5)) == "numba-direct, kernel 3 x 3"
    assert _name(of(32, 3), of(16, 5)) == "numba-direct, image 32 x 32, kernel 3 x 3"
    assert _name(of(32, 3), of(16, 5, "pyfftw")) == "numba-direct"


def test_what_noise_may_explain_is_a_tie() -> None:
    assert "cannot be told apart" in between(1.04).sentence
    assert "cannot be told apart" in between(0.96).sentence
    assert not between(1.06).tied


def test_stages_of_both_are_matched_by_name() -> None:
    from convbench.measure import Timing
    from convbench.profiling.versus import _stages

    def with_stages(total: float, **stages: float) -> Profile:
        times = tuple(StageTime(name, seconds, 1.0, "marked") for name, seconds in stages.items())
        timing = Timing((total,), 1, "")
        return Profile(subject(), None, account=Account((Phase("execute", total, times),), timing, ()))  # type: ignore[arg-type]

    found = _stages(with_stages(10.0, pad=1.0, convolve=8.0), with_stages(5.0, pad=3.0, crop=1.0))
    assert [(s.name, s.a, s.b) for s in found] == [
        ("convolve", 8.0, 0.0),
        ("pad", 1.0, 3.0),
        ("crop", 0.0, 1.0),
        ("rest", 1.0, 1.0),
    ]
