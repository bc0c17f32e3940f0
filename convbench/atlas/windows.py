"""Short names for the table: windows of full convolution, dtype rules, and sets of modes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from convbench.convention import Boundary, Convention

CONVOLUTION, CORRELATION = True, False
"""Whether the kernel is flipped."""

Window = tuple[str, str]
FULL: Window = ("0", "n+k-1")
SAME: Window = ("(k-1)//2", "n")
LATER: Window = ("k//2", "n")
"""Size n like SAME; where k is even it starts one sample later."""
VALID: Window = ("k-1", "n-k+1")
HALF: Window = ("(k-1)//2", "n+1-k%2")
INT_1: Window = ("k-2", "n-k+3")
CAUSAL: Window = ("0", "n")

FLOATS = "f8 f4"
INTEGERS = "i1 u1 i4 i8"
KEPT = f"{FLOATS} c16 {INTEGERS}"
"""The output has the inputs' dtype; integers wrap."""
COMPLEX = "c8 c16"

Modes = Mapping[str, Convention | None]


def modes(
    flips: bool,
    windows: Mapping[str, Window],
    *,
    conjugates: bool = False,
    transposes: bool = False,
    boundary: Boundary = "zero",
    swaps: bool = False,
) -> dict[str, Convention | None]:
    """The convention of each mode, of operations that differ in nothing but the window."""
    return {
        mode: Convention(
            flips,
            transposes=transposes,
            conjugates=conjugates,
            offset=offset,
            size=size,
            boundary=boundary,
            swaps=swaps,
        )
        for mode, (offset, size) in windows.items()
    }


def three(
    flips: bool, same: Window = SAME, *, conjugates: bool = False, suffixes: Iterable[str] = ("",)
) -> dict[str, Convention | None]:
    """SciPy's modes: only in valid do image and kernel change places."""
    found: dict[str, Convention | None] = {}
    for suffix in suffixes:
        found |= modes(flips, {f"full{suffix}": FULL, f"same{suffix}": same}, conjugates=conjugates)
        found |= modes(flips, {f"valid{suffix}": VALID}, conjugates=conjugates, swaps=True)
    return found


def bounded(flips: bool, same: Window = SAME, *, conjugates: bool = False) -> dict[str, Convention | None]:
    """SciPy's modes full and same where something else than zeros is outside the image."""
    boundaries: dict[str, Boundary] = {"wrap": "wrap", "symm": "symmetric"}
    found: dict[str, Convention | None] = {}
    for name, boundary in boundaries.items():
        windows = {f"full boundary={name}": FULL, f"same boundary={name}": same}
        found |= modes(flips, windows, conjugates=conjugates, boundary=boundary)
    return found


def numpys(flips: bool, *, conjugates: bool = False) -> dict[str, Convention | None]:
    """NumPy's modes: image and kernel change places in all of them, though it does not show in full."""
    return modes(flips, {"full": FULL}, conjugates=conjugates) | modes(
        flips, {"same": SAME, "valid": VALID}, conjugates=conjugates, swaps=True
    )


def never(*names: str) -> dict[str, Convention | None]:
    """Modes that never run."""
    return dict.fromkeys(names)
