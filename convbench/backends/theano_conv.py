"""Theano 1.0: tensor.nnet.conv2d.

Requires an interpreter that has Theano, which needs an older Python (3.6 to 3.10) and NumPy (before 1.22) than
convbench: the environment variable CONVBENCH_THEANO_PYTHON names it. docs/remote-workers.md says how to set one up.
Theano convolves; _remote_theano.py says what its modes are.
"""

from __future__ import annotations

import os

from convbench.backends import _interpreter
from convbench.backends._remote_plan import GUIDE, RemoteBackend
from convbench.convention import Convention
from convbench.problem import Problem

VARIABLE = "CONVBENCH_THEANO_PYTHON"
_NUMPY = (1, 22)  # the first without what Theano 1.0.5 reads from it


class Theano(RemoteBackend):
    name = "theano"
    family = "framework"
    library = "Theano"
    module = "theano"
    rounding = "direct"
    convention = Convention(flips=True, size="n+1-k%2")
    dtypes = ("float32", "float64")
    worker_library = "_remote_theano.py"

    def version(self) -> str | None:
        found = _asked()
        return found.versions.get(self.library) if found and not found.fault else None

    @property
    def remedy(self) -> str:
        return f"set {VARIABLE}, see docs/remote-workers.md"

    def unsupported(self, problem: Problem) -> str | None:
        found = _asked()
        if found is None:
            return f"Theano runs in a Python of its own: {self.remedy}"
        if found.fault:
            return f"{VARIABLE}: {found.fault}; {GUIDE}"
        numpy = found.versions["numpy"]
        if tuple(map(int, numpy.split(".")[:2])) >= _NUMPY:
            return f"{found.path} has NumPy {numpy}, which Theano cannot use: {found.path} -m pip install 'numpy<1.22'"
        return super().unsupported(problem)

    def interpreter(self) -> str:
        found = _asked()
        return found.path if found else super().interpreter()

    def environment(self) -> dict[str, str]:
        flags = (os.environ.get("THEANO_FLAGS", ""), "device=cpu", "openmp=False")
        return {"THEANO_FLAGS": ",".join(filter(None, flags)), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _asked() -> _interpreter.Interpreter | None:
    """What the interpreter has, None where none is named."""
    given = os.environ.get(VARIABLE)
    return _interpreter.ask(given, "Theano", "numpy") if given else None
