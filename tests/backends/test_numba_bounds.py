"""numba's loops read nothing beyond the image: pages before and after it may not be touched."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("numba")

CODE = """
import ctypes, itertools, mmap
import numpy as np
from convbench import Problem, get_backend

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)

def fenced(data, at_end):
    pages = -(-data.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, pages + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for fence in (start, start + PAGE + pages):
        assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(PAGE), 0) == 0
    offset = PAGE + (pages - data.nbytes if at_end else 0)
    image = np.frombuffer(memory, data.dtype, data.size, offset).reshape(data.shape)
    image[...] = data
    return image

for backend, dtype, rows, kernels in (
    ("numba-direct", "float32", 0, (3, 9, 12, 16, 25)),
    ("numba-direct", "float64", 0, (9, 24)),
    ("numba-direct", "complex64", 0, (5, 17)),
    ("numba-direct", "float32", 8, (3, 7, 20)),
    ("numba-separable", "float32", 8, (9, 25)),
):
    for k, n in itertools.product(kernels, range(280, 412, 4)):
        for mode in ("same", "valid") if k <= (rows or n) else ("same",):
            shape = (rows, n) if rows else (n,)
            problem = Problem(shape, (k,) * len(shape), dtype, mode)
            print(backend, dtype, shape, k, mode, flush=True)
            plan, image = get_backend(backend).plan(problem, problem.kernel(separable=True)), problem.image()
            for at_end in (True, False):
                np.testing.assert_array_equal(plan(fenced(image, at_end)), plan(image))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")
def test_nothing_beyond_the_image_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    last = (done.stdout.splitlines() or ["nothing"])[-1]
    assert done.returncode == 0, f"exit status {done.returncode} at {last}: {done.stderr[-500:]}"
