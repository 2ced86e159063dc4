"""Reading and changing an ONNX graph: who makes a tensor, who uses it, what is constant.

Only the main graph is changed; what happens inside If, Loop and Scan stays as it is.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
Array = NDArray[Any]


class Graph:
    """An index over a model's main graph. Nodes are added through it, so that the index stays right.

    Attributes:
        model, proto: the ModelProto and its GraphProto.
        constants: name to initializer.
        makers: tensor to the node that makes it.
        users: tensor to the nodes that read it, in graph order; a node with subgraphs uses what they read.
        outputs: names of the graph's outputs.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.proto = model, model.graph
        self.constants = {tensor.name: tensor for tensor in self.proto.initializer}
        self.outputs = {output.name for output in self.proto.output}
        self.makers: dict[str, Any] = {}
        self.users: dict[str, list[Any]] = {}
        for node in self.proto.node:
            for name in filter(None, node.output):
                self.makers[name] = node
            for name in dict.fromkeys(read_by(node)):
                self.users.setdefault(name, []).append(node)

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return opset_of(self.model)

    def users_of(self, tensor: str) -> list[Any]:
        """Nodes that read it; none for an output that nothing else reads."""
        return self.users.get(tensor, [])

    def array(self, name: str) -> Array | None:
        """The numbers of a constant; None if it is none."""
        from onnx import numpy_helper

        tensor = self.constants.get(name)
        return None if tensor is None else np.asarray(numpy_helper.to_array(tensor))

    def numbers(self, name: str) -> int:
        """How many numbers a constant has."""
        return math.prod(self.constants[name].dims)

    def add_constant(self, name: str, array: Array) -> str:
        """Keep a constant under this name, which must be free; returns it."""
        from onnx import numpy_helper

        assert name not in self.constants, f"{name} is there already"
        self.constants[name] = self.proto.initializer.add()
        self.constants[name].CopyFrom(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def finish(self, nodes: Iterable[Any]) -> Any:
        """Take these nodes, in this order, as the graph's; constants that nothing reads any more go."""
        kept = list(nodes)
        del self.proto.node[:]
        self.proto.node.extend(kept)
        remove_unused(self.proto)
        return self.model


def opset_of(model: Any) -> int:
    """Version of the standard operators; 1 where the file names none, as ONNX has it."""
    return next((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), 1)


def subgraphs(node: Any) -> Iterator[Any]:
    """GraphProtos that a node holds: branches of If, the body of Loop and Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def read_by(node: Any) -> Iterator[str]:
    """Tensors a node reads, those that its subgraphs take from outside included."""
    yield from filter(None, node.input)
    for graph in subgraphs(node):
        inside = {item.name for item in itertools.chain(graph.input, graph.initializer)}
        for inner in graph.node:
            yield from (name for name in read_by(inner) if name not in inside)
            inside.update(inner.output)
        yield from (output.name for output in graph.output if output.name not in inside)


def all_nodes(graph: Any) -> Iterator[Any]:
    """Nodes of a graph and of all graphs inside it."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner)


def remove(items: Any, unwanted: Callable[[Any], bool]) -> None:
    """Remove what is unwanted from a list in a protobuf message; its own `remove` compares whole tensors."""
    for at in reversed([at for at, item in enumerate(items) if unwanted(item)]):
        del items[at]


def remove_unused(graph: Any) -> None:
    """Remove nodes and constants that lead to no output."""
    wanted = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(read_by(node))
    if len(kept) != len(graph.node):
        nodes = kept[::-1]
        del graph.node[:]
        graph.node.extend(nodes)
    remove(graph.initializer, lambda tensor: tensor.name not in wanted)


def sort_nodes(graph: Any) -> None:
    """Put the nodes of the main graph in an order in which each comes after what it reads."""
    makers = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    waits = [{makers[name] for name in read_by(node) if name in makers} for node in graph.node]
    users: list[list[int]] = [[] for _ in waits]
    for at, before in enumerate(waits):
        for maker in before:
            users[maker].append(at)
    ready, order = [at for at, before in enumerate(waits) if not before], []
    heapq.heapify(ready)
    while ready:
        at = heapq.heappop(ready)
        order.append(at)
        for user in users[at]:
            waits[user].discard(at)
            if not waits[user]:
                heapq.heappush(ready, user)
    assert len(order) == len(waits), "an ONNX graph has no cycle"
    nodes = [graph.node[at] for at in order]
    del graph.node[:]
    graph.node.extend(nodes)


def attribute(node: Any, name: str, default: Any) -> Any:
    """An attribute's value, or the default where the node does not say."""
    from onnx import helper

    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)
