"""Which known operations follow the convention of an identified function."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from convbench.atlas import entries
from convbench.convention import Convention

if TYPE_CHECKING:
    from convbench.identification.identified import Identified

_LENGTHS = range(1, 9)


def matches(found: Identified) -> list[str]:
    """The operations of the atlas that do the same, as "system op mode (versions)"."""
    if not found.is_convolution or found.manner.transposed:
        return []
    same: dict[str, list[str]] = {}
    for row in entries():
        if row.ndim == found.ndim and row.convention is not None and _alike(found, row.convention):
            conjugates = "refused" in found.complex_input or found.conjugates == row.convention.conjugates
            name = f"{row.system} {row.op} {row.mode}" + ("" if conjugates else ", for real data")
            same.setdefault(name, []).append(row.version)
    return [f"{name} ({', '.join(versions)})" for name, versions in same.items()]


def _alike(found: Identified, known: Convention) -> bool:
    """Whether both lay the kernel and put their outputs alike, on every pair of lengths that both were seen on."""
    if (found.flips, found.transposes, found.scale) != (known.flips, known.transposes, known.scale):
        return False
    if found.outside and found.boundary != known.boundary:
        return False
    lengths = [(n, k) for n, k in itertools.product(_LENGTHS, repeat=2) if k <= n or found.longer_kernels]
    return all(
        found.window((n,) * found.ndim, (k,) * found.ndim) == known.window((n,) * found.ndim, (k,) * found.ndim)
        for n, k in lengths
    )
