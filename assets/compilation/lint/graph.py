"""Walks through an ONNX model: nodes, tensors and constants of all its graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"


def nodes(graph: Any) -> Iterator[Any]:
    """Every node, those of subgraphs included; protobuf itself limits the depth to 100."""
    for node in graph.node:
        yield node
        for subgraph in subgraphs(node):
            yield from nodes(subgraph)


def graphs(graph: Any) -> Iterator[Any]:
    """The graph and all its subgraphs."""
    yield graph
    for node in graph.node:
        for subgraph in subgraphs(node):
            yield from graphs(subgraph)


def subgraphs(node: Any) -> Iterator[Any]:
    """The graphs that a node holds: branches and bodies."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def tensors(graph: Any) -> Iterator[Any]:
    """Every tensor with values: initializers, sparse ones, and those of attributes."""
    for inner in graphs(graph):
        yield from inner.initializer
        for sparse in inner.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def constants(graph: Any) -> dict[str, Any]:
    """Name to tensor, of the initializers and Constant nodes of all graphs."""
    known: dict[str, Any] = {}
    for inner in graphs(graph):
        known |= {tensor.name: tensor for tensor in inner.initializer}
        for node in inner.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                known[node.output[0]] = node.attribute[0].t
    return known


def free_inputs(graph: Any) -> list[Any]:
    """The inputs that a caller feeds: those without an initializer."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def type_name(number: int) -> str:
    """An element type in words."""
    import onnx

    try:
        return str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"type {number}"


def node_name(node: Any) -> str:
    """A node's name; without one, that of what it makes."""
    return str(node.name or (node.output[0] if node.output else node.op_type))
