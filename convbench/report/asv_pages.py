"""Mend asv's published pages: no network needed, readable from file://, linked with the crossover report."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.files import atomic_write

VENDOR = Path(__file__).parent / "vendor"

# What a page loads from elsewhere, by how its address ends, and the copy that takes its place.
_COPIES = {
    "jquery-3.3.1.min.js": "jquery.min.js",
    "jquery.flot.min.js": "jquery.flot.js",
    "jquery.flot.time.min.js": "jquery.flot.time.js",
    "jquery.flot.selection.min.js": "jquery.flot.selection.js",
    "jquery.flot.categories.min.js": "jquery.flot.categories.js",
    "jquery.flot.orderBars.js": "jquery.flot.orderBars.js",
    "stupidtable.min.js": "stupidtable.min.js",
    "md5.min.js": "md5.min.js",
    "bootstrap.min.js": "bootstrap.min.js",
    "bootstrap.min.css": "bootstrap.min.css",
}
_REMOTE = re.compile(r'<(?P<tag>script|link)\b[^>]*?\b(?:src|href)="https?://[^"]*/(?P<name>[^"/]+)"[^>]*>')

# Browsers refuse to load files from file:// by script: all data come in one script that answers in the place of files,
# which are then not kept.
_OFFLINE = """<script src="offline-data.js"></script>
<script>
$.ajax = function (request) {
  var answer = $.Deferred(), name = decodeURIComponent(request.url.split("?")[0]).replace(/^\\.\\//, "");
  setTimeout(function () {
    if (name in asvFiles) answer.resolve(asvFiles[name]);
    else if (request.dataType === "text") answer.resolve("");
    else answer.reject();
  }, 0);
  return answer.promise();
};
</script>
"""
_NAVIGATION = '<li id="nav-li-regressions"><a href="#/regressions">Regressions</a></li>'
_LINK = '\n\t<li><a href="../index.html">Which one should I use?</a></li>'


def mend(html_dir: Path) -> None:
    """Mend the pages that `asv publish` has just written into html_dir.

    Raises ConvbenchError if the pages are not those of asv 0.6.6, so that a silent half-mend cannot happen.
    """
    index = html_dir / "index.html"
    page = index.read_text(encoding="utf-8")
    replaced: set[str] = set()

    def local(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in _COPIES:
            return match[0]
        replaced.add(name)
        copy = f"vendor/{_COPIES[name]}"
        if match["tag"] == "link":
            return f'<link rel="stylesheet" href="{copy}">'
        return f'<script src="{copy}">'

    page = _REMOTE.sub(local, page)
    page, links = re.subn(re.escape(_NAVIGATION), lambda match: match[0] + _LINK, page)
    anchor = '<script src="vendor/jquery.min.js"></script>'
    if replaced != set(_COPIES) or links != 1 or anchor not in page or _REMOTE.search(page):
        raise ConvbenchError(
            "asv's pages are not those of asv 0.6.6, and cannot be made to work without a network; "
            "install the pinned versions: pip install -c constraints.txt asv asv_runner"
        )
    page = page.replace(anchor, f"{anchor}\n{_OFFLINE}")
    shutil.copytree(VENDOR, html_dir / "vendor", dirs_exist_ok=True, ignore=shutil.ignore_patterns("README.md"))
    shutil.copy(VENDOR / "README.md", html_dir / "vendor" / "LICENSES.md")
    for path in html_dir.glob("graphs/**/summary.json"):
        _leave_out_what_was_never_measured(path)
    files = {path.relative_to(html_dir).as_posix(): path for path in sorted(html_dir.rglob("*.json"))}
    # asv writes NaN into its JSON; scripts know it as a name
    data = ",\n".join(f"{json.dumps(name)}: {path.read_text(encoding='utf-8').strip()}" for name, path in files.items())
    atomic_write(html_dir / "offline-data.js", f"window.asvFiles = {{\n{data}\n}};\n")
    atomic_write(index, page)
    for path in files.values():
        path.unlink()
    shutil.rmtree(html_dir / "graphs", ignore_errors=True)


def _leave_out_what_was_never_measured(path: Path) -> None:
    """asv's list has a row for every cell of the grid; most cannot run, or were not chosen, on any one machine."""
    rows = [row for row in json.loads(path.read_text(encoding="utf-8")) if row["last_rev"] is not None]
    atomic_write(path, json.dumps(rows, separators=(",", ":")))
