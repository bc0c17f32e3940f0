"""What functions are asked with: shapes, and data in them."""

from __future__ import annotations

import numpy as np

from convbench.identification.identified import Shapes
from convbench.problem import Array, Shape

# The first is accepted by whatever takes anything at all: odd, square, shorter than the image. Then odd and even,
# non-square, one row or column, one sample, as large as the image, and longer than it on one axis or on both.
PROBES: dict[int, tuple[Shapes, ...]] = {
    1: (
        *(((13,), (k,)) for k in (3, 5, 2, 4)),
        *(((12,), (k,)) for k in (4, 6, 3, 7)),
        *(((9,), (k,)) for k in (7, 1, 9)),
        *(((5,), (k,)) for k in (8, 9)),
        *(((4,), (k,)) for k in (11, 6)),
        ((48,), (7,)),
    ),
    2: (
        *(((11, 13), k) for k in ((3, 3), (5, 5), (2, 2), (4, 4), (3, 5), (4, 2), (2, 3))),
        *(((11, 13), k) for k in ((1, 4), (1, 5), (5, 1), (1, 1))),
        *(((9, 9), k) for k in ((3, 3), (4, 4))),
        ((12, 10), (6, 7)),
        ((6, 5), (6, 5)),
        ((4, 8), (7, 3)),
        ((8, 5), (4, 8)),
        ((5, 6), (5, 8)),
        ((4, 5), (7, 8)),
        ((5, 4), (9, 7)),
        ((5, 5), (7, 7)),
        ((24, 24), (9, 9)),
    ),
}


def impulse(shape: Shape | list[int]) -> Array:
    """Zeros with a one in the middle."""
    image = np.zeros(shape)
    image[tuple(n // 2 for n in image.shape)] = 1
    return image


def integers(shape: Shape, seed: int) -> Array:
    """Random integers -9 to 9 without 0, of a sum that is not 0."""
    values = np.random.default_rng([seed, *shape]).choice([*range(-9, 0), *range(1, 10)], size=shape).astype(float)
    values.flat[0] += values.sum() == 0
    return values


def ascending(shape: Shape) -> Array:
    """1, 2, 3, ...: shows how a kernel lies, and is positive, so that it may be normalised."""
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)
