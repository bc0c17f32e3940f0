"""FFTW wisdom is kept between runs, and whatever is wrong with the file costs planning time only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyfftw
import pytest

from convbench.backends import _fftw, get_backend
from convbench.backends import _fftw_wisdom as wisdom
from convbench.backends._memory import spread
from convbench.problem import Problem


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache" / "fftw.wisdom"
    monkeypatch.setattr(wisdom, "wisdom_file", lambda: path)
    pyfftw.forget_wisdom()
    return path


def new_process() -> None:
    """As if this were one: FFTW knows nothing, and nothing has been loaded."""
    pyfftw.forget_wisdom()
    wisdom._loaded.clear()


def plan(size: int) -> None:
    array = spread((size,), np.complex64)
    with _fftw.planning() as fft:
        fft(array, array, (0,))


def knows(size: int) -> bool:
    array = spread((size,), np.complex64)
    try:
        pyfftw.FFTW(array, array, flags=("FFTW_MEASURE", "FFTW_WISDOM_ONLY"))
    except RuntimeError:
        return False
    return True


def test_kept_for_the_next_run(file: Path) -> None:
    plan(60)
    assert file.is_file()
    new_process()
    assert not knows(60)
    wisdom.load()
    assert knows(60)


def test_written_only_when_something_was_learnt(file: Path) -> None:
    plan(60)
    before = file.stat()
    plan(60)
    new_process()
    plan(60)
    after = file.stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_merged_with_what_others_wrote(file: Path) -> None:
    plan(60)
    content = file.read_bytes()
    file.unlink()
    new_process()
    plan(70)  # knows nothing of 60
    other_only = file.read_bytes()
    file.write_bytes(content)  # as if another process had written meanwhile
    plan(84)
    new_process()
    wisdom.load()
    assert knows(60)
    assert knows(70)
    assert knows(84)
    assert other_only != content


def test_processes_at_once_lose_nothing(file: Path) -> None:
    code = (
        "import sys, pathlib, numpy as np\n"
        "from convbench.backends import _fftw, _fftw_wisdom\nfrom convbench.backends._memory import spread\n"
        "_fftw_wisdom.wisdom_file = lambda: pathlib.Path(sys.argv[1])\n"
        "for size in map(int, sys.argv[2:]):\n"
        "    a = spread((size,), np.complex64)\n"
        "    with _fftw.planning() as fft: fft(a, a, (0,))\n"
    )
    sizes = [("60", "70", "84"), ("90", "96", "100"), ("108", "110", "120")]
    running = [subprocess.Popen([sys.executable, "-c", code, str(file), *some]) for some in sizes]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    new_process()
    wisdom.load()
    assert all(knows(int(size)) for some in sizes for size in some)


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut short", "a changed digit", "foreign", "a folder"])
def test_damaged_file_is_rebuilt(file: Path, damage: str) -> None:
    plan(60)
    whole = file.read_bytes()
    file.unlink()
    at = whole.rindex(b"#x") + 3
    foreign = b"\0".join([b"(fftw-9.9.9 fftw_wisdom #x1 #x2 #x3 #x4\n)\n"] * 3)
    contents = {
        "garbage": bytes(range(256)) * 20,
        "empty": b"",
        "cut short": whole[: len(whole) // 2],
        "a changed digit": whole[:at] + (b"1" if whole[at : at + 1] != b"1" else b"2") + whole[at + 1 :],
        "foreign": wisdom._checksum(foreign) + b"\n" + foreign,
    }
    if damage == "a folder":
        file.mkdir()
    else:
        file.write_bytes(contents[damage])
    new_process()
    wisdom.load()
    assert not knows(60)
    problem = Problem((40, 41), (3, 3))
    output = get_backend("pyfftw").plan(problem, problem.kernel())(problem.image())
    wanted = get_backend("scipy-direct").plan(problem, problem.kernel())(problem.image())
    np.testing.assert_allclose(output, wanted, atol=1e-5)
    plan(60)
    new_process()
    wisdom.load()
    assert knows(60) == (damage != "a folder")


def test_folder_that_cannot_be_written(file: Path) -> None:
    file.parent.parent.mkdir(exist_ok=True)
    file.parent.write_text("a file where the folder should be")  # refuses root as well, unlike permissions
    plan(60)
    assert knows(60)
    assert file.parent.is_file()


def test_read_only_folder(file: Path) -> None:
    file.parent.mkdir()
    file.parent.chmod(0o500)
    try:
        plan(60)
        assert knows(60)
    finally:
        file.parent.chmod(0o700)


def test_wisdom_of_another_processor_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    wisdom._maker.cache_clear()
    here = wisdom._maker()
    monkeypatch.setattr(pyfftw, "fftw_version", "fftw-9.9.9")
    wisdom._maker.cache_clear()
    assert wisdom._maker() != here
    wisdom._maker.cache_clear()
