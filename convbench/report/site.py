"""Builds the site: reads results, decides, draws, fills the templates, writes each file whole."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import convbench
from convbench.analysis.export import write_csv, write_parquet
from convbench.analysis.table import Progress, Results, read_results
from convbench.files import atomic_write
from convbench.report import backend_page, data, downloads, machine_page, overview, profile_index
from convbench.report.backend_page import Known
from convbench.report.names import Names
from convbench.report.place import Place, decide, named, where_of
from convbench.report.render import render, script_data, static, to_json

ASSETS = ("style.css", "theme.js", "site.js", "cells.js", "cell.js", "choose.js", "chooser.js")
MANIFEST = "site.json"
"""Names of the files that were written here, so that the next site can remove those that it no longer has."""
_OURS = re.compile(r"(?:(?:data|assets)/)?[A-Za-z0-9][A-Za-z0-9._-]*")


def build_report(
    results_dir: str | Path,
    out_dir: str | Path,
    progress: Progress | None = None,
    backends: Known | None = None,
    workers: int = 1,
) -> Path:
    """Turn a folder of results into a site that needs no network and no server; returns the path of index.html.

    backends: what the registry says of each backend by name, see backend_page.Known; without it that part is left out.
    progress: called with (done, total, what is being done). workers: processes that read, see read_results. What is
    written is said in docs/report.md.
    Raises StorageError if there are no results or a file cannot be written; each old file is then still there, whole.
    """
    out = Path(out_dir)
    tell = progress or (lambda done, total, text: None)
    results = read_results(results_dir, progress=tell, workers=workers)
    return Site(results, out, tell, backends or {}).write()


class Site:
    """The site of some results; files are written as they are made, so that memory holds one page at a time."""

    def __init__(self, results: Results, out: Path, tell: Progress, known: Known) -> None:
        self.results, self.out, self.tell, self.known = results, out, tell, known
        self.written: list[str] = []
        where = where_of(results.cells)
        self.places: list[Place] = []
        for i, (place, (slug, label)) in enumerate(named(where).items()):
            tell(i, len(where), f"decide {label}")
            self.places.append(decide(results, place, slug, label))
        names = Names()
        self.data = {place.slug: data.set_data(place, names) for place in self.places}
        self.backends = backend_page.all_backends(self.places, known)

    def write(self) -> Path:
        """Write everything, the overview last: it never links to what is not there yet."""
        for steps in (self._downloads(), self._data(), self._pages()):
            for name, text in steps:
                self._write(name, text)
        for name in ASSETS:
            self._write(f"assets/{name}", static(name))
        self._write("cell.html", self._render("cell.html", "cell", cells={"places": self._index()}))
        self._write("index.html", self._overview())
        self._tidy()
        return self.out / "index.html"

    def _downloads(self) -> Iterator[tuple[str, str]]:
        self.tell(0, 4, "write cells.csv")
        write_csv(self.results.cells, self.out / "cells.csv")
        self.tell(1, 4, "write cells.parquet")
        write_parquet(self.results.cells, self.out / "cells.parquet")
        self.tell(2, 4, "write cells.json")
        downloads.write_json(self.places, self.out / "cells.json")
        self.written += ["cells.csv", "cells.parquet", "cells.json"]
        self.choosers = overview.choosers(self.results, self.places)
        for slug, table in self.choosers.items():
            yield f"chooser-{slug}.json", json.dumps(table, separators=(",", ":")) + "\n"
            yield f"data/chooser-{slug}.js", script_data(f"chooser-{slug}", to_json(table))

    def _data(self) -> Iterator[tuple[str, str]]:
        for i, place in enumerate(self.places):
            self.tell(i, len(self.places), f"write the cells of {place.label}")
            yield from data.files(place, self.data[place.slug], self.results.cells)

    def _pages(self) -> Iterator[tuple[str, str]]:
        for place in self.places:
            page = machine_page.context(self.results, place, self.data[place.slug], self.tell)
            yield place.page, self._render("machine.html", "machine", **page)
        for i, entry in enumerate(self.backends):
            self.tell(i, len(self.backends), f"write {entry['file']}")
            page = backend_page.context(entry, self.places, self.data, self.known)
            yield entry["file"], self._render("backend.html", "backend", **page)

    def _overview(self) -> str:
        embedded: dict[str, Any] = {}
        room = overview.TABLE_BYTES
        for slug, table in self.choosers.items():
            room -= len(to_json(table))
            if room > 0:
                embedded[slug] = table
        return self._render(
            "index.html", "index",
            **overview.context(self.results, self.places, self.data),
            choosers=embedded, chooser_slugs=list(self.choosers), backends=self.backends,
            downloads=[(name, told, downloads.size(self.out / name)) for name, told in _DOWNLOADS],
            chooser_files=[(p.label, f"chooser-{p.slug}.json") for p in self.places if p.slug in self.choosers],
        )  # fmt: skip

    def _index(self) -> list[dict[str, Any]]:
        """What the pages of cells must know to find one, and its profile."""
        profiled = profile_index.profiles_in(self.out)
        return [
            {
                "slug": p.slug, "label": p.label, "page": p.page, "sets": [one.told for one in self.data[p.slug]],
                "profiles": profiled.get(p.where[0], []),
            }
            for p in self.places
        ]  # fmt: skip

    def _render(self, template: str, page: str, **context: Any) -> str:
        shared = {
            "page": page,
            "version": convbench.__version__,
            "asv": machine_page.has_asv(self.out),
            "places": self.places,
            "files": {entry["name"]: entry["file"] for entry in self.backends},
            "days": sorted({p.day for p in self.places if p.day}),
        }
        return render(template, {**shared, **context})

    def _write(self, name: str, text: str) -> None:
        atomic_write(self.out / name, text)
        self.written.append(name)

    def _tidy(self) -> None:
        """Remove what the site before this one wrote and this one did not."""
        manifest = self.out / MANIFEST
        old: Any = []
        with contextlib.suppress(OSError, ValueError):
            old = json.loads(manifest.read_text(encoding="utf-8"))["files"]
        for name in set(old if isinstance(old, list) else []) - set(self.written):
            if isinstance(name, str) and _OURS.fullmatch(name):
                with contextlib.suppress(OSError):
                    (self.out / name).unlink()
        told = {"convbench": convbench.__version__, "files": sorted(self.written)}
        atomic_write(manifest, json.dumps(told, indent=1) + "\n")


_DOWNLOADS = (
    ("cells.csv", "every cell of every commit, with its evidence; no samples"),
    ("cells.parquet", "the same with every sample"),
    ("cells.json", "the cells that these pages show, with samples, rank and regret"),
)
