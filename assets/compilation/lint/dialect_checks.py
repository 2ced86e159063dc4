"""Checks of the Q/DQ form that a runtime reads: symmetric s8 for TensorRT, nothing slow for the CPU."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from assets.compilation.lint.graph import DEQUANTIZE, QUANTIZE, constants, node_name, nodes, tensors, type_name
from assets.compilation.lint.rules import Finding, found
from assets.compilation.lint.tensor_checks import values_of

_FUSED_INT8 = ("DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
_INT8, _UINT8, _INT32, _FLOAT16, _DOUBLE = 3, 2, 6, 10, 11
_PRODUCTS = ("Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN")


def quantization(model: Any) -> Iterator[Finding]:
    """Symmetric s8 on both sides: TensorRT reads u8 as s8 without failing, and refuses int32 biases."""
    known = constants(model.graph)
    for node in nodes(model.graph):
        name = node_name(node)
        if node.op_type in _FUSED_INT8:
            yield found("explicit-qdq", name, f"{node.op_type} is ONNX Runtime's own form of INT8")
        if node.op_type not in {QUANTIZE, DEQUANTIZE}:
            continue
        values = known.get(node.input[0])
        if values is not None and values.data_type == _INT32:
            yield found("float-bias", name, "an int32 bias is dequantized")
            continue
        point = known.get(node.input[2]) if len(node.input) > 2 else None
        if point is None:
            yield found("s8-quantization", name, "its zero point is not a constant, so its type is not known to be s8")
            continue
        zeros = values_of(point)
        if point.data_type != _INT8:
            reason = f"it quantizes to {type_name(point.data_type)}; TensorRT would read it as s8 without a word"
            yield found("s8-quantization", name, reason)
        elif zeros is None or zeros.any():
            yield found("symmetric-quantization", name, "its zero point is not 0")
        scale = known.get(node.input[1])
        if scale is None:
            yield found("positive-scales", name, "its scale is computed, not a constant")
        elif values is None and (one := values_of(scale)) is not None and one.size != 1:
            yield found("tensor-activations", name, f"{one.size} scales for an activation")


def pairs(model: Any) -> Iterator[Finding]:
    """Each Q is read by DQ only, each DQ reads a Q or a constant."""
    known = constants(model.graph)
    every = list(nodes(model.graph))
    quantized = {node.output[0]: node for node in every if node.op_type == QUANTIZE}
    outputs = {value.name for value in model.graph.output}
    for node in every:
        if node.op_type == DEQUANTIZE:
            if node.input[0] not in known and node.input[0] not in quantized:
                yield found("paired-quantization", node_name(node), f"{node.input[0]!r} comes from no Q")
            continue
        for name in {*node.input} & quantized.keys():
            reason = f"{node.op_type} {node_name(node)!r} reads its 8-bit numbers"
            yield found("paired-quantization", node_name(quantized[name]), reason)
    for name in outputs & quantized.keys():
        yield found("paired-quantization", node_name(quantized[name]), "the model answers in 8-bit numbers")


def float64(model: Any) -> Iterator[Finding]:
    """No float64 anywhere."""
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        if value.type.tensor_type.elem_type == _DOUBLE:
            yield found("no-float64", value.name, "a tensor of float64")
    for tensor in tensors(model.graph):
        if tensor.data_type == _DOUBLE:
            yield found("no-float64", tensor.name, "a constant of float64")
    for node in nodes(model.graph):
        if node.op_type == "Cast" and any(one.name == "to" and one.i == _DOUBLE for one in node.attribute):
            yield found("no-float64", node_name(node), "it makes float64")


def products_for(sms: Collection[int]) -> Callable[[Any], Iterator[Finding]]:
    """The rule on products in float32, which TensorRT-RTX has not for SM75."""

    def products(model: Any) -> Iterator[Finding]:
        import onnx

        if 75 not in sms:
            return
        inferred = onnx.shape_inference.infer_shapes(model).graph
        kinds = {
            value.name: value.type.tensor_type.elem_type
            for value in (*inferred.input, *inferred.value_info, *inferred.output)
        } | {name: tensor.data_type for name, tensor in constants(model.graph).items()}
        for node in nodes(model.graph):
            if node.op_type in _PRODUCTS and kinds.get(node.input[0]) == 1:
                yield found("sm75-gemm", node_name(node), f"{node.op_type} in float32")

    return products


def cpu(model: Any) -> Iterator[Finding]:
    """No INT8 within FP16."""
    known = constants(model.graph)
    for node in nodes(model.graph):
        if node.op_type in {QUANTIZE, DEQUANTIZE}:
            scale = known.get(node.input[1])
            if scale is not None and scale.data_type == _FLOAT16:
                yield found("no-int8-in-float16", node_name(node), "its scale is float16")
