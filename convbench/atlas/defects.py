"""Faults of the systems, found by measuring. Nothing here is to be copied into an oracle."""

from __future__ import annotations

from convbench.atlas.entry import Defect

DEFECTS: dict[str, Defect] = {
    defect.name: defect
    for defect in (
        Defect(
            "conjugates-image",
            "Complex input with the kernel longer than the image, mode valid: the image is conjugated instead of the "
            "kernel, so the output is the complex conjugate of the right one. signal.correlate is right.",
            "reproduced",
        ),
        Defect(
            "undefined-empty",
            "float32, mode VALID, where the right output is empty: returns uninitialised memory of the image's shape "
            "without an error, unless TF_ENABLE_ONEDNN_OPTS=0. Other dtypes return an empty array.",
            "refused",
        ),
        Defect(
            "reads-outside",
            "Mode full with boundary wrap or symm and the kernel longer than the image by 2 or more: reads outside the "
            "image; the output is wrong and mostly not repeatable.",
            "refused",
        ),
        Defect(
            "reflects-garbage",
            "Mode reflect with 4 n or more samples needed before the image (the kernel some 8 times as long as the "
            "image): reads uninitialised memory.",
            "refused",
        ),
        Defect(
            "cannot-compile",
            "With its default optimiser the operation does not compile, whatever the input. An unoptimised graph runs; "
            "so does optimizer_excluding=conv_gemm with filter_flip=True in modes valid and full.",
            "refused",
        ),
        Defect(
            "crossed-lengths",
            "Modes full and same refuse a kernel longer than the image on one axis and shorter on the other, which has "
            "a convolution all the same; SciPy's functions of these names and jax.scipy.signal.fftconvolve accept it.",
            "refused",
        ),
        Defect(
            "rows-for-columns",
            "Takes the number of the kernel's rows for its columns too: right for square kernels only. A kernel of one "
            "row is silently replaced by its sum; others raise ValueError.",
            "reproduced",
        ),
        Defect(
            "loses-imaginary",
            "Complex input: the imaginary part of the output is dropped.",
            "reproduced",
        ),
    )
}
