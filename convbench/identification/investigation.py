"""The questions that a function is asked, in order, and the answer that follows."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from convbench.convention import SCALES, Convention
from convbench.identification import further, oddities
from convbench.identification.fit import Observation, agrees, explain, located, majority, shorter_kernel
from convbench.identification.identified import Identified, Kind, Shapes, in_words, listed
from convbench.identification.probes import PROBES, ascending, impulse, integers
from convbench.identification.subject import RefusedError, Subject, TimeUpError, name_of
from convbench.problem import Array

Answer = tuple[Array, Array, Array]
"""Image, kernel, output."""


class Investigation:
    """What is known of a function that is called in one manner."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.answers: list[Answer] = []
        self.refused: dict[Shapes, RefusedError] = {}
        self.findings: list[str] = []

    def convolution(self) -> Identified | None:
        """What convolution it is, or that its results are random; None where it is another thing.

        Raises TimeUpError where there was no time for an answer.
        """
        if (shapes := self._random()) is not None:
            return self.is_not(
                "random", f"It did so for an image of shape {shapes[0]} and a kernel of shape {shapes[1]}"
            )
        try:
            self._probe()
        except TimeUpError:
            if not self.answers:
                raise
            self._late()
        found = self._convolution()
        return self._with_example(found) if found else None

    def oddity(self) -> Identified:
        """Why it is no convolution; raises TimeUpError where there was no time for an answer."""
        kernels = sorted({kernel.shape for _, kernel, _ in self.answers}, key=lambda shape: (np.prod(shape), shape))
        return self._with_example(self.is_not(*oddities.diagnosis(self.subject, kernels)))

    def is_not(self, kind: Kind, counterexample: str) -> Identified:
        """The answer that it is no convolution."""
        return self._complete(Identified(False, kind=kind, counterexample=counterexample.rstrip(".")))

    def _late(self) -> None:
        late = f"not all questions were answered within {self.subject.patience.seconds:g} s"
        self.findings += [late] if late not in self.findings else []

    def _complete(self, found: Identified) -> Identified:
        """The answer with what was noticed on the way."""
        subject, tried = self.subject, self._tried()
        refusals = []
        for kind in dict.fromkeys(refused.kind for refused in self.refused.values()) if self.answers else ():
            chosen = [shapes for shapes, refused in self.refused.items() if refused.kind == kind]
            refusals.append(f"{listed(in_words(chosen, tried))} ({kind})")
        changes = [f"it changes the {name} it is given" for name in sorted(subject.changes)]
        return dataclasses.replace(
            found,
            name=name_of(subject.function),
            ndim=subject.ndim,
            mode=subject.mode,
            by_keyword=subject.by_keyword,
            manner=subject.manner,
            refusals=tuple(refusals),
            findings=(*self.findings, *changes),
        )

    def _tried(self) -> list[Shapes]:
        return [*self.refused, *((image.shape, kernel.shape) for image, kernel, _ in self.answers)]

    def _random(self) -> Shapes | None:
        """Shapes for which the same input gives other numbers the second time."""
        for image_shape, kernel_shape in PROBES[self.subject.ndim]:
            image, kernel = integers(image_shape, 1), integers(kernel_shape, 2)
            try:
                first, second = (self.subject(image, kernel) for _ in range(2))
            except RefusedError:
                continue
            same = first.shape == second.shape and np.allclose(first, second, rtol=1e-4)
            return None if same else (image_shape, kernel_shape)
        return None

    def _probe(self) -> None:
        for number, shapes in enumerate(PROBES[self.subject.ndim]):
            image, kernel = integers(shapes[0], number), integers(shapes[1], number + 100)
            try:
                self.answers.append((image, kernel, self.subject(image, kernel)))
            except RefusedError as refused:
                self.refused[shapes] = refused

    def _convolution(self) -> Identified | None:
        """The convention that explains all answers, or most of them; None where there is none."""
        for oriented in self._orientations():
            observations = [located(*answer, oriented) for answer in self.answers]
            placed = [o for o in observations if o.places]
            shorter = [o for o in placed if shorter_kernel(*o.shapes)]
            found = explain(placed, oriented) or explain(shorter, oriented) or majority(placed, oriented)
            if found is None:
                continue
            explained = [o for o in placed if agrees(found, o)]
            if 2 * len(explained) >= len(observations):
                return self._found(found, explained, [o for o in observations if o not in explained])
        return None

    def _orientations(self) -> Iterator[Convention]:
        """The ways to lay and scale the kernel that explain one of the first outputs at least, the plainest first."""
        ndim = self.subject.ndim
        ways = [
            Convention(flips[0] if len(set(flips)) == 1 else flips, transposes)
            for transposes in ((False, True) if ndim == 2 else (False,))
            for flips in sorted(itertools.product((True, False), repeat=ndim), key=lambda flips: len(set(flips)))
        ]
        telling = [a for a in self.answers if a[1].size > 1 and shorter_kernel(a[0].shape, a[1].shape)][:3]
        for scale in itertools.chain(("1", *SCALES), self._factor()):
            for way in ways:
                oriented = dataclasses.replace(way, scale=scale)
                if any(located(*answer, oriented).places for answer in telling):
                    yield oriented

    def _factor(self) -> Iterator[str]:
        """The number that results may be multiplied by: the sum of a response to an impulse far from all borders."""
        _, kernel, _ = self.answers[0]
        try:
            response = self.subject(impulse([4 * k + 1 for k in kernel.shape]), kernel)
        except (RefusedError, TimeUpError):
            return
        factor = float(f"{response.real.sum() / kernel.sum():.12g}")
        if abs(factor) > 1e-9:
            yield repr(factor)

    def _found(self, convention: Convention, explained: list[Observation], others: list[Observation]) -> Identified:
        if others:
            words = listed(in_words([o.shapes for o in others], self._tried()))
            self.findings.append(f"for {words} it returns something else")
        if convention.size in ("k", "k-n+1"):
            self.findings.append("it takes the kernel first: exchange its arguments")
        complex_input = channels = "not tried"
        conjugates = False
        try:
            self.findings += dict.fromkeys(further.larger(self.subject, convention, self.refused))
            complex_input, conjugates = further.complex_input(self.subject, convention, explained[0])
            channels = further.channels(self.subject, convention, explained[0])
        except TimeUpError:
            self._late()
        flips = convention.flips
        found = Identified(
            **{field.name: getattr(convention, field.name) for field in dataclasses.fields(Convention)},
            kind="mixed" if isinstance(flips, tuple) else "convolution" if flips else "cross-correlation",
            complex_input=complex_input,
            channels=channels,
            longer_kernels=not all(shorter_kernel(*o.shapes) for o in explained),
            outside=any(
                len({boundary for boundary, _ in o.places}) == 1 for o in explained if not convention.swapped(*o.shapes)
            ),
        )
        return self._complete(dataclasses.replace(found, conjugates=conjugates))

    def _with_example(self, found: Identified) -> Identified:
        """An impulse, a kernel and the response: the smallest kernel that shows how it lies."""
        for lengths in ((2, 3), (3, 3), (4, 4)):
            kernel = ascending(lengths[-self.subject.ndim :])
            image = impulse((6, 7)[-self.subject.ndim :])
            try:
                return dataclasses.replace(found, kernel=kernel, impulse=image, response=self.subject(image, kernel))
            except (RefusedError, TimeUpError):
                continue
        return found
