"""A profile as JSON: seconds, bytes, and all that the tables say in words."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from convbench import __version__, machine
from convbench.profiling.profile import Profile

_PARTS = ("first_plan", "account", "algorithm", "against", "counters", "memory", "scaling", "missing")


def as_dict(profile: Profile) -> dict[str, Any]:
    """Everything but the flame graph; what is not finite is null."""
    subject, cell = profile.subject, profile.cell
    found: dict[str, Any] = {
        "convbench": __version__,
        "machine": machine.machine_name(),
        "versions": machine.versions(),
        "backend": subject.backend.name,
        "family": subject.backend.family,
        "library": f"{subject.backend.library} {subject.backend.version()}",
        "problem": dataclasses.asdict(subject.problem),
        "gate": {"checks": cell.checks, "error_over_bound": cell.error_over_bound, "input_sha256": cell.input_sha256},
        "interrupted": profile.interrupted,
    }
    if profile.against:
        found["bound"] = profile.against.sentence
    return plain(found | {name: getattr(profile, name) for name in _PARTS})


def plain(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists, what is not finite as null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else float(value)
