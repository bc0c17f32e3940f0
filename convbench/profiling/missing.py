"""A part of a profile that cannot be had here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """what: the part, e.g. "hardware counters". why: in words. remedy: the command that mends it, '' if none does."""

    what: str
    why: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}{f'; {self.remedy}' if self.remedy else ''}"
