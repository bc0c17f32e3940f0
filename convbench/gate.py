"""Nothing wrong is ever timed: judge an implementation against the oracle.

`check` judges a backend or any callable on small problems: exact integers, derived error bounds, hygiene. The plan
that is about to be timed is judged at its full size by convbench.judge.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from convbench import bounds, oracle
from convbench.backends import get_backend
from convbench.backends.base import Backend, Precision, Rounding
from convbench.confusion import diagnosis
from convbench.cuda.faults import of_device
from convbench.errors import ArgumentError, UnsupportedError
from convbench.hygiene import hygiene
from convbench.problem import DTYPES, HALF, MODES, Array, Problem, dtype_name, widened
from convbench.verdict import Verdict

# Smallest first, so that the first failure is the smallest failing example. Odd, even, non-square, 1 x k, k x 1,
# k = 1, and kernels longer than the image on one or both axes.
SHAPES: dict[int, tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]] = {
    1: (
        ((1,), (1,)),
        ((2,), (2,)),
        ((5,), (1,)),
        ((6,), (3,)),
        ((9,), (4,)),
        ((3,), (5,)),
        ((4,), (9,)),
        ((33,), (8,)),
        ((200,), (31,)),
        ((257,), (64,)),
    ),
    2: (
        ((1, 1), (1, 1)),
        ((2, 3), (2, 2)),
        ((4, 5), (1, 1)),
        ((5, 4), (3, 3)),
        ((6, 7), (1, 4)),
        ((7, 6), (5, 1)),
        ((4, 9), (5, 3)),
        ((3, 4), (4, 7)),
        ((9, 8), (4, 3)),
        ((11, 16), (2, 6)),
        ((20, 35), (7, 5)),
        ((37, 29), (9, 11)),
    ),
}

Function = Callable[..., Any]


def check(
    subject: Backend | str | Function,
    ndim: int = 2,
    modes: Iterable[str] = MODES,
    dtypes: Iterable[str] | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Verdict:
    """Judge a backend, its name, or any callable (image, kernel) or (image, kernel, mode) on small problems.

    ndim: 1 or 2. dtypes: by default the four full ones, and those of 16 bits that the backend takes; a callable that is
    not a backend is checked in float64 only by default. Returns a Verdict; raises ArgumentError for bad arguments only,
    never for what the subject does.
    """
    if ndim not in SHAPES:
        raise ArgumentError(f"ndim must be 1 or 2, got {ndim!r}")
    modes = [modes] if isinstance(modes, str) else list(modes)
    for mode in modes:
        Problem((9,) * ndim, (3,) * ndim, mode=mode, device=device, threads=threads)  # type: ignore[arg-type]
    if isinstance(subject, str):
        subject = get_backend(subject)
    if isinstance(subject, Backend):
        runner: _Runner = _BackendRunner(subject)
    elif callable(subject):
        runner = _CallableRunner(subject, ndim, modes)
    else:
        raise ArgumentError(
            f"check takes a backend, a backend's name or a callable, got {subject!r}; `convbench list` names them"
        )
    if dtypes is None:
        dtypes = ("float64",)
        if isinstance(subject, Backend):
            dtypes = (*DTYPES, *(dtype for dtype in sorted(HALF) if dtype in subject.dtypes))
    chosen = [dtypes] if isinstance(dtypes, str) else list(dtypes)

    verdict = Verdict(runner.name)
    for dtype in map(dtype_name, chosen):
        for mode in modes:
            _check_one(runner, verdict, ndim, mode, dtype, device, threads)
    verdict.failures.sort(key=lambda f: np.prod(f.problem.image_shape + f.problem.kernel_shape) if f.problem else 0)
    return verdict


def _check_one(runner: _Runner, verdict: Verdict, ndim: int, mode: str, dtype: str, device: str, threads: int) -> None:
    """All shapes of one dtype and mode, until the first failure."""
    for number, (image_shape, kernel_shape) in enumerate(SHAPES[ndim]):
        if mode == "valid" and any(k > n for n, k in zip(image_shape, kernel_shape, strict=True)):
            continue
        problem = Problem(image_shape, kernel_shape, dtype, mode, device, threads)  # type: ignore[arg-type]
        before = len(verdict.failures)
        try:
            _exact(runner, verdict, problem, seed=number)
            if len(verdict.failures) == before:
                _bounded(runner, verdict, problem)
            if len(verdict.failures) == before and number in (3, 7, len(SHAPES[ndim]) - 1):
                kernel = problem.kernel(separable=runner.separable)
                _manners(runner, problem, kernel, verdict)
        except UnsupportedError as reason:
            verdict.not_run[str(reason)] = verdict.not_run.get(str(reason), 0) + 1
            continue
        except Exception as error:  # whatever a stranger's function raises is a finding, not a crash
            if of_device(device, error):
                raise
            verdict.checks += 1
            verdict.fail("run", problem, f"raised {type(error).__name__}: {error}")
        if len(verdict.failures) > before:
            return


def _manners(runner: _Runner, problem: Problem, kernel: Array, verdict: Verdict) -> None:
    hygiene(lambda: runner.plan(problem, kernel), problem, kernel, runner.deterministic, verdict, runner.precision)


def _exact(runner: _Runner, verdict: Verdict, problem: Problem, seed: int) -> None:
    """Small integers: every partial sum is representable, so direct methods must match the oracle bit for bit."""
    rng = np.random.default_rng([seed, *problem.image_shape])

    def integers(shape: Sequence[int], choices: Sequence[int]) -> Array:
        values = rng.choice(choices, size=shape)
        if problem.is_complex:
            values = values + 1j * rng.choice(choices, size=shape)
        values.flat[0] = choices[-1]  # never all zero
        return values.astype(problem.dtype)

    image = integers(problem.image_shape, range(-4, 5))
    if runner.separable and problem.ndim == 2:
        # powers of two, so that taking the outer product apart divides exactly
        column, row = (rng.choice([-2, -1, 1, 2], size=k).astype(problem.dtype) for k in problem.kernel_shape)
        kernel = np.multiply.outer(column, row)
    else:
        kernel = integers(problem.kernel_shape, (-3, -2, -1, 0, 1, 2, 3))
    full = oracle.gather(image, kernel)
    if not np.array_equal(full, oracle.paint(image, kernel)):
        raise AssertionError("the two forms of the oracle disagree: please report this as a defect of convbench")
    wanted = full[problem.output_slices].astype(problem.dtype)
    output = runner.run(problem, image, kernel)
    verdict.checks += 1
    if not verdict.well_formed("exact integers", problem, output, blank=not wanted.any()):
        return
    seen = output if runner.rounding_of(problem) == "direct" else np.round(output)
    wrong = seen != wanted
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        what = (
            f"{int(wrong.sum())} of {wanted.size} samples wrong, first at {at}: got {output[at]}, expected {wanted[at]}"
        )
        verdict.fail("exact integers", problem, what + diagnosis(problem, image, kernel, np.round(output)))


def _bounded(runner: _Runner, verdict: Verdict, problem: Problem) -> None:
    """Random reals: the error of every sample stays within the derived bound."""
    image, kernel = problem.image(), problem.kernel(separable=runner.separable)
    output = runner.run(problem, image, kernel)
    verdict.checks += 1
    wanted = oracle.gather(image, kernel)[problem.output_slices]
    if not verdict.well_formed("error bound", problem, output):
        return
    rounding = runner.rounding_of(problem)
    allowed = bounds.componentwise(problem, rounding, image, kernel, None, runner.precision)[problem.output_slices]
    ratios = (np.abs(widened(output) - wanted) / allowed).astype(np.float64)
    verdict.note(ratios, problem)
    if not (ratios <= 1).all():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratios)), ratios.shape))
        verdict.fail(
            "error bound",
            problem,
            f"error / bound is {ratios[at]:.3g} at {at}: got {output[at]}, expected {wanted[at]}",
        )


class _Runner:
    """What is judged, as one thing to call."""

    name: str
    separable: bool
    deterministic: bool = True
    precision: Precision = "full"

    def rounding_of(self, problem: Problem) -> Rounding:
        raise NotImplementedError

    def plan(self, problem: Problem, kernel: Array) -> Callable[[Array], Array]:
        raise NotImplementedError

    def run(self, problem: Problem, image: Array, kernel: Array) -> Array:
        return self.plan(problem, kernel)(image)


class _BackendRunner(_Runner):
    def __init__(self, backend: Backend) -> None:
        self.backend, self.name = backend, backend.name
        self.separable, self.deterministic = backend.family == "separable", backend.deterministic
        self.precision = backend.precision

    def rounding_of(self, problem: Problem) -> Rounding:
        return self.backend.rounding_of(problem)

    def plan(self, problem: Problem, kernel: Array) -> Callable[[Array], Array]:
        return self.backend.plan(problem, kernel)


class _CallableRunner(_Runner):
    """A user's function; nothing is known of its method, so it is judged like an FFT (rounded integers)."""

    separable = False

    def __init__(self, function: Function, ndim: int, modes: list[str]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.takes_mode = _takes_mode(function)
        if not self.takes_mode and len(modes) > 1:
            del modes[1 - len(modes) :]
            modes[0] = _guess_mode(function, ndim)

    def rounding_of(self, problem: Problem) -> Rounding:
        return "fft"

    def plan(self, problem: Problem, kernel: Array) -> Callable[[Array], Array]:
        if self.takes_mode:
            return lambda image: self.function(image, kernel, problem.mode)
        return lambda image: self.function(image, kernel)


def _takes_mode(function: Function) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 3


def _guess_mode(function: Function, ndim: int) -> str:
    """The mode whose output shape a function without a mode argument returns; 'full' where none fits."""
    image, kernel = np.ones((7, 9)[:ndim]), np.ones((3, 3)[:ndim])
    try:
        shape = np.shape(function(image, kernel))
    except Exception:
        return "full"
    fits = {Problem(image.shape, kernel.shape, mode=m).output_shape: m for m in MODES}  # type: ignore[arg-type]
    return fits.get(shape, "full")
