"""A flame graph of a cell's executions, native code included, sampled by py-spy.

py-spy looks into the workload from where it executes again and again: while TensorFlow is loaded and planned with, it
would take a minute to look into that. Threads that a library starts without Python's knowledge it does not see.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sysconfig
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from convbench.profiling import workload
from convbench.profiling.child import LIMIT, Child, ChildError, HungError, piped
from convbench.profiling.missing import Missing
from convbench.profiling.subject import Subject
from convbench.report import words

WHAT = "flame graph"
RATE = 50  # samples a second: of very large libraries, py-spy looks up names no faster
LONGEST = 200  # characters of a name: those of templates have no end
SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
BACKENDS, WORKLOAD = "convbench/backends/", "profiling/workload.py"

WIDTH, ROW, MARGIN = 1200, 17, 24  # of the drawing, in units of which a character takes about CHARACTER
CHARACTER = 6.7
LEAST = 0.5  # a narrower box is not drawn
# Light colours, for dark text: Okabe and Ito's blue, green and orange, paled.
COLOURS = {"Python": "#b5d7ec", "convbench": "#a6dccb", "native": "#f5c79a"}
STYLE = (
    ".flame text{font:11px ui-monospace,monospace;fill:#111}.flame .said{fill:#222}"
    "@media(prefers-color-scheme:dark){.flame .said{fill:#ddd}}"
)


@dataclass(frozen=True)
class Frame:
    """A function on a stack; file is '' where it is not known, line 0 likewise."""

    name: str
    file: str = ""
    line: int = 0

    @property
    def kind(self) -> str:
        if not self.file.endswith((".py", ".pyx")):
            return "native"
        return "convbench" if "convbench/" in self.file else "Python"


@dataclass(frozen=True)
class Stack:
    """The frames of a thread at one moment, the outermost first; seconds that the sample stands for."""

    thread: str
    frames: tuple[Frame, ...]
    seconds: float


def flame(subject: Subject, folder: Path, stem: str, seconds: int = 3) -> list[Path] | Missing:
    """Write STEM.speedscope.json (for speedscope.app) and STEM.svg of so many seconds of executions into the folder.

    Where native code cannot be looked into they show Python alone, and their title says why.
    """
    program = shutil.which("py-spy", path=os.pathsep.join([os.environ.get("PATH", ""), sysconfig.get_path("scripts")]))
    if program is None:
        return Missing(WHAT, "py-spy is not installed", "pip install 'convbench[profile]'")
    title = subject.label
    try:
        with tempfile.TemporaryDirectory(prefix="convbench-") as place:
            workload.prepare(subject, Path(place))
            try:
                stacks = _record(program, ["--native"], Path(place), seconds)
            except ChildError as error:
                if _forbidden(error) or isinstance(error, HungError):
                    raise
                title += f"; without native frames: {error}"
                stacks = _record(program, [], Path(place), seconds)
    except ChildError as error:
        return _refusal(error)
    except (OSError, ValueError, KeyError) as error:
        return Missing(WHAT, f"py-spy failed: {type(error).__name__}: {error}", "`py-spy record --help`")
    paths = [folder / f"{stem}.speedscope.json", folder / f"{stem}.svg"]
    for path, text in zip(paths, (speedscope(stacks, title), svg(stacks, title)), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _record(program: str, options: Sequence[str], folder: Path, seconds: int) -> list[Stack]:
    """Samples of executions. Raises ChildError if py-spy or the workload fails or hangs, or there are none."""
    file = folder / "py-spy.json"
    record = [program, "record", *options, "--format", "speedscope", "--rate", str(RATE), "--duration", str(seconds)]
    with Child(workload.start(folder, LIMIT + seconds)) as child:
        command = [*record, "--output", str(file), "--pid", child.expect("ready")]
        with Child(piped(command)) as spy:
            for _ in spy.lines(LIMIT + seconds):
                pass
    seen = read(json.loads(file.read_text(encoding="utf-8")))
    kept = executions(seen)
    if not kept:
        raise ChildError(f"none of {len(seen)} samples was taken while executing{child.last_words()}")
    return kept


def read(told: dict[str, Any]) -> list[Stack]:
    """The samples in a file of speedscope's format that holds sampled profiles, one a thread."""
    frames = [_frame(f["name"], f.get("file") or "", f.get("line") or 0) for f in told["shared"]["frames"]]
    return [
        Stack(_thread(profile["name"]), _merged(frames[i] for i in sample), float(weight))
        for profile in told["profiles"]
        for sample, weight in zip(profile["samples"], profile["weights"], strict=True)
    ]


def _frame(name: str, file: str, line: int) -> Frame:
    """Machine code without a name is told by its library, or as generated where it belongs to no file."""
    if not name.startswith("0x"):
        return Frame(name[:LONGEST], file, line)
    return Frame("[generated code]") if file in ("", "?") else Frame(f"[{Path(file).name}]", file)


def _thread(name: str) -> str:
    """py-spy says 'Thread 123 "name"', whose name may be empty."""
    found = re.fullmatch(r'Thread (\S+) "(.*)"', name)
    return (found[2] or f"thread {found[1]}") if found else name


def _merged(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """Code without a name that calls such code in the same library is one frame."""
    kept: list[Frame] = []
    for frame in frames:
        if not (kept and frame == kept[-1] and frame.name.startswith("[")):
            kept.append(frame)
    return tuple(kept)


def executions(stacks: Iterable[Stack]) -> list[Stack]:
    """Samples taken while the plan was executed over and over, from below that loop; of other threads what backends do.

    Threads that work for a plan are not below the loop: theirs count from the first function of a backend.
    """
    loop = workload.execute_repeatedly.__name__
    kept = []
    for stack in stacks:
        ours = [i for i, frame in enumerate(stack.frames) if frame.file.endswith(WORKLOAD)]
        if ours:
            ready = any(stack.frames[i].name == loop for i in ours)
            below = stack.frames[ours[-1] + 1 :] if ready else ()
        else:
            first = next((i for i, frame in enumerate(stack.frames) if BACKENDS in frame.file), len(stack.frames))
            below = stack.frames[first:]
        if below:
            kept.append(Stack(stack.thread, below, stack.seconds))
    return kept


def speedscope(stacks: Sequence[Stack], title: str) -> str:
    """The samples as JSON in speedscope's format, a profile for each thread."""
    index: dict[Frame, int] = {}
    threads: dict[str, tuple[list[list[int]], list[float]]] = {}
    for stack in stacks:
        samples, weights = threads.setdefault(stack.thread, ([], []))
        samples.append([index.setdefault(frame, len(index)) for frame in stack.frames])
        weights.append(stack.seconds)
    return json.dumps(
        {
            "$schema": "https://www.speedscope.app/file-format-schema.json",
            "name": title,
            "exporter": "convbench, from py-spy",
            "shared": {"frames": [_as_json(frame) for frame in index]},
            "profiles": [
                {
                    "type": "sampled",
                    "name": thread,
                    "unit": "seconds",
                    "startValue": 0,
                    "endValue": sum(weights),
                    "samples": samples,
                    "weights": weights,
                }
                for thread, (samples, weights) in threads.items()
            ],
        }
    )


def _as_json(frame: Frame) -> dict[str, object]:
    found: dict[str, object] = {"name": frame.name}
    if frame.file:
        found["file"] = short(frame.file)
    return found | ({"line": frame.line} if frame.line else {})


def short(file: str) -> str:
    """A path from its package on: where that is installed is of no interest to others."""
    parts = Path(file).parts
    for start in ("site-packages", "dist-packages"):
        if start in parts:
            return "/".join(parts[parts.index(start) + 1 :])
    return "/".join(parts[-3:]) if Path(file).is_absolute() else file


@dataclass
class Box:
    """A function called from one place, over all samples; seconds include those of what it called."""

    frame: Frame
    seconds: float = 0.0
    below: dict[tuple[str, str], Box] = field(default_factory=dict)


def _tree(stacks: Iterable[Stack]) -> Box:
    root = Box(Frame("all"))
    for stack in stacks:
        box = root
        box.seconds += stack.seconds
        for frame in stack.frames:  # one box for a function, whichever of its lines was running
            box = box.below.setdefault((frame.name, frame.file), Box(frame))
            box.seconds += stack.seconds
    return root


def svg(stacks: Sequence[Stack], title: str) -> str:
    """The flame graph as a drawing that needs nothing else: callers below, width is time, a tooltip on each box."""
    root = _tree(stacks)
    rows = max(len(stack.frames) for stack in stacks)
    height = rows * ROW + 2 * MARGIN
    drawing = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "flame",
            "viewBox": f"0 0 {WIDTH} {height}",
            "role": "img",
            "aria-label": f"Flame graph: {title}",
        },
    )
    SubElement(drawing, "style").text = STYLE
    threads = len({stack.thread for stack in stacks})
    said = f"{title}; {len(stacks)} samples of {words.thread_words(threads)}"
    SubElement(drawing, "text", {"class": "said", "x": "2", "y": "15"}).text = said
    for number, (kind, colour) in enumerate(COLOURS.items()):
        at = {"x": str(2 + 110 * number), "y": str(height - 16)}
        SubElement(drawing, "rect", {**at, "width": "12", "height": "12", "fill": colour})
        label = {"class": "said", "x": str(18 + 110 * number), "y": str(height - 6)}
        SubElement(drawing, "text", label).text = kind
    _draw(drawing, root, 0.0, height - MARGIN - ROW, root.seconds)
    return ElementTree.tostring(drawing, encoding="unicode")


def _draw(drawing: Element, caller: Box, x: float, y: float, whole: float) -> None:
    """What a function called, in the row above it; whole: seconds that are as wide as the drawing."""
    for box in sorted(caller.below.values(), key=lambda box: box.frame.name):
        width = box.seconds / whole * WIDTH
        if width >= LEAST:
            drawing.append(_boxed(box, x, y, width, box.seconds / whole))
            _draw(drawing, box, x, y - ROW, whole)
        x += width


def _boxed(box: Box, x: float, y: float, width: float, share: float) -> Element:
    frame, group = box.frame, Element("g")
    where = f" ({short(frame.file)})" if frame.file else ""
    told = f"{frame.name}{where}: {words.percent(share)}, {words.seconds(box.seconds)}"
    SubElement(group, "title").text = told
    at = {"x": f"{x:.1f}", "y": f"{y:g}", "width": f"{max(width - 0.5, 0.3):.1f}", "height": f"{ROW - 1}"}
    SubElement(group, "rect", {**at, "fill": COLOURS[frame.kind]})
    room = int((width - 4) / CHARACTER)
    if room >= 3:
        name = frame.name if len(frame.name) <= room else f"{frame.name[: room - 1]}…"
        SubElement(group, "text", {"x": f"{x + 2:.1f}", "y": f"{y + 12:g}"}).text = name
    return group


def _forbidden(error: ChildError) -> bool:
    said = str(error)
    return any(word in said for word in ("ermission denied", "ermission Denied", "ptrace", "not permitted"))


def _refusal(error: ChildError) -> Missing:
    if not _forbidden(error):
        return Missing(WHAT, str(error))
    with contextlib.suppress(OSError):
        scope = SCOPE.read_text().strip()
        if scope in ("2", "3"):
            why = f"py-spy may not look into another process: kernel.yama.ptrace_scope is {scope}"
            return Missing(WHAT, why, "sudo sysctl kernel.yama.ptrace_scope=1" if scope == "2" else "restart with 1")
    return Missing(
        WHAT, "py-spy may not look into another process, as in containers", "docker run --cap-add SYS_PTRACE"
    )
