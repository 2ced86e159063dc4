"""Small ONNX models made by hand: one conv net over 8x8 pictures, in float and with explicit Q/DQ; a detector."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CLASSES = 4
SHAPE = (1, 8, 8)


def conv_net(
    quantized: bool = False,
    *,
    zero_type: type[np.generic] = np.int8,
    zero: int = 0,
    int32_bias: bool = False,
    opset: int = 20,
    ir_version: int = 10,
    batch: str | int = "batch",
    height: str | int = 8,
    seed: int = 0,
) -> onnx.ModelProto:
    """Conv, Relu, mean, Gemm with fixed random weights. With `quantized`, Q/DQ on the inputs of Conv and Gemm."""
    draw = np.random.default_rng(seed)
    constants: dict[str, NDArray[np.generic]] = {
        "b1": draw.normal(size=8).astype(np.float32),
        "b2": draw.normal(size=CLASSES).astype(np.float32),
    }
    nodes: list[onnx.NodeProto] = []

    def weight(name: str, values: NDArray[np.float32]) -> str:
        if not quantized:
            constants[name] = values
            return name
        scale = np.abs(values).reshape(len(values), -1).max(axis=1) / 127
        shaped = scale.reshape(-1, *[1] * (values.ndim - 1))
        constants[f"{name}_q"] = np.clip(np.rint(values / shaped), -127, 127).astype(np.int8)
        constants[f"{name}_scale"] = scale.astype(np.float32)
        constants[f"{name}_zero"] = np.zeros(len(values), dtype=np.int8)
        names = [f"{name}_q", f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("DequantizeLinear", names, [name], name=f"{name}_dq", axis=0))
        return name

    def activation(name: str, scale: float) -> str:
        if not quantized:
            return name
        constants[f"{name}_scale"] = np.float32(scale)
        constants[f"{name}_zero"] = np.asarray(zero, dtype=zero_type)
        parameters = [f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}_q8"], name=f"{name}_q"))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q8", *parameters], [f"{name}_r"], name=f"{name}_dq")
        )
        return f"{name}_r"

    first = weight("w1", draw.normal(size=(8, 1, 3, 3)).astype(np.float32))
    bias = "b1"
    if int32_bias:
        constants["b1_q"] = np.zeros(8, dtype=np.int32)
        constants["b1_scale"] = np.float32(0.1)
        nodes.append(helper.make_node("DequantizeLinear", ["b1_q", "b1_scale"], ["b1_r"], name="b1_dq"))
        bias = "b1_r"
    picture = activation("input", 1 / 127)
    nodes.append(helper.make_node("Conv", [picture, first, bias], ["conv"], name="conv", pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("Relu", ["conv"], ["relu"], name="relu"))
    nodes.append(helper.make_node("GlobalAveragePool", ["relu"], ["pool"], name="pool"))
    nodes.append(helper.make_node("Flatten", ["pool"], ["features"], name="flatten"))
    second = weight("w2", draw.normal(size=(CLASSES, 8)).astype(np.float32))
    features = activation("features", 4 / 127)
    nodes.append(helper.make_node("Gemm", [features, second, "b2"], ["logits"], name="gemm", transB=1))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 1, height, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    onnx.checker.check_model(model)
    return model


def detector() -> onnx.ModelProto:
    """Two inputs (a picture of any size, and a vector) and two outputs, with open batch, height and width."""
    draw = np.random.default_rng(3)
    constants = {
        "w": draw.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "v": draw.normal(size=(2, 4)).astype(np.float32),
        "axes": np.asarray([2, 3], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["picture", "w"], ["map"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["map"], ["boxes"], name="relu"),
        helper.make_node("ReduceMean", ["boxes", "axes"], ["mean"], name="mean", keepdims=0),
        helper.make_node("MatMul", ["extra", "v"], ["more"], name="matmul"),
        helper.make_node("Add", ["mean", "more"], ["scores"], name="add"),
    ]
    made = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "detector",
        [made("picture", TensorProto.FLOAT, ["n", 3, "h", "w"]), made("extra", TensorProto.FLOAT, ["n", 2])],
        [made("boxes", TensorProto.FLOAT, ["n", 4, "h", "w"]), made("scores", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model
