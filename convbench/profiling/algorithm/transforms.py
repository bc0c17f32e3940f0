"""Which transforms ran: their lengths, whether of the whole image or of tiles, and how many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from convbench.backends._fft import circular_sizes
from convbench.problem import Problem, Shape
from convbench.profiling.algorithm import fftw
from convbench.profiling.algorithm.fact import Case, Fact
from convbench.profiling.algorithm.lengths import by, lengths_fact
from convbench.profiling.missing import Missing

LENGTHS = "transform lengths"
_BOTH_WAYS = "forward and backward, of the whole image"


def transformed(problem: Problem) -> Shape:
    """The axes along which there is something to transform."""
    return tuple(axis for axis, k in enumerate(problem.kernel_shape) if k > 1)


def of_torch(case: Case) -> Iterator[Fact]:
    """torch-fft: what its plan passes to torch.fft."""
    plan: Any = case.plan
    yield _whole(case.subject.problem, tuple(plan.where["s"]), "the plan's calls of torch.fft")


def of_ducc(case: Case) -> Iterator[Fact]:
    """ducc0-fft: the arrays that its plan transforms."""
    plan: Any = case.plan
    sizes = tuple(plan.padded.shape[axis] for axis in plan.axes) if plan.axes else ()
    yield _whole(case.subject.problem, sizes, "the arrays that ducc0.fft is given")


def of_torch_tiles(case: Case) -> Iterator[Fact]:
    """torch-overlap: the tiles that it was quickest with."""
    plan: Any = case.plan
    problem, count = case.subject.problem, math.prod(plan.counts[axis] for axis in plan.cut)
    if count <= 1:
        yield _whole(problem, tuple(plan.lengths), "the plan's calls of torch.fft")
        return
    least = [circular_sizes(problem)[axis] for axis in plan.cut]
    more = f"overlap-save, {count} tiles, {plan.batch} rows of tiles in a batch"
    yield lengths_fact(LENGTHS, plan.lengths, least, "the plan's calls of torch.fft", more)


def _whole(problem: Problem, sizes: Shape, source: str) -> Fact:
    if not sizes:
        return Fact(LENGTHS, "no transform: a kernel of one sample is a factor", source)
    least = [circular_sizes(problem)[axis] for axis in transformed(problem)]
    return lengths_fact(LENGTHS, sizes, least, source, _BOTH_WAYS)


def of_fftw(case: Case) -> Iterator[Fact | Missing]:
    """pyfftw and pyfftw-overlap: the lengths of what FFTW transforms, and its plan of each transform."""
    plan: Any = case.plan
    tiled = hasattr(plan, "workers")
    work = plan.workers[0] if tiled else plan.workspace  # the other workers' tiles are the same
    runs: Iterable[Any] = (getattr(work, name, None) for name in ("head", "forward", "down", "up", "backward"))
    made = [run.__self__ for run in runs if hasattr(run, "__self__")]
    problem, source = case.subject.problem, "pyFFTW's plans"
    if not made:
        yield _whole(problem, (), source)
        return
    forward, backward = (
        _lengths(t for t in made if (t.direction == "FFTW_BACKWARD") == back) for back in (False, True)
    )
    how = f"overlap-save, tiles of {by(work.tile)}" if tiled else "of the whole image"
    least = [circular_sizes(problem)[axis] for axis in transformed(problem)]
    ways = {"forward": forward, "backward": backward} if forward != backward else {"forward and backward": forward}
    for way, sizes in ways.items():
        yield lengths_fact(LENGTHS, sizes, least, source, f"{way}, {how}")
    try:
        library = fftw.Library(problem.dtype)
    except LookupError as error:
        yield Missing("FFTW's plans", str(error), "pip install --force-reinstall pyFFTW")
        return
    yield Fact("FFTW's build", library.version, "fftw_version")
    for transform in made:
        way = transform.direction.removeprefix("FFTW_").lower()
        what = f"FFTW's plan, {way}, {by(fftw.logical_shape(transform))}, axes {by(transform.axes, ' and ')}"
        yield fftw.plan_fact(what, library, transform, 1 if tiled else problem.threads)


def _lengths(made: Iterable[Any]) -> Shape:
    """Of each axis that some pyfftw.FFTW objects transform."""
    found = {axis: fftw.logical_shape(one)[axis] for one in made for axis in one.axes}
    return tuple(found[axis] for axis in sorted(found))


@dataclass(frozen=True)
class _Call:
    """A call of scipy.fft: function, shape of what is transformed, lengths, axes."""

    function: str
    shape: Shape
    lengths: Shape
    axes: Shape


@dataclass
class _Recorder:
    """A backend of scipy.fft that notes each call and leaves it to the next backend."""

    __ua_domain__: ClassVar[str] = "numpy.scipy.fft"
    calls: list[_Call] = field(default_factory=list)

    def __ua_function__(self, method: Any, args: Any, options: Any) -> Any:
        from scipy import fft

        given = dict(zip(("x", "s", "axes"), args, strict=False)) | options
        shape = given["x"].shape
        axes = given.get("axes") or tuple(range(len(shape)))
        sizes = given.get("s") or [shape[axis] for axis in axes]
        self.calls.append(_Call(method.__name__, shape, tuple(map(int, sizes)), tuple(axes)))
        with fft.skip_backend(self):
            return method(*args, **options)


def of_scipy(case: Case) -> Iterator[Fact]:
    """scipy-fft and scipy-oa: the calls of scipy.fft that one execution makes."""
    from scipy import fft

    recorder, source = _Recorder(), "a backend of scipy.fft that looked on"
    with fft.set_backend(recorder):
        case.execute()
    if not recorder.calls:
        yield Fact(LENGTHS, "no transform: the kernel is one sample on every axis", source)
        return
    first, problem = recorder.calls[0], case.subject.problem
    names = dict.fromkeys(call.function for call in recorder.calls)
    made = ", ".join(f"{name} {sum(call.function == name for call in recorder.calls)} x" for name in names)
    axes = transformed(problem)
    if len(first.shape) > problem.ndim:
        blocks = math.prod(first.shape) // math.prod(first.shape[axis] for axis in first.axes)
        more = f"overlap-add, {blocks} blocks"
    else:
        more = "one FFT of the whole image" if case.subject.backend.name == "scipy-fft" else "fell back to one FFT"
    least = [problem.full_shape[axis] for axis in axes]
    yield lengths_fact(LENGTHS, first.lengths, least, source, f"{more}; {made}, the kernel's own in every call")
