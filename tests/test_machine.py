from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from convbench import ceilings, machine
from convbench.errors import ArgumentError


def test_describe_says_everything_in_words() -> None:
    found = machine.describe()
    assert set(found) == {
        *("machine", "cpu", "cores", "caches", "simd", "memory", "os", "kernel", "python"),
        *("blas", "governor", "turbo", "load", "gpu"),
    }
    assert all(isinstance(value, str) and value for value in found.values())
    assert found["cores"].startswith(f"{machine.cores()} of ")
    assert "threads" in found["blas"]


def test_describe_survives_a_system_that_shows_nothing(monkeypatch) -> None:
    monkeypatch.setattr(machine, "_read", lambda _: None)
    monkeypatch.setattr(machine, "_CPU", Path("/nowhere"))
    monkeypatch.setattr(machine, "_cpuinfo", lambda: {"model name": ""})
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    found = machine.describe()
    assert found["caches"] == found["simd"] == "unknown"
    assert found["turbo"].startswith("unknown")
    assert found["gpu"] == "none found by nvidia-smi"


def test_describe_imports_no_framework() -> None:
    code = """
import sys
from convbench import ceilings, machine
machine.describe(); machine.versions(); machine.warnings(0.01)
print([m for m in ("torch", "numba", "scipy", "pyfftw", "pandas", "matplotlib", "asv") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_versions_are_those_of_the_packages() -> None:
    import numpy as np

    found = machine.versions()
    assert list(found)[:2] == ["python", "convbench"]
    assert found["numpy"] == np.__version__
    assert {"scipy", "pyfftw", "fftw", "numba", "torch", "asv"} <= set(found)


def test_fftw_version_is_that_of_the_library() -> None:
    pyfftw = pytest.importorskip("pyfftw")
    assert machine.versions()["fftw"] in (machine.UNKNOWN, str(pyfftw.fftw_version).split("-")[0])


def test_missing_packages_are_named(monkeypatch) -> None:
    monkeypatch.setattr(machine, "_LIBRARIES", ("no-such-library",))
    assert machine.versions()["no-such-library"] == "not installed"


@pytest.mark.parametrize(
    ("node", "name"), [("box7", "box7"), ("my box/1", "my-box-1"), ("..", "unnamed"), ("", "unnamed")]
)
def test_machine_name_is_safe_in_a_path(monkeypatch, node: str, name: str) -> None:
    monkeypatch.setattr(machine.platform, "node", lambda: node)
    assert machine.machine_name() == name


def test_gpus_are_named_by_nvidia_smi(tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA X, 1024 MiB, 1.2'\necho 'NVIDIA Y, 2048 MiB, 1.2'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.describe()["gpu"] == "cuda:0 NVIDIA X, 1024 MiB, 1.2; cuda:1 NVIDIA Y, 2048 MiB, 1.2"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert machine.describe()["gpu"] == "none found by nvidia-smi"


def _system(monkeypatch, files: dict[str, str]) -> None:
    monkeypatch.setattr(
        machine, "_read", lambda path: next((v for k, v in files.items() if str(path).endswith(k)), None)
    )


@pytest.mark.parametrize(
    ("name", "value", "turbo"), [("no_turbo", "0", "on"), ("no_turbo", "1", "off"), ("boost", "1", "on")]
)
def test_turbo(monkeypatch, name: str, value: str, turbo: str) -> None:
    _system(monkeypatch, {name: value})
    assert machine.describe()["turbo"] == turbo


@pytest.fixture
def quiet(monkeypatch) -> None:
    for name in machine._THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: 0.0)
    monkeypatch.setattr(psutil, "cpu_times_percent", lambda _: object())
    _system(monkeypatch, {})


@pytest.mark.usefixtures("quiet")
def test_a_quiet_machine_gives_no_warning() -> None:
    assert machine.warnings(0) == []


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("arrange", "cause", "command"),
    [
        (lambda m: m.setattr(psutil, "cpu_percent", lambda _: 60.0), "other programs keep", "ps -eo pid"),
        (lambda m: m.setenv("OMP_NUM_THREADS", "4"), "OMP_NUM_THREADS=4 is set", "unset OMP_NUM_THREADS"),
        (lambda m: m.setenv("OPENBLAS_NUM_THREADS", "1"), "OPENBLAS_NUM_THREADS=1 is set", "unset OPENBLAS"),
        (lambda m: _system(m, {"scaling_governor": "powersave"}), "governor is powersave", "cpupower frequency-set"),
        (lambda m: _system(m, {"cpu.max": "50000 100000"}), "0.5 cores' worth", "taskset -c 0-0"),
        (lambda m: _system(m, {"quota_us": "50000", "period_us": "100000"}), "0.5 cores' worth", "--cpus"),
    ],
)
def test_each_warning_names_its_cause_and_a_command(monkeypatch, arrange, cause: str, command: str) -> None:
    arrange(monkeypatch)
    (found,) = machine.warnings(0)
    assert cause in found
    assert command in found


@pytest.mark.usefixtures("quiet")
def test_stolen_time(monkeypatch) -> None:
    class Times:
        steal = 12.0

    monkeypatch.setattr(psutil, "cpu_times_percent", lambda _: Times())
    (found,) = machine.warnings(0)
    assert "takes 12 %" in found
    assert "vmstat" in found


@pytest.mark.parametrize("threads", [1, 2])
def test_ceilings_are_positive(threads: int) -> None:
    found = ceilings.ceilings(threads, seconds=0.01)
    assert list(found) == ["fma_float32", "fma_float64", "copy"]
    assert all(value > 0 for value in found.values())


def test_ceilings_without_numba(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert ceilings.ceilings(seconds=0.001)["fma_float64"] > 0


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_ceilings_refuse_other_thread_counts(threads: object) -> None:
    with pytest.raises(ArgumentError, match=r"threads must be a positive int, got .* may use \d+"):
        ceilings.ceilings(threads)  # type: ignore[arg-type]
