"""Memory of a cell: what its plan keeps, the most that an execution takes, and what an execution allocates.

    python -m convbench.profiling.memory FOLDER

is the process that all of it is measured in: tracing memory slows down. FOLDER holds what workload.prepare wrote; it
prints a line "told JSON" for each part, so that a crash costs only what comes after.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convbench.cell import peak_memory, trim
from convbench.cuda.stream import CupyStream, TorchStream
from convbench.errors import ConvbenchError
from convbench.processes import keep_libraries_quiet
from convbench.profiling.child import LIMIT, Child, ChildError, piped
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject
from convbench.profiling.workload import prepare, read
from convbench.report import words

WHAT = "memory"
SECONDS = 0.3  # of executions, for each part
MOST, MOST_TRACED = 10, 3  # executions, for each part
SITES = 5  # that allocate most
DEPTH = 8  # functions of libraries that are looked through for the one that asked for memory
ALLOCATOR = re.compile("alloc|operator new|<unknown>|memalign", re.IGNORECASE)
LONGEST = 80  # characters of a name
INSTALL = "pip install 'convbench[profile]'"


@dataclass(frozen=True)
class Site:
    """Where an execution allocates: function and file. count and bytes: per execution."""

    where: str
    count: float
    bytes: float


@dataclass(frozen=True)
class Memory:
    """Bytes, and counts per execution; None is explained in `missing`.

    steady: what a plan, the loaded image and what the library keeps for them add to the process; peak: the most while
    executing, on top of the same process without them. traced: the most that Python and NumPy hold for an execution;
    arrays: what of NumPy's is still there when it returns. allocations, allocated: of malloc, mmap and their kin, all
    threads; sites: those that take most. device_: the same by the allocator of the library on a device.
    """

    steady_bytes: int | None = None
    peak_bytes: int | None = None
    page_faults: float | None = None
    traced_bytes: int | None = None
    arrays: int | None = None
    arrays_bytes: int | None = None
    allocations: float | None = None
    allocated_bytes: float | None = None
    sites: tuple[Site, ...] = ()
    device_steady_bytes: int | None = None
    device_peak_bytes: int | None = None
    device_allocations: float | None = None
    device_allocated_bytes: float | None = None
    missing: tuple[Missing, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        """What is known, in words."""
        found = [(text, getattr(self, name), name) for name, text in WORDS.items()]
        rows = [
            (text, words.size_bytes(value) if name.endswith("bytes") else _number(value))
            for text, value, name in found
            if value is not None
        ]
        return rows + [
            (f"allocated in {site.where}", f"{words.size_bytes(site.bytes)} in {_number(site.count)} allocations")
            for site in self.sites
        ]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else words.digits(value)


WORDS = {
    "steady_bytes": "kept between executions",
    "peak_bytes": "peak while executing",
    "page_faults": "page faults per execution",
    "traced_bytes": "peak of Python and NumPy per execution",
    "arrays": "NumPy arrays returned",
    "arrays_bytes": "bytes of NumPy arrays returned",
    "allocations": "allocations per execution",
    "allocated_bytes": "bytes allocated per execution",
    "device_steady_bytes": "kept on the device between executions",
    "device_peak_bytes": "peak on the device while executing",
    "device_allocations": "allocations on the device per execution",
    "device_allocated_bytes": "bytes allocated on the device per execution",
}


def memory(subject: Subject) -> Memory:
    """Measure it in a process of its own; what cannot be had is in `missing`, with the reason."""
    if subject.backend.remote:
        why = f"another process does the work of {subject.backend.name}, and what it allocates is not seen from here"
        return Memory(missing=(Missing(WHAT, why),))
    values: dict[str, Any] = {}
    missing: list[Missing] = []
    done: list[str] = []
    with tempfile.TemporaryDirectory(prefix="convbench-") as folder:
        try:
            prepare(subject, Path(folder))
            with Child(piped([sys.executable, "-m", "convbench.profiling.memory", folder])) as child:
                for line in child.lines(LIMIT):
                    if line.startswith("told "):
                        part, told = json.loads(line.removeprefix("told "))
                        done.append(part)
                        missing += [Missing(**told.pop("missing"))] if "missing" in told else []
                        values |= told
        except (ChildError, OSError) as error:
            missing += [Missing(part, str(error)) for part in PARTS if part not in done]
    sites = tuple(Site(**site) for site in values.pop("sites", ()))
    return Memory(**values, sites=sites, missing=tuple(missing))


class Work:
    """A plan with its image loaded, executed once; how long that took, and the resident memory that it added."""

    def __init__(self, subject: Subject) -> None:
        _load_library(subject)
        before = resident()
        self.plan = subject.plan()
        self.data = self.plan.load(subject.image)
        self.execute()
        begin = time.perf_counter()
        self.execute()
        self.times = max(1, min(MOST, int(SECONDS / (time.perf_counter() - begin))))
        self.kept = max(0, resident() - before)

    def execute(self) -> object:
        result = self.plan.execute(self.data)
        self.plan.wait()
        return result

    def repeat(self) -> None:
        for _ in range(self.times):
            self.execute()


def _load_library(subject: Subject) -> None:
    """Import and compile what every plan shares, on an image little larger than the kernel.

    Of another size than the subject's: some plans hand their memory on to the next of the same.
    """
    problem = subject.problem
    shape = tuple(k + (1 if k + 1 != n else 2) for k, n in zip(problem.kernel_shape, problem.image_shape, strict=True))
    small = dataclasses.replace(problem, image_shape=shape, mode="valid")
    with contextlib.suppress(ConvbenchError):  # too small for it: then its library counts as kept
        subject.backend.plan(small, subject.kernel)(small.image())


def resident() -> int:
    """Bytes of this process in memory, free heap given back first."""
    import psutil

    gc.collect()
    trim()
    return int(psutil.Process().memory_info().rss)


def _resident(work: Work, folder: Path) -> dict[str, Any] | Missing:
    added = peak_memory(work.execute)
    if added is None:
        raise ConvbenchError("only Linux shows the peak of resident memory in /proc")
    return {"steady_bytes": work.kept, "peak_bytes": work.kept + added}


def _faults(work: Work, folder: Path) -> dict[str, Any] | Missing:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF)
    work.repeat()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {"page_faults": (after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt) / work.times}


def _traced(work: Work, folder: Path) -> dict[str, Any] | Missing:
    import tracemalloc

    import numpy as np

    tracemalloc.start()
    try:
        kept = work.execute()
        peak = tracemalloc.get_traced_memory()[1]
        of_numpy = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        arrays = [trace.size for trace in tracemalloc.take_snapshot().filter_traces([of_numpy]).traces]
        del kept
    finally:
        tracemalloc.stop()
    return {"traced_bytes": peak, "arrays": len(arrays), "arrays_bytes": sum(arrays)}


def _native(work: Work, folder: Path) -> dict[str, Any] | Missing:
    try:
        import memray
    except ImportError as error:
        return Missing("allocations", f"memray is not installed ({error})", INSTALL)
    file = folder / "allocations.bin"
    times = min(MOST_TRACED, work.times)
    with memray.Tracker(file, native_traces=True):
        for _ in range(times):
            work.execute()
    count, size, sites, known = 0, 0, dict[str, list[int]](), dict[tuple[int, ...], str]()
    frees = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
    with memray.FileReader(file) as reader:
        for record in reader.get_allocation_records():
            if record.allocator in frees:
                continue
            count, size = count + record.n_allocations, size + record.size
            stack = record.stack_id, record.native_stack_id, record.native_segment_generation
            if stack not in known:  # to look up names takes most of the time
                known[stack] = _site(record)
            site = sites.setdefault(known[stack], [0, 0])
            site[0], site[1] = site[0] + record.n_allocations, site[1] + record.size
    most = sorted(sites.items(), key=lambda item: -item[1][1])[:SITES]
    return {
        "allocations": count / times,
        "allocated_bytes": size / times,
        "sites": [{"where": where, "count": n / times, "bytes": b / times} for where, (n, b) in most],
    }


def _site(record: Any) -> str:
    """The function that asked for memory, and the innermost line of Python that led there."""
    native = [name for name, _, _ in record.native_stack_trace(DEPTH)]
    asking = next((name for name in native if not ALLOCATOR.search(name)), native[0] if native else "")
    python = [f"{name} ({Path(file).name}:{line})" for name, file, line in record.stack_trace(1)]
    return " in ".join(([_short(asking)] if asking else []) + python) or "a thread without Python"


def _short(function: str) -> str:
    """A C++ name without parameters and what templates were made of."""
    name = function.replace("(anonymous namespace)::", "")
    while (shorter := re.sub("<[^<>]*>", "", name)) not in (name, ""):
        name = shorter
    return name.partition("(")[0][:LONGEST]


def _device(work: Work, folder: Path) -> dict[str, Any] | Missing:
    stream = work.plan.stream
    if stream is None:
        return {}
    read = _STATISTICS.get(type(stream))
    if read is None:
        why = f"{work.plan.problem.device}: this library does not tell what it allocates"
        return Missing("device memory", why)
    kept, counted = read(stream, work.repeat)
    added = stream.peak_memory(work.execute)
    count, size = counted
    return {
        "device_steady_bytes": kept,
        "device_peak_bytes": None if added is None else kept + added,
        "device_allocations": count / work.times,
        "device_allocated_bytes": size / work.times,
    }


def _torch(stream: Any, call: Callable[[], object]) -> tuple[int, tuple[int, int]]:
    """Bytes taken between calls; allocations and bytes of a call."""
    statistics = stream.torch.cuda.memory_stats
    before = statistics(stream.index)
    call()
    after = statistics(stream.index)
    count, size = (after[f"{name}.all.allocated"] - before[f"{name}.all.allocated"] for name in _COUNTED)
    return after["allocated_bytes.all.current"], (count, size)


_COUNTED = ("allocation", "allocated_bytes")


def _cupy(stream: Any, call: Callable[[], object]) -> tuple[int, tuple[int, int]]:
    class Counter(stream.cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "convbench-allocations"
        count = size = 0

        def malloc_postprocess(self, **about: Any) -> None:
            self.count += 1
            self.size += about["mem_size"]

    with Counter() as hook:
        call()
    return stream.cupy.get_default_memory_pool().used_bytes(), (hook.count, hook.size)


_STATISTICS: Mapping[type, Callable[..., tuple[int, tuple[int, int]]]] = {TorchStream: _torch, CupyStream: _cupy}

PARTS: Mapping[str, Callable[[Work, Path], dict[str, Any] | Missing]] = {
    "resident memory": _resident,
    "page faults": _faults,
    "memory of Python and NumPy": _traced,
    "device memory": _device,
    "allocations": _native,
}
"""In this order: what traces native code may bring the process down, and slows down what follows."""


def main() -> None:
    keep_libraries_quiet()
    folder = Path(sys.argv[1])
    work = Work(read(folder))
    for name, part in PARTS.items():
        try:
            told = part(work, folder)
        except Exception as error:  # the other parts go on
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            told = Missing(name, why)
        if isinstance(told, Missing):
            told = {"missing": dataclasses.asdict(told)}
        print("told", json.dumps([name, told]), flush=True)


if __name__ == "__main__":
    main()
