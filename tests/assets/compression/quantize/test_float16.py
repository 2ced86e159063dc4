"""FP16 and weight-only INT8, and what each layer costs alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assets.compression.quantize import (
    calibrations,
    quantizable,
    sensitivity,
    to_float16,
    weights_to_int8,
)
from assets.compression.quantize.weights8 import RECURRENT
from assets.errors import RejectedError
from assets.evaluation.answers import open_session
from tests.assets.foreign_models import NAMES, foreign


def agree(made: bytes, name: str, most: float) -> None:
    model = foreign(name)
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    before = open_session(model.model).run(None, dict(model.feeds))
    for was, now in zip(before, open_session(made, as_written=True).run(None, dict(model.feeds)), strict=True):
        assert now.dtype == np.float32
        assert np.sqrt(np.mean((now - was) ** 2)) < most * np.sqrt(np.mean(was**2))


@pytest.mark.parametrize("dialect", ["cpu", "tensorrt"])
@pytest.mark.parametrize("name", NAMES)
def test_fp16_halves_the_file_and_keeps_float32_inputs_and_outputs(name: str, dialect: Any) -> None:
    made = to_float16(foreign(name).model, dialect)
    agree(made, name, 0.005)
    assert len(made) < 0.62 * len(foreign(name).model)
    kinds = {item.data_type for item in onnx.load_from_string(made).graph.initializer}
    assert TensorProto.FLOAT16 in kinds
    if dialect == "cpu":
        open_session(made)  # with every optimization


def test_large_constants_do_not_become_infinite_in_fp16() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 600])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    mask = np.where(np.arange(600) < 300, 0, -1e9).astype(np.float32)
    nodes = [helper.make_node("Add", ["x", "mask"], ["s"]), helper.make_node("Softmax", ["s"], ["y"])]
    graph = helper.make_graph(nodes, "mask", [x], [y], [numpy_helper.from_array(mask, "mask")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 600)).astype(np.float32)}
    for dialect in ("cpu", "tensorrt"):
        answer = open_session(to_float16(model, dialect), as_written=True).run(None, feeds)[0]
        assert np.isfinite(answer).all()
        assert answer[:, 300:].max() == 0


@pytest.mark.parametrize("dialect", ["cpu", "tensorrt"])
@pytest.mark.parametrize("name", NAMES)
def test_weights_alone_in_int8_keep_the_answers(name: str, dialect: Any) -> None:
    made = weights_to_int8(foreign(name).model, dialect)
    agree(made, name, 0.03)
    assert weights_to_int8(foreign(name).model, dialect) == made
    if (name, dialect) != ("gru", "tensorrt"):
        assert len(made) < 0.55 * len(foreign(name).model)


@pytest.mark.parametrize(("name", "dialect"), [("lstm", "cpu"), ("lstm", "tensorrt"), ("gru", "cpu")])
def test_recurrent_weights_have_a_scale_per_row_and_direction(name: str, dialect: Any) -> None:
    graph = onnx.load_from_string(weights_to_int8(foreign(name).model, dialect)).graph
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    recurrent = next(node for node in graph.node if node.op_type in RECURRENT)
    directions, rows = (2, 96) if name == "lstm" else (1, 96)
    for tensor in recurrent.input[1:3]:
        stem = tensor.removesuffix("/float")
        assert constants[stem].dtype == np.int8
        assert constants[f"{stem}/scale"].size == directions * rows


def test_on_a_cpu_weights_become_float_while_loading(tmp_path: Any) -> None:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "ran.onnx")
    ort.InferenceSession(weights_to_int8(foreign("lstm").model, "cpu"), options, providers=["CPUExecutionProvider"])
    ran = [node.op_type for node in onnx.load(tmp_path / "ran.onnx").graph.node]
    assert not {"DequantizeLinear", "Cast", "Mul"}.intersection(ran)


def test_a_model_without_weights_is_refused() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 6])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "plain", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    with pytest.raises(RejectedError, match="no constant weights that INT8 would make smaller"):
        weights_to_int8(model, "cpu")


@pytest.mark.parametrize("dialect", ["cpu", "tensorrt"])
def test_each_layer_alone_costs_less_than_all_of_them(dialect: Any) -> None:
    model = foreign("resnet_opset13")
    ranges = calibrations(model.model, [model.feeds], ["minmax"])["minmax"]
    asked: list[bytes] = []

    def answer(file: bytes) -> Any:
        asked.append(file)
        return open_session(file).run(None, dict(model.feeds))[0]

    def lost(before: Any, after: Any) -> float:
        return float(np.mean(before.argmax(1) != after.argmax(1)))

    names = quantizable(model.model)
    some = sensitivity(model.model, ranges, dialect, answer, lost, layers=names[2:5])
    assert [layer.layer for layer in some] == [*names[2:5]]
    assert len(asked) == 4  # the float file, then one each
    assert {layer.op for layer in some} == {"Conv"}
    assert all(0 < layer.error < 0.05 for layer in some)
    assert all(layer.bytes > 0 for layer in some)
    heavy = max(some, key=lambda layer: layer.bytes)
    assert sensitivity(model.model, ranges, dialect, answer, lost, layers=names[2:5], most=1)[0].bytes == heavy.bytes
