"""The contract of a backend.

A backend is one short file that
  1. names itself: name, family, library (the distribution that does the work), rounding, convention;
  2. says what it can do: ndims, dtypes, devices, threaded, and `limits(problem)` for anything finer;
  3. returns from `make_plan(problem, kernel)` a Plan, whose three steps are
         load(image)    numpy -> the library's own array (a view wherever possible)
         execute(data)  the convolution, and nothing else: this is what is timed
         store(result)  the library's own array -> numpy (a view wherever possible)
It imports its library inside methods only: no framework is loaded until it is used.
Whatever the library's convention, a plan returns true convolution in convbench's modes, in the problem's dtype,
never changes its input, and never returns memory that a later call overwrites.
"""

from __future__ import annotations

import functools
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from convbench.convention import Convention
from convbench.errors import ArgumentError, UnsupportedError
from convbench.problem import DTYPES, HALF, Array, Problem
from convbench.stages import CHECK, SET_UP

if TYPE_CHECKING:
    from convbench.cuda.stream import Stream

Family = Literal["direct", "separable", "fft", "framework"]
Rounding = Literal["direct", "separable", "fft"]
Precision = Literal["full", "tf32"]
FAMILIES: tuple[Family, ...] = ("direct", "separable", "fft", "framework")


class Plan(ABC):
    """All one-off work for one (problem, kernel), done; call it once per image.

    `plan(image)` takes and returns numpy arrays of problem.image_shape and problem.output_shape.
    """

    problem: Problem
    stream: Stream | None = None
    """The device's queue that execute puts its work on, and does not wait for; None: what returns is done."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def load(self, image: Array) -> Any:
        """numpy -> the library's own array."""
        return image

    @abstractmethod
    def execute(self, data: Any) -> Any:
        """The convolution; this is what is timed."""

    def store(self, result: Any) -> Array:
        """The library's own array -> numpy."""
        return result  # type: ignore[no-any-return]

    def timed(self, data: Any) -> Callable[[], object]:
        """What the sampler calls: one execution on loaded data. It may have a clock of its own, see measure.sample."""
        call = functools.partial(self.execute, data)
        if self.stream is None:
            return call
        from convbench.cuda.clock import Hot

        return Hot(call, self.stream)

    def clocked(self, data: Any) -> dict[str, Callable[[], object]]:
        """Stages of execute that marks (see stages.py) cannot tell apart: executions that bring the clock of a stage
        with them, as a method `seconds(number)`."""
        return {}

    def wait(self) -> None:
        """Until everything is done that execute has begun."""
        if self.stream is not None:
            self.stream.wait()

    def __call__(self, image: Array) -> Array:
        if image.shape != self.problem.image_shape:
            raise ArgumentError(
                f"this plan is for images of shape {self.problem.image_shape}, got {image.shape}; make another plan"
            )
        if image.dtype != np.dtype(self.problem.dtype):
            raise ArgumentError(
                f"this plan is for dtype {self.problem.dtype}, got {image.dtype}; convert the image or plan anew"
            )
        return self.store(self.execute(self.load(image)))


@functools.cache  # looking through all installed packages takes milliseconds
def distribution_version(library: str) -> str | None:
    """Version of an installed distribution, None where it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


class Backend(ABC):
    """One way to convolve: a library's operation made to return true convolution."""

    name: ClassVar[str]
    family: ClassVar[Family]
    library: ClassVar[str]
    """Distribution name on the package index, e.g. 'opencv-python-headless'."""
    module: ClassVar[str]
    """Import name of the library."""
    extra: ClassVar[str | None] = None
    """The extra of convbench that brings the library, None where it is not one."""
    rounding: ClassVar[Rounding]
    """Which error bound the gate applies: see bounds.py."""
    precision: ClassVar[Precision] = "full"
    """What its products are made of: tf32, factors rounded to 11 bits, is reduced precision wherever it is shown."""
    convention: ClassVar[Convention] = Convention(flips=True)
    """What the library's raw operation computes, before this backend corrects it."""
    ndims: ClassVar[tuple[int, ...]] = (1, 2)
    dtypes: ClassVar[tuple[str, ...]] = DTYPES
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """Device kinds: 'cpu', 'cuda'."""
    threaded: ClassVar[bool] = False
    """Whether the operation can use more than one thread."""
    deterministic: ClassVar[bool] = True
    """Whether a second call returns the same bits."""
    remote: ClassVar[bool] = False
    """Whether another process does the work: how much memory it needs is then not known here."""

    def version(self) -> str | None:
        """Version of the library, None where it is not installed; imports nothing."""
        return distribution_version(self.library)

    def available(self) -> bool:
        """Whether the library is installed; imports nothing."""
        return self.version() is not None

    @property
    def remedy(self) -> str:
        """The command that installs the library."""
        return f"pip install 'convbench[{self.extra}]'" if self.extra else f"pip install {self.library}"

    def rounding_of(self, problem: Problem) -> Rounding:
        """Which error bound the gate applies to a plan of this problem; override where the library switches methods."""
        return self.rounding

    def unsupported(self, problem: Problem) -> str | None:
        """Why this backend cannot run the problem, or None; decided without importing the library where possible."""
        if not self.available():
            return f"{self.library} is not installed: {self.remedy}"
        kind = problem.device.partition(":")[0]
        if kind not in self.devices:
            return f"{self.name} runs on {', '.join(self.devices)} only, not on {problem.device}"
        if problem.ndim not in self.ndims:
            return f"{self.name} takes {' or '.join(f'{d}-D' for d in self.ndims)} input only, not {problem.ndim}-D"
        if problem.dtype not in self.dtypes:
            return f"{self.library} has no {problem.dtype} here: {self.name} takes {', '.join(self.dtypes)}"
        if problem.threads > 1 and not self.threaded:
            return f"{self.name} runs on one thread only, not on {problem.threads}"
        return self.limits(problem)

    def limits(self, problem: Problem) -> str | None:
        """A finer reason than the class attributes can say; override where there is one."""
        return None

    def plan(self, problem: Problem, kernel: Array) -> Plan:
        """Do all one-off work for this problem and kernel.

        kernel: problem.kernel_shape, converted to problem.dtype if that loses nothing but precision.
        Raises UnsupportedError with the reason if the problem cannot be run, ArgumentError if the kernel does not fit.
        """
        with CHECK:
            kernel = self._checked(problem, kernel)
        with SET_UP:  # without the stages that the backend marks within it
            return self.make_plan(problem, kernel)

    def _checked(self, problem: Problem, kernel: Array) -> Array:
        """The kernel as make_plan takes it, if the problem can be run and the kernel fits."""
        reason = self.unsupported(problem)
        if reason:
            raise UnsupportedError(reason)
        kernel = np.asarray(kernel)
        if kernel.shape != problem.kernel_shape:
            raise ArgumentError(f"the problem's kernel has shape {problem.kernel_shape}, got {kernel.shape}")
        # to numpy bfloat16 is of no kind
        given, wanted = (np.dtype(np.float32) if d.name in HALF else d for d in (kernel.dtype, np.dtype(problem.dtype)))
        if not np.can_cast(given, wanted, casting="same_kind"):
            raise ArgumentError(
                f"a {kernel.dtype} kernel cannot become {problem.dtype} without loss; use a {kernel.dtype} problem"
            )
        kernel = np.array(kernel, dtype=problem.dtype, order="C")
        kernel.flags.writeable = False
        return kernel

    @abstractmethod
    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        """Build the plan; kernel is C-contiguous, read-only, problem.dtype; may raise UnsupportedError."""

    def __repr__(self) -> str:
        return f"<Backend {self.name}>"
