"""Helper modules beside the tests can be imported by name; JAX and TensorFlow start with one thread; no test sees what
was measured for this user, or by another test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# Whichever test uses them first: their backends refuse to run on more, and the number is fixed for the process then.
os.environ |= {"NPROC": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@pytest.fixture(scope="module", autouse=True)
def no_measurements_kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where a table of measurements is kept for this user, there is none: it would decide for backend="auto"."""
    from convbench import api, recommendation

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recommendation, "cache_folder", lambda: folder)
        for kept in (recommendation.remembered, api._decider):
            kept.cache_clear()
        yield
