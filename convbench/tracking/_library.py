"""A tracked commit's side of a worker: its convbench, by the names that every commit has. See docs/tracking.md.

Runs in the environment of both commits and imports nothing of the convbench that measures.
"""

import contextlib
import importlib.metadata
import json
import os
from collections.abc import Callable
from typing import Any

FOLDER = "CONVBENCH_TRACKED"
"""Names the folder that the commit's package must have come from."""
BACKENDS = "backends of convbench"
"""Among the versions: what the commit's backends take, as JSON."""


class UnsupportedError(Exception):
    """Known to the other side by this name: a reason, not a fault."""


def versions() -> dict[str, str]:
    """The versions of everything installed, and BACKENDS; raises UnsupportedError for a commit that cannot be asked."""
    import convbench

    folder = os.path.realpath(os.environ[FOLDER])
    if os.path.dirname(os.path.dirname(os.path.realpath(convbench.__file__ or "none/none"))) != folder:
        raise UnsupportedError(f"this Python does not take convbench from PYTHONPATH but from {convbench.__file__}")
    for name in ("Problem", "get_backend", "list_backends"):
        if getattr(convbench, name, None) is None:
            raise UnsupportedError(f"too old: has no {name}")
    with contextlib.suppress(ValueError):  # no backend has this name; whatever else is wrong is said now
        convbench.get_backend("")
    names = ("name", "ndims", "dtypes", "devices", "threaded")
    backends = [{name: getattr(backend, name) for name in names} for backend in convbench.list_backends()]
    installed = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
    return installed | {BACKENDS: json.dumps(backends)}


def plan(task: dict[str, Any], kernel: Any) -> tuple[Callable[..., Any], ...]:
    """load, execute and store of the commit's own plan."""
    import convbench

    try:
        backend = convbench.get_backend(task["backend"])
    except ValueError:
        raise UnsupportedError(f"has no backend {task['backend']}") from None
    shapes = tuple(task["image_shape"]), tuple(task["kernel_shape"])
    problem = convbench.Problem(*shapes, **{name: task[name] for name in ("dtype", "mode", "device", "threads")})
    made = backend.plan(problem, kernel)
    return made.load, made.execute, made.store
