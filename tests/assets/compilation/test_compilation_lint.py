"""Each rule finds its own kind of broken model, by name, and lets sound models through."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import conv_net

from assets.compilation import lint as lint_module
from assets.compilation.lint import check_model, lint_model
from assets.errors import CompileError

SOUND = conv_net(True).SerializeToString()


def rules(model: onnx.ModelProto | bytes, dialect: Any = "tensorrt") -> list[str]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return [finding.rule for finding in lint_model(data, dialect)]


def test_sound_models_break_no_rule() -> None:
    assert rules(conv_net(), "float") == []
    assert rules(conv_net(True, zero_type=np.uint8, zero=128), "cpu") == []
    assert rules(SOUND) == []
    check_model(SOUND, "tensorrt", "net.onnx")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "valid-protobuf"),
        (b"plain text\n" * 40, "valid-protobuf"),
        (SOUND[: len(SOUND) // 2], "valid-protobuf"),
        (b"\x08\x0a", "valid-protobuf"),
    ],
    ids=["empty", "text", "cut", "no-graph"],
)
def test_what_is_no_model_is_found(data: bytes, rule: str) -> None:
    assert rules(data) == [rule]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"opset": 12}, "known-opset"),
        ({"ir_version": 11}, "known-ir-version"),
        ({"batch": 4}, "dynamic-batch"),
        ({"height": "h"}, "only-batch-dynamic"),
        ({"quantized": True, "zero": 3}, "symmetric-quantization"),
        ({"quantized": True, "zero_type": np.uint8}, "s8-quantization"),
        ({"quantized": True, "int32_bias": True}, "float-bias"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_rule_finds_its_own(change: dict[str, Any], rule: str) -> None:
    assert set(rules(conv_net(**change))) >= {rule}


def test_opset_99_and_two_opsets_are_found() -> None:
    model = conv_net()
    model.opset_import[0].version = 99
    assert rules(model) == ["known-opset"]
    model = conv_net()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 20))
    assert rules(model) == ["known-opset"]


def test_operators_of_other_domains_are_found_by_name() -> None:
    model = conv_net()
    model.graph.node[1].domain = "com.acme"
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    (finding,) = lint_model(model.SerializeToString(), "float")
    assert (finding.rule, finding.node) == ("standard-operators", "relu")
    assert "com.acme" in finding.reason
    assert finding.remedy


def test_external_data_is_found_and_never_read() -> None:
    model = conv_net()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"
    assert rules(model) == ["no-external-data"]


def test_a_graph_that_does_not_fit_together_is_found() -> None:
    model = conv_net()
    model.graph.node[1].input[0] = "nowhere"
    assert rules(model) == ["valid-graph"]
    model = conv_net()
    model.graph.node[1].op_type = "Einstein"
    assert rules(model) == ["valid-graph"]


def identity(kind: int, shape: list[Any] | None) -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"], name="i")], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_other_interfaces_are_found() -> None:
    assert set(rules(identity(TensorProto.DOUBLE, ["n", 2]))) == {"float32-interface"}
    assert set(rules(identity(TensorProto.FLOAT, None))) == {"valid-graph"}  # onnx itself wants a shape
    assert set(rules(identity(TensorProto.FLOAT, ["n"]))) == {"known-rank"}
    assert rules(identity(TensorProto.FLOAT, ["n", 2])) == []
    model = identity(TensorProto.FLOAT, ["n", 2])
    model.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2]))
    assert rules(model) == ["one-input-one-output"]


def test_tensors_larger_than_a_device_are_found() -> None:
    assert "tensor-size" in rules(identity(TensorProto.FLOAT, ["n", 4096, 4096]))


def test_files_larger_than_the_limit_are_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint_module, "MAX_MODEL_BYTES", 100)
    assert rules(SOUND) == ["size-limit"]


def test_ort_integer_operators_are_found() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dynamic"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="dq"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert rules(model) == ["explicit-qdq", "s8-quantization"]
    assert rules(model, "cpu") == []


def test_an_error_names_file_rule_node_and_remedy() -> None:
    with pytest.raises(CompileError) as caught:
        check_model(conv_net(True, zero=3).SerializeToString(), "tensorrt", "net.onnx")
    text = str(caught.value)
    assert text.startswith("net.onnx: not compiled")
    assert "symmetric-quantization at 'input_q': its zero point is not 0; use ActivationSymmetric" in text


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(SOUND) - 1), value=st.binary(min_size=1, max_size=4))
def test_changed_bytes_are_accepted_or_found_without_a_crash(at: int, value: bytes) -> None:
    data = SOUND[:at] + value + SOUND[at + len(value) :]
    for finding in lint_model(data, "tensorrt"):
        assert finding.rule
        assert finding.reason
