"""What oneDNN and MKL say of the primitives that they run: ONEDNN_VERBOSE and MKL_VERBOSE.

Format of a line of oneDNN: its developer guide, "Verbose Mode"; fields before 'exec' differ between versions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from convbench.profiling.algorithm.fact import Fact
from convbench.profiling.algorithm.watch import Watched

ONEDNN = "oneDNN primitives"
VARIABLES = {"ONEDNN_VERBOSE": "1", "MKL_VERBOSE": "1"}
_MOST = 8
"""Kinds of primitives that are shown."""
_PREFIX = re.compile(r"^(?:one)?dnnl?_verbose,")
_MKL = re.compile(r"^MKL_VERBOSE (\w+)\((.*?)\)\s+([\d.]+)([munp]?s)")
_MKL_ITSELF = "MKL_VERBOSE oneMKL"
_MKL_FFT = re.compile(r"[a-z]([rc])([fb])[a-z]([\dx]+)")
"""Precision, domain, direction, whether in place; lengths, then strides where they are not the usual."""
_FFT_WORDS = {"r": "real", "c": "complex", "f": "forward", "b": "backward"}
_UNITS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6, "ps": 1e-9}


@dataclass(frozen=True)
class Primitive:
    """One execution of a primitive. shapes: as oneDNN writes them; milliseconds: what it took."""

    kind: str
    implementation: str
    dtypes: str
    shapes: str
    milliseconds: float


def primitives(lines: Iterable[str]) -> list[Primitive]:
    """Those of the lines that tell of an execution."""
    found = []
    for line in lines:
        if _PREFIX.match(line):
            fields = line.rstrip().split(",")
            if "exec" in fields and len(fields) - fields.index("exec") >= 7:
                at = fields.index("exec")
                kind, implementation, memory = fields[at + 2], fields[at + 3], fields[at + 5]
                found.append(Primitive(kind, implementation, _dtypes(memory), fields[-2], float(fields[-1])))
    return found


def _dtypes(memory: str) -> str:
    """'src:f32::blocked:abcd::f0 wei:f32:a:blocked:...' -> 'f32'; 'f32 bf16' where they differ."""
    kinds = (part.split(":") for part in memory.split())
    return " ".join(dict.fromkeys(found for part in kinds if (found := _dtype(part))))


def _dtype(part: list[str]) -> str:
    """The data type follows the argument's name; older versions write src_f32."""
    name, *rest = part
    found = rest[0] if rest and rest[0] else name.partition("_")[2]
    return "" if found == "undef" else found


def _about(lines: Iterable[str]) -> tuple[str, ...]:
    """What oneDNN says of itself: version, threads, instruction set."""
    said = (line.partition(",info,")[2] for line in lines if _PREFIX.match(line) and ",info," in line)
    told = (text.removeprefix("cpu,") for text in said if text.startswith(("oneDNN v", "DNNL v", "cpu,")))
    return tuple(dict.fromkeys(told))


def onednn(seen: Watched) -> Fact:
    """The primitives that ran, or that none did."""
    ran = primitives(seen.during)
    about = _about((*seen.before, *seen.during))
    if not ran:
        return Fact(ONEDNN, "none: no primitive of oneDNN ran", "ONEDNN_VERBOSE", about)
    together: dict[tuple[str, str, str], list[Primitive]] = defaultdict(list)
    for one in ran:
        together[one.kind, one.implementation, one.dtypes].append(one)
    groups = sorted(together.values(), key=lambda group: -sum(p.milliseconds for p in group))
    value = ", ".join(f"{group[0].kind} by {group[0].implementation}" for group in groups[:2])
    return Fact(ONEDNN, value, "ONEDNN_VERBOSE", (*(_group(group, seen.count) for group in groups[:_MOST]), *about))


def _group(group: list[Primitive], count: int) -> str:
    first, shapes = group[0], list(dict.fromkeys(p.shapes for p in group))
    others = f" and {len(shapes) - 1} more of other shapes" if len(shapes) > 1 else ""
    mean = _mean([p.milliseconds for p in group])
    return (
        f"{first.kind}, {first.implementation}, {first.dtypes}, {shapes[0]}{others}: "
        f"{len(group) / count:.4g} calls an execution, {mean:.3g} ms each"
    )


def mkl(seen: Watched) -> Iterator[Fact]:
    """The functions of MKL that were called, such as GEMM and FFT; nothing where none was."""
    calls: dict[str, list[float]] = defaultdict(list)
    for line in seen.during:
        if found := _MKL.match(line):
            calls[mkl_call(found[1], found[2])].append(float(found[3]) * _UNITS[found[4]])
    if calls:
        order = sorted(calls, key=lambda call: -sum(calls[call]))
        details = tuple(
            f"{call}: {len(calls[call]) / seen.count:.4g} calls an execution, {_mean(calls[call]):.3g} ms each"
            for call in order[:_MOST]
        )
        about = tuple(line.removeprefix("MKL_VERBOSE ") for line in seen.before if line.startswith(_MKL_ITSELF))
        yield Fact("MKL functions", ", ".join(order[:3]), "MKL_VERBOSE", (*details, *about))


def mkl_call(function: str, arguments: str) -> str:
    """A call without its addresses: 'DGEMM 12288 x 1 x 81', 'FFT 1080x1080 (real, forward)'."""
    fields = arguments.split(",")
    if function == "FFT" and (told := _MKL_FFT.match(fields[0])):
        return f"FFT {told[3]} ({_FFT_WORDS[told[1]]}, {_FFT_WORDS[told[2]]})"
    if function.endswith("GEMM"):
        return f"{function} {' x '.join(fields[2:5])}"
    return function


def _mean(times: list[float]) -> float:
    return sum(times) / len(times)
