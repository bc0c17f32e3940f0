"""Graphs, memory and flushing as each library's stream asks for them, on libraries that only note what is asked."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convbench.cuda.stream import CupyStream, NumbaStream
from convbench.errors import UnsupportedError


class Log(list):  # type: ignore[type-arg]
    def note(self, *what: Any) -> None:
        self.append(" ".join(map(str, what)))


@pytest.fixture
def cupy(monkeypatch):
    """What CupyStream uses of CuPy."""
    log = Log()

    class Queue:
        def __init__(self, non_blocking: bool = False) -> None:
            log.note("stream", non_blocking)

        def __enter__(self) -> None:
            log.note("enter")

        def __exit__(self, *_: object) -> None:
            log.note("leave")

        def synchronize(self) -> None:
            log.note("wait")

        def begin_capture(self) -> None:
            log.note("begin")

        def end_capture(self) -> Any:
            log.note("end")
            return SimpleNamespace(launch=lambda queue: log.note("launch", queue))

    @contextlib.contextmanager
    def using_allocator(allocator: Any):
        log.note("own pool" if allocator == "malloc" else "?")
        yield
        log.note("usual pool")

    null = SimpleNamespace(synchronize=lambda: log.note("wait for all"))
    Queue.null = null  # type: ignore[attr-defined]
    cuda = SimpleNamespace(
        Stream=Queue, MemoryPool=lambda: SimpleNamespace(malloc="malloc"), using_allocator=using_allocator
    )
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    return log


def test_cupy_captures_a_second_call_on_a_stream_and_in_memory_of_its_own(cupy) -> None:
    stream = CupyStream(0)

    def call() -> np.ndarray:
        cupy.note("call")
        return np.ones(3)

    graph = stream.captured(call)
    assert cupy == [
        "stream True", "wait for all", "enter", "own pool", "call", "wait", "begin", "call", "end", "usual pool", "leave"
    ]  # fmt: skip
    assert not graph.result.any()
    graph.launch()
    assert cupy[-1] == f"launch {stream.queue}"


def test_a_capture_that_fails_is_ended(cupy) -> None:
    calls = iter([np.ones(3)])
    with pytest.raises(StopIteration):
        CupyStream(0).captured(lambda: next(calls))
    assert cupy[-3:] == ["begin", "end", "leave"]


@pytest.fixture
def numba(monkeypatch):
    """What NumbaStream uses of numba.cuda and of the driver's bindings; the status of each function can be set."""
    log, status = Log(), {}

    class Status(int):
        name = "CUDA_ERROR_ODD"

    def answer(name: str, *found: Any):
        def function(*given: Any) -> tuple[Any, ...]:
            log.note(name, *given)
            return Status(status.get(name, 0)), *found

        return function

    driver = SimpleNamespace(
        cuStreamBeginCapture=answer("begin"), cuStreamEndCapture=answer("end", "graph"),
        cuGraphInstantiate=answer("instantiate", "executable"), cuGraphDestroy=answer("destroy"),
        cuGraphLaunch=answer("launch"), cuGraphExecDestroy=answer("forget"),
        CUstreamCaptureMode=SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED="relaxed"),
    )  # fmt: skip
    free = iter([1000, 400])
    context = SimpleNamespace(
        deallocations=SimpleNamespace(clear=lambda: log.note("clear")),
        get_memory_info=lambda: SimpleNamespace(free=next(free)),
    )
    cuda = SimpleNamespace(
        stream=lambda: 17, synchronize=lambda: log.note("wait"), current_context=lambda: context,
        defer_cleanup=contextlib.nullcontext,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(driver=driver))
    monkeypatch.setattr(NumbaStream, "_blank", lambda self, array: array.fill(0))
    return log, status


def test_numba_is_captured_through_the_driver(numba) -> None:
    log, _ = numba
    stream = NumbaStream(0)
    graph = stream.captured(lambda: log.note("call on", stream.queue) or np.ones(3))
    assert log == ["wait", "begin 17 relaxed", "call on 17", "end 17", "instantiate graph 0", "destroy graph"]
    assert (stream.queue, graph.result.any()) == (0, False)
    graph.launch()
    assert log[-1] == "launch executable 0"
    del graph
    assert log[-1] == "forget executable"


def test_what_the_driver_refuses_is_told_by_name_and_the_queue_is_the_usual_one_again(numba) -> None:
    log, status = numba
    stream = NumbaStream(0)
    for name, last in (("begin", "begin 17 relaxed"), ("end", "end 17"), ("instantiate", "instantiate graph 0")):
        status.clear()
        status[name] = 900
        with pytest.raises(RuntimeError, match="the driver answers CUDA_ERROR_ODD"):
            stream.captured(lambda: np.ones(3))
        assert (log[-1], stream.queue) == (last, 0)
    status.clear()
    with pytest.raises(ZeroDivisionError):
        stream.captured(lambda: 1 / 0)
    assert (log[-1], stream.queue) == ("end 17", 0)


def test_numba_without_the_bindings_has_no_graphs(numba, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(UnsupportedError, match="pip install cuda-bindings"):
        NumbaStream(0).captured(lambda: np.ones(3))


def test_memory_that_numba_takes_is_what_the_driver_misses(numba) -> None:
    log, _ = numba
    assert NumbaStream(0).peak_memory(lambda: log.note("call")) == 600
    assert log == ["clear", "call", "wait"]


def test_the_bindings_have_what_is_asked_of_them() -> None:
    driver = pytest.importorskip("cuda.bindings.driver")
    names = [
        "StreamBeginCapture",
        "StreamEndCapture",
        "GraphInstantiate",
        "GraphDestroy",
        "GraphLaunch",
        "GraphExecDestroy",
    ]
    assert all(callable(getattr(driver, f"cu{name}")) for name in names)
    assert driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED is not None
    assert int(driver.CUresult.CUDA_SUCCESS) == 0
    assert driver.CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED.name.startswith("CUDA_ERROR")


def test_jax_overwrites_its_buffer_in_place_and_knows_what_a_call_takes() -> None:
    jax = pytest.importorskip("jax")
    from convbench.backends import _jax, get_backend
    from convbench.problem import Problem

    device = jax.devices("cpu")[0]
    for value in (1, 2, 3):
        _jax._overwrite(device, 1000)
        (held,) = _jax._buffer(device, 1000)[1]
        assert np.asarray(held).tolist() == [value] * 1000
    problem = Problem((64, 64), (3, 3))
    plan = get_backend("jax").plan(problem, problem.kernel())
    taken = plan._memory()
    assert taken is not None and taken >= 2 * 64 * 64 * 4
