"""What is done to any ONNX file before it is quantized, so that both dialects start from one plain float32 graph.

Constants become initializers, ONNX Runtime folds what can be computed beforehand (its "basic" rewrites: BatchNorm into
convolutions, shapes, identities), local functions are put in place, a mean over all places becomes GlobalAveragePool,
which has an INT8 kernel, and every node gets a name that stays the same for the same file.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from assets.compression.quantize.as_float32 import as_float32
from assets.compression.quantize.graphs import DEQUANTIZE, QUANTIZE, Graph, all_nodes, attribute, drop, opset_of
from assets.errors import RejectedError

MIN_OPSET, MAX_OPSET = 13, 22
"""Scales per channel came with 13; 23 needs an IR version that devices do not load."""
MAX_IR_VERSION = 10
INTEGER = frozenset(
    {QUANTIZE, DEQUANTIZE, "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
)
"""Standard operators of files that are quantized already."""


def prepared(model: bytes) -> Any:
    """A fresh ModelProto of the plain graph, with inferred shapes.

    Raises:
        RejectedError: no ONNX file, one that is quantized already or keeps its weights elsewhere, an opset outside 13
            to 22, or a graph that ONNX Runtime does not run.
    """
    return _parsed(_prepared(model))


@functools.lru_cache(maxsize=2)
def _prepared(model: bytes) -> bytes:
    from onnx.inliner import inline_local_functions
    from onnx.shape_inference import infer_shapes

    proto = _checked(model)
    try:
        if proto.functions:
            proto = inline_local_functions(proto)
        _plain_constants(proto.graph)
        proto = as_float32(proto)
        proto = _folded(proto)
        _means_to_pools(proto)
        _names(proto.graph)
        proto.ir_version = min(proto.ir_version, MAX_IR_VERSION)
        proto.graph.ClearField("value_info")
        proto = infer_shapes(proto, data_prop=True)
        return bytes(proto.SerializeToString(deterministic=True))
    except RejectedError:
        raise
    except Exception as error:  # whatever a damaged graph makes of protobuf, onnx and this code
        raise RejectedError(
            f"the model's graph cannot be read ({type(error).__name__}: {_first_line(error)}); check the file with "
            "onnx.checker, and export it again"
        ) from error


def _parsed(model: bytes) -> Any:
    import onnx

    return onnx.load_from_string(model)


def _checked(model: bytes) -> Any:
    import onnx

    try:
        proto = onnx.load_from_string(model)
    except Exception as error:  # protobuf's, which has no types
        raise RejectedError("the file is no ONNX model; export it again") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        raise RejectedError("the model keeps its weights in another file; save it as one file (external_data=False)")
    done = next((node for node in all_nodes(proto.graph) if _is_integer(node)), None)
    if done is not None:
        raise RejectedError(
            f"node {done.name!r} ({done.op_type}): the model is quantized already; give the float file it was made of"
        )
    opset = opset_of(proto)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise RejectedError(
            f"opset {opset}; {MIN_OPSET} to {MAX_OPSET} can be quantized: export again with one of those"
        )
    return proto


def _is_integer(node: Any) -> bool:
    if node.domain in ("", "ai.onnx"):
        return node.op_type in INTEGER
    return bool(node.op_type.startswith(("QLinear", "QGemm", "QAttention", "DynamicQuantize", "MatMulInteger")))


def _plain_constants(graph: Any) -> None:
    """Constant nodes become initializers, and no initializer is an input that a caller could replace."""
    from onnx import numpy_helper

    done = set()
    for node in graph.node:
        if node.op_type != "Constant" or node.domain:
            continue
        kind = next(iter(node.attribute)).name if node.attribute else ""
        if kind == "value":
            graph.initializer.add().CopyFrom(node.attribute[0].t)
        elif kind in ("value_float", "value_floats", "value_int", "value_ints"):
            value = attribute(node, kind, None)
            array = np.array(value, np.float32 if "float" in kind else np.int64)
            graph.initializer.add().CopyFrom(numpy_helper.from_array(array))
        else:
            continue
        graph.initializer[-1].name = node.output[0]
        done.add(node.output[0])
    drop(graph.node, lambda node: node.op_type == "Constant" and node.output[0] in done)
    constants = {tensor.name for tensor in graph.initializer}
    drop(graph.input, lambda value: value.name in constants)


def _folded(proto: Any) -> Any:
    """After ONNX Runtime's basic rewrites; as it was where those need operators of its own."""
    import onnx
    import onnxruntime as ort

    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    domains = {node.domain for node in all_nodes(proto.graph)}
    with tempfile.TemporaryDirectory(prefix="edgeloop-quantize-") as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common base
            raise RejectedError(f"ONNX Runtime does not load the model ({_first_line(error)})") from error
        folded = onnx.load(path)
    if {node.domain for node in all_nodes(folded.graph)} - domains:
        return proto
    drop(folded.opset_import, lambda item: item.domain not in domains | {""})
    return folded


def loads(model: bytes, what: str, *, as_written: bool = False) -> None:
    """Raise RejectedError where ONNX Runtime does not load it; see `opened`."""
    opened(model, what, as_written=as_written)


def opened(model: bytes, what: str, *, as_written: bool = False) -> Any:
    """A session with one thread.

    Args:
        what: which file it is, e.g. "in FP16".
        as_written: without graph optimizations.

    Raises:
        RejectedError: ONNX Runtime does not load it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise RejectedError(f"{what} ONNX Runtime does not load the model ({_first_line(error)})") from error


def _means_to_pools(proto: Any) -> None:
    """ReduceMean over all places of a picture becomes GlobalAveragePool, and Squeeze where the places go: ONNX Runtime
    moves a change of layout through it, and not through Flatten."""
    import onnx
    from onnx import helper

    if not any(node.op_type == "ReduceMean" for node in proto.graph.node):
        return
    shaped = onnx.shape_inference.infer_shapes(proto)
    ranks = {
        item.name: len(item.type.tensor_type.shape.dim) for item in (*shaped.graph.value_info, *shaped.graph.input)
    }
    graph, nodes = Graph(proto), []
    for node in proto.graph.node:
        rank = ranks.get(node.input[0], 0) if node.input else 0
        axes = attribute(node, "axes", None)
        if axes is None and len(node.input) > 1:
            axes = graph.array(node.input[1])
        all_places = {*range(2, rank)}
        if node.op_type != "ReduceMean" or rank < 3 or axes is None or {int(at) % rank for at in axes} != all_places:
            nodes.append(node)
        elif attribute(node, "keepdims", 1):
            nodes.append(helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name))
        else:
            pooled = f"{node.output[0]}/pooled"
            nodes.append(helper.make_node("GlobalAveragePool", node.input[:1], [pooled], node.name))
            places = graph.add_constant(f"{node.output[0]}/places", np.arange(2, rank))
            nodes.append(helper.make_node("Squeeze", [pooled, places], node.output, f"{node.name}/squeeze"))
    graph.finish(nodes)


def _names(graph: Any) -> None:
    """A name for every node without one, or with another node's; deterministic."""
    taken: set[str] = set()
    for number, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{number}"
        while name in taken:
            name = f"{name}_{number}"
        node.name = name
        taken.add(name)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
