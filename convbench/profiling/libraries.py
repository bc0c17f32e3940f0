"""Marks within a library, as far as it lets others look on: scipy.fft passes its calls to whom one names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from convbench.problem import Shape
from convbench.profiling.subject import Subject
from convbench.stages import FORWARD_FFT, INVERSE_FFT, KERNEL_TRANSFORM


def marks_within(subject: Subject) -> Callable[[], AbstractContextManager[None]]:
    """A context in which the library that the backend calls is marked too; for most, one that does nothing."""
    if subject.backend.library == "scipy" and subject.backend.family == "fft":
        problem = subject.problem
        kernel = problem.kernel_shape if problem.kernel_shape != problem.image_shape else None
        return lambda: _scipy_transforms(kernel)
    return nullcontext


@contextmanager
def _scipy_transforms(kernel: Shape | None) -> Iterator[None]:
    """scipy.fft's transforms are marked; that of an array of the kernel's shape is the kernel's."""
    import scipy.fft

    class Marking:
        __ua_domain__ = "numpy.scipy.fft"

        @staticmethod
        def __ua_function__(method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            stage = INVERSE_FFT if method.__name__.startswith("i") else FORWARD_FFT
            if args[0].shape == kernel:
                stage = KERNEL_TRANSFORM
            with stage, scipy.fft.skip_backend(Marking):
                return method(*args, **options)

    with scipy.fft.set_backend(Marking):
        yield
