"""2-D: an n x n image with a k x k kernel, mode same."""

from convbench.machine import cores

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


class Cores(_Cells):
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
        [256, 512, 1024, 2048, 4096, 8192],
        [3, 7, 15, 31],
        ["float32"],
        ["cpu"],
        [2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128],
    )

    def setup(self, *cell):
        if cell[-1] > cores():
            raise NotImplementedError(f"{cell[-1]} threads are more than the {cores()} cores here")
        super().setup(*cell)


class Cuda(_Cells):
    layout = "image"
    params = (
        [
            "torch",
            "torch-separable",
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
            "numba-cuda-direct",
            "numba-cuda-separable",
        ],
        [256, 512, 1024, 2048, 4096, 8192],
        [3, 5, 7, 9, 11, 15, 21, 31, 63, 127, 255],
        ["float32"],
        ["cuda:0", "cuda:1"],
        [1],
    )


class CudaDtypes(_Cells):
    layout = "image"
    params = (
        [
            "torch",
            "torch-separable",
            "torch-fft",
            "jax",
            "jax-fft",
            "torch-benchmark",
            "torch-overlap",
            "cupy-direct",
            "cupy-fft",
            "cupy-oa",
            "cupy-ndimage",
            "numba-cuda-direct",
            "numba-cuda-separable",
        ],
        [1024, 4096],
        [3, 7, 15, 31, 63],
        ["float64", "complex64", "complex128", "float16", "bfloat16"],
        ["cuda:0", "cuda:1"],
        [1],
    )
