"""What a model costs, counted on its ONNX file alone, where there is no network to count on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def parameters_of_file(model: bytes) -> int:
    """How many numbers its constants hold, those of all its weights among them."""
    import onnx

    graph = onnx.load_from_string(model).graph
    return sum(math.prod(tensor.dims) for tensor in graph.initializer)


def macs_of_file(model: bytes, shapes: Mapping[str, Sequence[int]]) -> int:
    """Multiply-accumulate operations of one record: of convolutions, matrix products and recurrent layers.

    Layers whose shapes cannot be inferred count nothing, so this is a lower bound.

    Args:
        shapes: of each input, of one record with its batch axis.
    """
    import onnx

    loaded = onnx.load_from_string(model)
    for value in loaded.graph.input:
        axes = value.type.tensor_type.shape.dim
        for axis, length in zip(axes, shapes.get(value.name, ()), strict=False):
            axis.dim_value = int(length)
    for value in loaded.graph.output:
        value.type.tensor_type.ClearField("shape")
    loaded.graph.ClearField("value_info")
    graph = onnx.shape_inference.infer_shapes(loaded, data_prop=True).graph
    known: dict[str, tuple[int, ...]] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        lengths = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.HasField("shape") and all(lengths):
            known[value.name] = tuple(lengths)
    return sum(_macs(node, known) for node in graph.node)


def _macs(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Of one node; 0 where a shape is unknown, or its operator multiplies nothing."""
    needed = [shapes.get(name) for name in (*node.input[:2], node.output[0])] if len(node.input) > 1 else [None]
    if any(shape is None for shape in needed):
        return 0
    taken, weights, given = (shape or () for shape in needed)
    if node.op_type in ("Conv", "ConvTranspose"):
        return math.prod(given if node.op_type == "Conv" else taken) * math.prod(weights[1:])
    if node.op_type in ("MatMul", "Gemm") and taken:
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return math.prod(given) * taken[0 if transposed else -1]
    if node.op_type in GATES and len(taken) == 3 and len(weights) == 3:
        steps, records, columns = taken
        directions, rows = weights[0], weights[1]
        return steps * records * directions * rows * (columns + rows // GATES[node.op_type])
    return 0
