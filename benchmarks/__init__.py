"""What `asv run` times: convolutions across backends, sizes, dtypes, devices and threads.

Nothing here imports a framework: benchmark processes are forked from one that has imported this package. Thread
counts are limited before NumPy is loaded; a cell's own `threads` is set by its backend's plan.
"""

import functools
import math
import os
import re

for _variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from asv_runner.benchmarks import benchmark_types  # noqa: E402
from asv_runner.benchmarks.track import TrackBenchmark  # noqa: E402

from convbench.recorded import recorded, repeat  # noqa: E402


class _Sampled(TrackBenchmark):
    """A time benchmark that returns samples of its own sampler; asv stores their median, interval and samples.

    asv's own sampler calls a benchmark that has a `setup` once per sample, which drowns microsecond cells.
    """

    name_regex = re.compile(r"^time_")

    def __init__(self, name, func, attr_sources):
        super().__init__(name, func, attr_sources)
        self.type, self.unit = "time", "seconds"

    def do_profile(self, filename=None):
        """What is timed, done again under cProfile: the benchmark itself only hands figures on."""
        cells, figure = self.func.__self__, self.func.__name__.removeprefix("time_")
        self.func = functools.partial(repeat, figure, cells.layout)
        super().do_profile(filename)


benchmark_types.insert(0, _Sampled)


class _Cells:
    """The figures of every layout; a subclass names the layout and its parameter lists.

    The lists are literal: asv addresses a cell by its position in them across commits and machines.
    """

    param_names = ("backend", "image", "kernel", "dtype", "device", "threads")
    timeout = 900
    # asv takes figures of two versions for two benchmarks: raise it together with evidence.PROTOCOL.
    version = "1"

    def setup(self, *cell):
        self.entry = recorded(self.layout, *cell)

    def _samples(self, figure):
        return {"samples": self.entry[figure]["samples"], "number": self.entry[figure]["number"]}

    def time_execute(self, *cell):
        return self._samples("execute")

    def time_one_shot(self, *cell):
        return self._samples("one_shot")

    def time_plan(self, *cell):
        return self._samples("plan")

    def track_peak_memory(self, *cell):
        measured = self.entry["peak_memory_bytes"]
        return math.nan if measured is None else measured  # asv takes None for a failure, NaN for n/a

    track_peak_memory.unit = "bytes"

    def track_error_over_bound(self, *cell):
        return self.entry["error_over_bound"]

    track_error_over_bound.unit = "error / bound"
