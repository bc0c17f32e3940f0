"""convbench: which convolution should I use, is it right, and why is it that fast?

Public names are loaded on first use, so that `import convbench` stays quick and loads no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convbench.api import convolve as convolve
    from convbench.atlas import emulate as emulate
    from convbench.backends import Backend as Backend
    from convbench.backends import Plan as Plan
    from convbench.backends import get_backend as get_backend
    from convbench.backends import list_backends as list_backends
    from convbench.convention import Convention as Convention
    from convbench.errors import ConvbenchError as ConvbenchError
    from convbench.gate import check as check
    from convbench.identification import identify as identify
    from convbench.problem import Problem as Problem
    from convbench.recommendation import recommend as recommend
    from convbench.verdict import Verdict as Verdict

__version__ = "0.1.0"

_HOME = {
    "convolve": "api",
    "emulate": "atlas",
    "Backend": "backends",
    "Plan": "backends",
    "get_backend": "backends",
    "list_backends": "backends",
    "Convention": "convention",
    "ConvbenchError": "errors",
    "Verdict": "verdict",
    "check": "gate",
    "identify": "identification",
    "Problem": "problem",
    "recommend": "recommendation",
}
__all__ = [*_HOME, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'convbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"convbench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
