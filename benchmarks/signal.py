"""1-D: a signal of n samples with a kernel of k taps, mode same."""

from . import _Cells


class Signal(_Cells):
    layout = "signal"
    params = (
        [
            "numba-direct",
            "pyfftw",
            "pyfftw-overlap",
            "scipy-direct",
            "scipy-fft",
            "scipy-oa",
            "ndimage",
            "numpy",
            "torch",
            "torch-fft",
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
        [1024, 4096, 16384, 65536, 262144, 1048576],
        [3, 9, 33, 129, 513, 1025, 4097],
        ["float32", "float64"],
        ["cpu"],
        [1],
    )


class Cuda(_Cells):
    layout = "signal"
    params = (
        [
            "torch",
            "torch-fft",
            "jax",
            "jax-fft",
            "torch-benchmark",
            "torch-tf32",
            "torch-overlap",
            "cupy-direct",
            "cupy-fft",
            "cupy-oa",
            "cupy-ndimage",
        ],
        [1024, 4096, 16384, 65536, 262144, 1048576],
        [3, 9, 33, 129, 513, 1025, 4097],
        ["float32"],
        ["cuda:0", "cuda:1"],
        [1],
    )
