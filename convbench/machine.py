"""Which machine is this, is it quiet, and what is the most it could do?"""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import math
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from convbench.backends import BUILT_IN, list_backends
from convbench.backends.base import distribution_version
from convbench.cuda.facts import VISIBLE, cards, devices
from convbench.disturbance import changes as changes
from convbench.disturbance import strained

_CPU = Path("/sys/devices/system/cpu")
_SIMD = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_fp16",
    "neon",
    "asimd",
    "sve",
)
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
_CUDA_LIBRARIES = ("nvidia-cuda-runtime", "nvidia-cudnn", "nvidia-cufft")
UNKNOWN = "unknown"

# Of a probe of the clock: this many seconds of hashing blocks of this many bytes, of which the quickest counts.
_PROBE_SECONDS, _PROBE_BYTES = 0.01, 1 << 16
_FREQUENCY_SECONDS = 0.01
"""Reading the clock of a core may take a millisecond: beyond this the other cores are left out."""
_HOT = re.compile(r"core|cpu|k10|zen|soc|pkg|acpi|thermal", re.IGNORECASE)
"""Names of the sensors that tell of the processor; disks and radios have some too."""


def machine_name() -> str:
    """A short name that is safe in a path: the host's, and the processor's family and model where it has no number,
    then with the names of its CUDA cards.

    Virtual machines of one name run on other processors from day to day, and their times do not compare.
    """
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", platform.node()).strip(".-") or "unnamed"
    kind = [f"{word}{value}" for word, value in _cpu_kind().items()]
    if kind:  # a virtual machine is lent other cards from day to day, too
        kind += [re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-") for card in dict.fromkeys(cards())]
    return "-".join([host, *kind])


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def caches() -> dict[int, tuple[int, int]]:
    """Of each cache level from the second on: its bytes, and how many cores share one; {} where no system tells."""
    found = {}
    for index in sorted((_CPU / "cpu0" / "cache").glob("index*")):
        level, size, shared = (_read(index / name) or "" for name in ("level", "size", "shared_cpu_list"))
        number = re.fullmatch(r"(\d+)([KMG])", size)
        if level.isdigit() and int(level) > 1 and number:
            spans = re.findall(r"(\d+)(?:-(\d+))?", shared)
            sharing = sum(int(last or first) - int(first) + 1 for first, last in spans)
            found[int(level)] = (int(number[1]) << {"K": 10, "M": 20, "G": 30}[number[2]], max(1, sharing))
    return found


def describe() -> dict[str, str]:
    """What matters to a timing, by name, in words; what cannot be read is 'unknown'. Imports no framework."""
    import psutil

    memory = psutil.virtual_memory()
    quota = _cpu_quota()
    return {
        "machine": machine_name(),
        "cpu": _cpu_model(),
        "cores": f"{cores()} of {os.cpu_count()} usable" + (f", quota {quota:g}" if quota else ""),
        "caches": _caches(),
        "simd": " ".join(f for f in _SIMD if f in _cpu_flags()) or UNKNOWN,
        "memory": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} available",
        "os": _os_name(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "blas": _blas(),
        "governor": _governor() or f"{UNKNOWN} (not shown by this system)",
        "turbo": _turbo(),
        "load": _load(),
        "gpu": _gpu(),
    }


def timed_versions() -> dict[str, str]:
    """Versions of what is timed: NumPy and the libraries of the built-in backends; imports none of them.

    Names are in lower case, 'not installed' included.
    """
    found = {"numpy": distribution_version("numpy")}
    for backend in list_backends()[: len(BUILT_IN)]:
        name = backend.library.lower()
        found[name] = found.get(name) or backend.version()
    return {name: version or "not installed" for name, version in found.items()}


def versions() -> dict[str, str]:
    """Versions of what is timed and of what times it, 'not installed' included; imports nothing."""
    found = {"python": platform.python_version()}
    found["convbench"] = distribution_version("convbench") or "not installed"
    for name, version in timed_versions().items():
        found[name] = version
        if name == "pyfftw":
            found["fftw"] = _fftw_version()
    found["asv"] = distribution_version("asv") or "not installed"
    runtime = [name + suffix for name in _CUDA_LIBRARIES for suffix in ("", "-cu13", "-cu12")]
    return found | {name: own for name in runtime if (own := distribution_version(name))}


def warnings(seconds: float = 0.3) -> list[str]:
    """What would disturb a measurement now, each with its cause and the command that mends it.

    seconds: how long to watch the other processes. An empty list means that nothing was found.
    """
    return [*_other_load(seconds), *_frequency(), *_other_programs(), *strained(conditions()), *_environment()]


def conditions() -> dict[str, Any]:
    """How the machine is doing at this moment, to be recorded before and after a run; takes some 20 ms.

    Plain JSON: MHz, degrees Celsius, seconds, bytes; what the system does not show is 'unknown'. `probe_s` is the least
    time of a fixed piece of work: it goes as one over the clock, also where a virtual machine does not show the clock.
    """
    import psutil

    probe = _probe()  # first: it raises the clock that is read next
    memory, usable = psutil.virtual_memory(), _usable()
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "wall_s": time.time(),
        "monotonic_s": time.monotonic(),
        "probe_s": probe,
        "frequency_mhz": _frequencies(usable) or UNKNOWN,
        **_frequency_limits(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else UNKNOWN,
        "steal_s": getattr(psutil.cpu_times(), "steal", UNKNOWN),
        "governor": _governor() or UNKNOWN,
        "turbo": _turbo().split(" ")[0],
        "affinity": usable,
        "cores": os.cpu_count() or 1,
        "threads_environment": {name: os.environ[name] for name in _THREAD_VARIABLES if os.environ.get(name)},
        **{f"{one.place}_{name}": value for one in devices() for name, value in one.conditions.items()},
        "memory_available_bytes": memory.available,
        "memory_bytes": memory.total,
        **_power_and_memory(),
    }


def notes() -> list[str]:
    """What makes times depend on more than the code, yet is usual and no reason to warn; each with its command."""
    found = []
    if _turbo() == "on":
        intel = _read(_CPU / "intel_pstate" / "no_turbo") is not None
        off = ("1", _CPU / "intel_pstate" / "no_turbo") if intel else ("0", _CPU / "cpufreq" / "boost")
        found.append(
            "turbo is on: the clock depends on heat and on how many cores are busy, so that times of another day "
            "may differ, less so ratios: turn it off with `echo {} | sudo tee {}`".format(*off)
        )
    usable = set(_usable())
    cores = sorted({_siblings(core) for core in usable}, key=min)
    if any(len(usable & core) > 1 for core in cores):
        one_each = ",".join(str(min(usable & core)) for core in cores)
        found.append(
            f"some of the usable cores are hyperthreads of one core, where two threads are slower than on two cores: "
            f"`taskset -c {one_each} convbench run` takes one of each"
        )
    elif any(core - usable for core in cores):
        found.append(
            "each usable core is one of two hyperthreads, and others may use its brother: "
            "`lscpu --extended` shows them, `taskset -p $$` the usable ones"
        )
    return found


# -- reading the system ------------------------------------------------------------------------------------------


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


@functools.cache
def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; elsewhere what py-cpuinfo finds, which takes a second."""
    text = (_read(Path("/proc/cpuinfo")) or "").split("\n\n")[0]
    found = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}
    if "model name" in found:
        return found
    try:
        import cpuinfo

        info = cpuinfo.get_cpu_info()
    except Exception:  # it runs other programs, and must not take this one down
        info = {}
    flags = " ".join(info.get("flags", [])) or found.get("Features", "")
    return {"model name": info.get("brand_raw", ""), "flags": flags}


def _cpu_model() -> str:
    """The processor's name, with what tells it apart where the name does not."""
    kind = ", ".join(f"{word} {value}" for word, value in _cpu_kind().items())
    return f"{_cpu_name()} ({kind})" if kind else _cpu_name()


def _cpu_name() -> str:
    return _cpuinfo()["model name"] or platform.processor() or platform.machine() or UNKNOWN


def _cpu_kind() -> dict[str, str]:
    """Family and model of a processor whose name has no number, as virtual machines show it; else nothing."""
    info = _cpuinfo()
    if any(map(str.isdigit, _cpu_name())):
        return {}
    return {word: info[key] for word, key in (("family", "cpu family"), ("model", "model")) if info.get(key)}


def _cpu_flags() -> set[str]:
    return set(_cpuinfo().get("flags", "").split())


def _caches() -> str:
    found = []
    for index in sorted((_CPU / "cpu0" / "cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if level and size and kind != "Instruction":
            found.append(f"L{level}{'d' if kind == 'Data' else ''} {size}")
    return ", ".join(found) or UNKNOWN


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def _gpu() -> str:
    """The devices that CUDA shows, and how many it does not."""
    found, every = devices(), cards()
    hidden = f"{len(every) - len(found)} hidden by {VISIBLE}" if len(every) > len(found) else ""
    return "; ".join(filter(None, (*map(str, found), hidden))) or "none found by the NVIDIA driver"


def _blas() -> str:
    import numpy  # noqa: F401  (loads the library that is to be found)
    import threadpoolctl

    found = [
        f"{pool['internal_api']} {pool['version'] or '?'}, {pool['num_threads']} threads "
        f"({Path(pool['filepath']).parent.name})"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return "; ".join(found) or UNKNOWN


def _governor() -> str | None:
    return _read(_CPU / "cpu0" / "cpufreq" / "scaling_governor")


def _turbo() -> str:
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        if (value := _read(_CPU / name)) is not None:
            return "on" if value == on else "off"
    return f"{UNKNOWN} (not shown by this system)"


def _load() -> str:
    try:
        return " ".join(f"{value:.2f}" for value in os.getloadavg()) + " (1, 5, 15 minutes)"
    except (OSError, AttributeError):
        return UNKNOWN


def _cpu_quota() -> float | None:
    """Cores' worth of time that a container may use, None where there is no limit."""
    quota, period = ((_read(Path("/sys/fs/cgroup/cpu.max")) or "max") + " 1").split()[:2]
    if quota == "max":
        quota = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")) or "-1"
        period = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")) or "1"
    return int(quota) / int(period) if int(quota) > 0 else None


def _fftw_version() -> str:
    """The version of FFTW that comes inside pyfftw, read off the library file, which is quicker than loading it."""
    try:
        files = importlib.metadata.files("pyfftw") or []
        library = next(f for f in files if re.match(r"libfftw3[-.]", f.name))
        match = re.search(rb"fftw-(\d+\.\d+\.\d+)", Path(str(library.locate())).read_bytes())
    except (importlib.metadata.PackageNotFoundError, StopIteration, OSError):
        match = None
    return match[1].decode() if match else UNKNOWN


def _usable() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _siblings(core: int) -> frozenset[int]:
    """The hyperthreads of a core, itself included."""
    spans = re.findall(
        r"(\d+)(?:-(\d+))?", _read(_CPU / f"cpu{core}" / "topology" / "thread_siblings_list") or str(core)
    )
    return frozenset(n for first, last in spans for n in range(int(first), int(last or first) + 1))


def _probe() -> float:
    """Seconds that a fixed piece of arithmetic takes at least."""
    block, clock = bytes(_PROBE_BYTES), time.perf_counter
    best, end = math.inf, clock() + _PROBE_SECONDS
    while (start := clock()) < end:
        hashlib.sha256(block).digest()
        best = min(best, clock() - start)
    return best


def _frequencies(usable: list[int]) -> dict[str, float]:
    """MHz by core, of as many as a hundredth of a second suffices for; {} where the system does not show it.

    The core's own file where there is one, else /proc/cpuinfo (a virtual machine's is the nominal clock).
    """
    found, end = {}, time.perf_counter() + _FREQUENCY_SECONDS
    for core in usable:
        kilohertz = _read(_CPU / f"cpu{core}" / "cpufreq" / "scaling_cur_freq") or ""
        if not kilohertz.isdigit() or time.perf_counter() > end:
            break
        found[str(core)] = int(kilohertz) / 1e3
    if not found:
        text = _read(Path("/proc/cpuinfo")) or ""
        every = re.findall(r"^processor\s*:\s*(\d+)$|^cpu MHz\s*:\s*([\d.]+)$", text, re.MULTILINE)
        at = ""
        for core_number, megahertz in every:
            at = core_number or at
            if megahertz and at.isdigit() and int(at) in usable:
                found[at] = float(megahertz)
    return found


def _frequency_limits() -> dict[str, Any]:
    """MHz: what the first core is kept at, and what it could do."""
    found: dict[str, Any] = {}
    for name, file in (("frequency_cap_mhz", "scaling_max_freq"), ("frequency_possible_mhz", "cpuinfo_max_freq")):
        kilohertz = _read(_CPU / "cpu0" / "cpufreq" / file) or ""
        found[name] = int(kilohertz) / 1e3 if kilohertz.isdigit() else UNKNOWN
    return found


def _power_and_memory() -> dict[str, Any]:
    """Heat, battery and swap, as far as the system shows them."""
    import psutil

    hottest, limit = UNKNOWN, UNKNOWN
    sensors = [
        s for name, group in _ask(psutil, "sensors_temperatures", {}).items() if _HOT.search(name) for s in group
    ]
    if sensors:
        nearest = max(sensors, key=lambda s: s.current - (s.critical or s.high or 0))
        hottest, limit = nearest.current, nearest.critical or nearest.high or UNKNOWN
    battery, swap = _ask(psutil, "sensors_battery", None), _ask(psutil, "swap_memory", None)
    throttled = [_read(_CPU / f"cpu{c}" / "thermal_throttle" / "core_throttle_count") or "" for c in _usable()]
    return {
        "temperature_c": hottest,
        "temperature_limit_c": limit,
        "throttled": sum(map(int, throttled)) if all(map(str.isdigit, throttled)) else UNKNOWN,
        "on_battery": not battery.power_plugged if battery and battery.power_plugged is not None else UNKNOWN,
        "swap_used_bytes": swap.used if swap else UNKNOWN,
        "swapped_bytes": swap.sin + swap.sout if swap else UNKNOWN,
    }


def _ask(psutil: Any, name: str, otherwise: Any) -> Any:
    """What psutil finds; it has not every function on every system, and some systems break the others."""
    try:
        return getattr(psutil, name)() or otherwise
    except Exception:
        return otherwise


# -- what disturbs a measurement ---------------------------------------------------------------------------------


def _other_load(seconds: float) -> list[str]:
    import psutil

    psutil.cpu_times_percent(None)
    busy = psutil.cpu_percent(seconds) / 100 * (os.cpu_count() or 1)  # this process sleeps meanwhile
    stolen = getattr(psutil.cpu_times_percent(None), "steal", 0.0)
    found = []
    if busy > 0.2:
        found.append(
            f"other programs keep {busy:.1f} of {os.cpu_count()} cores busy, which makes times longer and unsteady: "
            f"see which with `ps -eo pid,pcpu,comm --sort=-pcpu | head`, stop them or wait"
        )
    if stolen > 2:
        found.append(
            f"the host of this virtual machine takes {stolen:.0f} % of its time for others: "
            f"watch `vmstat 1` (column st) and wait"
        )
    return found


def _frequency() -> list[str]:
    found = []
    if _governor() == "powersave":
        found.append(
            "the frequency governor is powersave, so the clock rises late: "
            "run `sudo cpupower frequency-set -g performance`"
        )
    quota = _cpu_quota()
    if quota and quota < cores():
        found.append(
            f"this container may use {quota:g} cores' worth of time on {cores()} cores, and is paused beyond that: "
            f"run `taskset -c 0-{max(1, int(quota)) - 1} convbench ...`, or start it with a larger --cpus"
        )
    return found


def _other_programs() -> list[str]:
    return [
        f"other programs ({one.others}) compute on {one.place}, and take its time and memory: see which with "
        f"`nvidia-smi`, and wait"
        for one in devices()
        if one.others
    ]


def _environment() -> list[str]:
    return [
        f"{name}={os.environ[name]} is set, which caps the threads of some libraries, not of all: run `unset {name}`"
        for name in _THREAD_VARIABLES
        if os.environ.get(name)
    ]
