"""Which devices there are, and their state, read from the driver (NVML): nothing of CUDA is initialised.

Devices have the numbers that CUDA gives them: in the order of the bus, which `why_not` asks CUDA for before it starts,
and of those only that CUDA_VISIBLE_DEVICES shows.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

VISIBLE = "CUDA_VISIBLE_DEVICES"
_STATE = ("clock_mhz", "memory_clock_mhz", "power_w", "temperature_c", "free_bytes")
_LIMITS = ("clock_limit_mhz", "power_limit_w")


@dataclass(frozen=True)
class Device:
    """A device as the driver describes it. Bytes, MHz, W and °C; None where the driver does not say."""

    index: int
    name: str
    memory_bytes: int | None
    driver: str
    cuda: str
    """The newest CUDA that the driver can run."""
    clock_mhz: int | None
    clock_limit_mhz: int | None
    memory_clock_mhz: int | None
    power_w: float | None
    power_limit_w: float | None
    temperature_c: int | None
    free_bytes: int | None
    others: int | None
    """How many other programs compute on it."""

    def __str__(self) -> str:
        memory = f", {self.memory_bytes / 2**20:.0f} MiB" if self.memory_bytes else ""
        clock = f", up to {self.clock_limit_mhz} MHz" if self.clock_limit_mhz else ""
        power = f", {self.power_limit_w:.0f} W" if self.power_limit_w else ""
        return f"{self.place} {self.name}{memory}{clock}{power}, driver {self.driver}, CUDA up to {self.cuda}"

    @property
    def place(self) -> str:
        """As a problem's device is written, e.g. "cuda:0"."""
        return f"cuda:{self.index}"

    @property
    def state(self) -> dict[str, Any]:
        """What may change while it is measured."""
        return {name: getattr(self, name) for name in _STATE}

    @property
    def conditions(self) -> dict[str, Any]:
        """The state, and what bounds it."""
        return {**self.state, **{name: getattr(self, name) for name in _LIMITS}}


def devices() -> list[Device]:
    """All devices that CUDA shows, now; empty where there is no driver, or nvidia-ml-py is not installed."""
    with _driver() as driver:
        return [_device(driver, index, card) for index, card in enumerate(_visible(driver))] if driver else []
    return []


def cards() -> list[str]:
    """The names of all cards, also of those that CUDA_VISIBLE_DEVICES hides."""
    with _driver() as driver:
        return [_text(driver.nvmlDeviceGetName(card)) for card in _cards(driver)] if driver else []
    return []


def device(name: str) -> Device | None:
    """The device of that name, e.g. "cuda:0"; None where there is none, or nothing is known of it."""
    return next((one for one in devices() if one.place == name), None)


@contextlib.contextmanager
def _driver() -> Iterator[Any]:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no library, no driver, or one that does not answer
        yield None
        return
    try:
        yield pynvml
    finally:
        with contextlib.suppress(Exception):
            pynvml.nvmlShutdown()


def _cards(driver: Any) -> list[Any]:
    """Handles of all cards, in the order of the bus."""
    return [driver.nvmlDeviceGetHandleByIndex(index) for index in range(driver.nvmlDeviceGetCount())]


def _visible(driver: Any) -> list[Any]:
    """Handles of the cards that CUDA shows, in its order: those that the variable names, up to the first wrong one."""
    every, said = _cards(driver), os.environ.get(VISIBLE)
    if said is None:
        return every
    found: list[Any] = []
    for word in map(str.strip, said.split(",")):
        card = _named(driver, every, word)
        if card is None:
            break
        found.append(card)
    return found


def _named(driver: Any, every: list[Any], word: str) -> Any:
    """The card of a number, of the beginning of a UUID, or the part of one (MIG) of this UUID; None if unknown."""
    if word.isdigit():
        return every[int(word)] if int(word) < len(every) else None
    try:
        alike = [card for card in every if word and _text(driver.nvmlDeviceGetUUID(card)).startswith(word)]
        return alike[0] if len(alike) == 1 else driver.nvmlDeviceGetHandleByUUID(word.encode()) if word else None
    except Exception:  # the driver knows no such UUID
        return None


def _device(driver: Any, index: int, handle: Any) -> Device:
    def ask(name: str, *arguments: Any) -> Any:
        try:
            return getattr(driver, name)(handle, *arguments)
        except Exception:  # not every card tells everything
            return None

    def watts(milliwatts: int | None) -> float | None:
        return None if milliwatts is None else milliwatts / 1000

    memory, programs = ask("nvmlDeviceGetMemoryInfo"), ask("nvmlDeviceGetComputeRunningProcesses")
    cuda = driver.nvmlSystemGetCudaDriverVersion()
    return Device(
        index=index,
        name=_text(ask("nvmlDeviceGetName")),
        memory_bytes=memory.total if memory else None,
        driver=_text(driver.nvmlSystemGetDriverVersion()),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}",
        clock_mhz=ask("nvmlDeviceGetClockInfo", driver.NVML_CLOCK_SM),
        clock_limit_mhz=ask("nvmlDeviceGetMaxClockInfo", driver.NVML_CLOCK_SM),
        memory_clock_mhz=ask("nvmlDeviceGetClockInfo", driver.NVML_CLOCK_MEM),
        power_w=watts(ask("nvmlDeviceGetPowerUsage")),
        power_limit_w=watts(ask("nvmlDeviceGetEnforcedPowerLimit")),
        temperature_c=ask("nvmlDeviceGetTemperature", driver.NVML_TEMPERATURE_GPU),
        free_bytes=memory.free if memory else None,
        others=None if programs is None else sum(one.pid != os.getpid() for one in programs),
    )


def _text(given: str | bytes | None) -> str:
    return given.decode() if isinstance(given, bytes) else given or "unknown"


def why_not(device: str, library: str, built_for: str) -> str | None:
    """Why a library cannot use this device, or None; built_for as in why_none. Nothing of CUDA is initialised."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # else CUDA numbers devices by their speed
    found = devices()
    if not found or _major(built_for) > _major(found[0].cuda):
        return why_none(library, built_for)
    return None if device in {one.place for one in found} else no_such(device, found)


def no_such(device: str, found: list[Device]) -> str:
    """That there is no device of this name, and which there are; at least one."""
    there = ", ".join(f"{one.place} ({one.name})" for one in found)
    hidden = f"; {VISIBLE}={os.environ[VISIBLE]!r} hides the others" if VISIBLE in os.environ else ""
    return f"there is no {device} here, but {there}{hidden}; see `convbench machine`"


def _major(version: str) -> int:
    """The number before the point; 0 where there is none. A library runs on drivers of the same major version of
    CUDA."""
    number = re.match(r"\d+", version)
    return int(number[0]) if number else 0


@functools.cache
def why_none(library: str, built_for: str) -> str:
    """Why a library finds no device, and what to do: no card, a driver that is too old for it, or hidden devices.

    built_for: the CUDA version that the library was built with, e.g. "13.0"; without digits where it is not known.
    """
    found = devices()
    if found:
        return (
            f"{library} is built for CUDA {built_for} and finds no device; driver {found[0].driver} runs CUDA up to "
            f"{found[0].cuda}: update the driver, or install {library} for an older CUDA"
        )
    if hidden := len(cards()):
        return f"{library} finds no CUDA device: {VISIBLE}={os.environ.get(VISIBLE)!r} hides {hidden}; unset it"
    return f"{library} finds no CUDA device: no NVIDIA driver answers here; `nvidia-smi` shows whether there is a card"
