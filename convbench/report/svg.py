"""A matplotlib figure as SVG to be put into a page: small, without clashing ids, coloured by the page's CSS."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from convbench.report.palette import CSS_VARIABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text stays text (searchable, in the page's font); names are never read as mathematics.
RC = {"svg.fonttype": "none", "text.parse_math": False, "font.size": 11, "path.simplify": False}
# A gid that begins so becomes a CSS class and a tooltip: "class:NAME:TOOLTIP".
CLASS = "class:"

_NUMBER = re.compile(r"-?\d+\.\d+")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_DROPPED = ("metadata", "style")
_PAGE_DECIDES = ("font-family", "stroke-linejoin", "stroke-linecap", "stroke-dashoffset: 0")
_NO_ROTATION = re.compile(r"rotate\(-?0 [^)]*\)")


def inline(figure: Figure, prefix: str, title: str) -> str:
    """The figure as an <svg> element that fills its container's width.

    prefix: unique on the page; every id begins with it. title: what a screen reader says. A group whose gid is
    "class:NAME:TOOLTIP" gets that CSS class and tooltip.
    """
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({**RC, "svg.hashsalt": prefix}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawn = ElementTree.fromstring(buffer.getvalue())
    for element in drawn.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
    used = {ref for element in drawn.iter() for value in element.attrib.values() for ref in _references(value)}
    ids = {name: f"{prefix}-{i}" for i, name in enumerate(sorted(used))}
    root = Element("svg", {"class": "plot", "viewBox": drawn.get("viewBox", ""), "role": "img", "aria-label": title})
    for child in drawn:
        root.extend(_slim(child, ids))
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _references(value: str) -> list[str]:
    return [value[1:]] if value.startswith("#") else _REFERENCE.findall(value)


def _slim(element: Element, ids: dict[str, str]) -> list[Element]:
    """The element without what a page does not need; groups that say nothing are replaced by their children."""
    if element.tag in _DROPPED:
        return []
    made = Element(element.tag, _attributes(element, ids))
    made.text = (element.text or "").strip() or None
    gid = element.get("id", "")
    if gid.startswith(CLASS):
        _, name, tooltip = gid.split(":", 2)
        made.set("class", name)
        if tooltip:
            ElementTree.SubElement(made, "title").text = tooltip
    for child in element:
        made.extend(_slim(child, ids))
    _share_style(made)
    if element.tag in ("g", "defs") and not len(made):
        return []
    return list(made) if element.tag == "g" and not made.attrib else [made]


def _attributes(element: Element, ids: dict[str, str]) -> dict[str, str]:
    kept = {}
    for name, value in element.attrib.items():
        if name == "id":
            if value not in ids:
                continue
            text = ids[value]
        elif name == "href":
            text = f"#{ids[value[1:]]}"
        elif name == "transform" and _NO_ROTATION.fullmatch(value):
            continue
        else:
            text = _NUMBER.sub(_round, _REFERENCE.sub(lambda m: f"url(#{ids[m[1]]})", value))
            text = _style(text) if name == "style" else " ".join(text.split())
        kept[name] = text
    return kept


def _style(text: str) -> str:
    """The style with the page's colours, and without the font, which is the page's as well."""
    parts = [part.strip() for part in text.split(";")]
    kept = [re.sub(": +", ":", p) for p in parts if p and not p.startswith(_PAGE_DECIDES)]
    kept = [re.sub(r"^font:(?:(bold|\d+) )?([\d.]+px) .*", _font, p) for p in kept]
    return _COLOUR.sub(lambda m: CSS_VARIABLES.get(m[0], m[0]), ";".join(kept))


def _font(match: re.Match[str]) -> str:
    return f"font-size:{match[2]}" + (f";font-weight:{match[1]}" if match[1] else "")


def _round(match: re.Match[str]) -> str:
    """A tenth of a unit is less than a screen's pixel; marks near the origin keep a hundredth."""
    value = float(match[0])
    return f"{value:.{2 if abs(value) < 10 else 1}f}".rstrip("0").rstrip(".") or "0"


def _share_style(group: Element) -> None:
    """Markers of one line repeat their style: say it once, on their group."""
    styles = {child.get("style") if child.tag == "use" else None for child in group}
    if group.tag == "g" and len(group) > 1 and len(styles) == 1 and None not in styles:
        group.set("style", str(styles.pop()))
        for use in group:
            del use.attrib["style"]
