"""A device that is none: a driver that answers, a stream with a clock of its own, and a backend that works on it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import signal

from convbench.backends.base import Backend, Plan
from convbench.cuda.stream import Graph, Stream
from convbench.problem import EVERY_DTYPE

LAUNCH, FLUSH = 2e-6, 30e-6


class FakeDriver:
    """What pynvml shows of cards with these names, whose UUIDs are GPU-0, GPU-1, ... pids: of what computes on each."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, *names: str, driver: str = "580.1", cuda: int = 13000, pids: tuple[int, ...] = ()) -> None:
        self.names, self.driver, self.cuda, self.pids, self.open = names, driver, cuda, pids, 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes) -> int:  # noqa: N802
        if uuid != b"MIG-of-0":
            raise RuntimeError("Not Found")
        return 0

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlDeviceGetCount": lambda: len(self.names),
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}-abc",
            "nvmlDeviceGetName": lambda handle: self.names[handle].encode(),
            "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=1 << 30, free=1 << 29),
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: [SimpleNamespace(pid=pid) for pid in self.pids],
            "nvmlSystemGetDriverVersion": lambda: self.driver,
            "nvmlSystemGetCudaDriverVersion": lambda: self.cuda,
            "nvmlDeviceGetClockInfo": lambda handle, which: 1000 * which,
            "nvmlDeviceGetMaxClockInfo": lambda handle, which: 1980,
            "nvmlDeviceGetPowerUsage": lambda handle: 150_500,
            "nvmlDeviceGetTemperature": lambda handle, sensor: 40,
        }
        if name not in answers:
            raise AttributeError(name)
        return answers[name]


class FakeStream(Stream):
    """Work takes device time that passes only when it is waited for; the host's time passes with every launch.

    graphs: what is raised instead of capturing; spoiled: graphs do nothing.
    """

    def __init__(self, index: int = 0) -> None:
        super().__init__(index)
        self.host = self.device = 0.0
        self.log: list[str] = []
        self.warm = self.spoiled = False
        self.graphs: Exception | None = None

    def work(self, seconds: float, what: str = "work") -> None:
        """Launch work that takes the device so long."""
        self.host += LAUNCH
        self.device = max(self.device, self.host) + seconds
        self.log.append(what)

    def mark(self) -> float:
        self.log.append("mark")
        return max(self.device, self.host)

    def seconds(self, first: float, last: float) -> float:
        self.host = max(self.host, last)
        return last - first

    def wait(self) -> None:
        self.log.append("wait")
        self.host = max(self.host, self.device)

    def flush(self) -> None:
        self.warm = False
        self.work(FLUSH, "flush")

    def captured(self, call: Callable[[], Any]) -> Graph:
        if self.graphs is not None:
            raise self.graphs
        self.log.append("capture")
        result = np.zeros_like(call())

        def launch() -> None:
            result[...] = 0 if self.spoiled else call()

        return Graph(launch, result)

    def peak_memory(self, call: Callable[[], object]) -> int:
        call()
        return 12345


class FakeCuda(Backend):
    """SciPy's direct sum, on a device that takes *seconds* for it. fault: what execute raises, and from which call on."""

    name = "fake-cuda"
    family = "direct"
    library = "scipy"
    module = "scipy"
    rounding = "direct"
    dtypes = EVERY_DTYPE
    devices = ("cuda",)
    ndims = (2,)

    def __init__(self, seconds: float = 20e-6, fault: Exception | None = None, after: int = 0) -> None:
        self.taken, self.fault, self.after = seconds, fault, after
        self.streams: list[FakeStream] = []

    def make_plan(self, problem: Any, kernel: Any) -> Plan:
        plan = FakePlan(problem)
        plan.backend, plan.kernel, plan.stream = self, kernel, FakeStream()
        self.streams.append(plan.stream)
        return plan


class FakePlan(Plan):
    backend: FakeCuda
    kernel: Any

    def execute(self, data: Any) -> Any:
        if self.backend.fault is not None:
            self.backend.after -= 1
            if self.backend.after < 0:
                raise self.backend.fault
        stream = self.stream
        assert isinstance(stream, FakeStream)
        stream.work(self.backend.taken * (1 if stream.warm else 3))
        stream.warm = True
        wide = data.astype(np.float64 if data.dtype.kind != "c" else np.complex128)
        full = signal.convolve2d(wide, self.kernel.astype(wide.dtype))
        return full[self.problem.output_slices].astype(self.problem.dtype)


def install(*names: str, cuda: int = 13000, **backends: FakeCuda) -> None:
    """In this process there are such cards, and the CuPy backends of these classes' names work on them as FakeCuda."""
    from convbench.backends import cupy_conv

    sys.modules["pynvml"] = FakeDriver(*names, cuda=cuda)  # type: ignore[assignment]
    for name, fake in backends.items():
        kind = getattr(cupy_conv, name)
        kind.version = lambda self: "14.0"
        kind.make_plan = lambda self, problem, kernel, fake=fake: fake.make_plan(problem, kernel)
