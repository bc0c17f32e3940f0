"""What the gate found: Verdict, and the failures in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from convbench.problem import Array, Problem


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
        where = f"image {times(p.image_shape)}, kernel {times(p.kernel_shape)}, {p.dtype}, mode {p.mode}"
        return f"{self.test} ({where}): {self.what}"


@dataclass
class Verdict:
    """What the gate found. ok: nothing wrong in at least one check; str() explains.

    worst: the largest error / bound seen (dimensionless, 1 is the limit); worst_index: where, in the output.
    ulp: the largest error seen, in units in the last place (see bounds.ulp_error); None where none was taken.
    """

    subject: str
    failures: list[Failure] = field(default_factory=list)
    checks: int = 0
    worst: float = 0.0
    worst_index: tuple[int, ...] | None = None
    worst_problem: Problem | None = None
    ulp: float | None = None
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

    def note_ulp(self, ulp: float | None) -> None:
        """Remember the largest error in units in the last place."""
        if ulp is not None and (self.ulp is None or ulp > self.ulp):
            self.ulp = ulp

    def well_formed(self, test: str, problem: Problem, output: object, blank: bool = False) -> bool:
        """Shape, dtype, finite, not trivially zero (unless *blank*); records what is wrong."""
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
        elif not blank and not output.any():
            what = "output is zero everywhere"
        if what:
            self.fail(test, problem, what)
        return what is None


def times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
