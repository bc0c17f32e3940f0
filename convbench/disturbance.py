"""What the recorded conditions of a machine say of a run: was it strained, and did it change meanwhile?

Knows only the records that `convbench.machine.conditions` makes; what is unknown in one says nothing.
"""

from __future__ import annotations

import math
from typing import Any

Conditions = dict[str, Any]

SLOWER_CLOCK = 0.05
SLOWER_PROBE = 0.10
"""Of the probe more than of the clock itself: time stolen by a virtual machine's host lengthens it too."""
CLOCK_SECONDS = 2.0
NEAR_LIMIT = 3.0
"""Degrees Celsius."""
STOLEN = 0.02
PAGED = 1 << 20
SWAPPED = 256 << 20
"""Bytes in swap that are worth a word: systems move a little there at leisure."""

_AGAIN = "let it cool, close other programs, and run `convbench run --fresh`"
_WHO = "`ps -eo pid,pcpu,comm --sort=-pcpu | head`"
_SAME = {
    "governor": "frequency governor", "turbo": "turbo", "on_battery": "use of the battery",
    "affinity": "set of usable cores", "threads_environment": "environment for threads",
}  # fmt: skip


def strained(now: Conditions) -> list[str]:
    """Heat, a capped clock, battery, memory: what is wrong now, each with the command that mends it."""
    found = _hot(now)
    most, possible = _number(now, "frequency_cap_mhz"), _number(now, "frequency_possible_mhz")
    if most < (1 - SLOWER_CLOCK) * possible:
        found.append(
            f"the clock is kept at {most:.0f} of {possible:.0f} MHz: "
            f"run `sudo cpupower frequency-set --max {possible:.0f}MHz`"
        )
    if now.get("on_battery") is True:
        found.append(
            "the machine runs on its battery, and saves power: plug it in, and look again with `convbench machine`"
        )
    free, memory = _number(now, "memory_available_bytes"), _number(now, "memory_bytes")
    if free < memory / 10:
        found.append(
            f"only {free / 2**30:.1f} of {memory / 2**30:.1f} GiB of memory are free: "
            f"see who has it with `ps -eo pid,rss,comm --sort=-rss | head`, and stop them"
        )
    if (swap := _number(now, "swap_used_bytes")) > SWAPPED:
        found.append(f"{swap / 2**30:.1f} GiB lie in swap and return slowly: run `sudo swapoff -a && sudo swapon -a`")
    return found


def changes(before: Conditions, after: Conditions) -> list[str]:
    """What happened between two conditions() of one machine that may have disturbed what was measured meanwhile.

    Each with its cause and what to do about it; what is unknown in one of them is not compared.
    """
    seconds = _rise(before, after, "monotonic_s")
    if seconds < 0:
        return ["the machine was started anew during the run, whose parts do not compare: run `convbench run --fresh`"]
    found = _clocks(before, after, seconds)
    first, last = _frequency(before), _frequency(after)
    if last < first * (1 - SLOWER_CLOCK):
        found.append(f"the clock fell from {first:.0f} to {last:.0f} MHz, by heat or a limit of power: {_AGAIN}")
    first, last = _number(before, "probe_s"), _number(after, "probe_s")
    if last > first * (1 + SLOWER_PROBE):
        found.append(f"the same work takes {last / first - 1:.0%} longer than before, by heat or other load: {_AGAIN}")
    if (times := _rise(before, after, "throttled")) > 0:
        found.append(f"the processor was slowed down by heat {times:.0f} times: {_AGAIN}")
    found += _hot(after)
    (load, had), cores = (_load(c) for c in (after, before)), len(after.get("affinity") or [0])
    if load > had + cores + 0.5:  # the run itself keeps all usable cores busy at most
        found.append(
            f"the load rose from {had:.1f} to {load:.1f}, by more than this run on {cores} cores: see who with {_WHO}"
        )
    stolen = _rise(before, after, "steal_s") / seconds / _number(after, "cores") if seconds else math.nan
    if stolen > STOLEN:
        found.append(f"the host of this virtual machine took {stolen:.0%} of its time: watch `vmstat 1` (column st)")
    if (paged := _rise(before, after, "swapped_bytes")) > PAGED:
        found.append(f"{paged / 2**20:.0f} MiB went to swap or came back: close other programs, see `free -h`")
    for name, what in _SAME.items():
        was, now = (c.get(name, "unknown") for c in (before, after))
        if "unknown" not in (str(was), str(now)) and was != now:
            found.append(f"the {what} changed from {was} to {now}: run `convbench run --fresh`")
    return found


def _clocks(before: Conditions, after: Conditions, seconds: float) -> list[str]:
    drift = _rise(before, after, "wall_s") - seconds
    if drift < -CLOCK_SECONDS:
        return [
            f"the wall clock went back by {-drift:.0f} s, and dates of this run are out of order: run `timedatectl`"
        ]
    if drift > CLOCK_SECONDS:
        return [f"the machine slept, or its wall clock jumped, by {drift:.0f} s: keep it awake, run `timedatectl`"]
    return []


def _hot(now: Conditions) -> list[str]:
    hot, limit = _number(now, "temperature_c"), _number(now, "temperature_limit_c")
    if hot >= limit - NEAR_LIMIT:
        return [
            f"the processor has {hot:.0f} of at most {limit:.0f} degrees and slows down: clear its fans; see `sensors`"
        ]
    return []


def _number(record: Conditions, name: str) -> float:
    """NaN where it is unknown, which is neither more nor less than anything."""
    value = record.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


def _rise(before: Conditions, after: Conditions, name: str) -> float:
    return _number(after, name) - _number(before, name)


def _frequency(record: Conditions) -> float:
    """MHz of the quickest core: the one that worked until a moment ago."""
    known = record.get("frequency_mhz")
    return max(known.values(), default=math.nan) if isinstance(known, dict) else math.nan


def _load(record: Conditions) -> float:
    known = record.get("load")
    return float(known[0]) if isinstance(known, list) and known else math.nan
