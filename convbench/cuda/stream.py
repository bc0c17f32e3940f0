"""A device's queue of work as each library shows it: marks in time, waiting, graphs, peak memory.

Work is put on the legacy default stream, which all of these libraries share: what one of them enqueues, another's
events enclose. JAX has queues of its own and no events; it is waited for and timed by the host.
"""

from __future__ import annotations

import functools
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from convbench.errors import UnsupportedError

FLUSHED = 2
"""Times the second-level cache that is overwritten to empty it."""
LARGEST_CACHE = 128 << 20
"""Bytes: no device has a larger second-level cache. For a library that does not tell how large it is."""


class Graph(NamedTuple):
    """All the work of a call, to be launched at once: again into the same result, which is the library's own array."""

    launch: Callable[[], object]
    result: Any


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

    @abstractmethod
    def captured(self, call: Callable[[], Any]) -> Graph:
        """The call as a graph, its result blank so far.

        Raises UnsupportedError with the reason where the library has no graphs; whatever the library raises where it
        cannot capture this call.
        """

    @abstractmethod
    def peak_memory(self, call: Callable[[], object]) -> int | None:
        """Bytes of device memory that a call adds at its peak; None where the library does not say."""


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

    def captured(self, call: Callable[[], Any]) -> Graph:
        torch = self.torch
        graph = torch.cuda.CUDAGraph()
        self.wait()
        # other threads, as JAX has some, may go on meanwhile
        with torch.cuda.device(self.index), torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = call()  # its memory is the graph's: it must outlive the replays
        with torch.inference_mode():
            result.zero_()
        return Graph(graph.replay, result)

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

    def captured(self, call: Callable[[], Any]) -> Graph:
        cuda = self.cupy.cuda
        # The legacy stream cannot be captured. Memory is the graph's own: of CuPy's usual pool others would get it.
        queue, pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()
        self.wait()
        with queue, cuda.using_allocator(pool.malloc):
            call()  # what is planned or compiled is so before
            queue.synchronize()
            queue.begin_capture()
            try:
                result = call()
            finally:
                graph = queue.end_capture()
        result.fill(0)
        return Graph(functools.partial(_launch, graph, self.queue, pool), result)

    def peak_memory(self, call: Callable[[], object]) -> int | None:
        hook = _cupy_counter(self.cupy)
        with hook:
            kept = call()
            self.wait()
        del kept
        return int(hook.peak)


def _launch(graph: Any, queue: Any, _pool: object) -> None:
    graph.launch(queue)


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
    """queue: where plans put their work, 0 the legacy stream; another one while a graph is captured."""

    def __init__(self, index: int) -> None:
        from numba import cuda

        super().__init__(index)
        self.cuda = cuda
        self.queue: Any = 0

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
        self._blank(self._buffer)

    def _blank(self, array: Any) -> None:
        from numba.cuda.cudadrv.driver import device_memset

        device_memset(array, 0, array.nbytes)

    @functools.cached_property
    def _buffer(self) -> Any:
        import numpy as np

        size = FLUSHED * self.cuda.get_current_device().L2_CACHE_SIZE
        return self.cuda.device_array(size, np.uint8)

    def captured(self, call: Callable[[], Any]) -> Graph:
        """numba has no graphs itself, but its stream can be captured through the driver's Python bindings."""
        try:
            from cuda.bindings import driver
        except ModuleNotFoundError:
            raise UnsupportedError("numba captures graphs with cuda-bindings only: pip install cuda-bindings") from None
        stream = self.cuda.stream()
        handle = int(stream)
        self.wait()
        _done(driver.cuStreamBeginCapture(handle, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED))
        self.queue = stream
        try:
            result = call()
        finally:
            self.queue = 0
            ended = driver.cuStreamEndCapture(handle)
        graph = _done(ended)
        executable = _done(driver.cuGraphInstantiate(graph, 0))
        _done(driver.cuGraphDestroy(graph))
        self._blank(result)
        launch = functools.partial(_launch_by_driver, driver, executable)
        weakref.finalize(launch, driver.cuGraphExecDestroy, executable)
        return Graph(launch, result)

    def peak_memory(self, call: Callable[[], object]) -> int | None:
        """As the driver counts it, in steps of 2 MiB: numba has no pool, and gives back nothing meanwhile."""
        context = self.cuda.current_context()
        context.deallocations.clear()
        with self.cuda.defer_cleanup():
            before = context.get_memory_info().free
            kept = call()
            self.wait()
            after = context.get_memory_info().free
        del kept
        return max(0, int(before) - int(after))


def _launch_by_driver(driver: Any, executable: Any) -> None:
    _done(driver.cuGraphLaunch(executable, 0))


def _done(answer: tuple[Any, ...]) -> Any:
    """What a function of the driver returned besides its status; raises RuntimeError with the status' name."""
    status, *found = answer
    if int(status):
        raise RuntimeError(f"the driver answers {status.name}")
    return found[0] if found else None


class HostStream(Stream):
    """For a library without events: marks are the host's, taken when all is done.

    wait: until the calls so far are done; overwrite: a buffer of twice the cache, waited for; memory: bytes of a call.
    """

    clock = "host"

    def __init__(
        self, index: int, wait: Callable[[], object], overwrite: Callable[[], object], memory: Callable[[], int | None]
    ) -> None:
        super().__init__(index)
        self._wait, self._overwrite, self._memory = wait, overwrite, memory

    def mark(self) -> float:
        self._wait()
        return time.perf_counter()

    def seconds(self, first: float, last: float) -> float:
        return last - first

    def wait(self) -> None:
        self._wait()

    def flush(self) -> None:
        self._overwrite()

    def captured(self, call: Callable[[], Any]) -> Graph:
        raise UnsupportedError("the library captures no graphs for others: XLA makes its own where it sees fit")

    def peak_memory(self, call: Callable[[], object]) -> int | None:
        call()
        return self._memory()
