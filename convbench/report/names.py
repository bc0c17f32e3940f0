"""Names of files and anchors: safe on every file system, unique, made from text that may be anything."""

from __future__ import annotations

import re

LONGEST = 60
"""Characters of a slug: a path stays short on every system."""


def slug(text: str) -> str:
    """Lower-case letters, digits, dots and dashes that remind of the text; 'unnamed' where nothing is left."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:LONGEST].strip("-.") or "unnamed"


class Names:
    """Hands out slugs, each once: the second of a kind ends in -2."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def new(self, text: str) -> str:
        """A slug of the text that was not handed out before."""
        first = name = slug(text)
        number = 1
        while name in self._taken:
            number += 1
            name = f"{first}-{number}"
        self._taken.add(name)
        return name
