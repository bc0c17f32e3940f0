"""The Python that both commits run in: of the environment that asv builds from asv.conf.json, or this very one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from convbench.errors import ConvbenchError

HERE = "here"
_LINES = 6  # of asv's words that an error shows

# asv looks for files in the folder that it is run in, and ends or raises as it likes: it has a process of its own.
_SETUP = """
import json, sys
from asv.config import Config
from asv.console import log
from asv.plugin_manager import plugin_manager
from asv.commands.setup import Setup
log.enable()
try:
    asked = ["-c", "import sys; print(sys.executable)"]
    made = [[e.name, e.run(asked).strip(), e.env_vars] for e in Setup.run(Config.load(sys.argv[1]), parallel=1)]
except BaseException as error:
    sys.exit(f"{type(error).__name__}: {error}")
print("\\n" + json.dumps(made))
"""


@dataclass(frozen=True)
class Environment:
    """python: the interpreter. variables: what asv.conf.json sets for it."""

    name: str
    python: str
    variables: dict[str, str]

    @property
    def foreign(self) -> bool:
        return self.name != HERE


def here() -> Environment:
    return Environment(HERE, sys.executable, {})


def built_by_asv(root: Path) -> Environment:
    """The first environment of asv.conf.json, made as `asv run` makes it, unless it is there; takes minutes if not.

    Raises ConvbenchError with asv's words.
    """
    config = root / "asv.conf.json"
    variables = {k: v for k, v in os.environ.items() if not k.startswith("ASV_")}
    done = subprocess.run(
        [sys.executable, "-c", _SETUP, str(config)],
        cwd=root, capture_output=True, text=True, errors="replace", check=False, env=variables,
    )  # fmt: skip
    found: list[tuple[str, str, dict[str, str]]] = []
    if not done.returncode:
        found = json.loads(done.stdout.splitlines()[-1])
    if not found:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip() not in ("", "[]")]
        raise ConvbenchError(
            f"asv could not build the environment that asv.conf.json describes: {' | '.join(said[-_LINES:])}; "
            f"`asv setup` shows more; --here uses the Python that is running instead"
        )
    return Environment(*found[0])
