"""The arithmetic in machine code: how wide its vectors are, in the block that does most of it.

Reads assembler as LLVM writes it: AT&T syntax on x86 (zmm, ymm, xmm registers), v0.4s and the like on Arm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.missing import Missing

WHAT = "SIMD width"
_LABEL = re.compile(r"^([.\w$]+):")
_JUMP = re.compile(r"^\s+(j[a-z]+|b(?:\.[a-z]+)?|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.?L[\w.$]+)\s*(?:[#;/].*)?$")
_X86 = re.compile(r"^\s+v?(fn?m(?:add|sub)(?:\d+)?|mul|add|sub)([ps])([sd])\s+(.*)")
_ARM = re.compile(r"^\s+(fml[as]|fn?m(?:add|sub)|fmul|fadd|fsub)\s+(.*)")
_WIDTHS = {"zmm": 512, "ymm": 256, "xmm": 128}
_LANES = re.compile(r"v\d+\.(\d+)([sd])")
_SIZES = {"s": 32, "d": 64}
_STACK = re.compile(r"\(%rsp\)|\[sp\b")


@dataclass(frozen=True)
class Arithmetic:
    """One instruction. bits: of the vector, 0 where it works on single numbers."""

    operation: str
    bits: int

    @property
    def kind(self) -> str:
        """In words."""
        fused = re.match(r"fn?m(add|sub|l)", self.operation)
        operation = "fused multiply-add" if fused else "multiply or add"
        return f"{self.bits}-bit {operation}" if self.bits else f"{operation} of single numbers"


@dataclass(frozen=True)
class Block:
    """Instructions that run one after another. stack: moves of vectors to or from memory for want of registers.

    loop: lines of the innermost loop around it, 0 where there is none.
    """

    arithmetic: tuple[Arithmetic, ...]
    stack: int
    loop: int


def blocks(assembler: str) -> list[Block]:
    """The basic blocks that have arithmetic: cut at labels and jumps; a loop is what a later jump goes back over."""
    lines = [*assembler.splitlines(), "end:"]
    looped = _looped(lines)
    found: list[Block] = []
    start = 0
    for number, line in enumerate(lines):
        if _LABEL.match(line) or _JUMP.match(line):
            part = lines[start:number]
            arithmetic = tuple(one for one in map(_arithmetic, part) if one)
            if arithmetic:
                loop = min((b - a for a, b in looped if a <= start and number <= b), default=0)
                found.append(Block(arithmetic, sum(map(_spills, part)), loop))
            start = number
    return found


def _looped(lines: Sequence[str]) -> list[tuple[int, int]]:
    """First and last line of each stretch that is jumped back over."""
    at = {found[1]: number for number, line in enumerate(lines) if (found := _LABEL.match(line))}
    jumps = ((number, found[2]) for number, line in enumerate(lines) if (found := _JUMP.match(line)))
    return [(at[label], number) for number, label in jumps if at.get(label, number) < number]


def _arithmetic(line: str) -> Arithmetic | None:
    if found := _X86.match(line):
        operation, packed, _, operands = found.groups()
        widths = [_WIDTHS[name] for name in re.findall(r"%([xyz]mm)", operands)]
        return Arithmetic(operation, max(widths) if packed == "p" else 0) if widths else None
    if found := _ARM.match(line):
        operation, operands = found.groups()
        lanes = _LANES.search(operands)
        return Arithmetic(operation, int(lanes[1]) * _SIZES[lanes[2]] if lanes else 0)
    return None


def _spills(line: str) -> bool:
    return bool(_STACK.search(line)) and bool(re.search(r"%[xyz]mm|\bq\d", line))


def facts(assembler: str) -> Iterator[Fact | Missing]:
    """What the machine code of one function says."""
    found = [block for block in blocks(assembler) if block.loop]
    if not found:
        yield Missing(WHAT, "no arithmetic was found in a loop of the machine code")
        return
    hot = max(found, key=lambda block: (len(block.arithmetic), -block.loop))
    (kind, count), *_ = _kinds(hot.arithmetic)
    everywhere = ", ".join(f"{kind} {count}" for kind, count in _kinds([one for b in found for one in b.arithmetic]))
    spills = f"vectors moved to or from the stack in the hottest block: {hot.stack or 'none'}"
    value = f"{kind}, {count} of {len(hot.arithmetic)} in the hottest block"
    yield Fact(WHAT, value, "machine code, as LLVM writes it", (f"in all loops: {everywhere}", spills))


def _kinds(instructions: Sequence[Arithmetic]) -> list[tuple[str, int]]:
    """What is done how often, most often first."""
    return Counter(one.kind for one in instructions).most_common()


def of_numba(case: Case) -> Iterator[Fact | Missing]:
    """numba-direct and numba-separable: the loops that their plan compiled."""
    plan: Any = case.plan
    libraries = [overload.library for overload in plan.loops.overloads.values()]
    # inspect_asm shows nothing of what numba has read from disk; the optimised code is kept beside the machine code
    parts = [library._codegen._tm.emit_assembly(library._get_module_for_linking()) for library in libraries]
    yield from facts("\n".join(parts))
    yield _tile(plan)


def _tile(plan: Any) -> Fact:
    """The register tile, from the constants that the loops were compiled for: they are part of their name."""
    from convbench.backends._numba_tile import VECTOR, WIDE1, WIDE4

    which, tall, *_ = plan.loops.py_func.__qualname__.split("_")
    sums = plan.weights.ndim if which == "direct" else plan.passes[0][0].ndim  # real, or real and imaginary
    column = _rows_by_vectors(int(tall), WIDE4 if int(tall) > 2 else WIDE1, sums)
    value = column if which == "direct" else f"{_rows_by_vectors(1, WIDE1, 1)} along rows, {column} down columns"
    return Fact("register tile", f"{value}, of {8 * VECTOR} bits", "the constants that the loops were compiled for")


def _rows_by_vectors(rows: int, vectors: int, sums: int) -> str:
    return f"{rows} row{'s' * (rows > 1)} by {vectors // sums if rows > 1 else vectors} vectors"
