"""A device's queue of work as each library shows it: marks in time, waiting, graphs, peak memory.

Work is put on the legacy default stream, which all of these libraries share: what one of them enqueues, another's
events enclose. JAX has queues of its own and no events; it is waited for and timed by the host.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

FLUSHED = 2
"""Times the second-level cache that is overwritten to empty it."""


class Stream(ABC):
    """A queue of a device's work. index: of the device."""

    clock: ClassVar[str] = "events"
    """What tells the time: events on the device, or the host."""

    def __init__(self, index: int) -> None:
        self.index = index

    @abstractmethod
    def mark(self) -> Any:
        """A point in the queue, whose time the device notes."""

    @abstractmethod
    def seconds(self, first: Any, last: Any) -> float:
        """Between two marks; waits for the last."""

    @abstractmethod
    def wait(self) -> None:
        """Until all is done that was put on the queue."""

    @abstractmethod
    def flush(self) -> None:
        """Put on the queue what empties the device's second-level cache: overwrite a buffer FLUSHED times as large."""

    def captured(self, call: Callable[[], object]) -> Callable[[], object] | None:
        """What launches all of the call's work at once, as a graph; None where the library has no graphs."""
        return None

    def peak_memory(self, call: Callable[[], object]) -> int | None:
        """Bytes of device memory that a call adds at its peak; None where the library does not say."""
        return None


class TorchStream(Stream):
    def __init__(self, index: int) -> None:
        import torch

        super().__init__(index)
        self.torch = torch
        self.queue = torch.cuda.default_stream(index)

    def mark(self) -> Any:
        event = self.torch.cuda.Event(enable_timing=True)
        event.record(self.queue)
        return event

    def seconds(self, first: Any, last: Any) -> float:
        last.synchronize()
        return float(first.elapsed_time(last)) * 1e-3

    def wait(self) -> None:
        self.queue.synchronize()

    def flush(self) -> None:
        self._buffer.zero_()

    @functools.cached_property
    def _buffer(self) -> Any:
        torch = self.torch
        size = FLUSHED * torch.cuda.get_device_properties(self.index).L2_cache_size
        return torch.empty(size, dtype=torch.uint8, device=f"cuda:{self.index}")

    def captured(self, call: Callable[[], object]) -> Callable[[], object] | None:
        graph = self.torch.cuda.CUDAGraph()
        self.wait()
        kept = []
        with self.torch.cuda.device(self.index), self.torch.cuda.graph(graph):
            kept.append(call())  # its memory is the graph's: it must outlive the replays
        return functools.partial(_replay, graph, kept)

    def peak_memory(self, call: Callable[[], object]) -> int | None:
        cuda = self.torch.cuda
        cuda.empty_cache()
        cuda.reset_peak_memory_stats(self.index)
        before = cuda.memory_allocated(self.index)
        kept = call()
        self.wait()
        peak = int(cuda.max_memory_allocated(self.index)) - int(before)
        del kept
        return peak


def _replay(graph: Any, kept: object) -> None:
    graph.replay()


class CupyStream(Stream):
    def __init__(self, index: int) -> None:
        import cupy

        super().__init__(index)
        self.cupy = cupy
        self.queue = cupy.cuda.Stream.null

    def mark(self) -> Any:
        event = self.cupy.cuda.Event()
        event.record(self.queue)
        return event

    def seconds(self, first: Any, last: Any) -> float:
        last.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(first, last)) * 1e-3

    def wait(self) -> None:
        self.queue.synchronize()

    def flush(self) -> None:
        self._buffer.fill(0)

    @functools.cached_property
    def _buffer(self) -> Any:
        size = FLUSHED * self.cupy.cuda.Device(self.index).attributes["L2CacheSize"]
        return self.cupy.empty(size, self.cupy.uint8)

    def peak_memory(self, call: Callable[[], object]) -> int | None:
        hook = _cupy_counter(self.cupy)
        with hook:
            kept = call()
            self.wait()
        del kept
        return int(hook.peak)


def _cupy_counter(cupy: Any) -> Any:
    """A hook of CuPy's allocator that keeps the most bytes that were taken at once."""

    class Counter(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "convbench"
        taken = peak = 0

        def malloc_postprocess(self, **about: Any) -> None:
            self.taken += about["mem_size"]
            self.peak = max(self.peak, self.taken)

        def free_postprocess(self, **about: Any) -> None:
            self.taken -= about["mem_size"]

    return Counter()


class NumbaStream(Stream):
    def __init__(self, index: int) -> None:
        from numba import cuda

        super().__init__(index)
        self.cuda = cuda

    def mark(self) -> Any:
        event = self.cuda.event(timing=True)
        event.record()
        return event

    def seconds(self, first: Any, last: Any) -> float:
        last.synchronize()
        return float(self.cuda.event_elapsed_time(first, last)) * 1e-3

    def wait(self) -> None:
        self.cuda.synchronize()

    def flush(self) -> None:
        from numba.cuda.cudadrv.driver import device_memset

        device_memset(self._buffer, 0, self._buffer.size)

    @functools.cached_property
    def _buffer(self) -> Any:
        import numpy as np

        size = FLUSHED * self.cuda.get_current_device().L2_CACHE_SIZE
        return self.cuda.device_array(size, np.uint8)


class HostStream(Stream):
    """For a library without events: marks are the host's, taken when all is done."""

    clock = "host"

    def __init__(self, index: int, wait: Callable[[], None]) -> None:
        super().__init__(index)
        self._wait = wait

    def mark(self) -> float:
        import time

        self._wait()
        return time.perf_counter()

    def seconds(self, first: float, last: float) -> float:
        return last - first

    def wait(self) -> None:
        self._wait()

    def flush(self) -> None:
        raise NotImplementedError("without events the time of flushing would count")
