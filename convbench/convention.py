"""What an operation computes: does it flip the kernel, and where does its output start?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Convention:
    """How a library's raw operation relates to full convolution.

    flips: the kernel is flipped (true convolution). transposes: the kernel is transposed. conjugates: the kernel
    is conjugated. offset: index of the first `same` sample in the operation's own full output, a formula in k.
    size: length of that output, a formula in n and k.
    """

    flips: bool
    transposes: bool = False
    conjugates: bool = False
    offset: str = "(k-1)//2"
    size: str = "n"

    def describe(self) -> str:
        """Two sentences in plain words."""
        what = "convolution (flips the kernel)" if self.flips else "cross-correlation (does not flip the kernel)"
        extra = "".join(
            f", {word} it" for word, on in (("transposes", self.transposes), ("conjugates", self.conjugates)) if on
        )
        return f"Computes {what}{extra}. Its output has size {self.size} and starts at {self.offset} of the full one."
