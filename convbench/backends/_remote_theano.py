# ruff: noqa: UP006, UP033, UP035 (Python 3.6 has neither dict[str, str] nor functools.cache)
"""Theano in a worker: tensor.nnet.conv2d, which convolves (filter_flip=True) by CorrMM, C++ made on the spot.

Requires Theano 1.0, Python 3.6 or newer and a C++ compiler. Its modes full and valid are convbench's; half is same
with, for an even kernel, one sample more at the end. A signal goes through it as an image of one row. One compiled
function for each dtype and mode serves all shapes and kernels.
"""

import functools
from typing import Any, Dict, Tuple


class UnsupportedError(Exception):
    """The reason why this cannot be run here; the other side knows it by its name."""


def versions() -> Dict[str, str]:
    import numpy
    import theano  # type: ignore

    if not theano.config.cxx:
        raise UnsupportedError("Theano finds no C++ compiler, without which it has no CorrMM: install g++")
    return {"Theano": theano.__version__, "numpy": numpy.__version__}


@functools.lru_cache(maxsize=None)
def compiled(dtype: str, mode: str) -> Any:
    """The function of image and kernel, both with two axes of length 1 first."""
    import theano

    image, kernel = theano.tensor.tensor4("image", dtype), theano.tensor.tensor4("kernel", dtype)
    border = "half" if mode == "same" else mode
    output = theano.tensor.nnet.conv2d(image, kernel, border_mode=border, filter_flip=True)
    if mode == "same":
        output = output[:, :, : image.shape[2], : image.shape[3]]
    function = theano.function([image, kernel], output)
    used = sorted({type(node.op).__name__ for node in function.maker.fgraph.toposort()})
    if "CorrMM" not in used:
        raise UnsupportedError("Theano compiles this to " + ", ".join(used) + " and not to CorrMM: check THEANO_FLAGS")
    return function


def plan(task: Any, kernel: Any) -> Tuple[Any, Any, Any]:
    function, taps = compiled(task["dtype"], task["mode"]), _image(kernel)
    return _image, lambda data: function(data, taps), lambda result: result.reshape(task["output_shape"])


def _image(array: Any) -> Any:
    return array.reshape((1,) * (4 - array.ndim) + array.shape)
