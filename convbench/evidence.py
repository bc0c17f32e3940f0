"""The evidence file: what the gate and the sampler saw, one JSON object a line, beside asv's results.

It is appended to after every cell, so that an interrupted run keeps what it had; asv itself saves only at the end.
Lines: kind "run" (one measuring session: versions, machine), kind "gate" (a backend on small problems), kind "cell",
kind "pair" (a cell's backend once more under another name: an A/A pair). A run writes a line of each cell from every
process that measures it; together they are one entry (`merged`). A later run's count. The file's name ends in .jsonl
because asv reads every .json file in the folder.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convbench.errors import StorageError

SUFFIX = ".evidence.jsonl"
# Raise it when sampling or gating changes, so that figures of two protocols are never mixed.
PROTOCOL = 1


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class EvidenceFile:
    """Append to and look into one evidence file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *entries: dict[str, Any]) -> None:
        """Write a line of each, all or nothing; raises StorageError where the file cannot be written."""
        line = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a+b", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                if size:
                    file.seek(size - 1)
                    if file.read(1) != b"\n":  # a line cut off by a crash must not swallow this one
                        line = b"\n" + line
                if file.write(line) != len(line):
                    file.truncate(size)
                    raise OSError("no space left on device")
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot write the evidence file {self.path}: {error.strerror or error}; make room or make the folder "
                f"writable, then run the same command again: it goes on from the last line"
            ) from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """All whole lines, oldest first; a half-written or foreign line is passed over."""
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and "kind" in entry:
                yield entry

    def find(self, kind: str, key: str, run: str) -> dict[str, Any] | None:
        """The entry of this kind, key and run, of all its processes; looks for the text first, which takes 1 ms."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        needle, end = f'"key":"{key}"'.encode(), len(content)
        found: dict[int, dict[str, Any]] = {}
        while (at := content.rfind(needle, 0, end)) >= 0:
            start, stop = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
            end = start
            try:
                entry = json.loads(content[start : stop if stop >= 0 else None])
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("kind") == kind and entry.get("run") == run:
                found.setdefault(entry.get("process", 0), entry)
        return merged([found[process] for process in sorted(found)]) if found else None


_TIMINGS = ("execute", "again", "one_shot", "plan")


def merged(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One entry from the lines of a cell, one a process: samples of all, the worst status and error, else the first's.

    execute gets `processes`, how many samples came from each.
    """
    first = next((line for line in lines if line.get("status") not in (None, "ok")), lines[0])
    if len(lines) == 1 or first is not lines[0]:
        return dict(first)
    worst = max(lines, key=lambda line: line.get("error_over_bound") or 0)
    entry: dict[str, Any] = dict(first)
    entry |= {name: worst.get(name) for name in ("error_over_bound", "worst_index") if name in first}
    for name in ("checks", "error_ulp"):
        values = [line[name] for line in lines if line.get(name) is not None]
        if values:
            entry[name] = sum(values) if name == "checks" else max(values)
    for name in _TIMINGS:
        timings = [line[name] for line in lines if line.get(name)]
        if timings:
            parts = [timing["samples"] for timing in timings]
            samples = [sample for part in parts for sample in part]
            entry[name] = {**timings[0], "samples": samples, "processes": list(map(len, parts))}
    return entry
