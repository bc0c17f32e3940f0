"""Graphs that libraries make of a convolution, and what they say of each node: ONNX Runtime, OpenVINO, PyTensor,
TensorFlow, Theano."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convbench.profiling.algorithm.fact import Case, Fact

NODES = "nodes that ran"
_RUNS = 3
_DATA = ("Input", "Output", "Const", "Placeholder", "Identity", "NoOp")
"""Kinds of nodes that only hold data."""


def of_onnxruntime(case: Case) -> Iterator[Fact]:
    """ONNX Runtime's profile of a session like the plan's: nodes after its optimiser, with their times."""
    import onnxruntime

    from convbench.backends import onnxruntime_conv

    plan: Any = case.plan
    with tempfile.TemporaryDirectory(prefix="convbench-") as folder:
        options = plan.run.__self__.get_session_options()
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        model = onnxruntime_conv.conv_model(case.subject.problem, case.subject.kernel)
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        for _ in range(_RUNS):
            session.run(None, {"image": case.data})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    yield node_times(events)


def node_times(events: list[dict[str, Any]]) -> Fact:
    """What ONNX Runtime's profile says of its nodes; the least of each one's times, for the first run is slower."""
    taken: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for event in events:
        told = event.get("args", {})
        if "op_name" in told and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            taken[told["op_name"], name, told.get("provider", "?")].append(event["dur"] / 1e3)
    kinds = ", ".join(dict.fromkeys(kind for kind, _, _ in taken)) or "none"
    details = tuple(f"{kind} ({name}, {by}): {min(times):.3g} ms" for (kind, name, by), times in taken.items())
    return Fact(NODES, kinds, "ONNX Runtime's profile", details)


def of_openvino(case: Case) -> Iterator[Fact]:
    """OpenVINO's runtime model: the primitive that it chose for each node."""
    plan: Any = case.plan
    nodes = []
    for node in plan.run.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        said = [str(told[key].astype(str)) for key in ("layerType", "primitiveType", "runtimePrecision")]
        nodes.append((*said, node.get_friendly_name()))
    work = [f"{kind} by {primitive}" for kind, primitive, *_ in nodes if kind not in _DATA]
    details = tuple(f"{name}: {kind}, {primitive}, {precision}" for kind, primitive, precision, name in nodes)
    yield Fact(NODES, ", ".join(work), "OpenVINO's runtime model", details)


def of_pytensor(case: Case) -> Iterator[Fact]:
    """PyTensor's compiled graph, in the order of execution."""
    plan: Any = case.plan
    made = plan.run.maker.fgraph.toposort()
    nodes = [str(node.op) for node in made if any(getattr(out.type, "ndim", 0) for out in node.outputs)]  # arrays
    convolutions = [node for node in nodes if "onvolve" in node]
    yield Fact(NODES, ", ".join(convolutions) or nodes[-1], "PyTensor's compiled graph", tuple(nodes))


def of_tensorflow(case: Case) -> Iterator[Fact]:
    """The operations of the graph that was traced, before TensorFlow replaces some by oneDNN's."""
    plan: Any = case.plan
    operations = [operation.type for operation in plan.run.graph.get_operations() if operation.type not in _DATA]
    yield Fact(NODES, ", ".join(operations), "TensorFlow's traced graph")


def of_theano(case: Case) -> Iterator[Fact]:
    """The worker makes no plan where the compiled graph has no CorrMM."""
    yield Fact(NODES, "CorrMM", "Theano's compiled graph, which the plan refuses without it")
