"""The atlas's words: an entry is one operation of a system, with its conventions, refusals, dtypes and defects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from convbench.convention import Convention


@dataclass(frozen=True)
class Defect:
    """A fault of a system, found by measuring; emulate reproduces what is repeatable and refuses what is not."""

    name: str
    text: str
    handled: Literal["reproduced", "refused"]


@dataclass(frozen=True)
class Refusal:
    """What a system refuses, and with which kind of exception.

    when: a name of rules.WHEN. modes, dtypes (NumPy's short codes, "f4 c16"): where it does; empty means everywhere.
    defect: a name of defects.DEFECTS if this is one.
    """

    kind: str
    when: str = "always"
    modes: tuple[str, ...] = ()
    dtypes: str = ""
    defect: str = ""


@dataclass(frozen=True)
class Entry:
    """One operation of a system, in the versions that behave alike.

    modes: the convention of each mode, None where the mode never ran. default: the mode if none is given, "" where one
    must be. dtypes: measured dtypes and what becomes of them, "f8 i1>f4 c8>?", with ? for not measured. takes_kernel:
    whether the kernel's dtype must be the image's, is promoted with it as NumPy does, or does not matter.
    saturates: integers stop at the ends of their range instead of wrapping. multiplies: where every axis has length 1
    in image or kernel they are multiplied in their own dtype. quirks: a name of quirks.QUIRKS for a mode
    that does not quite follow its convention.
    """

    system: str
    versions: tuple[str, ...]
    op: str
    ndims: tuple[int, ...]
    modes: Mapping[str, Convention | None] = field(hash=False)
    default: str = ""
    dtypes: str = "f8"
    refuses: tuple[Refusal, ...] = ()
    takes_kernel: Literal["alike", "promoted", "any"] = "alike"
    saturates: bool = False
    multiplies: bool = False
    quirks: Mapping[str, str] = field(default_factory=dict, hash=False)

    def refusals(self, mode: str) -> tuple[Refusal, ...]:
        """What is refused in this mode, in the order in which the system finds out."""
        return tuple(refusal for refusal in self.refuses if not refusal.modes or mode in refusal.modes)


class Row(NamedTuple):
    """One line of the atlas; convention is None where the operation refuses everything in this mode."""

    system: str
    version: str
    op: str
    mode: str
    ndim: int
    convention: Convention | None
    defects: tuple[Defect, ...]
