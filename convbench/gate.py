"""Nothing wrong is ever timed: judge an implementation against the oracle.

`check` judges a backend or any callable on small problems: exact integers, derived error bounds, hygiene.
`judge_plan` judges the very plan that is about to be timed, at its full size.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convbench import bounds, oracle
from convbench.backends import get_backend
from convbench.backends.base import Backend, Plan, Rounding
from convbench.errors import ArgumentError, UnsupportedError
from convbench.hygiene import hygiene
from convbench.problem import DTYPES, MODES, Array, Problem, dtype_name

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


@dataclass(frozen=True)
class Failure:
    """One thing that was wrong: which test, on which problem, and what was seen."""

    test: str
    problem: Problem | None
    what: str

    def __str__(self) -> str:
        if self.problem is None:
            return f"{self.test}: {self.what}"
        p = self.problem
        where = f"image {_times(p.image_shape)}, kernel {_times(p.kernel_shape)}, {p.dtype}, mode {p.mode}"
        return f"{self.test} ({where}): {self.what}"


@dataclass
class Verdict:
    """What the gate found. ok: nothing wrong in at least one check; str() explains.

    worst: the largest error / bound seen (dimensionless, 1 is the limit); worst_index: where, in the output.
    """

    subject: str
    failures: list[Failure] = field(default_factory=list)
    checks: int = 0
    worst: float = 0.0
    worst_index: tuple[int, ...] | None = None
    worst_problem: Problem | None = None
    not_run: dict[str, int] = field(default_factory=dict)
    """Reasons why problems were not run, with their counts."""
    input_sha256: str | None = None

    @property
    def ok(self) -> bool:
        return self.checks > 0 and not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = []
        if self.ok:
            lines.append(f"{self.subject}: ok, {self.checks} checks, largest error / bound {self.worst:.2g}")
        elif self.failures:
            lines.append(
                f"{self.subject}: WRONG, {len(self.failures)} of {self.checks} checks failed; smallest failing example:"
            )
            lines += [f"  {failure}" for failure in self.failures[:3]]
            if len(self.failures) > 3:
                lines.append(f"  ... and {len(self.failures) - 3} more in .failures")
        else:
            lines.append(f"{self.subject}: not checked")
        lines += [f"  not run ({count}): {reason}" for reason, count in self.not_run.items()]
        return "\n".join(lines)

    def fail(self, test: str, problem: Problem | None, what: str) -> None:
        self.failures.append(Failure(test, problem, what))

    def note(self, ratios: Array, problem: Problem, points: Array | None = None) -> None:
        """Remember the largest error / bound."""
        flat = int(np.argmax(ratios))
        if float(ratios.flat[flat]) >= self.worst:
            at = points[flat] if points is not None else np.unravel_index(flat, ratios.shape)
            self.worst, self.worst_problem = float(ratios.flat[flat]), problem
            self.worst_index = tuple(int(i) for i in at)


def check(
    subject: Backend | str | Function,
    ndim: int = 2,
    modes: Iterable[str] = MODES,
    dtypes: Iterable[str] | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Verdict:
    """Judge a backend, its name, or any callable (image, kernel) or (image, kernel, mode) on small problems.

    ndim: 1 or 2. dtypes: all four by default; a callable that is not a backend is checked in float64 only by default.
    Returns a Verdict; raises ArgumentError for bad arguments only, never for what the subject does.
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
        dtypes = DTYPES if isinstance(subject, Backend) else ("float64",)
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
                hygiene(lambda: runner.plan(problem, kernel), problem, kernel, runner.deterministic, verdict)  # noqa: B023
        except UnsupportedError as reason:
            verdict.not_run[str(reason)] = verdict.not_run.get(str(reason), 0) + 1
            continue
        except Exception as error:  # whatever a stranger's function raises is a finding, not a crash
            verdict.checks += 1
            verdict.fail("run", problem, f"raised {type(error).__name__}: {error}")
        if len(verdict.failures) > before:
            return


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
    if not _well_formed(verdict, "exact integers", problem, output, wanted):
        return
    seen = output if runner.rounding == "direct" else np.round(output)
    if runner.rounding == "separable" and problem.is_complex:
        seen = np.round(output)
    wrong = seen != wanted
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        what = (
            f"{int(wrong.sum())} of {wanted.size} samples wrong, first at {at}: got {output[at]}, expected {wanted[at]}"
        )
        verdict.fail("exact integers", problem, what + _diagnosis(problem, image, kernel, np.round(output)))


def _bounded(runner: _Runner, verdict: Verdict, problem: Problem) -> None:
    """Random reals: the error of every sample stays within the derived bound."""
    image, kernel = problem.image(), problem.kernel(separable=runner.separable)
    output = runner.run(problem, image, kernel)
    verdict.checks += 1
    wanted = oracle.gather(image, kernel)[problem.output_slices]
    if not _well_formed(verdict, "error bound", problem, output, wanted):
        return
    allowed = bounds.componentwise(problem, runner.rounding, image, kernel)[problem.output_slices]
    ratios = (np.abs(output - wanted) / allowed).astype(np.float64)
    verdict.note(ratios, problem)
    if not (ratios <= 1).all():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratios)), ratios.shape))
        verdict.fail(
            "error bound",
            problem,
            f"error / bound is {ratios[at]:.3g} at {at}: got {output[at]}, expected {wanted[at]}",
        )


def _well_formed(verdict: Verdict, test: str, problem: Problem, output: object, wanted: Array | None = None) -> bool:
    """Shape, dtype, finite, not trivially zero; records what is wrong."""
    what = None
    if not isinstance(output, np.ndarray):
        what = f"returned {type(output).__name__}, expected a numpy array"
    elif output.shape != problem.output_shape:
        what = f"returned shape {output.shape}, expected {problem.output_shape}"
    elif output.dtype != np.dtype(problem.dtype):
        what = f"returned dtype {output.dtype}, expected {problem.dtype}"
    elif not np.isfinite(output).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(output))[0])
        what = f"output is not finite: {output[at]} at {at}"
    elif not output.any() and (wanted is None or wanted.any()):
        what = "output is zero everywhere"
    if what:
        verdict.fail(test, problem, what)
    return what is None


def _diagnosis(problem: Problem, image: Array, kernel: Array, output: Array) -> str:
    """What the wrong output equals, where that is a known confusion."""
    flip = np.flip(kernel)
    start = problem.output_start
    suspects: dict[str, tuple[Array, Sequence[int]]] = {
        "cross-correlation: the kernel was not flipped": (flip, start),
        "convolution with the conjugated kernel": (kernel.conj(), start),
        "convolution with the transposed kernel": (kernel.T, start),
        "cross-correlation with the transposed kernel": (flip.T, start),
    }
    for axis in range(problem.ndim if problem.ndim > 1 else 0):
        suspects[f"a convolution whose kernel was flipped along axis {1 - axis} only"] = (np.flip(kernel, axis), start)
    for step in itertools.product((0, -1, 1), repeat=problem.ndim):
        moved = [s + d for s, d in zip(start, step, strict=True)]
        if any(step):
            suspects[f"convolution, its output shifted by {step}"] = (kernel, moved)
            suspects[f"cross-correlation, its output shifted by {step}"] = (flip, moved)
    for name, (taps, at) in suspects.items():
        if taps.shape != kernel.shape or min(at) < 0:
            continue
        guess = oracle.gather(image, taps)[
            tuple(slice(s, s + n) for s, n in zip(at, problem.output_shape, strict=True))
        ]
        if guess.shape == output.shape and np.array_equal(guess, output):
            return f". This is {name}."
    return ""


class _Runner:
    """What is judged, as one thing to call."""

    name: str
    rounding: Rounding
    separable: bool
    deterministic: bool = True

    def plan(self, problem: Problem, kernel: Array) -> Callable[[Array], Array]:
        raise NotImplementedError

    def run(self, problem: Problem, image: Array, kernel: Array) -> Array:
        return self.plan(problem, kernel)(image)


class _BackendRunner(_Runner):
    def __init__(self, backend: Backend) -> None:
        self.backend, self.name, self.rounding = backend, backend.name, backend.rounding
        self.separable, self.deterministic = backend.family == "separable", backend.deterministic

    def plan(self, problem: Problem, kernel: Array) -> Callable[[Array], Array]:
        return self.backend.plan(problem, kernel)


class _CallableRunner(_Runner):
    """A user's function; nothing is known of its method, so it is judged like an FFT (rounded integers)."""

    rounding = "fft"
    separable = False

    def __init__(self, function: Function, ndim: int, modes: list[str]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.takes_mode = _takes_mode(function)
        if not self.takes_mode and len(modes) > 1:
            del modes[1 - len(modes) :]
            modes[0] = _guess_mode(function, ndim)

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


def judge_plan(
    plan: Plan, backend: Backend, kernel: Array, image: Array, *, zero_mean: bool = True, spots: int = 32, seed: int = 0
) -> Verdict:
    """Judge the plan that is about to be timed, on the image that it will be timed on, at full size.

    Oracle values at random output samples, borders and corners; the blockwise checksum of every output sample; shape,
    dtype, finite, not zero; input unchanged; the same bits again after another image went through the plan.
    zero_mean: whether *image* is zero-mean random data (see bounds.blockwise).
    """
    problem, rounding = plan.problem, backend.rounding
    verdict = Verdict(backend.name)
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes())
    digest.update(np.ascontiguousarray(kernel).tobytes())
    verdict.input_sha256 = digest.hexdigest()
    checksum = oracle.Checksum(problem, kernel, seed)
    before = image.copy()
    output = _judged_call(plan, rounding, verdict, checksum, kernel, image, zero_mean, spots, seed)
    if verdict.failures:
        return verdict
    verdict.checks += 1
    if not np.array_equal(before, image):
        verdict.fail("input", problem, "the input image was changed by the call")
        return verdict
    kept = output.copy()
    other = problem.image(seed=seed + 1)
    _judged_call(plan, rounding, verdict, checksum, kernel, other, True, spots, seed)
    verdict.checks += 2
    if not np.array_equal(kept, output):
        verdict.fail("memory", problem, "an earlier result was overwritten by a later call")
    elif backend.deterministic and not np.array_equal(kept, plan(image)):
        verdict.fail("repeat", problem, "a second call on the same image returned other bits")
    return verdict


def _judged_call(
    plan: Plan,
    rounding: Rounding,
    verdict: Verdict,
    checksum: oracle.Checksum,
    kernel: Array,
    image: Array,
    zero_mean: bool,
    spots: int,
    seed: int,
) -> Array:
    problem = plan.problem
    output = plan(image)
    verdict.checks += 1
    blank = not (kernel.any() and image.any())
    if not _well_formed(verdict, "output", problem, output, np.zeros(1) if blank else None):
        return output
    points = oracle.spots(problem, spots, seed)
    in_full = points + np.array(problem.output_start)
    wanted = oracle.gather(image, kernel, in_full)
    allowed = bounds.componentwise(problem, rounding, image, kernel, in_full)
    ratios = (np.abs(output[tuple(points.T)] - wanted) / allowed).astype(np.float64)
    verdict.note(ratios, problem, points)
    if not (ratios <= 1).all():
        worst = int(np.argmax(ratios))
        at = tuple(int(i) for i in points[worst])
        verdict.fail(
            "spot values",
            problem,
            f"error / bound is {ratios[worst]:.3g} at {at}: got {output[at]}, expected {wanted[worst]}",
        )
        return output
    expected, norms = checksum.expected(image)
    error = np.abs(checksum.actual(output) - expected)
    limit = bounds.blockwise(problem, rounding, kernel, checksum, norms, zero_mean)
    if not (error <= limit).all():
        block = np.unravel_index(int(np.argmax(error / limit)), error.shape)
        where = ", ".join(f"{s.start}:{s.stop}" for s in checksum.slices(tuple(int(b) for b in block)))
        what = f"the z-transform checksum of output[{where}] is off by {error[block]:.3g}, allowed {limit[block]:.3g}"
        verdict.fail("checksum", problem, what)
    return output


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
