"""The programs of tools/ as modules: they are no package, and are run by path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def program(name: str) -> ModuleType:
    """tools/NAME.py, executed under a name of its own that processes and dataclasses find it by."""
    known = f"{name}_tool"
    spec = importlib.util.spec_from_file_location(known, TOOLS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    spec.loader.exec_module(module)
    return module
