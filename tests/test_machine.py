from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Box
from typing import Any

import psutil
import pytest
from fake_cuda import FakeDriver

from convbench import ceilings, machine
from convbench.backends import base, list_backends
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
    monkeypatch.setattr(machine, "devices", list)
    found = machine.describe()
    assert found["caches"] == found["simd"] == "unknown"
    assert found["turbo"].startswith("unknown")
    assert found["gpu"] == "none found by the NVIDIA driver"


def test_describe_imports_no_framework() -> None:
    code = """
import sys
from convbench import ceilings, machine
machine.describe(); machine.versions(); machine.warnings(0.01)
heavy = {"torch", "numba", "scipy", "pyfftw", "cv2", "tensorflow", "jax", "pytensor", "onnxruntime", "openvino", "ducc0"}
print(sorted((heavy | {"keras", "pandas", "matplotlib", "asv"}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_versions_are_those_of_the_packages() -> None:
    import numpy as np

    found = machine.versions()
    assert list(found)[:2] == ["python", "convbench"]
    assert found["numpy"] == np.__version__
    assert {"scipy", "pyfftw", "fftw", "numba", "torch", "opencv-python-headless", "asv"} <= set(found)


def test_fftw_version_is_that_of_the_library() -> None:
    pyfftw = pytest.importorskip("pyfftw")
    assert machine.versions()["fftw"] in (machine.UNKNOWN, str(pyfftw.fftw_version).split("-")[0])


def test_missing_packages_are_named(monkeypatch) -> None:
    monkeypatch.setattr(base, "distribution_version", {"numpy": "2.0", "scipy": "1.14"}.get)
    found = machine.timed_versions()
    assert found["scipy"] == "1.14"
    assert found["jax"] == "not installed"


def test_the_library_of_every_backend_has_a_version() -> None:
    found = machine.versions()
    assert {"numpy", *(backend.library.lower() for backend in list_backends())} <= set(found)
    others = {name for name in found if name.startswith(machine._CUDA_LIBRARIES)}  # of whichever came with numba-cuda
    assert set(machine.timed_versions()) == set(found) - {"python", "convbench", "fftw", "asv"} - others


@pytest.mark.parametrize(
    ("node", "name"), [("box7", "box7"), ("my box/1", "my-box-1"), ("..", "unnamed"), ("", "unnamed")]
)
def test_machine_name_is_safe_in_a_path(monkeypatch, node: str, name: str) -> None:
    monkeypatch.setattr(machine.platform, "node", lambda: node)
    monkeypatch.setattr(machine, "_cpuinfo", lambda: {"model name": "AMD EPYC 9654", "cpu family": "25", "model": "17"})
    assert machine.machine_name() == name


def test_virtual_machines_of_one_name_on_other_processors_are_other_machines(monkeypatch) -> None:
    monkeypatch.setattr(machine.platform, "node", lambda: "vm")
    for family, name in (("25", "vm-family25-model17"), ("26", "vm-family26-model17")):
        monkeypatch.setattr(
            machine, "_cpuinfo", lambda f=family: {"model name": "AMD EPYC", "cpu family": f, "model": "17"}
        )
        assert machine.machine_name() == name
        assert machine.describe()["cpu"] == f"AMD EPYC (family {family}, model 17)"


def test_devices_are_named_as_the_driver_does(monkeypatch) -> None:
    driver = FakeDriver("NVIDIA X", "NVIDIA Y")
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    first, second = machine.describe()["gpu"].split("; ")
    assert first == "cuda:0 NVIDIA X, 1024 MiB, up to 1980 MHz, driver 580.1, CUDA up to 13.0"
    assert second.startswith("cuda:1 NVIDIA Y")
    assert machine.conditions()["cuda:1_temperature_c"] == 40
    monkeypatch.setattr(machine, "_cpuinfo", lambda: {"model name": "AMD EPYC", "cpu family": "25", "model": "17"})
    assert machine.machine_name().endswith("-family25-model17-nvidia-x-nvidia-y")
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert machine.describe()["gpu"] == "none found by the NVIDIA driver"


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
    _sensors(monkeypatch)
    _system(monkeypatch, {})


def _sensors(
    monkeypatch, hot: float = 50.0, name: str = "coretemp", plugged: bool = True, available: float = 0.9, swap: int = 0
) -> None:
    """psutil finds these degrees of at most 100, share of available memory, bytes in swap."""
    monkeypatch.setattr(
        psutil, "sensors_temperatures", lambda: {name: [Box(current=hot, high=None, critical=100.0)]}, raising=False
    )
    monkeypatch.setattr(psutil, "sensors_battery", lambda: Box(power_plugged=plugged), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Box(total=1 << 30, available=int(available * 2**30)))
    monkeypatch.setattr(psutil, "swap_memory", lambda: Box(used=swap, sin=0, sout=0))


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
        (lambda m: _sensors(m, hot=99.0), "99 of at most 100 degrees", "sensors"),
        (lambda m: _sensors(m, plugged=False), "on its battery", "convbench machine"),
        (lambda m: _sensors(m, available=0.08), "only 0.1 of 1.0 GiB", "ps -eo pid,rss"),
        (lambda m: _sensors(m, swap=1 << 30), "1.0 GiB lie in swap", "swapoff"),
        (
            lambda m: _system(m, {"scaling_max_freq": "1200000", "cpuinfo_max_freq": "3500000"}),
            "kept at 1200 of 3500 MHz", "cpupower frequency-set --max 3500MHz",
        ),
        (lambda m: _system(m, {"quota_us": "50000", "period_us": "100000"}), "0.5 cores' worth", "--cpus"),
    ],
)  # fmt: skip
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


# -- conditions, before and after a run ---------------------------------------------------------------------------


def test_conditions_are_plain_json_and_quick() -> None:
    found = machine.conditions()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "time", "wall_s", "monotonic_s", "probe_s", "frequency_mhz", "frequency_cap_mhz", "frequency_possible_mhz", "load",
        "steal_s", "governor", "turbo", "affinity", "cores", "threads_environment", "memory_available_bytes", "memory_bytes",
        "temperature_c", "temperature_limit_c", "throttled", "on_battery", "swap_used_bytes", "swapped_bytes",
    }  # fmt: skip
    assert len(found["affinity"]) == machine.cores()
    assert 0 < found["probe_s"] < machine._PROBE_SECONDS
    assert machine.changes(found, found) == []


def test_conditions_of_a_system_that_shows_nothing(monkeypatch) -> None:
    def refuse() -> None:
        raise OSError("no sensors")

    _system(monkeypatch, {})
    for name in ("sensors_temperatures", "sensors_battery", "swap_memory"):
        monkeypatch.setattr(psutil, name, refuse, raising=False)
    monkeypatch.delattr(psutil, "sensors_battery")
    found = machine.conditions()
    hidden = {"frequency_mhz", "frequency_cap_mhz", "frequency_possible_mhz", "governor", "turbo"}
    hidden |= {"temperature_c", "temperature_limit_c", "throttled", "on_battery", "swap_used_bytes", "swapped_bytes"}
    assert {name for name, value in found.items() if value == "unknown"} == hidden
    assert machine.changes(found, found) == []


def test_conditions_are_what_the_system_shows(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_usable", lambda: [0, 3])
    _sensors(monkeypatch, hot=71.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    for core, megahertz in ((0, 3000), (1, 4000), (3, 2500)):
        folder = tmp_path / f"cpu{core}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "thermal_throttle").mkdir()
        (folder / "cpufreq" / "scaling_cur_freq").write_text(f"{megahertz}000\n")
        (folder / "thermal_throttle" / "core_throttle_count").write_text("2\n")
    (tmp_path / "cpu0" / "cpufreq" / "scaling_governor").write_text("performance\n")
    monkeypatch.setattr(machine, "_CPU", tmp_path)
    found = machine.conditions()
    assert found["frequency_mhz"] == {"0": 3000.0, "3": 2500.0}
    assert (found["governor"], found["throttled"], found["on_battery"]) == ("performance", 4, False)
    assert (found["temperature_c"], found["temperature_limit_c"]) == (71.5, 100.0)
    assert found["threads_environment"]["OMP_NUM_THREADS"] == "4"


def test_the_clock_of_a_virtual_machine_is_in_cpuinfo(monkeypatch) -> None:
    cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2596.138\n\nprocessor\t: 1\ncpu MHz\t\t: 2000.5\n"
    monkeypatch.setattr(machine, "_CPU", Path("/nowhere"))
    monkeypatch.setattr(machine, "_read", lambda path: cpuinfo if path == Path("/proc/cpuinfo") else None)
    assert machine._frequencies([1]) == {"1": 2000.5}


def test_the_temperature_of_a_disk_is_not_the_processors(monkeypatch) -> None:
    _sensors(monkeypatch, hot=99.0, name="nvme")
    assert machine.conditions()["temperature_c"] == "unknown"


QUIET: dict[str, Any] = {
    "monotonic_s": 100.0, "wall_s": 1e9, "frequency_mhz": {"0": 3000.0, "1": 1000.0}, "probe_s": 1e-4, "load": [0.5, 0.5, 0.5],
    "steal_s": 10.0, "cores": 2, "affinity": [0, 1], "throttled": 3, "temperature_c": 60.0, "temperature_limit_c": 100.0,
    "swapped_bytes": 0, "governor": "performance", "turbo": "on", "on_battery": False, "threads_environment": {},
}  # fmt: skip
LATER = {**QUIET, "monotonic_s": 1100.0, "wall_s": 1e9 + 1000}


@pytest.mark.parametrize(
    ("later", "cause"),
    [
        ({"frequency_mhz": {"0": 1000.0, "1": 2800.0}}, "the clock fell from 3000 to 2800 MHz"),
        ({"probe_s": 1.2e-4}, "takes 20% longer"),
        ({"throttled": 7}, "slowed down by heat 4 times"),
        ({"temperature_c": 98.0}, "98 of at most 100 degrees"),
        ({"load": [3.5, 1.0, 1.0]}, "the load rose from 0.5 to 3.5"),
        ({"steal_s": 110.0}, "took 5% of its time"),
        ({"swapped_bytes": 5 << 20}, "5 MiB went to swap"),
        ({"wall_s": 1e9 + 900}, "the wall clock went back by 100 s"),
        ({"wall_s": 1e9 + 4000}, "the machine slept, or its wall clock jumped, by 3000 s"),
        ({"governor": "powersave"}, "frequency governor changed from performance to powersave"),
        ({"on_battery": True}, "battery changed from False to True"),
        ({"affinity": [0]}, "usable cores changed from [0, 1] to [0]"),
        ({"monotonic_s": 5.0, "probe_s": 1.0}, "the machine was started anew"),
    ],
)
def test_what_changed_during_a_run_is_told(later: dict[str, Any], cause: str) -> None:
    (found,) = machine.changes(QUIET, {**LATER, **later})
    assert cause in found
    assert ": " in found


@pytest.mark.parametrize(
    "later",
    [
        {},
        {"frequency_mhz": {"0": 2900.0}},  # within 5 %
        {"frequency_mhz": "unknown"},
        {"probe_s": 1.05e-4},
        {"load": [2.6, 1.0, 1.0]},  # the run itself
        {"load": "unknown"},
        {"steal_s": 12.0},
        {"temperature_c": "unknown"},
        {"wall_s": 1e9 + 1001},
        {"governor": "unknown"},
        {"throttled": "unknown"},
    ],
)
def test_what_changed_little_or_is_unknown_is_not(later: dict[str, Any]) -> None:
    assert machine.changes(QUIET, {**LATER, **later}) == []
    assert machine.changes({}, {**LATER, **later}) == []


def test_turbo_and_hyperthreads_are_no_warnings_but_notes(monkeypatch) -> None:
    monkeypatch.setattr(machine, "_usable", lambda: [0, 1, 2, 3])
    _system(monkeypatch, {})
    assert machine.notes() == []
    pairs = {f"cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}" for n in range(4)}
    _system(monkeypatch, {**pairs, "no_turbo": "0"})
    turbo, shared = machine.notes()
    assert "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo" in turbo
    assert "taskset -c 0,1 convbench run" in shared
    monkeypatch.setattr(machine, "_usable", lambda: [0, 1])
    _system(monkeypatch, {**pairs, "boost": "1"})
    turbo, shared = machine.notes()
    assert "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost" in turbo
    assert "others may use its brother" in shared


NAMES = [
    *("fma_float32", "fma_float64", "l2_bytes", "copy_l2", "l3_bytes", "copy_l3", "copy"),
    *("fft_float32", "fft_float64"),
]


@pytest.mark.parametrize("threads", [1, 2])
def test_ceilings_are_all_there_and_sane(monkeypatch, threads: int) -> None:
    monkeypatch.setattr(machine, "caches", lambda: {2: (1 << 20, 1), 3: (16 << 20, 8)})
    found = ceilings.ceilings(threads, seconds=0.1)  # beside other tests, shorter ones may never have a core
    assert list(found) == NAMES
    assert all(value > 0 for value in found.values())
    assert found["l2_bytes"] == threads << 20  # one each
    assert found["l3_bytes"] == 16 << 20  # shared
    assert found["fft_float32"] < found["fma_float32"]


def test_registers_beat_loads_and_stores() -> None:
    import numpy as np

    assert ceilings._fma_rate("float32", 1, 0.05) > 1.5 * ceilings._fma_rate("float64", 1, 0.05)
    # As many multiply-adds on an array: whatever the machine, it has to fetch what registers hold.
    a, out = np.ones(1 << 18, np.float32), np.empty(1 << 18, np.float32)
    streamed = 2 * a.size / ceilings._best(lambda: np.multiply(a, a, out=out), 0.02) / 1e9
    assert ceilings._fma_rate("float32", 1, 0.05) > 2 * streamed


def test_copies_copy() -> None:
    import numpy as np

    from convbench.loops import copies

    source, target = np.arange(100, dtype=np.uint8), np.zeros(102, np.uint8)
    copies(target[1:101], source, 3)
    np.testing.assert_array_equal(target, [0, *range(100), 0])


@pytest.mark.parametrize(
    ("caches", "left_out"),
    [
        ({2: (1 << 20, 1)}, {"l3_bytes", "copy_l3"}),
        ({3: (1 << 20, 1)}, {"l2_bytes", "copy_l2"}),
        ({2: (4 << 20, 1), 3: (6 << 20, 1)}, {"l3_bytes", "copy_l3"}),  # half of it would lie in L2
        ({}, set()),  # not told: usual sizes
    ],
)
def test_a_cache_that_is_not_there_has_no_ceiling(monkeypatch, caches, left_out: set[str]) -> None:
    monkeypatch.setattr(machine, "caches", lambda: caches)
    monkeypatch.setattr(ceilings, "_copy_rate", lambda size, *_: float(size))
    assert {name for name in NAMES if "l2" in name or "l3" in name} - set(ceilings._copy_rates(1, 0)) == left_out


def test_ceilings_without_numba_and_pyfftw(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "convbench.loops", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setitem(sys.modules, "pyfftw", None)
    assert list(ceilings.ceilings(seconds=0.001)) == [name for name in NAMES if "fft" not in name]


def test_caches_are_read(monkeypatch, tmp_path: Path) -> None:
    for index, (level, size, shared) in enumerate([(1, "48K", "0"), (2, "2M", "0,32"), (3, "32768K", "0-7,32-39")]):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, value in (("level", level), ("size", size), ("shared_cpu_list", shared)):
            (folder / name).write_text(f"{value}\n")
    monkeypatch.setattr(machine, "_CPU", tmp_path)
    assert machine.caches() == {2: (2 << 20, 2), 3: (32 << 20, 16)}
    (tmp_path / "cpu0" / "cache" / "index2" / "size").write_text("unknown")
    assert machine.caches() == {2: (2 << 20, 2)}


def test_ceilings_are_kept_with_those_of_other_thread_counts(tmp_path: Path) -> None:
    assert ceilings.store_ceilings(tmp_path, "lab", {1: {"copy": 20.004, "l2_bytes": float(1 << 20)}}) == ""
    ceilings.store_ceilings(tmp_path, "lab", {2: {"copy": 30.0}})
    ceilings.store_ceilings(tmp_path, "lab", {1: {"copy": 21.0}})
    path = tmp_path / ceilings.FILE
    assert ceilings.read_ceilings(path, "lab") == {1: {"copy": 21.0}, 2: {"copy": 30.0}}
    content = json.loads(path.read_text())
    assert set(content) == {"machine", "measured_at", "versions", "cards", "ceilings"}
    assert list(content["ceilings"]) == ["1", "2"]
    assert ceilings.read_ceilings(tmp_path / "none", "lab") == {}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "\xff", "{}", '{"machine": "lab", "ceilings": {"one": {}}}', "[" * 100_000,
        '{"machine": "lab", "ceilings": {"1": {"copy": "fast"}}}', '{"machine": "lab", "ceilings": {"1": {"copy": NaN}}}',
        '{"machine": "lab", "ceilings": {"1": {"copy": -1}}}', '{"machine": "lab", "ceilings": {"1": 5}}',
        '{"machine": "another", "ceilings": {"1": {"copy": 5}}}',
    ],
)  # fmt: skip
def test_damaged_and_foreign_ceilings_are_put_aside(tmp_path: Path, content: str) -> None:
    path = tmp_path / ceilings.FILE
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match="holds"):
        ceilings.read_ceilings(path, "lab")
    told = ceilings.store_ceilings(tmp_path, "lab", {1: {"copy": 20.0}})
    assert "it was put aside as ceilings.jsonl.aside" in told
    assert ceilings.read_ceilings(path, "lab") == {1: {"copy": 20.0}}
    assert (tmp_path / "ceilings.jsonl.aside").read_bytes() == content.encode("latin-1")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_ceilings_refuse_other_thread_counts(threads: object) -> None:
    with pytest.raises(ArgumentError, match=r"threads must be a positive int, got .* may use \d+"):
        ceilings.ceilings(threads)  # type: ignore[arg-type]
