"""Weight-only INT8: a file of a quarter the size, computed in float. For recurrent layers and embeddings, which no
runtime here computes in INT8, and where memory or download, not arithmetic, is what is short.

Every large constant weight becomes s8 with a scale per row (per channel, per gate and direction, per word). On a CPU it
is turned into float by Cast and Mul, which ONNX Runtime does once, while loading; a DequantizeLinear it would repeat
with every call. TensorRT reads DequantizeLinear on weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assets.compression.quantize.conversion import Conversion
from assets.compression.quantize.graphs import DEQUANTIZE, Array, Graph, attribute
from assets.compression.quantize.integers import to_s8, weight_scales
from assets.compression.quantize.layers import Dialect
from assets.compression.quantize.prepare import loads, prepared
from assets.errors import RejectedError
from assets.families.export import slim

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
LEAST = 512
"""Numbers; a smaller constant saves nothing worth its scales."""
LEAST_SAVED = 0.05
"""Share of the float file that must be saved to be worth a candidate."""


def weights_to_int8(model: bytes, dialect: Dialect) -> bytes:
    """The model with its weights in s8, computing in float. The same arguments give the same bytes.

    In the TensorRT dialect GRU and RNN keep float weights: TensorRT-RTX 1.7 ends with an internal error on theirs in
    INT8, while it takes those of LSTM. A model that has no others comes back in float there.

    Raises:
        RejectedError: a file that cannot be prepared, or without weights that could be smaller.
    """
    graph = Graph(prepared(model))
    writer = SmallWeights(graph, dialect)
    for node in graph.proto.node:
        for at, axis in _weights(graph, node, dialect):
            node.input[at] = writer.small(node.input[at], axis)
    if not writer.nodes and not (dialect == "tensorrt" and _recurrent(graph)):
        raise RejectedError("the model has no constant weights that INT8 would make smaller; keep it in float")
    data = slim(graph.finish([*writer.nodes, *graph.proto.node]))
    loads(data, "with INT8 weights")
    return data


def _weights(graph: Graph, node: Any, dialect: Dialect) -> list[tuple[int, int]]:
    """Which inputs of a node are weights, each with its axis of scales; -1 for all but the last axis."""
    if node.domain:
        return []
    if node.op_type in RECURRENT:
        found = [(1, -1), (2, -1)] if dialect == "cpu" or node.op_type == "LSTM" else []
    elif node.op_type == "Conv":
        found = [(1, 0)]
    elif node.op_type == "ConvTranspose":
        found = [(1, 1 if attribute(node, "group", 1) == 1 else 0)]
    elif node.op_type == "Gemm":
        found = [(1, 0 if attribute(node, "transB", 0) else 1)]
    elif node.op_type == "MatMul":
        found = [(1, 1)]
    elif node.op_type == "Gather" and attribute(node, "axis", 0) == 0:
        found = [(0, 0)]
    else:
        found = []
    return [(at, axis) for at, axis in found if _is_large(graph, node, at, axis)]


def _recurrent(graph: Graph) -> bool:
    """Whether there are recurrent weights that the CPU dialect makes smaller."""
    return any(_weights(graph, node, "cpu") for node in graph.proto.node if node.op_type in RECURRENT)


def _is_large(graph: Graph, node: Any, at: int, axis: int) -> bool:
    array = graph.array(node.input[at]) if at < len(node.input) else None
    if array is None or array.dtype != np.float32 or array.size < LEAST or not np.isfinite(array).all():
        return False
    return array.ndim >= 2 and (node.op_type != "MatMul" or array.ndim == 2) and axis < array.ndim


@dataclass
class SmallWeights:
    """Makes small constants; a weight that several nodes share is made once per axis."""

    graph: Graph
    dialect: Dialect
    nodes: list[Any] = field(default_factory=list)
    made: dict[tuple[str, int], str] = field(default_factory=dict)

    def small(self, name: str, axis: int, stem: str = "") -> str:
        """The float tensor made of the s8 weights; `stem` names it where the weights' own name may be taken."""
        if (name, axis) not in self.made:
            array = self.graph.array(name)
            assert array is not None, "weights are constant"
            stem = f"{stem or name}/s8" if axis <= 0 else f"{stem or name}/s8/{axis}"
            make = self._folded if self.dialect == "cpu" else self._dequantized
            self.made[name, axis] = make(stem, array, axis)
        return self.made[name, axis]

    def _folded(self, stem: str, array: Array, axis: int) -> str:
        from onnx import TensorProto, helper

        flat = array.reshape(-1, array.shape[-1]) if axis < 0 else array
        scales = weight_scales(flat, max(axis, 0), flat.shape[max(axis, 0)], 127)
        numbers = to_s8(flat, scales, max(axis, 0), 127).reshape(array.shape)
        shape = [*array.shape[:-1], 1] if axis < 0 else [-1 if at == axis else 1 for at in range(array.ndim)]
        self.graph.add_constant(stem, numbers)
        self.graph.add_constant(f"{stem}/scale", scales.reshape(shape))
        self.nodes += [
            helper.make_node("Cast", [stem], [f"{stem}/cast"], f"{stem}/Cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{stem}/cast", f"{stem}/scale"], [f"{stem}/float"], f"{stem}/Mul"),
        ]
        return f"{stem}/float"

    def _dequantized(self, stem: str, array: Array, axis: int) -> str:
        from onnx import helper

        flat, rows = (array.reshape(-1, array.shape[-1]), 0) if axis < 0 else (array, axis)
        scales = weight_scales(flat, rows, flat.shape[rows], 127)
        names = [
            self.graph.add_constant(stem, to_s8(flat, scales, rows, 127)),
            self.graph.add_constant(f"{stem}/scale", scales),
            self.graph.add_constant(f"{stem}/zero", np.zeros(scales.shape, np.int8)),
        ]
        made = f"{stem}/float" if axis >= 0 else f"{stem}/rows"
        self.nodes.append(helper.make_node(DEQUANTIZE, names, [made], f"{stem}/DQ", axis=rows))
        if axis < 0:
            shape = self.graph.add_constant(f"{stem}/shape", np.array(array.shape, np.int64))
            self.nodes.append(helper.make_node("Reshape", [made, shape], [f"{stem}/float"], f"{stem}/Reshape"))
        return f"{stem}/float"


def _if_smaller(model: bytes, dialect: Dialect) -> bytes:
    made = weights_to_int8(model, dialect)
    saved = 1 - len(made) / len(model)
    if dialect == "cpu" and saved < LEAST_SAVED:
        raise RejectedError(f"weights alone in INT8 save {max(saved, 0):.0%} of the file, too little")
    return made


CONVERSION = Conversion(_if_smaller, lambda int8: not int8.tried)
