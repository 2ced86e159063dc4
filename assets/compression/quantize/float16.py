"""FP16: half the bytes of a float file, and what a GPU computes fast without calibration.

Inputs and outputs stay float32. A CPU gains bytes only: ONNX Runtime computes there in float32 between casts, and
version 1.31 crashes while it optimizes an FP16 vision transformer (its NCHWc rewrite). So a CPU's file keeps weights in
FP16, which are cast once, while loading, and computes in float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from assets.compression.quantize.graphs import all_nodes, sort_nodes, subgraphs
from assets.compression.quantize.layers import Dialect
from assets.errors import RejectedError

LARGEST = 65504.0
"""Of FP16. Larger constants, e.g. the -1e9 of an attention mask, become this, not infinite."""
LEAST = 512
"""Numbers; a smaller constant is not worth a cast."""


def to_float16(model: bytes, dialect: Dialect = "tensorrt") -> bytes:
    """The file with weights and, for TensorRT, arithmetic in FP16; inputs and outputs as they were.

    Operators that have no FP16 kernel (and those that count, like TopK and Range) stay in float32 between casts.
    ONNX Runtime should execute the TensorRT file as it is written, without optimizations.

    Raises:
        RejectedError: a file that cannot be prepared (see `prepared`), or not be converted.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    from assets.compression.quantize.prepare import loads, prepared
    from assets.export import slim

    proto = prepared(model)
    if dialect == "cpu":
        data = slim(_half_weights(proto))
        loads(data, "with FP16 weights")
        return data
    try:
        half = convert_float_to_float16(proto, keep_io_types=True, max_finite_val=LARGEST, disable_shape_infer=True)
    except Exception as error:  # the converter asserts what it has not thought of
        raise RejectedError(f"the model cannot be converted to FP16 ({error or type(error).__name__})") from error
    sort_nodes(half.graph)
    data = slim(half)
    loads(data, "in FP16", as_written=True)
    return data


def _half_weights(proto: Any) -> Any:
    """The model with its large constants in FP16, each cast to float32 where it is read."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < LEAST or not np.abs(array).max() <= LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}/half"))
        nodes.append(helper.make_node("Cast", [tensor.name], [name], f"{name}/Cast", to=TensorProto.FLOAT))
    nodes += proto.graph.node
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def widened(proto: Any) -> Any:
    """The model in float32, where its weights or arithmetic are FP16; changed in place.

    Inputs and outputs keep their types, by casts.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    values = itertools.chain(proto.graph.input, proto.graph.output)
    tensors = [tensor for graph in _graphs(proto.graph) for tensor in graph.initializer]
    tensors += [item.t for node in all_nodes(proto.graph) for item in node.attribute if item.HasField("t")]
    halves = [tensor for tensor in tensors if tensor.data_type == half]
    ends = [value for value in values if value.type.tensor_type.elem_type == half]
    if not halves and not ends:
        return proto
    for tensor in halves:
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name))
    for node in all_nodes(proto.graph):
        for item in node.attribute:
            if item.name in ("to", "dtype") and item.type == onnx.AttributeProto.INT and item.i == half:
                item.i = single
    for graph in _graphs(proto.graph):
        for value in itertools.chain(graph.input, graph.output) if graph is not proto.graph else ():
            if value.type.tensor_type.elem_type == half:
                value.type.tensor_type.elem_type = single
        graph.ClearField("value_info")
    inputs, outputs = {value.name for value in proto.graph.input}, {value.name for value in proto.graph.output}
    renamed = {value.name: f"{value.name}/float32" for value in ends}
    for node in all_nodes(proto.graph):
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                names[at] = renamed.get(name, name)
    before = [helper.make_node("Cast", [name], [new], to=single) for name, new in renamed.items() if name in inputs]
    after = [helper.make_node("Cast", [new], [name], to=half) for name, new in renamed.items() if name in outputs]
    nodes = [*before, *proto.graph.node, *after]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return proto


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and all graphs inside it."""
    yield graph
    for node in all_nodes(graph):
        yield from subgraphs(node)
