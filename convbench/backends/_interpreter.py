"""Another Python, asked once what is installed there; nothing is imported into this process."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field

_SECONDS = 30.0
_QUESTION = """
import json, sys
try:
    from importlib.metadata import version
except ImportError:  # before Python 3.8
    from pkg_resources import get_distribution
    version = lambda name: get_distribution(name).version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except Exception:
        pass
print(json.dumps({"python": list(sys.version_info[:2]), "versions": found}))
"""


@dataclass(frozen=True)
class Interpreter:
    """path: what to run. versions: of the distributions asked for. fault: why it cannot be used, or nothing."""

    path: str
    versions: dict[str, str] = field(default_factory=dict)
    fault: str = ""


@functools.cache  # starting a Python takes tens of milliseconds
def ask(given: str, *names: str) -> Interpreter:
    """Which versions of the named distributions an interpreter has, given as a path or a command."""
    path = shutil.which(os.path.expanduser(given))
    if path is None:
        return Interpreter(given, fault=f"{given!r} is not an executable file")
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            [path, "-W", "ignore", "-c", _QUESTION, *names],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, env=variables, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        python, versions = tuple(answer["python"]), answer["versions"]
    except (OSError, ValueError, TypeError, KeyError, subprocess.TimeoutExpired):
        return Interpreter(path, fault=f"{path} does not answer as a Python 3 does")
    if python < (3, 6):
        return Interpreter(path, fault=f"{path} is Python {python[0]}.{python[1]}; it must be 3.6 or newer")
    missing = [name for name in names if name not in versions]
    if missing:
        return Interpreter(path, fault=f"{path} has no {' and no '.join(missing)}")
    return Interpreter(path, versions)
