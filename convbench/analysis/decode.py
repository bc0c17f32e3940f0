"""JSON as asv and convbench write it: what the json module accepts, and NaN."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

NO_NUMBER = -sys.float_info.max
"""Takes the place of what asv writes and JSON has not: NaN for what was not selected, infinite ends of intervals."""

# The word first: what precedes it is looked at only where there is one.
_NONE = [re.compile(rb"%b(?<=[\[,: ]%b)(?=[\],} \r\n])" % (w, w)) for w in (b"NaN", b"-Infinity", b"Infinity")]


def only_numbers(content: bytes) -> bytes:
    """The text with NO_NUMBER for each NaN and infinity."""
    for pattern in _NONE:
        content = pattern.sub(repr(NO_NUMBER).encode(), content)
    return content


def tolerant(content: bytes) -> Any:
    """Decode what quick decoders refuse: infinities, bytes that are no UTF-8.

    Raises ValueError, or RecursionError, if it is no JSON, or holds half of a surrogate pair, which is no text.
    """
    text = content.decode("utf-8", errors="replace")
    value = json.loads(text)
    if "\\ud" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value
