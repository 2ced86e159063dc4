"""Which nodes compute in INT8, and which tensors therefore become 8 bits: the plan of a dialect.

Layers multiply by weights: Conv, ConvTranspose, Gemm, and MatMul with constant weights on its right. The products of
attention stay in float, as do recurrent layers and embeddings, which neither runtime computes in INT8.

On a CPU, followers have INT8 kernels of their own (sums, pools, concatenations, ...). One that lies between layers is
quantized too: what costs time there is not the arithmetic, but going to float and back. A follower that only float
nodes would read stays in float, so that sums of a transformer keep their precision.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from assets.compression.quantize.graphs import Graph, attribute

Dialect = Literal["cpu", "tensorrt"]
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
FOLDED = frozenset({"Relu", "Clip"})
"""On a CPU they become part of the range of the tensor they make: saturation does their work."""
SAME_SCALE = frozenset({"MaxPool", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Resize"})
"""Move numbers without changing them: what comes out keeps the scale of what went in."""
OWN_SCALE = frozenset({"Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat", "LeakyRelu", "Sigmoid"})
"""Have an INT8 kernel in ONNX Runtime that takes one scale in and another out."""


@dataclass(frozen=True)
class Layer:
    """A node that multiplies by constant weights.

    Attributes:
        name, op: of the node.
        data: the tensor it reads.
        weight, axis: the constant, and its axis of output channels.
        bias: a constant, or "" for none.
        output: the tensor it makes.
        channels: how many scales the weights get; 1 where a group of channels shares its outputs' axis.
    """

    name: str
    op: str
    data: str
    weight: str
    axis: int
    bias: str
    output: str
    channels: int


@dataclass(frozen=True)
class Plan:
    """What of a graph becomes INT8.

    Attributes:
        layers: node name to layer, in graph order.
        stored: layers whose weights alone are 8 bits, because the target has no INT8 kernel for them.
        followers: names of other nodes with INT8 kernels on both sides.
        folded: names of activations that become part of a range.
        tensors: activations that become 8 bits, in the order in which they are made.
        shared: tensor to the tensor whose scale it keeps.
    """

    layers: dict[str, Layer]
    stored: dict[str, Layer]
    followers: frozenset[str]
    folded: frozenset[str]
    tensors: tuple[str, ...]
    shared: dict[str, str]


def layers_of(graph: Graph) -> dict[str, Layer]:
    """Every layer of a prepared graph, in its order."""
    found = (_layer(graph, node) for node in graph.proto.node if node.op_type in LAYERS and not node.domain)
    return {layer.name: layer for layer in found if layer is not None}


def plan_of(graph: Graph, dialect: Dialect, floats: Collection[str] = ()) -> Plan:
    """What becomes INT8 in this dialect, where the named layers stay in float."""
    layers = {name: layer for name, layer in layers_of(graph).items() if name not in floats}
    if dialect == "tensorrt":
        wanted = {layer.data for layer in layers.values()}
        return Plan(layers, {}, frozenset(), frozenset(), _in_order(graph, wanted), {})
    stored = {name: layers.pop(name) for name in list(layers) if layers[name].op == "ConvTranspose"}
    folded = frozenset(_folded(graph, layers))
    followers = _followers(graph, layers, folded)
    by_name = {node.name: node for node in graph.proto.node}
    folded = frozenset(name for name in folded if name in followers or _maker_of_input(graph, by_name[name]) in layers)
    followers -= folded
    wanted = {layer.data for layer in layers.values()}
    shared: dict[str, str] = {}
    inside = {*layers, *followers, *folded}
    for node in graph.proto.node:
        if node.name in followers:
            wanted.update(data_inputs(graph, node))
        made = node.output[0] if node.output else ""
        hidden = any(user.name in folded for user in graph.users_of(made))
        read = any(user.name in inside for user in graph.users_of(made))
        if node.name in inside and not hidden and (read or _must_end(node, layers, graph, folded)):
            wanted.add(made)
            if node.op_type in SAME_SCALE:
                shared[made] = node.input[0]
    return Plan(layers, stored, followers, folded, _in_order(graph, wanted), shared)


def data_inputs(graph: Graph, node: Any) -> list[str]:
    """What a follower computes with; shapes and sizes are not it."""
    first = node.input[:1] if node.op_type in SAME_SCALE | {"Clip"} else node.input
    return [name for name in first if name]


def _must_end(node: Any, layers: dict[str, Layer], graph: Graph, folded: Collection[str]) -> bool:
    """A convolution's kernel answers in 8 bits only, whoever reads it; those of Gemm and MatMul answer in float too."""
    if node.name in folded:
        node = graph.makers[node.input[0]]
    return node.name in layers and layers[node.name].op == "Conv"


def _maker_of_input(graph: Graph, node: Any) -> str:
    maker = graph.makers.get(node.input[0])
    return "" if maker is None else str(maker.name)


def _folded(graph: Graph, layers: dict[str, Layer]) -> list[str]:
    """Activations that are the only reader of a layer or a sum, and whose limits are constants."""
    found = []
    for node in graph.proto.node:
        if node.op_type not in FOLDED or node.domain:
            continue
        maker = graph.makers.get(node.input[0])
        if maker is None or not (maker.name in layers or maker.op_type == "Add"):
            continue
        alone = len(graph.users_of(node.input[0])) == 1 and node.input[0] not in graph.outputs
        if alone and _holds_zero(graph, node):
            found.append(str(node.name))
    return found


def _holds_zero(graph: Graph, node: Any) -> bool:
    """Whether an activation's limits are constants with 0 between them: a range always holds 0, so others are lost."""
    limits = [graph.array(name) if name else None for name in (*node.input[1:], "", "")][:2]
    known = all(name in graph.constants for name in node.input[1:] if name)
    low, high = limits
    return known and (low is None or bool((low <= 0).all())) and (high is None or bool((high >= 0).all()))


def _followers(graph: Graph, layers: dict[str, Layer], folded: Collection[str]) -> frozenset[str]:
    """The largest set of followers that lie between INT8 nodes: fewer and fewer, until all of them do."""
    by_name = {node.name: node for node in graph.proto.node}
    fed = {layer.data for layer in layers.values()}
    inside = {name for name, node in by_name.items() if name in folded or _may_follow(graph, node)}
    while True:
        known = inside | layers.keys()
        made = {name for one in known for name in by_name[one].output}
        out = {
            name
            for name in inside
            if not all(one in made or one in fed or one in graph.constants for one in data_inputs(graph, by_name[name]))
            or not any(user.name in known for user in graph.users_of(by_name[name].output[0]))
        }
        out = {name for name in out if not (name in folded and _maker_of_input(graph, by_name[name]) in layers)}
        if not out:
            return frozenset(inside)
        inside -= out


def _may_follow(graph: Graph, node: Any) -> bool:
    if node.domain or node.op_type not in SAME_SCALE | OWN_SCALE or not node.input:
        return False
    data = data_inputs(graph, node)
    if all(name in graph.constants for name in data):
        return False
    if node.op_type == "Resize":
        return bool(attribute(node, "mode", b"nearest") == b"nearest")
    if node.op_type in ("MaxPool", "AveragePool"):
        return len([name for name in node.output if name]) == 1
    constants = [graph.constants[name] for name in data if name in graph.constants]
    return node.op_type in ("Add", "Mul", *SAME_SCALE) or not constants


def _layer(graph: Graph, node: Any) -> Layer | None:
    """The node as a layer; None where its weights are no constants, or its form has no INT8 kernel."""
    weight = graph.array(node.input[1])
    bias = node.input[2] if len(node.input) > 2 else ""
    if weight is None or weight.dtype != np.float32 or weight.size == 0 or node.input[0] in graph.constants:
        return None
    numbers = graph.array(bias) if bias else None
    if bias and (numbers is None or numbers.dtype != np.float32):
        return None
    axis = 0
    if node.op_type == "MatMul":
        axis = 1
        if weight.ndim != 2:
            return None
    elif node.op_type == "Gemm":
        axis = 0 if attribute(node, "transB", 0) else 1
        if attribute(node, "transA", 0) or (numbers is not None and numbers.size != weight.shape[axis]):
            return None
    elif node.op_type == "ConvTranspose":
        axis = 1
    channels = weight.shape[axis]
    if node.op_type == "ConvTranspose" and attribute(node, "group", 1) != 1:
        channels = 1
    return Layer(node.name, node.op_type, node.input[0], node.input[1], axis, bias, node.output[0], channels)


def _in_order(graph: Graph, wanted: Collection[str]) -> tuple[str, ...]:
    """Tensors in the order in which they come to be; constants are none."""
    names = [value.name for value in graph.proto.input]
    names += [name for node in graph.proto.node for name in node.output]
    return tuple(name for name in names if name in wanted and name not in graph.constants)
