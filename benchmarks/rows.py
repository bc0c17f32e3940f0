"""Rows: one 1-D kernel of k taps over every row of an n x n matrix, mode same."""

from . import _Cells


class Rows(_Cells):
    layout = "rows"
    params = (
        [
            "numba-direct",
            "numba-separable",
            "pyfftw",
            "pyfftw-overlap",
            "scipy-direct",
            "scipy-fft",
            "scipy-oa",
            "ndimage",
            "ndimage-separable",
            "torch",
            "torch-separable",
            "torch-fft",
            "opencv-filter2d",
            "opencv-sepfilter2d",
            "tensorflow",
            "jax",
            "jax-fft",
            "pytensor",
            "onnxruntime",
            "openvino",
            "ducc0-fft",
            "theano",
            "keras-tensorflow",
            "keras-torch",
            "keras-jax",
        ],
        [256, 512, 1024, 2048],
        [3, 7, 15, 31, 63, 101],
        ["float32", "float64"],
        ["cpu"],
        [1],
    )
