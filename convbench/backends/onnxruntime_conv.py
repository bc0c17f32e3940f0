"""ONNX Runtime: a model of one Conv node.

Requires onnxruntime, and onnx, which makes the model. Conv correlates, so the kernel, a constant of the model, is
flipped in the plan; it pads as the mode asks. float32 only: ONNX Runtime has no float64 Conv on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan, distribution_version
from convbench.convention import Convention
from convbench.problem import Array, Problem


class OnnxruntimeConv(Backend):
    name = "onnxruntime"
    family = "framework"
    library = "onnxruntime"
    module = "onnxruntime"
    extra = "onnxruntime"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")
    dtypes = ("float32",)
    threaded = True

    def limits(self, problem: Problem) -> str | None:
        return None if distribution_version("onnx") else f"onnx is not installed: {self.remedy}"

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        import onnxruntime

        super().__init__(problem)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = problem.threads, 1
        options.log_severity_level = 3  # errors
        self.run = onnxruntime.InferenceSession(conv_model(problem, kernel), options, ["CPUExecutionProvider"]).run

    def load(self, image: Array) -> Array:
        return np.ascontiguousarray(image)[None, None]

    def execute(self, data: Array) -> Any:
        return self.run(None, {"image": data})

    def store(self, result: Any) -> Array:
        array: Array = result[0][0, 0]
        return array


def conv_model(problem: Problem, kernel: Array) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    before, after = zip(*problem.padding, strict=True)
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 1, *problem.image_shape))
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, (1, 1, *problem.output_shape))
    weights = numpy_helper.from_array(np.ascontiguousarray(np.flip(kernel))[None, None], "kernel")
    node = helper.make_node("Conv", ["image", "kernel"], ["found"], pads=(*before, *after))
    graph = helper.make_graph([node], "convolution", [image], [found], [weights])
    # Conv is the same since opset 11; versions that ONNX Runtime has read for years.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content
