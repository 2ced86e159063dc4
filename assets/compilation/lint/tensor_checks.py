"""Checks of what a sound file would cost and compute: loops, sizes, and numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compilation.lint.graph import DEQUANTIZE, QUANTIZE, constants, node_name, nodes
from assets.compilation.lint.rules import MAX_TENSOR_BYTES, MAX_TRIPS, OPEN_AXIS, Finding, found
from edge.contracts import MAX_BATCH

_WEIGHTED: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "BatchNormalization": (1, 2, 3, 4),
    "LSTM": (1, 2, 3, 6, 7), "GRU": (1, 2, 3, 5), "RNN": (1, 2, 3, 5), "LayerNormalization": (1, 2), "Gather": (0,),
    "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2), "PRelu": (1,),
}  # fmt: skip
"""Operator to the inputs that hold weights. Other constants may be infinite: masks of attention are."""
_BYTES = {2: 1, 3: 1, 9: 1, 4: 2, 5: 2, 10: 2, 16: 2, 7: 8, 11: 8, 13: 8, 14: 8, 15: 16}


def values_of(tensor: Any) -> NDArray[Any] | None:
    """A tensor's numbers; None where what it says of itself does not fit together."""
    import onnx

    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception:  # ValueError, TypeError, KeyError: whatever numpy or onnx make of damaged data
        return None


def loops(model: Any) -> Iterator[Finding]:
    """Loops end; Scan runs over an axis, so it does."""
    known = constants(model.graph)
    for node in nodes(model.graph):
        if node.op_type != "Loop":
            continue
        trips = known.get(node.input[0]) if node.input and node.input[0] else None
        count = None if trips is None else values_of(trips)
        if count is None or count.size != 1:
            yield found("bounded-loops", node_name(node), "how often it runs is not a constant")
        elif int(count.reshape(-1)[0]) > MAX_TRIPS:
            yield found("bounded-loops", node_name(node), f"it runs {int(count.reshape(-1)[0]):,} times")


def sizes(model: Any, batch: int = MAX_BATCH) -> Iterator[Finding]:
    """No tensor is larger than a device holds, those that constants make included.

    Args:
        batch: taken for an open first axis of the inputs; their other open axes count as `OPEN_AXIS`.
    """
    if constants_made := tuple(_made_constants(model)):
        yield from constants_made  # onnx's data propagation would fill them, which takes minutes
        return
    makers = {output: node_name(node) for node in model.graph.node for output in node.output}
    inferred = _at_sizes(model, batch)
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        tensor = value.type.tensor_type
        axes = [
            dim.dim_value if dim.HasField("dim_value") else batch if axis == 0 else 1
            for axis, dim in enumerate(tensor.shape.dim)
        ]
        needed = _BYTES.get(tensor.elem_type, 4) * math.prod(max(0, size) for size in axes)
        if needed > MAX_TENSOR_BYTES:
            reason = f"{needed:,} bytes at batch {batch}, at most {MAX_TENSOR_BYTES:,} fit a device"
            yield found("tensor-size", makers.get(value.name, value.name), f"{value.name[:100]}: {reason}")
            return  # what is made of it is as large


def _at_sizes(model: Any, batch: int) -> Any:
    """The graph with shapes inferred from inputs whose open axes are filled in."""
    import onnx

    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    filled.graph.ClearField("value_info")
    for value in filled.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                dim.dim_value = batch if axis == 0 else OPEN_AXIS
    for value in filled.graph.output:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    return onnx.shape_inference.infer_shapes(filled, data_prop=True).graph


def _made_constants(model: Any) -> Iterator[Finding]:
    """Constants that a constant shape makes."""
    known = constants(model.graph)
    for node in nodes(model.graph):
        if node.op_type != "ConstantOfShape" or node.input[0] not in known:
            continue
        shape = values_of(known[node.input[0]])
        axes = [] if shape is None else [int(size) for size in shape.reshape(-1)]
        if (needed := 4 * math.prod(axes)) > MAX_TENSOR_BYTES or any(size < 0 for size in axes):
            yield found("tensor-size", node_name(node), f"a constant of {needed:,} bytes")


def finite(model: Any) -> Iterator[Finding]:
    """No NaN in any constant, nothing infinite among weights."""
    known = constants(model.graph)
    weights = {
        node.input[at]: node_name(node)
        for node in nodes(model.graph)
        for at in _WEIGHTED.get(node.op_type, ())
        if at < len(node.input)
    }
    for name, tensor in known.items():
        values = values_of(tensor)
        if values is None:
            yield found("valid-graph", name, "its numbers do not fit the type and shape that it states")
        elif values.dtype.kind == "f" and np.isnan(values).any():
            yield found("finite-weights", weights.get(name, name), f"{int(np.isnan(values).sum())} NaN in {name!r}")
        elif values.dtype.kind == "f" and name in weights and not np.isfinite(values).all():
            yield found("finite-weights", weights[name], f"infinite numbers in {name!r}")


def scales(model: Any) -> Iterator[Finding]:
    """Scales are positive, normal numbers, one or one per channel of the tensor they belong to."""
    known = constants(model.graph)
    for node in nodes(model.graph):
        if node.op_type not in {QUANTIZE, DEQUANTIZE} or node.input[1] not in known:
            continue
        scale = values_of(known[node.input[1]])
        if scale is None or scale.dtype.kind != "f":
            continue  # `finite` and the checker tell
        tiny = np.finfo(scale.dtype).tiny
        if not (np.isfinite(scale).all() and (scale >= tiny).all()):
            worst = scale.reshape(-1)[~(np.isfinite(scale) & (scale >= tiny)).reshape(-1)][0]
            yield found("positive-scales", node_name(node), f"a scale is {worst}")
        yield from _count(node, scale, known)


def _count(node: Any, scale: NDArray[Any], known: Mapping[str, Any]) -> Iterator[Finding]:
    point = known.get(node.input[2]) if len(node.input) > 2 else None
    if point is not None and math.prod(point.dims) != scale.size:
        reason = f"{scale.size} scales and {math.prod(point.dims)} zero points"
        yield found("one-scale-each", node_name(node), reason)
    tensor = known.get(node.input[0])
    blocks = any(attribute.name == "block_size" and attribute.i for attribute in node.attribute)
    if tensor is None or scale.size == 1 or blocks:
        return
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    dims = list(tensor.dims)
    if not -len(dims) <= axis < len(dims) or scale.ndim != 1 or dims[axis] != scale.size:
        reason = f"{scale.size} scales along axis {axis} of a weight of shape {dims}"
        yield found("one-scale-each", node_name(node), reason)
