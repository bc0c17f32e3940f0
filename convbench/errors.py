"""One exception family, rooted at ConvbenchError.

Every message says what was wrong, what was given, what is allowed, and the next command to try.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Iterable

MOST_NAMES = 30
"""A longer list of what is allowed helps nobody."""


class ConvbenchError(Exception):
    """Root of every error that convbench raises on purpose."""


class ArgumentError(ConvbenchError, ValueError):
    """An argument is at fault."""


class NotMeasuredError(ArgumentError):
    """Nobody has measured what a system does with this, so emulate does not say; the system may well take it."""


class EmulatedError(ConvbenchError):
    """An emulated system refuses this; kind is the name of the exception class that it raises.

    What `refusal` builds is of a subclass with that name, and where Python has an exception of that name (ValueError)
    it is one too, so that code which catches the system's exception also catches this.
    """

    kind = ""

    def __reduce__(self) -> tuple[object, ...]:
        return refusal, (self.kind, str(self))


class UnsupportedError(ConvbenchError):
    """A backend cannot run this problem; the message is the reason."""


class GateError(ConvbenchError):
    """A backend's output is wrong; the message names the smallest failing example."""


class StorageError(ConvbenchError):
    """A file could not be read or written; what was there before is still there."""


@functools.cache
def _emulated(kind: str) -> type[EmulatedError]:
    real = getattr(builtins, kind, None)
    bases: tuple[type, ...] = (EmulatedError,)
    if isinstance(real, type) and issubclass(real, Exception) and real is not Exception:
        bases = (EmulatedError, real)
    return type(kind, bases, {"kind": kind, "__module__": __name__})


def refusal(kind: str, message: str) -> EmulatedError:
    """Build the error for what an emulated system refuses with an exception of class *kind*."""
    return _emulated(kind)(message)


def one_of(what: str, given: object, allowed: Iterable[object], command: str = "") -> ArgumentError:
    """Build the error for a value outside a closed set.

    *what* names the argument, *command* is the command that lists the allowed values.
    """
    import difflib

    names = [str(a) for a in allowed]
    close = difflib.get_close_matches(str(given), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listing = f" `{command}` lists them." if command else ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ArgumentError(f"unknown {what} {given!r}; allowed: {', '.join(names[:MOST_NAMES])}{more}.{hint}{listing}")
