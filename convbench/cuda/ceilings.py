"""A device's measured peaks: arithmetic by dtype, bandwidth of memory and of the second-level cache, FFT; through
torch."""

from __future__ import annotations

import math
from typing import Any

from convbench.cuda.clock import Hot, batch, settle
from convbench.cuda.stream import Stream, TorchStream
from convbench.errors import ArgumentError, UnsupportedError

_MATRICES = {"float32": 8192, "float64": 8192, "float16": 16384, "bfloat16": 16384}
_TRANSFORMS = ((4096, 1024), (64, 1024, 1024))
"""Real transforms along the axes after the first: some 16 to 256 MB."""
_BEYOND = 16
"""Arrays of so many times the second-level cache are copied to and from memory."""


def device_ceilings(device: str, seconds: float = 0.3) -> dict[str, float]:
    """Peaks of a device, under the names of ceilings.ceilings; takes some 5 s.

    fma_DTYPE: GFLOP/s, two for each multiply-add: matrix multiplication through torch, without TF32; float32 and
    float64 also a loop of multiply-adds on registers (numba-cuda, where it is installed), of which the better counts.
    copy, copy_l2: GB/s, bytes read plus bytes written; l2_bytes. fft_float32, fft_float64: GFLOP/s, 2.5 N log2 N for a
    real transform of N samples. seconds: spent on each. Raises UnsupportedError where torch cannot use the device.
    """
    from convbench.backends import get_backend
    from convbench.problem import Problem

    problem = Problem((64, 64), (3, 3), device=device)
    if device == "cpu":
        raise ArgumentError("--device takes cuda:0, cuda:1, ...; the processor's ceilings are by --threads")
    if reason := get_backend("torch").unsupported(problem):
        raise UnsupportedError(f"no ceilings of {device}: {reason}")
    import torch

    stream = TorchStream(problem.device_index)
    cache = int(torch.cuda.get_device_properties(problem.device_index).L2_cache_size)
    found = {f"fma_{d}": _matrix_rate(torch, stream, device, d, n, seconds) for d, n in _MATRICES.items()}
    for dtype in ("float32", "float64"):
        found[f"fma_{dtype}"] = max(found[f"fma_{dtype}"], _register_rate(problem.device_index, dtype, seconds))
        found[f"fft_{dtype}"] = _transform_rate(torch, stream, device, dtype, seconds)
    found["l2_bytes"] = float(cache)
    found["copy_l2"] = _copy_rate(torch, stream, device, cache // 4, seconds)
    found["copy"] = _copy_rate(torch, stream, device, _BEYOND * cache, seconds)
    return found


def best(call: Any, stream: Stream, seconds: float) -> float:
    """The least time of a call, of as many as the seconds allow: a peak is what is reached when nothing is in the
    way."""
    hot = Hot(call, stream)
    settle(hot, seconds)
    number = batch(hot)
    rounds = max(3, math.ceil(seconds / max(number * hot.seconds(1), 1e-4)))
    return min(hot.seconds(number) for _ in range(rounds)) / number


def _matrix_rate(torch: Any, stream: Stream, device: str, dtype: str, n: int, seconds: float) -> float:
    torch.backends.cuda.matmul.allow_tf32 = False
    a = torch.rand((n, n), device=device).to(getattr(torch, dtype))
    out = torch.empty_like(a)
    return 2 * n**3 / best(lambda: torch.mm(a, a, out=out), stream, seconds) / 1e9


def _register_rate(index: int, dtype: str, seconds: float) -> float:
    try:
        from numba import cuda

        from convbench.backends._numba_cuda_kernels import ROUND_OPERATIONS, multiply_adds
    except ModuleNotFoundError:
        return 0.0
    import numpy as np

    from convbench.cuda.stream import NumbaStream

    cuda.select_device(index)
    blocks, threads, rounds = 8 * cuda.get_current_device().MULTIPROCESSOR_COUNT, 256, 2000
    out = cuda.device_array(blocks * threads, dtype)
    launch = multiply_adds(dtype)[blocks, threads]
    start = np.dtype(dtype).type(1)
    taken = best(lambda: launch(out, start, rounds), NumbaStream(index), seconds)
    return ROUND_OPERATIONS * rounds * blocks * threads / taken / 1e9


def _transform_rate(torch: Any, stream: Stream, device: str, dtype: str, seconds: float) -> float:
    rates = []
    for shape in _TRANSFORMS:
        x = torch.rand(shape, device=device, dtype=getattr(torch, dtype))
        axes = tuple(range(1, len(shape)))
        work = 2.5 * math.prod(shape) * math.log2(math.prod(shape[1:]))
        rates.append(work / best(lambda x=x, axes=axes: torch.fft.rfftn(x, dim=axes), stream, seconds) / 1e9)
    return max(rates)


def _copy_rate(torch: Any, stream: Stream, device: str, size: int, seconds: float) -> float:
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / best(lambda: target.copy_(source), stream, seconds) / 1e9
