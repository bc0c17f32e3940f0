"""Pieces of the source of the numba-cuda kernels: reading a tile, products, several sums of a thread.

Imports no numba. What costs on a device is every instruction beside the multiply-adds, so: arrays are flat, indexes
unsigned (numba makes negative ones wrap around, which takes three instructions a time) and of 32 bits until the last
step, and a block that lies inside the image looks for no borders.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator

LANES = 32
"""Threads side by side: a warp."""


def simulated() -> bool:
    """Whether numba runs kernels as Python, thread by thread, with no device."""
    return os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


def indented(indent: int, lines: Iterable[str]) -> str:
    return textwrap.indent("\n".join(lines), " " * indent)


def real(dtype: str) -> bool:
    return not dtype.startswith("complex")


def when(condition: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"if {condition}:"
    yield from (f"    {line}" for line in lines)


def tile_read(lanes: int, threads: int, tall: int, wide: int, stride: int, dtype: str) -> Iterator[str]:
    """The tile of tall x wide samples from (y0, x0) of the image on, its rows stride apart; zeros outside the image."""
    yield from when(
        f"y0 >= 0 and y0 + {tall} <= n1 and x0 >= 0 and x0 + {wide} <= n2",
        _tile(lanes, threads, tall, wide, stride, dtype, whole=True),
    )
    yield "else:"
    yield from (f"    {line}" for line in _tile(lanes, threads, tall, wide, stride, dtype, whole=False))


def _tile(lanes: int, threads: int, tall: int, wide: int, stride: int, dtype: str, whole: bool) -> Iterator[str]:
    """Whole warps of columns by all threads, then those beside them. whole: all of it is inside the image."""
    for first in range(0, wide - lanes + 1, lanes):
        yield f"r, c = down, across + {first}"
        yield from _strip(threads, tall, stride, dtype, whole)
    if beside := wide % lanes:
        each = threads * lanes // beside
        place = [
            f"r = short(unsigned(thread) // unsigned({beside}))",
            f"c = short(unsigned(thread) % unsigned({beside})) + {wide - beside}",
        ]
        yield from when(f"thread < {each * beside}", [*place, *_strip(each, tall, stride, dtype, whole)])


def _strip(step: int, tall: int, stride: int, dtype: str, whole: bool) -> Iterator[str]:
    """A thread reads column c of the tile from row r on, every step-th row."""
    sample = "number(image[index(place)])" if real(dtype) else "image[index(place)]"
    yield "x, y = short(x0 + c), short(y0 + r)"
    yield f"place, hop, spot = unsigned(long(y) * n2 + x), {step} * n2, r * {stride} + c"
    yield "inside = unsigned(x) < unsigned(n2)"
    for below in range(0, tall, step):
        lines = [f"v = {sample}"]
        if not whole:
            lines = ["v = number(0)", *when(f"inside and unsigned(short(y + {below})) < unsigned(n1)", lines)]
        lines.append(f"tile[index(spot + {below * stride})] = v")
        yield from lines if below + step <= tall else when(f"r < {tall - below}", lines)
        yield "place = unsigned(long(place) + hop)"


def taps_read(count: int, every: int) -> Iterator[str]:
    """So many weights of taps from t on, by as many threads."""
    for behind in range(0, count, every):
        line = f"weights[index(thread + {behind})] = taps[index(t + {behind})]"
        yield from [line] if behind + every <= count else when(f"thread < {count - behind}", [line])


def zeros(outputs: int, dtype: str) -> Iterator[str]:
    """The sums of a thread. Both parts of complex ones are apart: their products are four multiply-adds then."""
    for o in range(outputs):
        yield f"s{o} = number(0)" if real(dtype) else f"a{o} = b{o} = part_of_number(0)"


def total(o: int, dtype: str) -> str:
    return f"s{o}" if real(dtype) else f"number(complex(a{o}, b{o}))"


def products(sample: str, outputs: int, taps: int, dtype: str) -> Iterator[str]:
    """Every sample that some outputs in a row meet, read once, goes into all sums that it belongs to."""
    for r in range(outputs + taps - 1):
        yield f"v = {sample.format(r)}"
        for o in range(max(0, r - taps + 1), min(outputs, r + 1)):
            weight = f"w{r - o}"
            if real(dtype):
                yield f"s{o} += v * {weight}"
            else:
                yield f"a{o} += v.real * {weight}.real"
                yield f"b{o} += v.real * {weight}.imag"
                yield f"a{o} -= v.imag * {weight}.imag"
                yield f"b{o} += v.imag * {weight}.real"


def stored(outputs: int, dtype: str, add: str, checked: bool) -> Iterator[str]:
    """The sums into the output, from place on, m2 apart. add: when they are added to what is there; 'never', 'always'
    or a condition. checked: only as far as there are rows."""
    for o in range(outputs):
        at, found = f"out[index(unsigned(long(place) + {o} * m2))]", total(o, dtype)
        lines = [f"{at} = {found}" + (f" + {at}" if add == "always" else "")]
        if add not in ("never", "always"):
            lines = [*when(add, [f"{at} += {found}"]), "else:", f"    {at} = {found}"]
        yield from when(f"short(y + {o}) < short(m1)", lines) if checked else lines
