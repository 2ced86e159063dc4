"""A float16 graph as float32, so that what reads floats alone can work on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from assets.compression.quantize.graphs import all_nodes, subgraphs


def as_float32(proto: Any) -> Any:
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
