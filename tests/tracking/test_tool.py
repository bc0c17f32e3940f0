"""tools/tracking.py: what it plants, and how it counts."""

from __future__ import annotations

import subprocess
import sys

import programs
import pytest

TIMES = """
import statistics, sys, time
import convbench
problem = convbench.Problem((4096,), (33,))
data = problem.image()
plan = convbench.get_backend(sys.argv[1]).plan(problem, problem.kernel())
def seconds():
    start = time.perf_counter()
    plan.execute(data)
    return time.perf_counter() - start
print(statistics.median(seconds() for _ in range(300)))
"""


@pytest.fixture(scope="module")
def tool():
    return programs.program("tracking")


def test_what_is_planted_takes_longer_by_that_share(tool, tmp_path):
    place = tool.repository(tmp_path, "numpy", (0, 300))

    def median(tag):
        subprocess.run(["git", "checkout", "-q", tag], cwd=place, check=True)
        done = subprocess.run(
            [sys.executable, "-c", TIMES, "numpy"], cwd=place, check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    assert 2 < median("slower-300") / median("slower-0") < 8
    assert tool.repository(tmp_path, "numpy") == place  # made once


def test_the_count(tool):
    runs = [
        {"share": 0, "verdicts": [["a", "same"], ["b", "faster"]]},
        {"share": 10, "verdicts": [["a", "slower"], ["b", "same"]]},
        {"share": 10, "verdicts": [["a", "cannot tell"], ["b", "slower"]]},
    ]
    none, ten = tool.tally(runs, "a")
    assert none[:6] == ["0 %", "4", "1", "1", "2", "0"]
    assert none[7] == "50.0%" and none[-1] == "not met"
    assert ten[:6] == ["10 %", "2", "1", "0", "0", "1"]
    assert ten[7] == "50.0%" and ten[-1] == "not met"
    assert len(none) == len(ten) == len(tool.COLUMNS)
    (all_found,) = tool.tally([{"share": 10, "verdicts": [["a", "slower"]] * 40}], "a")
    assert all_found[-1] == "met"
