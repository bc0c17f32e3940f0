"""Compiled functions on disk: found again, rebuilt where damaged, never fatal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

CODE = """
import numpy as np
from convbench import Problem, get_backend
from convbench.backends import _numba_cache
from scipy.signal import convolve2d

compiled = []
save = _numba_cache._Disk.save_overload
_numba_cache._Disk.save_overload = lambda self, sig, data: (compiled.append(self.name), save(self, sig, data))
for k in (3, 5):
    problem = Problem((20, 30), (k, k))
    image, kernel = np.round(9 * problem.image()), np.round(9 * problem.kernel())
    plan = get_backend("numba-direct").plan(problem, kernel)
    assert np.array_equal(plan(image), convolve2d(image, kernel, "same"))
print(len(compiled))
"""


def compiled(cache: Path) -> int:
    """How many functions a new process compiles."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the cache folder is set by XDG_CACHE_HOME on Linux")
def test_the_second_process_compiles_nothing_and_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    assert compiled(tmp_path) == 2
    assert compiled(tmp_path) == 0
    one, two = sorted((tmp_path / "convbench" / "numba").glob("*.bin"))
    whole = one.read_bytes()
    one.write_bytes(whole[: len(whole) // 2])
    two.write_bytes(two.read_bytes()[:-1] + b"\0")
    assert compiled(tmp_path) == 2
    assert one.read_bytes() != whole[: len(whole) // 2]
    assert compiled(tmp_path) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the cache folder is set by XDG_CACHE_HOME on Linux")
def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "convbench").write_text("a file where the folder would be")
    assert compiled(tmp_path) == 2


def test_the_name_holds_everything_that_the_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from convbench.backends import _numba_cache as cache

    class Codegen:
        def __init__(self, *processor: str) -> None:
            self.processor = processor

        def magic_tuple(self) -> tuple[str, ...]:
            return self.processor

    disk = cache._Disk("direct_3")
    names = {disk._path("(f4)", Codegen("zen5"))}
    names.add(disk._path("(f8)", Codegen("zen5")))
    names.add(disk._path("(f4)", Codegen("zen4")))
    monkeypatch.setattr(cache, "_made_by", lambda: "another version of the code, or of numba")
    names.add(disk._path("(f4)", Codegen("zen5")))
    assert len(names) == 4
