from __future__ import annotations

import pytest

from convbench.cuda.faults import lost, out_of_memory


class OutOfMemoryError(RuntimeError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("tried to allocate 20.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes."),
        RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"),
        RuntimeError("cudaErrorMemoryAllocation: out of memory"),
        RuntimeError("CUFFT_ALLOC_FAILED"),
    ],
)
def test_too_little_memory_concerns_one_cell(error: Exception) -> None:
    assert out_of_memory(error)
    assert not lost(error)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: an illegal memory access was encountered",
        "[700] Call to cuCtxSynchronize results in CUDA_ERROR_ILLEGAL_ADDRESS",
        "CUDA error: unspecified launch failure",
        "[719] Call to cuMemcpyDtoH results in CUDA_ERROR_LAUNCH_FAILED",
        "uncorrectable ECC error encountered",
        "GPU is lost. Reboot the system to recover this GPU",
    ],
)
def test_a_lost_device_ends_the_process(words: str) -> None:
    assert lost(RuntimeError(words))
    assert not out_of_memory(RuntimeError(words))


@pytest.mark.parametrize("error", [ValueError("shapes differ"), RuntimeError("CUDA error: invalid argument")])
def test_other_faults_are_the_backends_own(error: Exception) -> None:
    assert not lost(error)
    assert not out_of_memory(error)
