"""Counters of processor and system over a cell's executions, taken by Linux's perf from outside.

The workload is stopped when it says that it is ready, and goes on when perf counts: planning is not in the counts.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.profiling.child import LIMIT, Child, ChildError, last_lines
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject
from convbench.profiling.workload import prepare, start
from convbench.report import words

WHAT = "hardware counters"
ATTACH = 0.5  # seconds that perf needs to attach, on the workload's clock
ANSWER = 20.0  # seconds after which perf answers no more
SHARED = 0.99  # counted for less of the time than this, an event took turns with others

HARDWARE = (
    "cycles", "instructions", "cache-references", "cache-misses", "L1-dcache-loads", "L1-dcache-load-misses",
    "LLC-loads", "LLC-load-misses", "branches", "branch-misses",
)  # fmt: skip
SOFTWARE = ("task-clock", "page-faults", "context-switches", "cpu-migrations")
IN_KERNEL = ("context-switches", "cpu-migrations")
"""Happen in the system: counted in user space alone they are always 0."""
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")

# Floating-point operations that an event stands for; a fused multiply-add is two, by adding twice (Intel, Software
# Developer's Manual, volume 3B) or in the event itself (AMD, Processor Programming Reference). None: instructions.
_AMD = {
    "fp_ret_sse_avx_ops.all": 1,
    "fp_ops_retired_by_width.scalar_uops_retired": None,
    **{f"fp_ops_retired_by_width.pack_{bits}_uops_retired": None for bits in (128, 256, 512)},
}
_INTEL = {
    f"fp_arith_inst_retired.{form}_{name}": count * (2 if name == "single" else 1)
    for name in ("single", "double")
    for form, count in (("128b_packed", 2), ("256b_packed", 4), ("512b_packed", 8))
} | {"fp_arith_inst_retired.scalar_single": 1, "fp_arith_inst_retired.scalar_double": 1}
VECTOR: Mapping[str, Mapping[str, int | None]] = {"AuthenticAMD": _AMD, "GenuineIntel": _INTEL}
_PACKED = re.compile(r"pack_\d+_uops|\d+b_packed")

INSTALL = {
    "debian": "sudo apt install linux-perf",
    "ubuntu": "sudo apt install linux-tools-$(uname -r)",
    "fedora": "sudo dnf install perf",
    "rhel": "sudo dnf install perf",
    "suse": "sudo zypper install perf",
    "arch": "sudo pacman -S perf",
    "alpine": "sudo apk add perf",
}


@dataclass(frozen=True)
class Count:
    """value: per execution. share: of the time in which it was counted; below 1 events took turns, and it is scaled."""

    value: float
    share: float = 1.0


@dataclass(frozen=True)
class Counters:
    """seconds: of one execution while it was counted. events: by perf's name; task-clock in seconds, over all cores."""

    executions: int
    seconds: float
    events: Mapping[str, Count]
    missing: tuple[Missing, ...] = ()

    def ratio(self, above: str, below: str) -> float | None:
        """One event over another, None where either is not known."""
        a, b = self.events.get(above), self.events.get(below)
        return a.value / b.value if a and b and b.value else None

    @property
    def instructions_per_cycle(self) -> float | None:
        return self.ratio("instructions", "cycles")

    @property
    def cores_busy(self) -> float | None:
        clock = self.events.get("task-clock")
        return clock.value / self.seconds if clock else None

    @property
    def flops(self) -> float | None:
        """Floating-point operations per execution, None where one of the events that make it up is not known."""
        weights = {name: weight for table in VECTOR.values() for name, weight in table.items() if weight}
        if any(one.what in weights for one in self.missing):
            return None
        found = [weight * self.events[name].value for name, weight in weights.items() if name in self.events]
        return sum(found) if found else None

    @property
    def packed(self) -> float | None:
        """Packed floating-point instructions per execution."""
        found = [count.value for name, count in self.events.items() if _PACKED.search(name)]
        return sum(found) if found else None

    def rows(self) -> list[tuple[str, str]]:
        """What was counted, in words."""
        derived = {
            "instructions per cycle": self.instructions_per_cycle,
            "cores busy": self.cores_busy,
            "floating-point operations": self.flops,
            "packed floating-point instructions": self.packed,
        }
        misses = {
            "cache misses of references": self.ratio("cache-misses", "cache-references"),
            "L1 data misses of loads": self.ratio("L1-dcache-load-misses", "L1-dcache-loads"),
            "last-level misses of loads": self.ratio("LLC-load-misses", "LLC-loads"),
            "branches mispredicted": self.ratio("branch-misses", "branches"),
        }
        return [
            ("executions counted", f"{self.executions} in {words.seconds(self.executions * self.seconds)}"),
            *((name, _amount(value)) for name, value in derived.items() if value is not None),
            *((name, words.percent(value)) for name, value in misses.items() if value is not None),
            *((name, _told(name, count)) for name, count in self.events.items()),
        ]


def counters(subject: Subject, seconds: float = 1.0) -> Counters | Missing:
    """What perf counts in so many seconds of executions, hardware events in user space alone; Missing says why not."""
    if not sys.platform.startswith("linux"):
        return Missing(WHAT, f"they are read by perf, which is of Linux; this is {platform.system()}")
    perf = shutil.which("perf")
    if perf is None:
        return Missing(WHAT, "perf is not installed", _install())
    try:
        with tempfile.TemporaryDirectory(prefix="convbench-") as folder:
            prepare(subject, Path(folder))
            return _count(perf, Path(folder), seconds)
    except PerfError as error:
        return _refusal(str(error))
    except (ChildError, OSError) as error:
        return Missing(WHAT, str(error))


def _count(perf: str, folder: Path, seconds: float) -> Counters | Missing:
    vector = [event for event in VECTOR.get(_processor("vendor_id"), ()) if _knows(perf, f"{event}:u")]
    events = [*(f"{event}:u" for event in (*HARDWARE, *vector)), *SOFTWARE]
    file = folder / "perf.csv"
    with Child(start(folder, seconds + ATTACH)) as child:
        pid = int(child.expect("ready"))
        os.kill(pid, signal.SIGSTOP)
        with _counting(perf, [pid, *child.descendants()], events, file):
            begin = time.perf_counter()
            os.kill(pid, signal.SIGCONT)
            executions = int(child.expect("done", LIMIT + seconds))
            elapsed = time.perf_counter() - begin
            os.kill(pid, signal.SIGSTOP)  # how it ends is not counted
    if elapsed < seconds / 2:  # then too many of the executions were before perf came
        return Missing(WHAT, "perf took too long to attach", "try again on a quieter machine")
    counts, missing = parse(file.read_text(encoding="utf-8"), executions)
    if not counts:
        return missing[0] if missing else Missing(WHAT, "perf counted nothing", "`perf stat true` shows more")
    if not vector and "cycles" in counts:
        missing.append(Missing("packed vector instructions", "perf names no events for them on this processor"))
    return Counters(executions, elapsed / executions, counts, tuple(missing))


@contextlib.contextmanager
def _counting(perf: str, pids: Sequence[int], events: Sequence[str], file: Path) -> Iterator[None]:
    """While perf counts what these processes do; the counts are in the file afterwards.

    Raises PerfError with what perf said.
    """
    (theirs, commands), (answers, answering) = os.pipe(), os.pipe()
    control = f"--control=fd:{theirs},{answering}"
    command = [perf, "stat", "-x", ";", "-o", str(file), "-D", "-1", control, "-e", ",".join(events)]
    with subprocess.Popen(
        [*command, "-p", ",".join(map(str, pids))],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "LC_ALL": "C"}, pass_fds=(theirs, answering),
    ) as process:  # fmt: skip
        os.close(theirs)
        os.close(answering)

        try:
            with contextlib.suppress(BrokenPipeError):  # then there is no answer either
                os.write(commands, b"enable\n")
            if not select.select([answers], [], [], ANSWER)[0] or not os.read(answers, 64):
                process.kill()
                raise PerfError(process.stderr.read() if process.stderr else "")
            yield
            process.send_signal(signal.SIGINT)  # it writes and ends
            process.wait(ANSWER)
        except subprocess.TimeoutExpired as error:
            raise PerfError(f"it does not end within {ANSWER:g} s") from error
        finally:
            process.kill()
            os.close(commands)
            os.close(answers)


def parse(text: str, executions: int) -> tuple[dict[str, Count], list[Missing]]:
    """Of `perf stat -x ';'`: the counts per execution, and what could not be counted, event by event.

    A processor with two kinds of cores has a line for each, whose mean by share is the count.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    why: dict[str, str] = {}
    for line in text.splitlines():
        value, unit, event, _, share = [*line.split(";"), *[""] * 5][:5]
        named = re.fullmatch(r"(?:\w+/)?([^/:]+)[/:]?(\w*)", event)
        if not named or line.startswith("#"):
            continue
        name, only = named.groups()
        if value.startswith("<"):
            why.setdefault(name, value.strip("<>"))
        elif name in IN_KERNEL and only == "u":
            why[name] = "not permitted"
        else:
            scale = {"msec": 1e-3, "nsec": 1e-9, "ns": 1e-9}.get(unit, 1.0)
            found.setdefault(name, []).append((float(value) * scale / executions, float(share or 100) / 100))
    counts = {name: _mean(parts) for name, parts in found.items()}
    return counts, _missing({name: reason for name, reason in why.items() if name not in counts})


def _mean(parts: Sequence[tuple[float, float]]) -> Count:
    """Each part is scaled to the whole time by perf: undone, summed, and scaled by the share that all have together."""
    share = sum(share for _, share in parts)
    return Count(sum(value * share for value, share in parts) / share if share else 0.0, min(1.0, share))


def _missing(why: Mapping[str, str]) -> list[Missing]:
    """One entry where there are no hardware counters at all, else one an event."""
    found = []
    if all(why.get(event) == "not supported" for event in HARDWARE):
        why = {name: reason for name, reason in why.items() if reason != "not supported"}
        found.append(_no_hardware())
    remedies = {
        "not counted": "sudo sysctl kernel.nmi_watchdog=0",  # it holds one of few counters
        "not permitted": "sudo sysctl kernel.perf_event_paranoid=1",
    }
    told = {
        "not supported": "this processor or its driver has no such event",
        "not counted": "no counter was free for it",
        "not permitted": "it happens in the system, where this user may not count",
    }
    return found + [Missing(name, told.get(reason, reason), remedies.get(reason, "")) for name, reason in why.items()]


def _no_hardware() -> Missing:
    if "hypervisor" in _processor("flags").split():
        return Missing(
            WHAT,
            "this virtual machine is given none by its host",
            "measure on the host, or have its administrator pass them through (QEMU: -cpu host,pmu=on)",
        )
    return Missing(WHAT, "the system knows none of this processor")


def _refusal(said: str) -> Missing:
    """What perf says when it does not count, and what helps."""
    if re.search("perf_event_paranoid|ermission|not permitted|limited", said):
        with contextlib.suppress(OSError, ValueError):
            level = int(PARANOID.read_text())
            if level > 2:
                why = f"this user may not count: kernel.perf_event_paranoid is {level}"
                return Missing(WHAT, why, "sudo sysctl kernel.perf_event_paranoid=1")
        why = "this process may not count, although kernel.perf_event_paranoid allows it: containers forbid it"
        return Missing(WHAT, why, "docker run --cap-add PERFMON")
    if "unknown option" in said:
        return Missing(WHAT, "perf is older than that of Linux 5.9 and cannot be told when to count", _install())
    return Missing(WHAT, f"perf failed{last_lines(said.splitlines())}", "`perf stat true` shows more")


def _install() -> str:
    """The command that installs perf here."""
    with contextlib.suppress(OSError):
        system = platform.freedesktop_os_release()
        for name in (system["ID"], *system.get("ID_LIKE", "").split()):
            if name in INSTALL:
                return INSTALL[name]
    return "install perf from your distribution's package, often linux-perf or linux-tools"


def _knows(perf: str, event: str) -> bool:
    return subprocess.run([perf, "stat", "-e", event, "true"], capture_output=True, check=False).returncode == 0


def _processor(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo, '' where there is none."""
    with contextlib.suppress(OSError):
        found = re.search(rf"^{field}\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return found[1] if found else ""
    return ""


def _told(name: str, count: Count) -> str:
    value = words.seconds(count.value) if name == "task-clock" else _amount(count.value)
    return value if count.share >= SHARED else f"{value} (counted {words.percent(count.share)} of the time, and scaled)"


def _amount(value: float) -> str:
    """'1.23 M': three significant digits."""
    scale, unit = next(((s, u) for s, u in ((1e9, " G"), (1e6, " M"), (1e3, " k")) if value >= s * 0.9995), (1.0, ""))
    return f"{words.digits(value / scale)}{unit}"


class PerfError(ConvbenchError):
    """perf ended, or does not answer; the message is what it said."""
