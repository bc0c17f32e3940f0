"""Large results: all is read, in one process or several, in little memory. `python tools/scale.py` shows the full size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from large import BLOCK, backends, write_large

CELLS, COMMITS = BLOCK, 4
MEGABYTES = 600
"""What reading them may take, the libraries included: those alone need 200."""

READ = """
import json, re, sys
from pathlib import Path
from convbench.analysis import table
from convbench.analysis.schema import measured
table.SAMPLED_BYTES = int(sys.argv[3])
if __name__ == "__main__":
    told = []
    found = table.read_results(sys.argv[1], progress=lambda *step: told.append(step), workers=int(sys.argv[2]))
    cells = found.cells
    newest = cells["commit"] == cells.loc[cells["date"].idxmax(), "commit"]
    print(json.dumps({
        "rows": len(cells), "measured": len(measured(cells)), "pairs": len(found.pairs), "problems": found.problems,
        "progress": told, "sampled": int(cells["samples"].str.len().gt(0).sum()),
        "newest": sorted({tuple(map(len, s)) for s in zip(cells["samples"][newest], cells["processes"][newest])}),
        "sums": [float(cells[c].sum()) for c in ("execute_s", "execute_low_s", "one_shot_s", "plan_s", "error_ulp")],
        "times": cells.groupby("commit")["execute_s"].sum().to_dict(),
        # not ru_maxrss: a process inherits that of the one that started it
        "megabytes": int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
    }))
"""


def read(folder: Path, workers: int, sampled_bytes: int) -> dict[str, Any]:
    script = folder.with_name("read.py")
    script.write_text(READ)
    command = [sys.executable, str(script), str(folder), str(workers), str(sampled_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_large(tmp_path_factory.mktemp("large") / "results", CELLS, COMMITS)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_all_is_read_in_little_memory(results: Path) -> None:
    found = read(results, 1, 1 << 40)
    assert (found["rows"], found["measured"], found["pairs"]) == (CELLS * COMMITS, CELLS * COMMITS, 60 * COMMITS)
    assert found["problems"] == []
    assert found["sampled"] == CELLS * COMMITS
    assert found["newest"] == [[21, 3]]
    assert [done for done, *_ in found["progress"]] == list(range(COMMITS))
    assert found["megabytes"] < MEGABYTES
    several = read(results, 2, 1 << 40)
    assert {**several, "megabytes": 0} == {**found, "megabytes": 0}


def test_of_much_evidence_only_the_newest_keeps_its_samples(results: Path) -> None:
    whole, found = read(results, 1, 1 << 40), read(results, 1, 0)
    assert found["sampled"] == CELLS
    assert found["newest"] == [[21, 3]]
    [(_, told)] = found["problems"]
    assert told.startswith(f"samples of {COMMITS - 1} older commits were left in their files")
    assert (found["rows"], found["sums"], found["times"]) == (whole["rows"], whole["sums"], whole["times"])


def test_the_generator_keeps_to_its_laws(results: Path) -> None:
    times = sorted(read(results, 1, 0)["times"].values(), reverse=True)
    slower = [time / times[-1] for time in times]
    assert slower == pytest.approx([1.1, 1 + 0.2 / 3, 1 + 0.1 / 3, 1.0], rel=0.01)
    assert len(backends()) == 25
    with pytest.raises(ValueError, match="multiple of 5000"):
        write_large(results, cells=1)
