"""One calibration, two dialects of Q/DQ: no single file runs fast on a CPU and is accepted by TensorRT.

- "cpu": activations u8 with a zero point, weights s8 per channel, biases s32, as ONNX Runtime's kernels take them. What
  lies between layers stays in 8 bits, ReLU is part of a range, a residual sum has its own kernel.
- "tensorrt": s8 everywhere, symmetric, zero points 0, Q/DQ only on what layers read, biases in float. Whatever else
  reads such a tensor (the sum of a residual block) reads the 8-bit one, so TensorRT can fuse the sum as well.

Inputs and outputs stay float32.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assets.compression.quantize.calibrate import Calibration
from assets.compression.quantize.graphs import DEQUANTIZE, QUANTIZE, Array, Graph, attribute
from assets.compression.quantize.integers import (
    signed,
    to_s8,
    to_s32,
    unsigned,
    weight_scales,
    widen_for_bias,
)
from assets.compression.quantize.layers import Dialect, Layer, Plan, layers_of, plan_of
from assets.compression.quantize.prepare import loads, prepared
from assets.compression.quantize.weights8 import SmallWeights
from assets.errors import RejectedError
from assets.families.export import slim
from edge.contracts import TargetProfile

VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""CPU features with which x86 adds products of 8-bit numbers in 32 bits."""
FEWEST = 4
"""Channels of a convolution's input on a CPU."""


def needs_7_bits(targets: Iterable[TargetProfile]) -> bool:
    """Whether the CPU dialect's weights must keep to 7 bits for the processors it will run on.

    An x86 processor without VNNI adds two u8 x s8 products in 16 bits, which saturate silently with 8-bit weights and
    cannot with 7-bit ones (ONNX Runtime's `reduce_range`). "x86_64" alone promises no VNNI. Arm does not saturate.
    """
    cpus = [target for target in targets if target.runtime == "onnxruntime"]
    return any(cpu.arch == "x86_64" and VNNI.isdisjoint(cpu.cpu_features) for cpu in cpus)


def quantizable(model: bytes) -> tuple[str, ...]:
    """Names of the layers that INT8 can take, in graph order, as the prepared file names them. Raises RejectedError."""
    return tuple(layers_of(Graph(prepared(model))))


def quantize(
    model: bytes,
    calibration: Calibration,
    dialect: Dialect,
    *,
    floats: Collection[str] = (),
    reduce_range: bool = False,
) -> bytes:
    """The model in INT8. The same arguments give the same bytes.

    Args:
        model: the float ONNX file's bytes.
        calibration: of this very model.
        floats: layers that stay in float, see `quantizable`.
        reduce_range: 7-bit weights in the CPU dialect, see `needs_7_bits`; TensorRT needs none.

    Raises:
        RejectedError: no layer is left to quantize, or ranges of another model.
    """
    graph = Graph(prepared(model))
    plan = plan_of(graph, dialect, floats)
    if not plan.layers and not plan.stored:
        raise RejectedError(
            "no layer of the model can be quantized (Conv, ConvTranspose, Gemm or MatMul with constant weights that is "
            "not kept in float); try weight-only INT8 or FP16"
        )
    unknown = [name for name in plan.tensors if plan.shared.get(name, name) not in calibration.ranges]
    if unknown:
        raise RejectedError(f"the calibration has no range for tensor {unknown[0]!r}; it is of another model")
    most = 64 if reduce_range and dialect == "cpu" else 127
    data = slim(_Writer(graph, plan, dialect, calibration, most).written())
    loads(data, f"in the {dialect} dialect")
    return data


@dataclass
class _Writer:
    """Writes a plan's Q and DQ nodes into the graph."""

    graph: Graph
    plan: Plan
    dialect: Dialect
    calibration: Calibration
    most: int
    nodes: list[Any] = field(default_factory=list)
    read_as: dict[str, str] = field(default_factory=dict)
    weights: dict[tuple[str, int, bytes], str] = field(default_factory=dict)
    params: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def written(self) -> Any:
        """The changed ModelProto."""
        inside = {*self.plan.layers, *self.plan.followers}
        tensors = set(self.plan.tensors)
        for value in self.graph.proto.input:
            if value.name in tensors:
                self._pair(value.name, value.name, f"{value.name}/dq")
        for node in list(self.graph.proto.node):
            if node.name in self.plan.folded:
                continue
            everyone = self.dialect == "tensorrt" or node.name in inside
            for at, name in enumerate(node.input):
                if everyone:
                    node.input[at] = self.read_as.get(name, name)
            if node.name in self.plan.layers:
                self._layer(node, self.plan.layers[node.name])
            elif node.name in self.plan.stored:
                self._store(node, self.plan.stored[node.name])
            elif node.name in self.plan.followers:
                self._constants(node)
            self.nodes.append(node)
            for at, name in enumerate(node.output):
                self._output(node, at, self._last(name), tensors, node.name in inside)
        return self.graph.finish(self.nodes)

    def _last(self, name: str) -> str:
        """The tensor that a node makes once the activation behind it has become part of the range."""
        for user in self.graph.users_of(name):
            if user.name in self.plan.folded:
                return str(user.output[0])
        return name

    def _output(self, node: Any, at: int, name: str, tensors: Collection[str], inside: bool) -> None:
        """Name what the node makes, and put Q and DQ behind it where that is 8 bits."""
        node.output[at] = name
        if name not in tensors:
            return
        if inside and self.dialect == "cpu":  # whoever reads it, reads the 8-bit numbers: the kernel makes no others
            node.output[at] = f"{name}/float"
            self._pair(name, node.output[at], name)
        else:
            self._pair(name, name, f"{name}/dq")

    def _pair(self, tensor: str, source: str, target: str) -> None:
        from onnx import helper

        scale, zero = self._params(tensor)
        names = [self.graph.add_constant(f"{tensor}/scale", scale), self.graph.add_constant(f"{tensor}/zero", zero)]
        self.nodes.append(helper.make_node(QUANTIZE, [source, *names], [f"{tensor}/q"], f"{tensor}/Q"))
        self.nodes.append(helper.make_node(DEQUANTIZE, [f"{tensor}/q", *names], [target], f"{tensor}/DQ"))
        if target != tensor:
            self.read_as[tensor] = target

    def _params(self, tensor: str) -> tuple[Array, Array]:
        """Scale and zero point; those of the tensor it was moved from, where it was only moved."""
        if tensor not in self.params:
            if tensor in self.plan.shared:
                self.params[tensor] = self._params(self.plan.shared[tensor])
            else:
                low, high = self.calibration.ranges[tensor]
                self.params[tensor] = signed(low, high) if self.dialect == "tensorrt" else unsigned(low, high)
        return self.params[tensor]

    def _layer(self, node: Any, layer: Layer) -> None:
        """Constant weights in 8 bits, and on a CPU a constant bias in 32."""
        weight = self.graph.array(layer.weight)
        bias = self.graph.array(layer.bias) if layer.bias else None
        assert weight is not None, "a layer's weights are constant"
        if layer.op == "Gemm":
            weight, bias = _plain_gemm(node, weight, bias)
        scales = weight_scales(weight, layer.axis, layer.channels, self.most)
        data = float(self._params(layer.data)[0])
        if bias is not None and self.dialect == "cpu":
            bias = bias.reshape(-1)
            scales = widen_for_bias(scales, bias, data)
            node.input[2] = self._bias(layer, bias, scales * np.float32(data))
        elif bias is not None and layer.op == "Gemm":
            node.input[2] = self._renamed(layer.bias, bias, node.name)
        if layer.op == "Conv" and self.dialect == "cpu" and weight.shape[1] < FEWEST and not _groups(node):
            weight = self._padded(node, layer, weight)
        node.input[1] = self._weight(layer, weight, scales)

    def _padded(self, node: Any, layer: Layer, weight: Array) -> Array:
        """Channels of zeros for a convolution of one to three channels, e.g. of a picture.

        ONNX Runtime's fast kernels take multiples of four. What is added is exactly zero, in the data as in the
        weights. Returns the weights.
        """
        from onnx import helper

        more = FEWEST - weight.shape[1]
        ends = [0] * (2 * weight.ndim)
        ends[weight.ndim + 1] = more
        scale, zero = (f"{layer.data}/{part}" for part in ("scale", "zero"))
        pads = self.graph.add_constant(f"{layer.name}/pads", np.array(ends, np.int64))
        inputs = [f"{layer.data}/q", pads, zero]
        self.nodes.append(helper.make_node("Pad", inputs, [f"{layer.name}/padded"], f"{layer.name}/Pad"))
        inputs = [f"{layer.name}/padded", scale, zero]
        self.nodes.append(helper.make_node(DEQUANTIZE, inputs, [f"{layer.name}/data"], f"{layer.name}/data/DQ"))
        node.input[0] = f"{layer.name}/data"
        return np.pad(weight, [(0, more if at == 1 else 0) for at in range(weight.ndim)])

    def _weight(self, layer: Layer, weight: Array, scales: Array) -> str:
        """The dequantized weights' name; layers that share weights share the 8-bit ones."""
        key = (layer.weight, layer.axis, scales.tobytes())
        if key not in self.weights:
            name = layer.weight if not any(known[0] == layer.weight for known in self.weights) else layer.name
            numbers = to_s8(weight, scales, layer.axis, self.most)
            self.weights[key] = self._dequantized(f"{name}/s8", numbers, scales, layer.axis, np.int8)
        return self.weights[key]

    def _bias(self, layer: Layer, bias: Array, scales: Array) -> str:
        scales = np.broadcast_to(scales, bias.shape) if scales.ndim else scales
        return self._dequantized(f"{layer.name}/bias", to_s32(bias, scales), scales, 0, np.int32)

    def _store(self, node: Any, layer: Layer) -> None:
        """Weights in s8 that are turned into float while the file is loaded; the layer computes in float."""
        small = SmallWeights(self.graph, "cpu")
        node.input[1] = small.small(layer.weight, layer.axis if layer.channels > 1 else 0, layer.name)
        self.nodes += small.nodes

    def _dequantized(self, name: str, numbers: Array, scales: Array, axis: int, kind: Any) -> str:
        from onnx import helper

        names = [
            self.graph.add_constant(name, numbers),
            self.graph.add_constant(f"{name}/scale", scales),
            self.graph.add_constant(f"{name}/zero", np.zeros(scales.shape, kind)),
        ]
        per_channel = {"axis": axis} if scales.ndim else {}
        self.nodes.append(helper.make_node(DEQUANTIZE, names, [f"{name}/dq"], f"{name}/DQ", **per_channel))
        return f"{name}/dq"

    def _constants(self, node: Any) -> None:
        """Constants that a follower computes with, in u8."""
        from onnx import helper

        for at, name in enumerate(node.input):
            array = self.graph.array(name) if name and node.op_type in ("Add", "Mul") else None
            if array is None:
                continue
            key = (name, -1, b"")
            if key not in self.weights:
                scale, zero = unsigned(float(array.min(initial=0)), float(array.max(initial=0)))
                numbers = np.clip(np.rint(array / scale) + zero, 0, 255).astype(np.uint8)
                names = [
                    self.graph.add_constant(f"{name}/u8", numbers),
                    self.graph.add_constant(f"{name}/u8/scale", scale),
                    self.graph.add_constant(f"{name}/u8/zero", zero),
                ]
                self.nodes.append(helper.make_node(DEQUANTIZE, names, [f"{name}/u8/dq"], f"{name}/u8/DQ"))
                self.weights[key] = f"{name}/u8/dq"
            node.input[at] = self.weights[key]

    def _renamed(self, name: str, array: Array, node: str) -> str:
        """The constant itself, or one of its own where the numbers were changed."""
        old = self.graph.array(name)
        same = old is not None and old.shape == array.shape and bool(np.array_equal(old, array))
        return name if same else self.graph.add_constant(f"{node}/bias", array)


def _groups(node: Any) -> bool:
    return bool(attribute(node, "group", 1) != 1)


def _plain_gemm(node: Any, weight: Array, bias: Array | None) -> tuple[Array, Array | None]:
    """Its factors alpha and beta multiplied into the constants, as the INT8 kernels know none."""
    alpha, beta = float(attribute(node, "alpha", 1.0)), float(attribute(node, "beta", 1.0))
    for item in [item for item in node.attribute if item.name in ("alpha", "beta")]:
        node.attribute.remove(item)
    scaled = None if bias is None else (bias * np.float32(beta)).astype(np.float32)
    return (weight * np.float32(alpha)).astype(np.float32), scaled
