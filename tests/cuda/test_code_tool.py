"""tools/cuda_code.py reads what the compilers print, and counts what a thread executes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

LISTING = """
.text.kernel:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_1:
        /*0010*/                   LDS R2, [R3] ;
        /*0020*/              @!P0 FFMA R4, R2, R5, R4 ;
        /*0030*/                   FFMA R6, R2, R7, R6 ;
        /*0040*/               @P1 BRA `(.L_x_1) ;
        /*0050*/                   STG.E desc[UR4][R8.64], R4 ;
        /*0060*/                   EXIT ;
.L_x_2:
        /*0070*/                   BRA `(.L_x_2);
        /*0080*/                   NOP;
"""
REPORT = """ptxas info    : 0 bytes gmem
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 48 registers, used 1 barriers, 20564 bytes smem, 480 bytes cmem[0]
"""


@pytest.fixture(scope="module")
def tool():
    folder = str(Path(__file__).parents[2] / "tools")
    sys.path.insert(0, folder)
    yield importlib.import_module("cuda_code")
    sys.path.remove(folder)


def test_what_is_executed_is_counted_round_by_round(tool) -> None:
    found = tool.read(LISTING, REPORT)
    assert (found.registers, found.spilled, found.shared) == (48, 12, 20564)
    assert len(found.instructions) == 7
    assert found.loops == ((1, 5),)
    assert (found.executed("", 1), found.executed("", 7)) == (7, 7 + 6 * 4)
    assert found.executed("FFMA", 7) == 14
    assert tool.read("", "").executed("", 3) == 0


def test_a_missing_compiler_is_told(tool, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CUDA_HOME", "/nowhere")
    monkeypatch.setattr(tool.sys, "path", [])
    with pytest.raises(tool.click.ClickException, match="pip install nvidia-cuda-nvcc"):
        tool.program("ptxas")


def test_the_kernels_compile_without_spills_and_complex_products_are_four_multiply_adds(tool) -> None:
    try:
        tool.program("ptxas"), tool.program("nvdisasm")
        from numba.cuda.cudadrv import nvrtc

        nvrtc.get_supported_ccs()
    except Exception as error:
        pytest.skip(f"no CUDA compilers: {error}")
    from numba import types

    from convbench.backends import _numba_cuda_kernels as kernels

    for dtype, factor in (("float32", 1), ("float64", 1), ("complex64", 4)):
        tiled = kernels.direct(5, 5, dtype)
        arrays = [types.Array(getattr(types, dtype), 1, "C")] * 3
        found = tool.compiled(tiled.kernel, types.void(*arrays, *[types.int64] * 6), (9, 0))
        assert found.spilled == 0
        outputs = tiled.tile[0] // tiled.block[1]
        assert found.executed("[FD]FMA", 5) == outputs * 25 * factor
        assert not found.counted("FMUL|DMUL")
