"""What went wrong on a device: too little memory, which concerns one cell, or a device that is lost, which ends a
process.

Libraries raise types of their own, and none is imported here: a fault is known by its words, which are CUDA's.
"""

from __future__ import annotations

import re

_OUT_OF_MEMORY = re.compile(
    r"out of memory|OUT_OF_MEMORY|cudaErrorMemoryAllocation|RESOURCE_EXHAUSTED|CU(FFT|DNN_STATUS)_ALLOC_FAILED",
    re.IGNORECASE,
)
# After these every further call in the process fails, too (CUDA Runtime API, cudaError_t: "must be terminated and
# relaunched").
_LOST = re.compile(
    r"illegal (memory access|address|instruction)|ILLEGAL_(ADDRESS|INSTRUCTION)"
    r"|misaligned address|MISALIGNED_ADDRESS|(unspecified )?launch (failure|timeout)|LAUNCH_(FAILED|TIMEOUT)"
    r"|device-side assert|ERROR_ASSERT|uncorrectable ECC|ECC_UNCORRECTABLE|hardware stack error|HARDWARE_STACK_ERROR"
    r"|device (is )?lost|DEVICE_(LOST|UNAVAILABLE)|GPU is lost|fallen off the bus"
    r"|context is destroyed|CONTEXT_IS_DESTROYED",
    re.IGNORECASE,
)


class DeviceLostError(BaseException):
    """Nothing more can be done on the device in this process; no Exception, for nothing may go on as if it could."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: a smaller problem may do."""
    return type(error).__name__ == "OutOfMemoryError" or bool(_OUT_OF_MEMORY.search(str(error)))


def of_device(device: str, error: BaseException) -> bool:
    """Whether it is the device that is at fault, and not what ran on it."""
    return device != "cpu" and (lost(error) or out_of_memory(error))


def lost(error: BaseException) -> bool:
    """Whether no further call in this process can succeed."""
    return not out_of_memory(error) and bool(_LOST.search(str(error)))
