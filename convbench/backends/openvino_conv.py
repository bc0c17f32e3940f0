"""OpenVINO: a model of one Convolution.

Requires openvino. It correlates, so the kernel, a constant of the model, is flipped in the plan; it pads as the mode
asks. float32 only, computed as such and not in bfloat16: a float64 model is computed in float32 as well. Every result
is copied, for the next call would overwrite it. Compiling takes 0.02 to 0.2 s.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

from convbench.backends.base import Backend, Plan
from convbench.convention import Convention
from convbench.problem import Array, Problem


class OpenvinoConv(Backend):
    name = "openvino"
    family = "framework"
    library = "openvino"
    module = "openvino"
    extra = "openvino"
    rounding = "direct"
    convention = Convention(flips=False, offset="k//2")
    dtypes = ("float32",)
    threaded = True

    def make_plan(self, problem: Problem, kernel: Array) -> Plan:
        return _Plan(problem, kernel)


@functools.cache
def _core() -> Any:
    """OpenVINO's entry, imported without its telemetry: that reports every import, from a process that it forks."""
    telemetry = "openvino_telemetry"
    sys.modules.setdefault(telemetry, None)  # type: ignore[arg-type]  # not to be found; OpenVINO does without
    try:
        import openvino
    finally:
        if sys.modules[telemetry] is None:
            del sys.modules[telemetry]
    return openvino.Core()


class _Plan(Plan):
    def __init__(self, problem: Problem, kernel: Array) -> None:
        core = _core()
        from openvino import Model, opset1

        super().__init__(problem)
        before, after = zip(*problem.padding, strict=True)
        one = [1] * problem.ndim
        image = opset1.parameter([1, 1, *problem.image_shape], np.float32)
        weights = opset1.constant(np.ascontiguousarray(np.flip(kernel))[None, None])
        found = opset1.convolution(image, weights, one, list(before), list(after), one)
        options = {
            "INFERENCE_NUM_THREADS": problem.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": 1,  # one image at a time
        }
        self.run = core.compile_model(Model([found], [image]), "CPU", options)

    def load(self, image: Array) -> Array:
        return np.ascontiguousarray(image)[None, None]

    def execute(self, data: Array) -> Any:
        return self.run([data], share_inputs=True, share_outputs=False)[0]

    def store(self, result: Any) -> Array:
        array: Array = result[0, 0]
        return array
