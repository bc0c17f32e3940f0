"""What XLA made of a convolution: its optimised program (HLO), and the machine code that it wrote for it or did not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.algorithm.lengths import lengths_fact
from convbench.profiling.algorithm.transforms import LENGTHS, transformed

PROGRAM, CODE = "XLA's program", "XLA's convolution"
DUMP = "--xla_dump_to={folder}/xla --xla_dump_hlo_as_text"
"""Flags for XLA_FLAGS; {folder}: see watch.watched."""
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?[\w.-]+ = (\([^=]*?\)|\S+) ([\w-]+)\((.*)$")
_FFT = re.compile(r"fft_type=(\w+), fft_length=\{([\d,]+)\}")
_ARITHMETIC = re.compile(r"\b(?:fmul|fadd|llvm\.fma|llvm\.fmuladd)\b.*?(?:<(\d+) x )?(float|double)\b")
_NO_WORK = ("parameter", "constant", "bitcast", "tuple", "get-tuple-element")
_NOISE = re.compile(r", (?:metadata|sharding|frontend_attributes|operand_precision|parameter_replication)=.*$")
_WIDEST = 150  # characters of an instruction that are shown
_BITS = {"float": 32, "double": 64}


def instructions(program: str) -> list[tuple[str, str]]:
    """Operation and text of what the entry of a program runs, in order; without what only names data."""
    found = []
    entry = program.partition("\nENTRY ")[2].partition("\n}")[0]
    for line in entry.splitlines():
        told = _INSTRUCTION.match(line)
        if told and told[2] not in _NO_WORK:
            text = f"{told[2]} {told[1]}({_NOISE.sub('', told[3])}"
            found.append((told[2], text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"))
    return found


def program_facts(case: Case, program: str, flops: float | None = None) -> Iterator[Fact]:
    """What a program in text says."""
    found = instructions(program)
    counts = Counter(operation for operation, _ in found)
    counted = f"; {flops / 1e6:.4g} Mflop by XLA's own count" if flops else ""
    value = ", ".join(f"{operation} {count}" for operation, count in counts.items()) + counted
    yield Fact(PROGRAM, value, "XLA's optimised HLO", tuple(text for _, text in found))
    transforms = _FFT.findall(program)
    if transforms:
        kinds = Counter(kind for kind, _ in transforms)
        more = ", ".join(f"{kind} {count} x" for kind, count in kinds.items())
        sizes = tuple(map(int, transforms[0][1].split(",")))
        full, axes = case.subject.problem.full_shape, transformed(case.subject.problem)
        least = [full[axis] for axis in axes] if len(axes) == len(sizes) else full
        yield lengths_fact(LENGTHS, sizes, least, "XLA's optimised HLO", f"{more}, the kernel's own in every call")


def of_jax(case: Case) -> Iterator[Fact]:
    """jax and jax-fft: the program that their plan compiled."""
    plan: Any = case.plan
    costs = plan.run.cost_analysis() or {}
    costs = costs[0] if isinstance(costs, list) else costs  # one for each device, until JAX 0.5
    yield from program_facts(case, plan.run.as_text(), costs.get("flops"))


def dumped_programs(folder: Path) -> list[str]:
    """The programs with a convolution that XLA left in a folder."""
    texts = [path.read_text(errors="replace") for path in sorted(folder.glob("xla/*after_optimizations.txt"))]
    return [text for text in texts if "convolution" in {operation for operation, _ in instructions(text)}]


def code_fact(folder: Path) -> Iterator[Fact]:
    """Whether XLA wrote loops for the convolution or calls its runtime library: it dumps the code of each loop."""
    if not dumped_programs(folder):
        return
    written = sorted(folder.glob("xla/*.ir-with-opt.ll"))
    loops = [path for path in written if "convolution" in path.name]
    source = "the code that XLA writes out (--xla_dump_to)"
    if loops:
        yield Fact(CODE, f"loops that XLA wrote, {_width(loops[-1].read_text(errors='replace'))}", source)
    elif written:
        yield Fact(CODE, "a call of XLA's runtime library (Eigen): XLA wrote no loops for it", source)


def _width(code: str) -> str:
    """Of most multiplications and additions in LLVM code."""
    widths = Counter((int(lanes or 1), kind) for lanes, kind in _ARITHMETIC.findall(code))
    if not widths:
        return "no arithmetic found in them"
    (lanes, kind), count = widths.most_common(1)[0]
    wide = f"in {lanes * _BITS[kind]}-bit vectors" if lanes > 1 else f"one {kind} at a time"
    return f"{count} of {widths.total()} multiplications and additions {wide}"
