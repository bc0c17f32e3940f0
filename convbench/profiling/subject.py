"""What is profiled: a backend on a problem, with the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convbench.backends import get_backend
from convbench.backends.base import Backend, Plan
from convbench.errors import ArgumentError
from convbench.images import channels, read_image, sample_photograph
from convbench.kernels import named_kernel
from convbench.problem import Array, Mode, Problem, as_data
from convbench.recommendation import is_shape, parse_shape


@dataclass(frozen=True, eq=False)
class Subject:
    """A backend that can run the problem; image and kernel have the problem's shapes and dtype."""

    backend: Backend
    problem: Problem
    image: Array
    kernel: Array

    def plan(self) -> Plan:
        return self.backend.plan(self.problem, self.kernel)

    @property
    def label(self) -> str:
        """In words: backend, shapes, dtype, and what is not usual."""
        p = self.problem
        shapes = " * ".join(" x ".join(map(str, shape)) for shape in (p.image_shape, p.kernel_shape))
        threads = f", {p.threads} threads" if p.threads > 1 else ""
        return f"{self.backend.name}, {shapes}, {p.dtype}, {p.mode}, {p.device}{threads}"


def subject_of(
    backend: str,
    image: str,
    kernel: str,
    *,
    dtype: str = "float32",
    mode: Mode = "same",
    device: str = "cpu",
    threads: int = 1,
) -> Subject:
    """The subject that these words mean.

    image: a shape, HxW or a signal's length, of which random data are made; a file of images.read_image, of which the
    first channel is taken; or `sample`. kernel: a shape, one number k meaning k x k for an image, of which a separable
    random kernel is made; or a kernel by name or file, see kernels.named_kernel.
    Raises ArgumentError for what is none of these, StorageError for files that cannot be read.
    """
    chosen = get_backend(backend)
    pixels = None
    if is_shape(image):
        image_shape = parse_shape("--image", image)
    elif image != "sample" and not Path(image).suffix:
        raise ArgumentError(
            f"--image takes HEIGHTxWIDTH, e.g. 1024x1024, the length of a signal, a .png, .jpg or .npy file, or the "
            f"word sample; got {image!r}"
        )
    else:
        pixels = as_data("image", channels(read_image(sample_photograph() if image == "sample" else image))[0])
        image_shape = pixels.shape
    taps = None if is_shape(kernel) else named_kernel(kernel)
    kernel_shape = parse_shape("--kernel", kernel) if taps is None else taps.shape
    if taps is None and len(image_shape) == 2 and len(kernel_shape) == 1:
        kernel_shape *= 2
    problem = Problem(image_shape, kernel_shape, dtype, mode, device, threads)
    return Subject(
        chosen,
        problem,
        problem.image() if pixels is None else _converted("image", pixels, problem),
        problem.kernel(separable=problem.ndim > 1) if taps is None else _converted("kernel", taps, problem),
    )


def _converted(what: str, data: Array, problem: Problem) -> Array:
    if np.iscomplexobj(data) and not problem.is_complex:
        raise ArgumentError(f"the {what} is {data.dtype} and cannot become {problem.dtype}; give --dtype complex64")
    return np.ascontiguousarray(data, dtype=problem.dtype)
