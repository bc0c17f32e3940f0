from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import programs
import pytest
from choosing import LAWS, Law, cells, chooser_of, table_of
from click.testing import CliRunner
from synthetic import REALISTIC, write_results

from convbench.grid import PRESETS

ROOT = Path(__file__).resolve().parent.parent
tool = programs.program("chooser")
LABEL = {asked.label: asked for asked in tool.held_out()}


def times(**execute: float) -> dict[str, Any]:
    return {
        "times": {name.replace("_", "-"): {"execute_s": s, "one_shot_s": 2 * s} for name, s in execute.items()},
        "left_out": {},
    }


def test_what_is_held_out_is_in_no_preset_and_varied() -> None:
    asked = tool.held_out()
    assert 50 <= len(asked) <= 70
    assert len(LABEL) == len(asked)
    measured = {(n, k) for p in PRESETS.values() for s in p.slices for n in s.images for k in s.kernels}
    assert all((a.problem.image_shape[-1], a.problem.kernel_shape[-1]) not in measured for a in asked)
    for kinds in ({a.problem.dtype for a in asked}, {a.separable for a in asked}):
        assert len(kinds) == 2
    for start in (asked, asked[:15]):
        assert len({a.problem.image_shape for a in start}) >= 5
        assert len({a.problem.kernel_shape for a in start}) >= 8


def test_any_start_of_what_is_held_out_is_a_balanced_sample() -> None:
    asked = tool.held_out()
    whole = Counter(trait for a in asked for trait in a.traits)
    for size in (20, 40, 50):
        seen = Counter(trait for a in asked[:size] for trait in a.traits)
        for trait, count in whole.items():
            assert abs(seen[trait] - count * size / len(asked)) <= 1.5, (size, trait)


def test_regret_is_what_was_chosen_over_the_best() -> None:
    asked = next(
        a for a in tool.held_out() if not a.separable and a.problem.dtype == "float32" and a.problem.terms > 700
    )
    found = tool.scored(
        asked,
        times(pyfftw=2e-3, scipy_fft=8e-3, scipy_direct=4e-3, numba_direct=1e-3),
        chooser_of(cells({"pyfftw": LAWS["pyfftw"], "numba-direct": Law("direct", lambda n, k: 1e-8 * n * n * k)})),
    )
    found = {what: one.regret for what, one in found.items()}
    assert found["recommend, amortised"] == pytest.approx(1.0)
    assert found["recommend, one image"] == pytest.approx(1.0)
    assert found["scipy.signal.choose_conv_method, over the best of all"] == pytest.approx(7.0)
    assert found["scipy.signal.choose_conv_method, over the better of its two"] == pytest.approx(1.0)


def test_a_choice_that_has_no_time_is_not_replaced_by_the_next() -> None:
    asked = next(a for a in tool.held_out() if not a.separable and a.problem.terms > 700)
    chooser = chooser_of(cells({"pyfftw": LAWS["pyfftw"], "slow": LAWS["slow"]}, dtype=asked.problem.dtype))
    kept = times(slow=4e-3, scipy_direct=1e-3)
    assert tool.ranked(asked, None, chooser, {"pyfftw", "slow"})[0].backend == "pyfftw"
    wrong = {**kept, "left_out": {"pyfftw": "failed: wrong", "scipy-fft": "n/a: no"}}
    found = tool.scored(asked, wrong, chooser)
    assert found["recommend, amortised"] == tool.Score(None)
    assert found["scipy.signal.choose_conv_method, over the best of all"] == tool.Score(None)
    late = {**kept, "budget_s": 0.1, "left_out": {"pyfftw": "skipped: long", "scipy-fft": "skipped: long"}}
    found = tool.scored(asked, late, chooser)
    assert found["recommend, amortised"] == tool.Score(pytest.approx(99.0), least=True)
    assert found["recommend, one image"] == tool.Score(pytest.approx(49.0), least=True)
    assert found["scipy.signal.choose_conv_method, over the better of its two"].least


def test_scipys_choice_is_right_where_its_other_method_is_over_the_budget() -> None:
    asked = next(a for a in tool.held_out() if not a.separable and a.problem.terms > 700)
    kept = {**times(scipy_fft=1e-3, pyfftw=1e-4), "left_out": {"scipy-direct": "skipped: long"}}
    found = tool.scored(asked, kept, chooser_of(cells(dtype=asked.problem.dtype)))
    assert found["scipy.signal.choose_conv_method, over the better of its two"] == tool.Score(0.0)
    assert found["scipy.signal.choose_conv_method, over the best of all"] == tool.Score(pytest.approx(9.0))


def test_the_summary_has_mean_median_and_tail_and_counts_what_has_no_time() -> None:
    known = [{"a": tool.Score(v / 100, least=v > 98)} for v in range(101)]
    (row,) = tool.summary([*known, {"a": tool.Score(None)}])
    assert (row["problems"], row["mean"], row["median"], row["95th percentile"], row["worst"]) == (101, 50, 50, 95, 100)
    assert (row["at least"], row["untimed"]) == (2, 1)
    (row,) = tool.summary([{"a": tool.Score(None)}])
    assert (row["problems"], row["untimed"], row["mean"]) == (0, 1, None)
    assert tool.drawn([row], "none").row_count == 1


def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "table.json"
    table.write_text(json.dumps(table_of(cells())))
    seen: list[str] = []

    def measured(asked: Any, names: list[str]) -> dict[str, Any]:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(asked.label)
        return {"label": asked.label, **times(**{name.replace("-", "_"): 1e-3 for name in names})}

    monkeypatch.setattr(tool, "measured", measured)
    monkeypatch.setattr(tool.console, "warn", list)
    arguments = ["--table", str(table), "--limit", "4", "--out", str(tmp_path)]
    assert CliRunner().invoke(tool.main, arguments).exit_code == 1
    (path,) = tmp_path.glob("regret-*.json")
    assert [cell["label"] for cell in json.loads(path.read_text())["cells"]] == seen[:2]
    before = seen.copy()
    seen.clear()
    done = CliRunner().invoke(tool.main, arguments)
    assert done.exit_code == 0, done.output
    assert [cell["label"] for cell in json.loads(path.read_text())["cells"]] == before + seen
    assert len(seen) == 2
    assert not set(before) & set(seen)
    assert "choose_conv_method" in path.with_suffix(".txt").read_text()
    path.write_text("{")
    assert "damaged" in CliRunner().invoke(tool.main, arguments).output


def test_stored_results_are_scored_without_timing(tmp_path: Path) -> None:
    write_results(tmp_path, REALISTIC, images=(256, 512, 1024))
    done = CliRunner().invoke(tool.main, ["--stored", "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "recommend, amortised, separable" in done.output
