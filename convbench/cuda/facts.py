"""Which devices there are, and their state, read from the driver (NVML): nothing of CUDA is initialised."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


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

    def __str__(self) -> str:
        memory = f", {self.memory_bytes / 2**20:.0f} MiB" if self.memory_bytes else ""
        return f"cuda:{self.index} {self.name}{memory}, driver {self.driver}, CUDA up to {self.cuda}"

    @property
    def conditions(self) -> dict[str, Any]:
        """What may change while it is measured."""
        names = ("clock_mhz", "memory_clock_mhz", "power_w", "temperature_c", "free_bytes")
        return {name: getattr(self, name) for name in names}


def devices() -> list[Device]:
    """All devices, now; empty where there is no driver, or nvidia-ml-py is not installed."""
    with _driver() as driver:
        return [_device(driver, index) for index in range(driver.nvmlDeviceGetCount())] if driver else []
    return []


def device(name: str) -> Device | None:
    """The device of that name, e.g. "cuda:0"; None where there is none, or nothing is known of it."""
    index = int(name.partition(":")[2] or 0)
    return next((one for one in devices() if one.index == index), None)


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


def _device(driver: Any, index: int) -> Device:
    handle = driver.nvmlDeviceGetHandleByIndex(index)

    def ask(name: str, *arguments: Any) -> Any:
        try:
            return getattr(driver, name)(handle, *arguments)
        except Exception:  # not every card tells everything
            return None

    def watts(milliwatts: int | None) -> float | None:
        return None if milliwatts is None else milliwatts / 1000

    memory = ask("nvmlDeviceGetMemoryInfo")
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
    )


def _text(given: str | bytes | None) -> str:
    return given.decode() if isinstance(given, bytes) else given or "unknown"


def why_not(device: str, library: str, built_for: str) -> str | None:
    """Why a library cannot use this device, or None; built_for as in why_none. Nothing of CUDA is initialised."""
    found, index = devices(), int(device.partition(":")[2])
    if not found:
        return why_none(library, built_for)
    if index >= len(found):
        return f"there are {len(found)} CUDA devices, so there is no {device}; see `convbench machine`"
    return None


@functools.cache
def why_none(library: str, built_for: str) -> str:
    """Why a library finds no device, and what to do: no card, a driver that is too old for it, or hidden devices.

    built_for: the CUDA version that the library was built with, e.g. "13.0".
    """
    import os

    found = devices()
    if not found:
        return (
            f"{library} finds no CUDA device: no NVIDIA driver answers here; `nvidia-smi` shows whether there is a card"
        )
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return f"{library} finds no CUDA device: CUDA_VISIBLE_DEVICES={hidden!r} hides {len(found)}; unset it"
    return (
        f"{library} is built for CUDA {built_for} and finds no device; driver {found[0].driver} runs CUDA up to "
        f"{found[0].cuda}: update the driver, or install {library} for an older CUDA"
    )
