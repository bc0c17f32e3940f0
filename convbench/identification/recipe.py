"""Python source that turns an identified function and a known one into each other.

Both outputs are windows of one full convolution, once the kernel lies the same way. The one is cut out of the other
where that holds all of it; otherwise the image is first continued as the wanted one's boundary says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from convbench.atlas import find
from convbench.convention import Convention, formula
from convbench.errors import ArgumentError, UnsupportedError, one_of
from convbench.identification.identified import Identified
from convbench.identification.targets import TARGETS, Target

_LENGTHS = [(n, k) for n in range(1, 17) for k in range(1, n + 1)]
"""Image and kernel lengths that formulas are compared on."""
# The plainest first.
_PLAIN = (
    *("0", "1", "k//2", "(k-1)//2", "k-1", "1-k%2", "k%2", "n", "n+k-1", "n-k+1", "n+1-k%2", "k", "k//2+1", "(k+1)//2"),
    *("max(0, k//2-1)", "max(0, (k-1)//2-1)", "min(1, k-1)", "min(k-1, 2)", "n+k-1-k//2", "n+k//2", "n+(k-1)//2"),
    *("2*(k-1)", "k-1+k//2", "n+1", "n-1"),
)
_MOST_SPARE = 8


def target_of(to: str, mode: str | None, ndim: int) -> tuple[Target, str]:
    """The function that a recipe is asked for, and its mode as it spells it: by default same, or its first.

    Raises ArgumentError for one that there are no recipes for, or that takes another number of axes.
    """
    if to not in TARGETS:
        raise one_of("function to write a recipe for", to, [name for name, t in TARGETS.items() if ndim in t.ndims])
    target = TARGETS[to]
    if ndim not in target.ndims:
        raise ArgumentError(f"{to} takes {target.ndims[0]}-D input only, and this function was asked with ndim={ndim}")
    spelled = {known.lower(): known for known in target.modes}
    if mode is None:
        return target, spelled.get("same", next(iter(target.modes)))
    if str(mode).lower() not in spelled:
        raise one_of(f"mode of {to}", mode, target.modes)
    return target, spelled[mode.lower()]


def recipe(found: Identified, to: str, mode: str | None) -> str:
    """Source of two functions: what *found* returns by *to*, and what *to* returns by *found*."""
    if not found.is_convolution:
        raise UnsupportedError(f"there is no recipe for what is no convolution. {found.describe()}")
    target, mode = target_of(to, mode, found.ndim)
    theirs = find(target.system, target.op, target.modes[mode]).convention
    assert theirs is not None, f"{to} refuses everything in mode {mode}"
    own = re.sub(r"\W+", "_", found.name).strip("_")
    own = "function" if own in ("", "lambda") else own
    other = to.rpartition(".")[2]
    other += "_" if other == own else ""
    extra = "" if found.mode is None else f", {'mode=' * found.by_keyword}{found.mode!r}"
    called = f"{own}(image, kernel{extra})"
    exceptions = [f"refuses {', '.join(found.refusals)}"] if found.refusals else []
    note = [f"    # {own}: {text}" for text in (*exceptions, *found.findings)]
    imports = {"import numpy as np", target.imports, *(("import torch",) if found.manner.arrays == "torch" else ())}
    lines = [
        *sorted(imports),
        "",
        "",
        f"def {own}_by_{other}(image, kernel):",
        f'    """What {called} returns, by {to} in mode {mode}; kernels no longer than the image."""',
        *note,
        *_body(found, theirs, target.source(mode), ".T" if found.manner.transposed else ""),
        "",
        "",
        f"def {other}_by_{own}({own}, image, kernel):",
        f'    """What {to} returns in mode {mode}, by {called}; kernels no longer than the image."""',
        *note,
        *_body(theirs, found, found.manner.expression(own, found.mode, found.by_keyword), ""),
    ]
    return "\n".join(lines) + "\n"


def _body(wanted: Convention, used: Convention, call: str, after: str) -> Iterator[str]:
    """The lines that compute the wanted convention by a call that follows the used one."""
    if wanted.conjugates != used.conjugates:
        yield "    kernel = kernel.conj()"
    if wanted.scale not in ("1", used.scale):
        yield f"    kernel = kernel * ({wanted.scale})"
    flipped = [axis for axis in (0, 1) if _on(wanted.flips, axis) != _on(used.flips, axis)]
    # Transposing twice is nothing, where no axis is treated otherwise between.
    twice = wanted.transposes and used.transposes and len(flipped) != 1
    if wanted.transposes and not twice:
        yield "    kernel = kernel.T.copy()"
    if len(flipped) == 2:
        yield "    kernel = np.flip(kernel).copy()"
    elif flipped:
        yield f"    kernel = np.flip(kernel, {flipped[0]}).copy()"
    windows = [_windows(wanted, used, axis) for axis in (0, 1)]
    pads = [f"({before}, {after})" for before, after, _, _ in windows]
    cuts = ["slice(None)" if (start, stop) == ("0", "") else f"slice({start}, {stop})" for _, _, start, stop in windows]
    padded, cut = set(pads) != {"(0, 0)"}, set(cuts) != {"slice(None)"}
    if padded or cut:
        each = "lengths" if len(set(pads)) == len(set(cuts)) == 1 else "lengths = (n0, k0), (n1, k1)"
        yield f"    {each} = list(zip(image.shape, kernel.shape))"
    if padded:
        mode = "" if wanted.boundary == "zero" else f", mode={wanted.boundary!r}"
        yield f"    image = np.pad(image, {_on_axes(pads)}{mode})"
    if used.transposes and not twice:
        yield "    kernel = kernel.T.copy()"
    scale = f" / ({used.scale})" if used.scale not in ("1", wanted.scale) else ""
    yield f"    result = {call}{scale}"
    yield f"    return result[tuple({_on_axes(cuts)})]{after}" if cut else f"    return result{after}"


def _on(rule: Any, axis: int) -> Any:
    return rule[axis] if isinstance(rule, tuple) else rule


def _on_axes(texts: list[str]) -> str:
    """A list with an expression in n and k for each axis of `lengths`."""
    if len(set(texts)) == 1:
        return f"[{texts[0]} for n, k in lengths]"
    each = [re.sub(r"\b([nk])\b", rf"\g<1>{axis}", text) for axis, text in enumerate(texts)]
    return f"[{', '.join(each)}]"


def _windows(wanted: Convention, used: Convention, axis: int) -> tuple[str, str, str, str]:
    """Of one axis: samples to put before and after the image, then where to cut the result, as formulas.

    Raises UnsupportedError where the used function leaves out samples that no continued image brings back.
    """
    want, want_size, use, use_size = (_on(rule, axis) for c in (wanted, used) for rule in (c.offset, c.size))
    inside = _holds(f"k-1 <= {want}", f"{want}+{want_size} <= n")
    for spare in (None, *range(_MOST_SPARE)):  # None: the image as it is
        before = "0" if spare is None else _plain(f"max({spare}, k-1-({want})+{spare})")
        after = "0" if spare is None else _plain(f"max({spare}, {want}+{want_size}-n+{spare})")
        first, size = (re.sub(r"\bn\b", f"(n+{before}+{after})", rule) for rule in (use, use_size))
        start = _plain(f"{want}+{before}-({first})")
        stop = _plain(f"{start}+{want_size}")
        alike = spare is not None or inside or wanted.boundary == used.boundary
        if alike and _holds(f"0 <= {start}", f"{stop} <= {size}"):
            whole = _holds(f"{start} == 0", f"{stop} == {size}")
            return before, after, *(("0", "") if whole else (start, stop))
    raise UnsupportedError("there is no recipe: the one function leaves out samples that the other needs")


def _holds(*conditions: str) -> bool:
    """Whether the conditions hold for all lengths."""
    return all(formula(condition)(n, k) for condition in conditions for n, k in _LENGTHS)


def _plain(text: str) -> str:
    """The plainest formula with the same values; the text itself where there is none."""
    return next((plain for plain in _PLAIN if _holds(f"{plain} == {text}")), text)
