"""The pages say what is true: every Python block of docs/conventions.md runs, its C is compiled, its table is the atlas's."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convbench

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "conventions.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_python_block_runs() -> None:
    """In the page's order, in one namespace; blocks that need a framework only where it is installed."""
    names: dict[str, Any] = {}
    ran = 0
    for number, source in enumerate(blocks("python")):
        needed = re.match(r"# needs (\w+)", source)
        if needed and importlib.util.find_spec(needed[1]) is None:
            continue
        exec(compile(source, f"conventions.md, Python block {number + 1}", "exec"), names)
        ran += 1
    assert ran >= 10


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler: cc")
def test_the_c_code_is_theanos(tmp_path: Path) -> None:
    (source,) = blocks("c")
    (tmp_path / "valid.c").write_text(source)
    subprocess.run(
        ["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", tmp_path / "valid.so", tmp_path / "valid.c"], check=True
    )
    compiled = ctypes.CDLL(str(tmp_path / "valid.so")).theano_conv2d_valid
    rng = np.random.default_rng(0)
    for shapes in (((7, 9), (3, 2)), ((4, 4), (4, 4)), ((6, 5), (1, 3))):
        image, kernel = (rng.integers(-9, 10, shape).astype(float) for shape in shapes)
        wanted = convbench.emulate("theano", "tensor.nnet.conv2d filter_flip=True", image, kernel, mode="valid")
        out = np.zeros_like(wanted)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (image, kernel, out)]
        compiled(pointers[0], *shapes[0], pointers[1], *shapes[1], pointers[2])
        np.testing.assert_array_equal(out, wanted)


def test_the_table_is_the_atlas() -> None:
    from convbench.atlas.markdown import markdown

    assert markdown().strip() in PAGE, "python tools/conventions.py renews it"
