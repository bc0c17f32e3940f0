"""What the model cannot say: the few operations that do not quite follow their convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from convbench.convention import Convention
from convbench.problem import Array

Apply = Callable[[Array, Array], Array]


class Quirk(NamedTuple):
    """How an operation departs from its convention, and the names of the defects that this is."""

    apply: Callable[[Convention, Array, Array], Array]
    defects: tuple[str, ...]


def conjugates_image(convention: Convention, image: Array, kernel: Array) -> Array:
    """Where image and kernel change places, the one that takes the kernel's place is conjugated."""
    found = convention.apply(image, kernel)
    return found.conj() if convention.swapped(image.shape, kernel.shape) else found


def rows_for_columns(convention: Convention, image: Array, kernel: Array) -> Array:
    """The window is as wide as the kernel is high; NumPy stretches a kernel of one element, or row, over it."""
    rows = len(kernel)
    if rows == 1:
        return image * kernel.sum()
    if rows > min(image.shape):  # an empty output is returned before the kernel's columns matter
        return np.zeros([n - rows + 1 for n in image.shape], np.result_type(image, kernel))
    return convention.apply(image, kernel)


def swaps_per_axis(convention: Convention, image: Array, kernel: Array) -> Array:
    """SciPy's FFTs leave out axes on which either has length 1, so these may have the longer one elsewhere."""
    return replace(convention, offset="min(n,k)-1", size="abs(n-k)+1", swaps=False).apply(image, kernel)


QUIRKS = {
    "swaps-per-axis": Quirk(swaps_per_axis, ()),
    "conjugates-image": Quirk(conjugates_image, ("conjugates-image",)),
    "rows-for-columns": Quirk(rows_for_columns, ("rows-for-columns", "loses-imaginary")),
}
