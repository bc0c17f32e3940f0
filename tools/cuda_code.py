"""What the compiler makes of the numba-cuda kernels: registers, spills, and the instructions of their inner loops.

    python tools/cuda_code.py [--cc 9.0]

Needs no device, but the compilers of convbench[cuda], or a CUDA toolkit that CUDA_HOME names. Counted are the
instructions of a thread whose tile touches no border. share: how many of them are multiply-adds that the sum needs; a
kernel is not quicker than this share of the device's peak.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

KERNELS = (
    *(("float32", k) for k in (3, 5, 7, 9, 11, 15, 21, 31)),
    *((dtype, k) for dtype in ("float64", "complex64", "complex128") for k in (7, 15)),
)


@dataclass(frozen=True)
class Code:
    """What was compiled: registers, bytes of spills and of shared memory of a block, and the instructions in order."""

    registers: int
    spilled: int
    shared: int
    instructions: tuple[str, ...]
    loops: tuple[tuple[int, int], ...]
    """First and last instruction of each loop."""

    def counted(self, what: str, first: int = 0, last: int | None = None) -> int:
        return sum(bool(re.match(what, text)) for text in self.instructions[first:last])

    def executed(self, what: str, rounds: int) -> int:
        """Instructions of this kind that a thread executes where its loop over the kernel's columns runs so often."""
        inner = next(((a, b) for a, b in self.loops if self.counted("[FD]FMA", a, b)), None)
        every = self.counted(what)
        return every if inner is None else every + (rounds - 1) * self.counted(what, *inner)


def read(listing: str, report: str) -> Code:
    """From nvdisasm's listing and ptxas's report."""
    found: list[str] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if label := re.match(r"(\.L_\w+):", line):
            labels[label[1]] = len(found)
        elif code := re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(.*?);", line):
            found.append(code[1])
    while found and re.match("NOP|BRA", found[-1]):  # what fills the last line of code
        found.pop()
    jumps = [
        (labels.get(to[1], len(found)), i + 1) for i, t in enumerate(found) if (to := re.search(r"`\((\.L_\w+)\)", t))
    ]

    def number(what: str) -> int:
        told = re.search(what, report)
        return int(told[1]) if told else 0

    return Code(
        number(r"Used (\d+) registers"), number(r"(\d+) bytes spill stores"), number(r"(\d+) bytes smem"),
        tuple(found), tuple((a, b) for a, b in jumps if a < b - 1),
    )  # fmt: skip


def program(name: str) -> str:
    """The path of a program of the CUDA toolkit; raises ClickException that says how to get it."""
    homes = [os.environ.get("CUDA_HOME", ""), *(str(Path(p) / "nvidia" / "cu13") for p in sys.path if p)]
    found = shutil.which(name, path=os.pathsep.join([*(f"{home}/bin" for home in homes), os.environ.get("PATH", "")]))
    if found is None:
        raise click.ClickException(f"{name} is not found: pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm")
    return found


def compiled(kernel: Any, signature: Any, cc: tuple[int, int]) -> Code:
    from numba import cuda

    ptx = cuda.compile(kernel.py_func, signature, cc=cc, device=False, abi="numba", output="ptx")[0]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "k.ptx", Path(folder) / "k.cubin"
        source.write_bytes(ptx if isinstance(ptx, bytes) else ptx.encode())
        command = [program("ptxas"), f"-arch=sm_{cc[0]}{cc[1]}", "-v", str(source), "-o", str(target)]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        listing = subprocess.run([program("nvdisasm"), "-c", str(target)], capture_output=True, text=True, check=True)
    return read(listing.stdout, report)


def inside() -> None:
    """From now on kernels have no code for borders, so that all of it is executed."""
    from convbench.backends import _numba_cuda_code as code

    stored = code.stored

    def unchecked(outputs: int, dtype: str, add: str, checked: bool) -> Iterable[str]:
        return ["pass"] if checked else stored(outputs, dtype, add, checked)

    code.tile_read = lambda *tile: code._tile(*tile, whole=True)
    code.stored = unchecked


@click.command()
@click.option("--cc", default="9.0", help="Compute capability.")
def main(cc: str) -> None:
    """Compile the direct kernels and print what became of them."""
    from numba import types

    from convbench.backends import _numba_cuda_kernels as kernels

    inside()
    table = Table(
        "kernel", "registers", "spilled", "shared, KiB", "instructions", "multiply-adds", "share", box=box.SIMPLE_HEAD
    )
    for dtype, k in KERNELS:
        tiled = kernels.direct(k, k, dtype)
        arrays = [types.Array(getattr(types, dtype), 1, "C")] * 3
        found = compiled(tiled.kernel, types.void(*arrays, *[types.int64] * 6), tuple(map(int, cc.split("."))))
        needed = tiled.tile[0] // tiled.block[1] * k * k * (4 if dtype.startswith("complex") else 1)
        every = found.executed("", tiled.chunk[1])
        cells = (found.registers, found.spilled, f"{found.shared / 1024:.0f}", every, needed, f"{needed / every:.0%}")
        table.add_row(f"{dtype}, {k} x {k}", *map(str, cells))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
