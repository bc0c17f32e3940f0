"""What libraries write, and how it is read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from convbench.errors import ConvbenchError
from convbench.profiling.algorithm import machine_code, opencv, verbose, watch, xla
from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.algorithm.graphs import node_times
from convbench.profiling.algorithm.lengths import factored, lengths_fact, prime_factors, size_class
from convbench.profiling.algorithm.watch import Watched, watched
from convbench.profiling.missing import Missing
from convbench.profiling.subject import subject_of

# -- lengths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "expected"), [
    (1, "power of two"), (2, "power of two"), (4096, "power of two"), (3, "radix 3-5-7"), (1080, "radix 3-5-7"),
    (2 * 3 * 5 * 7, "radix 3-5-7"), (11, "awkward (prime factor 11)"), (2 * 3 * 173, "awkward (prime factor 173)"),
    (49 * 13, "awkward (prime factor 13)"), (1031, "awkward (prime factor 1031)"),
])  # fmt: skip
def test_class_of_a_length(length: int, expected: str) -> None:
    assert size_class(length) == expected


def test_factors_multiply_to_the_length() -> None:
    assert all(math.prod(prime_factors(n)) == n for n in range(1, 2000))
    assert factored(1080) == "1080 = 2^3 3^3 5"
    assert factored(1031) == "1031"


def test_a_length_is_padded_cut_or_neither() -> None:
    fact = lengths_fact("lengths", (64, 96, 60), (60, 300, 60), "test", "there and back")
    assert fact.value == "64 x 96 x 60, power of two, radix 3-5-7; there and back"
    assert [line.rpartition(", ")[2] for line in fact.details] == ["padded from 60", "cut from 300", "not padded"]


# -- oneDNN and MKL ----------------------------------------------------------------------------------------------

V1 = (
    "onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,forward_training,"
    "src:f32:a:blocked:abcd::f0 wei:f32:ap:blocked:Acdb16a::f0 bia:undef::undef::: dst:f32:ap:blocked:aBcd16b::f0,"
    "attr-scratchpad:user,alg:convolution_direct,mb1_ic1oc1_ih32oh24kh9,0.25"
)
STAMPED = V1.replace("v1,primitive", "v1,1690.5,primitive")
V0 = "dnnl_verbose,exec,cpu,reorder,jit:uni,undef,src_f32::blocked:abcd:f0 dst_bf16::blocked:aBcd16b:f0,,,1x1x9x9,0.5"
HEADER = (
    "onednn_verbose,v1,info,oneDNN v3.12.0 (commit 80afa71)", "onednn_verbose,v1,info,cpu,runtime:OpenMP,nthr:1",
    "onednn_verbose,v1,info,gpu,runtime:none", "onednn_verbose,v1,primitive,info,template:operation,engine",
)  # fmt: skip
NOISE = ("a line of somebody else", "onednn_verbose,v1,primitive,create:cache_miss,cpu,convolution,x", "")


def of(*during: str, before: tuple[str, ...] = (), count: int = 1) -> Watched:
    return Watched(before, during, count, Path())


@pytest.mark.parametrize("line", [V1, STAMPED])
def test_a_primitive_of_onednn(line: str) -> None:
    (found,) = verbose.primitives((*NOISE, *HEADER, line))
    expected = ("convolution", "jit:avx512_core", "f32", "mb1_ic1oc1_ih32oh24kh9", 0.25)
    assert (found.kind, found.implementation, found.dtypes, found.shapes, found.milliseconds) == expected


def test_a_primitive_of_an_older_version() -> None:
    (found,) = verbose.primitives([V0])
    assert (found.kind, found.implementation, found.dtypes, found.milliseconds) == (
        "reorder",
        "jit:uni",
        "f32 bf16",
        0.5,
    )


def test_primitives_are_grouped_the_longest_first() -> None:
    fact = verbose.onednn(of(V0, V1, V1, V1, V1, before=HEADER, count=2))
    assert fact.value == "convolution by jit:avx512_core, reorder by jit:uni"
    assert "2 calls an execution, 0.25 ms each" in fact.details[0]
    assert "0.5 calls an execution" in fact.details[1]
    assert fact.details[2:] == ("oneDNN v3.12.0 (commit 80afa71)", "runtime:OpenMP,nthr:1")


def test_no_primitive_is_said() -> None:
    assert verbose.onednn(of(*NOISE, "MKL_VERBOSE DGEMM(N,N,1,2,3) 1.0us CNR:OFF")).value.startswith("none")


def test_functions_of_mkl_without_their_addresses() -> None:
    head = "MKL_VERBOSE oneMKL 2024.0 Update 2 Product build"
    fft = "MKL_VERBOSE FFT(srfo1080x540,input_strides:{0,1080,1},tLim:1,desc:0x55a252894ec0) 2.00ms CNR:OFF"
    rows = "MKL_VERBOSE FFT(dcbi576:289:1*289:1:576,tLim:1,desc:0x55) 500.00us CNR:OFF"
    gemm = "MKL_VERBOSE DGEMM(N,T,12288,1,81,0x7ffd,0x7f6,12288,0x55e,81) 250.0us CNR:OFF Dyn:1"
    (fact,) = verbose.mkl(of(fft, rows, gemm, gemm, "none", before=(head,), count=2))
    assert fact.value == "FFT 1080x540 (real, forward), FFT 576 (complex, backward), DGEMM 12288 x 1 x 81"
    assert "DGEMM 12288 x 1 x 81: 1 calls an execution, 0.25 ms each" in fact.details
    assert fact.details[0] == "FFT 1080x540 (real, forward): 0.5 calls an execution, 2 ms each"
    assert fact.details[-1] == "oneMKL 2024.0 Update 2 Product build"
    assert not list(verbose.mkl(of(*NOISE)))


# -- XLA ---------------------------------------------------------------------------------------------------------

PROGRAM = """HloModule jit_f, is_scheduled=true

%fused (p: f32[8]) -> f32[8] {
  ROOT %neg = f32[8]{0} negate(%p), metadata={op_name="neg"}
}

ENTRY %main (a: f32[96,96], b: f32[8,8]) -> f32[96,96] {
  %a = f32[96,96]{1,0} parameter(0), sharding={replicated}
  %pad = f32[103,103]{1,0} fusion(%a), kind=kLoop, calls=%fused, metadata={op_name="pad"}
  %fft.2 = c64[103,52]{1,0} fft(%pad), fft_type=RFFT, fft_length={103,103}, metadata={op_name="fft"}
  %call = (f32[4]{0}, u8[0]{0}) custom-call(%a), custom_call_target="__cudnn$convForward", backend_config={"algo":1}
  %one = f32[4]{0} get-tuple-element(%call), index=0
  ROOT %back = f32[103,103]{1,0} fft(%fft.2), fft_type=IRFFT, fft_length={103,103}
}
"""


def test_instructions_of_a_program_of_xla() -> None:
    found = xla.instructions(PROGRAM)
    assert [operation for operation, _ in found] == ["fusion", "fft", "custom-call", "fft"]
    assert found[0][1] == "fusion f32[103,103]{1,0}(%a), kind=kLoop, calls=%fused"
    assert "__cudnn$convForward" in found[2][1]


def test_transforms_of_a_program_of_xla() -> None:
    subject = subject_of("jax-fft", "96x96", "8x8")
    program, lengths = xla.program_facts(Case(subject, None, None, 0.0), PROGRAM, flops=2e6)  # type: ignore[arg-type]
    assert program.value == "fusion 1, fft 2, custom-call 1; 2 Mflop by XLA's own count"
    assert "103 x 103, awkward (prime factor 103); RFFT 1 x, IRFFT 1 x" in lengths.value


@pytest.mark.parametrize(("code", "expected"), [
    ("  %1 = fmul <4 x double> %a, %b\n  %2 = fadd <4 x double> %1, %c\n  %3 = fadd double %d, %e\n", "2 of 3 multiplications and additions in 256-bit vectors"),
    ("  %1 = call float @llvm.fma.f32(float %a, float %b, float %c)\n", "1 of 1 multiplications and additions one float at a time"),
    ("  ret void\n", "no arithmetic"),
])  # fmt: skip
def test_loops_that_xla_wrote(tmp_path: Path, code: str, expected: str) -> None:
    folder = tmp_path / "xla"
    folder.mkdir()
    (folder / "m.cpu_after_optimizations.txt").write_text(
        "\nENTRY %m (a: f64[8]) -> f64[8] {\n  ROOT %c = f64[1,8,8,1]{3,2,1,0} convolution(%a, %b), window={size=3x3}\n}\n"
    )
    (folder / "m.pad_kernel_module.ir-with-opt.ll").write_text("ret void")
    assert "Eigen" in next(xla.code_fact(tmp_path)).value
    (folder / "m.convolution_elemental_kernel_module.ir-with-opt.ll").write_text(code)
    assert expected in next(xla.code_fact(tmp_path)).value
    assert not list(xla.code_fact(folder))


# -- OpenCV's trace ----------------------------------------------------------------------------------------------


def test_a_trace_of_opencv(tmp_path: Path) -> None:
    (tmp_path / "trace.txt").write_text(
        "#version: 1.0\n"
        'l,1,"filter.cpp",1601,"void cv::filter2D(InputArray, OutputArray, int)",0x1\n'
        'l,2,"copy.cpp",12,"IPP:ippicviCopy(a, b)",0x10000\n'
        'l,3,"filter.simd.hpp",7,"void cv::opt_AVX2::SymmColumnFilter<CastOp, Vec<A>>::operator()(const uchar**) [with CastOp = cv::Cast<float, float>]",0x1\n'
    )
    (tmp_path / "trace-000.txt").write_text(
        "#version: 1.0\nb,0,100,1,1\nb,0,110,2,2\ne,0,130,2,2,20,tIPP=20\nb,0,140,3,3\ne,0,170,3,3,30\ne,0,200,1,1,100\nb,0,210,1,4\n"
    )
    trace = opencv.read(tmp_path)
    own = {opencv.short(name): taken for name, taken in trace.own.items()}
    assert own == {"filter2D": 50, "IPP:ippicviCopy": 20, "opt_AVX2::SymmColumnFilter": 30}
    assert trace.ipp == 20 and trace.filters == 1


# -- machine code ------------------------------------------------------------------------------------------------

X86 = """f:
\tvmulps\t%xmm0, %xmm1, %xmm2
.LBB0_1:
\tvmovups\t64(%rsp), %ymm3
\tvfmadd231ps\t(%rax){1to16}, %ymm1, %ymm2
\tvfmadd213ps\t%ymm4, %ymm1, %ymm2  # a comment
\taddq\t$64, %rax
\tjne\t.LBB0_1
.LBB0_2:
\tvfmadd231sd\t%xmm0, %xmm1, %xmm2
\tvaddsd\t%xmm0, %xmm1, %xmm2
\tvmulpd\t%zmm0, %zmm1, %zmm2
\tcmpq\t%rax, %rbx
\tjl\t.LBB0_2
\tretq
"""
ARM = """_f:
LBB0_1:
\tldr\tq0, [x0], #16
\tfmla\tv1.4s, v0.4s, v2.s[0]
\tfmadd\td0, d1, d2, d3
\tfmla\tv3.4s, v0.4s, v2.s[1]
\tsubs\tx1, x1, #1
\tb.ne\tLBB0_1
\tret
"""


def test_blocks_of_x86() -> None:
    found = machine_code.blocks(X86)
    assert [[one.kind for one in block.arithmetic] for block in found] == [
        ["128-bit multiply or add"],
        ["256-bit fused multiply-add"] * 2,
        ["fused multiply-add of single numbers", "multiply or add of single numbers", "512-bit multiply or add"],
    ]
    assert [block.stack for block in found] == [0, 1, 0]
    assert [bool(block.loop) for block in found] == [False, True, True]


def test_the_hottest_block_is_the_one_in_a_loop_with_most_arithmetic() -> None:
    (found,) = machine_code.facts(X86)
    assert isinstance(found, Fact) and found.value.endswith("of 3 in the hottest block")
    (only,) = machine_code.facts(X86.partition(".LBB0_2")[0])
    assert isinstance(only, Fact) and only.value == "256-bit fused multiply-add, 2 of 2 in the hottest block"
    assert only.details[1].endswith(": 1")


def test_blocks_of_arm() -> None:
    (found,) = machine_code.facts(ARM)
    assert isinstance(found, Fact) and found.value == "128-bit fused multiply-add, 2 of 3 in the hottest block"


def test_no_loop_is_missing() -> None:
    (found,) = machine_code.facts("f:\n\tvmulps\t%xmm0, %xmm1, %xmm2\n\tretq\n")
    assert isinstance(found, Missing)


# -- ONNX Runtime ------------------------------------------------------------------------------------------------


def test_nodes_of_onnxruntime() -> None:
    told = {"op_name": "Conv", "provider": "CPUExecutionProvider"}
    events = [
        {"cat": "Session", "name": "model_run", "dur": 9000},
        {"cat": "Node", "name": "found_nchwc_fence_before", "dur": 1, "args": told},
        *({"cat": "Node", "name": "found_nchwc_kernel_time", "dur": dur, "args": told} for dur in (3000, 2000)),
    ]
    assert node_times(events) == Fact(
        "nodes that ran", "Conv", "ONNX Runtime's profile", ("Conv (found_nchwc, CPUExecutionProvider): 2 ms",)
    )


# -- the process that is watched ---------------------------------------------------------------------------------


@pytest.fixture
def small() -> Case:
    return Case.of(subject_of("ndimage", "32x32", "3"))


def test_a_process_is_watched_and_its_folder_is_its_own(small: Case) -> None:
    with watched(small, {"SOME_VARIABLE": "{folder}/x"}) as seen:
        assert seen.count >= 1 and seen.folder.is_dir()
    assert not seen.folder.exists()


def test_a_process_that_ends_says_its_last_words(small: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "convbench.profiling.workload.command", lambda folder, seconds: ["sh", "-c", "echo gone >&2; exit 3"]
    )
    with pytest.raises(ConvbenchError, match=r"exit status 3, having written: gone"), watched(small, {}):
        pass


def test_a_process_that_hangs_is_ended(small: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convbench.profiling.workload.command", lambda folder, seconds: ["sleep", "60"])
    monkeypatch.setattr(watch, "_START", 0.2)
    monkeypatch.setattr(watch, "SECONDS", 0.01)
    with pytest.raises(ConvbenchError, match="was not done after"), watched(small, {}):
        pass
