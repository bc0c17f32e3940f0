"""Fills the templates: everything from files is escaped, in HTML and in scripts."""

from __future__ import annotations

import functools
import json
import math
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from convbench.report import words


@functools.cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("convbench.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "unbroken": words.unbroken, "seconds": words.seconds, "percent": words.percent, "state": state,
        "digits": words.digits, "cost": words.cost, "coded": coded,
    }  # fmt: skip
    return environment


def render(template: str, context: dict[str, Any]) -> str:
    """A page; text in it that is not valid Unicode is replaced, for file names need not be."""
    return _whole(_environment().get_template(template).render(context))


def static(name: str) -> str:
    """A stylesheet or script of this package, as it is."""
    return files("convbench.report").joinpath("templates", name).read_text(encoding="utf-8")


def script_data(name: str, data: str) -> str:
    """A script that hands JSON to the page that loads it: from file:// a page may load scripts, but no data."""
    return f"(window.convbenchData ||= {{}})[{to_json(name)}] = {data};\n"


def to_json(value: Any) -> str:
    """Compact JSON in ASCII that is harmless inside a script element; NaN and infinities become null."""
    text = json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def coded(text: str) -> Any:
    """The text escaped, with `commands` as code elements."""
    from markupsafe import Markup, escape

    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (Markup("<code>{}</code>").format(part) if i % 2 else escape(part) for i, part in enumerate(parts))
    return Markup("").join(marked)


def state(values: dict[str, Any]) -> str:
    """What stands behind the # of an address: `machine=lab&image=1024`."""
    return "&".join(f"{quote(str(k), safe='')}={quote(str(v), safe='', errors='replace')}" for k, v in values.items())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()
