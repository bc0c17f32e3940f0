"""The profiles that lie in a site's folder, as the pages of cells need them to link there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

FOLDER = "profiles"


def profiles_in(site: Path) -> dict[str, list[dict[str, Any]]]:
    """By machine: the cell that each profile is of, its page and a title; a file that is no profile is passed over."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((site / FOLDER).glob("*.json")):
        if not path.with_suffix(".html").exists():
            continue
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            entries = [(str(one["machine"]), _cell(one)) for one in told["profiles"]]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
        backends = " and ".join(dict.fromkeys(str(cell["backend"]) for _, cell in entries))
        page = {"file": f"{FOLDER}/{quote(path.stem)}.html", "title": f"Profile of {backends}"}
        for machine, cell in entries:
            found.setdefault(machine, []).append(cell | page)
    return found


def _cell(profile: dict[str, Any]) -> dict[str, Any]:
    """What names a cell of the suite; a problem that is none of them matches none."""
    problem = profile["problem"]
    image, kernel = problem["image_shape"], problem["kernel_shape"]
    layout = "signal" if len(image) == 1 else "rows" if kernel[0] == 1 and kernel[-1] > 1 else "image"
    square = image[0] == image[-1] and (layout != "image" or kernel[0] == kernel[-1]) and problem["mode"] == "same"
    return {
        "layout": layout if square else "",
        "image": image[-1],
        "kernel": kernel[-1],
        **{name: problem[name] for name in ("dtype", "device", "threads")},
        "backend": profile["backend"],
    }
