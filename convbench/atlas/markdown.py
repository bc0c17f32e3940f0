"""The table as Markdown, for the documentation: one line per entry."""

from __future__ import annotations

from collections.abc import Iterable

from convbench.atlas.defects import DEFECTS
from convbench.atlas.entry import Entry, Refusal
from convbench.atlas.quirks import QUIRKS
from convbench.atlas.rules import WHEN
from convbench.atlas.table import TABLE
from convbench.convention import Convention

_LEGEND = (
    "n and k are the lengths of image and kernel on an axis; formulas hold per axis. The offset is the index of the "
    "first output sample in the full output of the operation's own kind (convolution or correlation). Image and kernel "
    "swap where the kernel is longer, and shorter on no axis. Dtypes: `i1>f4` says that int8 becomes float32, `c8>?` "
    "that complex64 was not measured; integers wrap unless they saturate."
)
_COLUMNS = ("system", "versions", "operation", "modes: flip, offset, size", "refuses", "dtypes", "defects")


def markdown() -> str:
    """The whole table and the list of defects; `python -m convbench.atlas` prints this."""
    lines = [
        _LEGEND,
        "",
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
        *(_line(_cells(entry)) for entry in TABLE),
        "",
    ]
    lines += [f"* **{defect.name}** ({defect.handled} by emulate): {defect.text}" for defect in DEFECTS.values()]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(entry: Entry) -> list[str]:
    by_convention: dict[Convention | None, list[str]] = {}
    for mode, convention in entry.modes.items():
        by_convention.setdefault(convention, []).append(_mode(mode, entry))
    names = [refusal.defect for refusal in entry.refuses if refusal.defect]
    names += [name for quirk in entry.quirks.values() for name in QUIRKS[quirk].defects]
    return [
        entry.system,
        "<br>".join(entry.versions),
        f"`{entry.op}`",
        "<br>".join(f"**{', '.join(modes)}**: {_convention(it)}" for it, modes in by_convention.items()),
        "<br>".join(_refusal(refusal, entry) for refusal in entry.refuses),
        entry.dtypes + ", saturates" * entry.saturates,
        ", ".join(dict.fromkeys(names)),
    ]


def _mode(mode: str, entry: Entry) -> str:
    return f"{mode} (default)" if mode == entry.default and not mode.endswith("(default)") else mode


def _convention(convention: Convention | None) -> str:
    if convention is None:
        return "never runs"
    what = "convolution" if convention.flips else "correlation"
    what += ", kernel transposed" * convention.transposes + ", kernel conjugated" * convention.conjugates
    what += f", {convention.offset}, {convention.size}"
    what += f", {convention.boundary} outside" * (convention.boundary != "zero")
    return what + ", swaps for k > n" * convention.swaps


def _refusal(refusal: Refusal, entry: Entry) -> str:
    condition = "" if refusal.when == "always" and refusal.dtypes else WHEN[refusal.when].words
    modes = [mode for mode in refusal.modes if mode in entry.modes]
    where = [condition, refusal.dtypes, f"in {', '.join(modes)}" if modes else ""]
    return f"{', '.join(filter(None, where))}: {refusal.kind}"
