"""What the libraries below a framework write of themselves: oneDNN and MKL their calls, XLA its program."""

from __future__ import annotations

import os
from collections.abc import Iterator

from convbench.profiling.algorithm import verbose, xla
from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.algorithm.watch import watched


def of_onednn(case: Case) -> Iterator[Fact]:
    """Frameworks whose convolution may be oneDNN's: torch, TensorFlow, Keras on these, OpenVINO."""
    with watched(case, _variables()) as seen:
        yield verbose.onednn(seen)
        yield from verbose.mkl(seen)
        for program in xla.dumped_programs(seen.folder):
            yield from xla.program_facts(case, program)
        yield from xla.code_fact(seen.folder)


def of_fft(case: Case) -> Iterator[Fact]:
    """torch-fft: MKL's transforms, where torch has MKL."""
    with watched(case, _variables()) as seen:
        yield from verbose.mkl(seen)


def of_xla(case: Case) -> Iterator[Fact]:
    """Frameworks on XLA: JAX, Keras on JAX. jax itself shows its program in this process."""
    with watched(case, _variables()) as seen:
        if case.subject.backend.library != "jax":
            for program in xla.dumped_programs(seen.folder):
                yield from xla.program_facts(case, program)
        yield from xla.code_fact(seen.folder)


def _variables() -> dict[str, str]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} {xla.DUMP}".strip()
    return {**verbose.VARIABLES, "XLA_FLAGS": flags}
