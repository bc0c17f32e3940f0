"""2-D: an n x n image with a k x k kernel, mode same."""

from . import _Cells


class Image(_Cells):
    layout = "image"
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
        [3, 5, 7, 9, 11, 15, 21, 31, 45, 63, 101],
        ["float32", "float64"],
        ["cpu"],
        [1],
    )


class Complex(_Cells):
    layout = "image"
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
            "jax",
            "jax-fft",
            "pytensor",
            "ducc0-fft",
        ],
        [512, 1024],
        [3, 7, 15, 31, 63],
        ["complex64", "complex128"],
        ["cpu"],
        [1],
    )


class Threads(_Cells):
    layout = "image"
    params = (
        [
            "numba-direct",
            "numba-separable",
            "pyfftw",
            "pyfftw-overlap",
            "scipy-fft",
            "scipy-oa",
            "torch",
            "torch-separable",
            "torch-fft",
            "opencv-filter2d",
            "opencv-sepfilter2d",
            "onnxruntime",
            "openvino",
            "ducc0-fft",
        ],
        [1024, 2048],
        [3, 7, 15, 31, 63],
        ["float32", "float64"],
        ["cpu"],
        [2],
    )


class Cuda(_Cells):
    layout = "image"
    params = (
        ["torch", "torch-separable", "torch-fft"],
        [256, 512, 1024, 2048],
        [3, 5, 7, 9, 11, 15, 21, 31, 45, 63, 101],
        ["float32", "float64"],
        ["cuda:0"],
        [1],
    )
