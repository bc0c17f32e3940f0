"""Draw docs/conventions.svg and renew the table of all systems in docs/conventions.md, both from the atlas.

python tools/conventions.py [--check]
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import convbench
from convbench.atlas.markdown import markdown
from convbench.files import atomic_write
from convbench.identification.picture import cells

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- table of all systems: made by tools/conventions.py -->", "<!-- end of the table -->"
SHOWN = (
    ("scipy", "signal.convolve2d", "same", "convolution\nscipy.signal.convolve2d,\nPyTensor, Keras on Theano"),
    ("scipy", "ndimage.convolve", "constant", "convolution\nscipy.ndimage.convolve"),
    (
        "tensorflow",
        "tf.nn.conv2d",
        "SAME",
        "cross-correlation\nTensorFlow, Keras, torch, JAX,\nscipy.signal.correlate2d",
    ),
    (
        "opencv",
        "cv2.filter2D",
        "BORDER_CONSTANT",
        "cross-correlation\nscipy.signal.correlate,\nndimage.correlate, OpenCV",
    ),
    ("theano", "tensor.nnet.conv2d filter_flip=True", "half", "convolution; n+1 samples\nfor even k: Theano, half"),
    (
        "seed000",
        "correlate2d(image, kernel.T)",
        "same",
        "correlate2d(image, kernel.T)\nthe accepted answer:\nno system does it",
    ),
)


def figure() -> str:
    """The response to an impulse of every convention, for an odd and an even kernel, as SVG."""
    impulse = np.zeros((6, 7))
    impulse[3, 3] = 1
    kernels = [np.arange(1.0, 10).reshape(3, 3), np.arange(1.0, 9).reshape(2, 4)]
    page: Any = Figure(figsize=(17, 6), layout="constrained")
    axes = page.subplots(2, len(SHOWN) + 1, width_ratios=[0.7, *(1 for _ in SHOWN)])
    for number, (row, kernel) in enumerate(zip(axes, kernels, strict=True)):
        cells(row[0], kernel, kernel.max())
        row[0].set_title("kernel, " + " × ".join(map(str, kernel.shape)), fontsize=10)
        for axis, (system, op, mode, title) in zip(row[1:], SHOWN, strict=True):
            cells(axis, convbench.emulate(system, op, impulse, kernel, mode=mode), kernel.max())
            axis.add_patch(Rectangle((2.5, 2.5), 1, 1, fill=False, edgecolor="#d62728", linewidth=2))
            if number == 0:
                axis.set_title(title, fontsize=10)
    page.suptitle("Mode same: what each returns for an image that is 1 in the framed sample and 0 elsewhere")
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "convbench", "svg.fonttype": "none"}):
        page.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def renewed(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 if the page is not up to date.")
def main(check: bool) -> None:
    page = DOCS / "conventions.md"
    text = page.read_text(encoding="utf-8")
    if check:
        raise SystemExit(renewed(text) != text)
    atomic_write(page, renewed(text))
    atomic_write(DOCS / "conventions.svg", figure())


if __name__ == "__main__":
    main()
