"""The page's chooser answers as Python does: several hundred random questions, asked of both."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from choosing import LAWS, Law, cells, table_of

from convbench import cost, report
from convbench.analysis import recommend as python
from convbench.analysis.chooser_model import KINDS, features, quick_size
from convbench.recommendation import recommend

SCRIPT = Path(report.__file__).parent / "templates" / "chooser.js"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no JavaScript outside of a browser: node")

ASK = """
const chooser = require(process.argv[1]);
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.questions.map((question) => {
  try { return chooser.choose(asked.table, question); } catch (error) { return {error: error.message}; }
})));
"""
SIZES = """
const chooser = require(process.argv[1]);
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify({
  sizes: asked.sizes.map(chooser.quickSize),
  features: asked.features.map((one) => chooser.features(one[0], one[1], one[2], one[3])),
}));
"""


def node(script: str, given: Any) -> Any:
    assert NODE
    done = subprocess.run(
        [NODE, "-e", script, str(SCRIPT)], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def table() -> dict[str, Any]:
    """Two threads for some, rows, signals, gaps, a failed cell, and a backend whose plan is not known."""
    laws = {**LAWS, "numba-direct": Law("direct", LAWS["numba-direct"].execute, threads=(1, 2))}
    laws["odd"] = Law("framework", lambda n, k: 3e-9 * n * n * (1.2 if k % 4 == 3 else 1.0), lambda n, k: 1e-4)
    image = cells(laws, seconds_limit=0.1)
    image.loc[(image["backend"] == "odd") & (image["image"] == 512) & (image["kernel"] == 7), "status"] = "failed"
    image.loc[image["backend"] == "scipy-fft", ["one_shot_s", "plan_s"]] = float("nan")
    made = table_of(
        image,
        cells(laws, (1024, 2048), (3, 15, 63), threads=(2,)),
        cells(laws, (512, 2048), (3, 15, 63), layout="rows"),
        cells(laws, (1024, 65536), (9, 129, 1025), layout="signal", dtype="float64"),
        cells({"odd": laws["odd"]}, (1024,), (3, 15), device="cuda:0"),
        ceilings={"fma_float32": 118.2, "copy": 20.0, "fft_float64": 20.3},
    )
    return json.loads(json.dumps(made))


def questions(count: int) -> list[dict[str, Any]]:
    rng = random.Random(0)

    def side(low: int, high: int) -> int:
        return round(low * (high / low) ** rng.random())

    asked = []
    for _ in range(count):
        layout = rng.choice(("image", "image", "square", "cell", "rows", "signal"))
        image, kernel = [side(40, 5000), side(40, 5000)], [side(2, 120), side(2, 120)]
        if layout == "square":
            image, kernel = [image[0]] * 2, [kernel[0]] * 2
        elif layout == "cell":
            image, kernel = [rng.choice((256, 512, 1024, 2048))] * 2, [rng.choice((3, 7, 15, 31, 63))] * 2
        elif layout == "rows":
            kernel = rng.choice(([1, kernel[0]], [kernel[0], 1], [1, 1], [1, 15]))
        elif layout == "signal":
            image, kernel = [side(100, 10**6)], [side(1, 2000)]
        asked.append({
            "image": image, "kernel": kernel, "dtype": rng.choice(("float32", "float32", "float64", "complex64")),
            "mode": rng.choice(("same", "same", "same", "full")), "threads": rng.choice((1, 1, 2, 8)),
            "device": rng.choice(("cpu", "cpu", "cpu", "cuda:0")), "separable": rng.random() < 0.4,
            "images": rng.choice((None, None, 1, 2, 10, 1000)),
            "available": rng.choice((None, None, None, ["pyfftw", "slow"])),
        })  # fmt: skip
    return asked


def answered(made: dict[str, Any], question: dict[str, Any]) -> dict[str, Any] | None:
    """What Python says; None where nothing is known."""
    chooser = python.Chooser(made)
    asked = python.Question(
        **{k: tuple(v) if k in ("image", "kernel") else v for k, v in question.items() if k != "available"}
    )
    available = question["available"]
    found = chooser.rank(asked, available) or python.modelled(asked, available, chooser.ceilings)
    return {"best": found[0], "all": found} if found else None


@needs_node
def test_python_and_the_page_agree() -> None:
    made, asked = table(), questions(600)
    hows: set[str] = set()
    silent = 0
    for question, theirs in zip(asked, node(ASK, {"table": made, "questions": asked}), strict=True):
        ours = answered(made, question)
        if ours is None:
            silent += 1
            assert theirs == {"error": "nothing is known of such a problem"}, question
            continue
        best, every = ours["best"], ours["all"]
        hows.add(f"{best.how} {best.backend}")
        assert "error" not in theirs, (question, theirs)
        assert (theirs["backend"], theirs["family"], theirs["how"]) == (best.backend, best.family, best.how), question
        assert theirs["threads"] == best.threads
        for name in ("seconds", "low", "high"):
            assert theirs[name] == pytest.approx(getattr(best, name), rel=1e-9), question
        assert theirs["ties"] == [one.backend for one in every[1:] if one.tied], question
        assert [one["backend"] for one in theirs["alternatives"]] == [one.backend for one in every]
        assert theirs["runner_up"] == (every[1].backend if len(every) > 1 else None)
        for one, other in zip(theirs["alternatives"], every, strict=True):
            assert one["error"] == pytest.approx(other.error, rel=1e-9), question
            if one["how"] == "measured":
                assert one["apart"] == pytest.approx(other.apart, rel=1e-9), question
            assert one["cost"] == pytest.approx(other.cost, rel=1e-9, abs=1e-12)
    assert {how.split()[0] for how in hows} == {"measured", "interpolated", "modelled"}
    assert len(hows) > 8
    assert 0 < silent < 200


@needs_node
def test_what_was_sampled_side_by_side_is_compared_side_by_side() -> None:
    made = cells({"a": Law("fft", lambda n, k: 1e-3), "b": Law("fft", lambda n, k: 1.1e-3)}, spread=0.3)
    moments = np.exp(np.random.default_rng(0).normal(0, 0.3, 15))
    made["samples"] = [list(t * moments) for t in made["execute_s"]]
    made["processes"] = [[15]] * len(made)
    new = json.loads(json.dumps(table_of(made)))
    old = json.loads(json.dumps(new))
    for entry in old["sets"][0]["backends"].values():
        del entry["apart_pct"]
    asked = [{"image": [512, 512], "kernel": [15, 15], "images": images} for images in (None, 1, 10**6)]
    for given, ties in ((new, [[], ["b"], []]), (old, [["b"], ["b"], ["b"]])):
        assert [one["ties"] for one in node(ASK, {"table": given, "questions": asked})] == ties
        ours = [answered(given, {**question, "available": None}) for question in asked]
        assert [[one.backend for one in found["all"][1:] if one.tied] for found in ours if found] == ties


@needs_node
def test_the_public_answer_is_the_pages() -> None:
    made = table()
    asked = {"image": [480, 640], "kernel": [13, 17], "threads": 2, "images": 50, "available": sorted(LAWS)}
    (theirs,) = node(ASK, {"table": made, "questions": [asked]})
    ours = recommend((480, 640), (13, 17), threads=2, images=50, table=made, available=set(LAWS))
    assert (theirs["backend"], theirs["runner_up"], theirs["ties"]) == (ours.backend, ours.runner_up, ours.ties)
    assert theirs["runner_up_cost"] == pytest.approx(ours.runner_up_cost, rel=1e-9)
    assert theirs["machine"] == ours.machine == "lab"


@needs_node
def test_sizes_and_features_are_the_same() -> None:
    sizes = [*range(1, 2000), 65537, 10**6 + 1, 10**8 + 7]
    rng = random.Random(1)
    asked = [
        (kind, [rng.randrange(1, 3000), rng.randrange(1, 3000)], [rng.randrange(1, 90), rng.randrange(1, 90)], mode)
        for kind in KINDS
        for mode in ("same", "full")
        for _ in range(50)
    ]
    found = node(SIZES, {"sizes": sizes, "features": asked})
    assert found["sizes"] == [quick_size(n) for n in sizes]
    for one, theirs in zip(asked, found["features"], strict=True):
        assert theirs == pytest.approx(features(one[0], tuple(one[1]), tuple(one[2]), one[3])[:2], rel=1e-12)


@needs_node
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image": [0, 5]}, "at least 1"),
        ({"image": [4.5, 5]}, "whole numbers"),
        ({"image": "1024"}, "whole numbers"),
        ({"image": [4, 5, 3]}, "whole numbers"),
        ({"kernel": [9]}, "same number of axes"),
        ({"images": 0}, "images must be"),
        ({"mode": "valid", "kernel": [2000, 3]}, "no longer than the image"),
    ],
)
def test_a_wrong_question_is_an_error(change: dict[str, Any], told: str) -> None:
    (found,) = node(ASK, {"table": table(), "questions": [{"image": [512, 512], "kernel": [5, 5], **change}]})
    assert told in found["error"]


@needs_node
def test_another_format_is_an_error() -> None:
    asked = [{"image": [512, 512], "kernel": [5, 5]}]
    for wrong in ({**table(), "version": 2}, {}, None):
        (found,) = node(ASK, {"table": wrong, "questions": asked})
        assert "no chooser's table" in found["error"]


def test_the_script_has_the_constants_of_the_cost_model() -> None:
    """Also where there is no node."""
    text = SCRIPT.read_text()
    for name, value in cost.DESKTOP.items():
        assert f"{name}: {value:g}" in text
    named = {
        "DIRECT": cost._DIRECT, "SIGNAL": cost._SIGNAL, "PASSES": cost._PASSES, "FFT": cost._FFT, "CALL": cost._CALL,
        "RANK": cost._RANK, "RANK_SAMPLE": cost._RANK_SAMPLE, "PLAN": cost._PLAN, "KERNEL": cost._KERNEL,
        "L3": cost._L3, "COVERAGE": python.COVERAGE, "LEAST_OUTSIDE": python.LEAST_OUTSIDE,
        "ONCE_ERROR": python.ONCE_ERROR, "VERSION": python.VERSION,
    }  # fmt: skip
    for name, value in named.items():
        (given,) = {float(part.split(",")[0].split(";")[0]) for part in text.split(f" {name} = ")[1:]}
        assert given == value, name


def test_the_script_can_stand_in_a_page() -> None:
    assert "</" not in SCRIPT.read_text(), "it would end the page's script element"
