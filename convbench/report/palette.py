"""Colours, markers and dashes: one colour a family, one shape a backend within it.

The family colours are those of Okabe and Ito (Color Universal Design, 2008), told apart by colour-blind readers too;
no meaning hangs on colour alone. Figures are drawn in the colours below, and svg.py then turns each into the CSS
variable of its name, so that a page can be light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FAMILY_COLOURS = {"direct": "#0072b2", "separable": "#009e73", "fft": "#d55e00", "framework": "#cc79a7"}
OTHER_COLOUR = "#8a6d1f"
INK, SOFT, FAINT, PAPER = "#010203", "#040506", "#070809", "#fafbfc"
CSS_VARIABLES = {
    **{colour: f"var(--{family})" for family, colour in FAMILY_COLOURS.items()},
    OTHER_COLOUR: "var(--other)",
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    FAINT: "var(--faint)",
    PAPER: "var(--paper)",
}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
_DASHES = ((None, None), (4.5, 1.6), (1.3, 1.5), (6, 1.5, 1.3, 1.5), (2.6, 2.6), (8, 2))


@dataclass(frozen=True)
class Style:
    """How a backend is drawn; slot numbers the backends of a page."""

    backend: str
    family: str
    slot: int
    colour: str
    marker: str
    dashes: tuple[float | None, ...]


def family_class(family: str) -> str:
    """The CSS class of a family; families of other packages share one."""
    return family if family in FAMILY_COLOURS else "other"


def styles(pairs: Iterable[tuple[str, str]]) -> dict[str, Style]:
    """A style for each (family, backend), in the order given."""
    made: dict[str, Style] = {}
    within: dict[str, int] = {}
    for family, backend in pairs:
        i = within.get(family, 0)
        within[family] = i + 1
        made[backend] = Style(
            backend,
            family,
            len(made),
            FAMILY_COLOURS.get(family, OTHER_COLOUR),
            _MARKERS[i % len(_MARKERS)],
            _DASHES[i % len(_DASHES)],
        )
    return made
