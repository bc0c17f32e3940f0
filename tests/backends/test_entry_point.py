"""Another package's backend: the example of docs/adding-a-backend.md, installed and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "adding-a-backend.md"


@pytest.fixture
def environment(tmp_path):
    """The example laid out as an installed distribution would be."""
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "my_module.py").write_text(code)
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[convbench.backends]\nmy-backend = my_package.my_module:MyBackend\nbroken = my_package.no_such:Thing\n"
    )
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def test_the_documented_example(environment):
    code = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import convbench
    names = [b.name for b in convbench.list_backends()]
verdict = convbench.check("my-backend")
one = convbench.check("my-backend", ndim=1)
print(json.dumps([names, [str(w.message) for w in caught], verdict.ok, one.failures == [], str(verdict)]))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    names, warned, ok, right, text = json.loads(done.stdout)
    assert names[-1] == "my-backend"
    assert ok, text
    assert right
    assert "complex64 here: my-backend takes float32, float64" in text
    assert len(warned) == 1
    assert "backend 'broken' (my_package.no_such:Thing) left out" in warned[0]


def test_the_command_line_knows_it(environment):
    command = [sys.executable, "-m", "convbench", "list"]
    done = subprocess.run(command, env={**environment, "COLUMNS": "200"}, capture_output=True, text=True, check=True)
    assert "my-backend" in done.stdout
