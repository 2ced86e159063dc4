"""Both INT8 dialects of models the project did not make: what is in the files, and that they answer as before."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from assets.compression.quantize import calibrations, needs_7_bits, quantizable, quantize
from assets.compression.quantize.prepare import prepared
from assets.errors import RejectedError
from assets.evaluation.answers import open_session
from edge.contracts import TARGETS, TargetProfile
from edge.engine.build import build_plan
from tests.assets.foreign_models import NAMES, foreign

NO_INT8 = {"lstm", "gru"}
"""Most of these computes in float in any case."""


def int8(name: str, dialect: Any, **options: Any) -> bytes:
    model = foreign(name)
    return quantize(model.model, calibrations(model.model, [model.feeds], ["minmax"])["minmax"], dialect, **options)


def answers(model: bytes, feeds: Any) -> list[Any]:
    return list(open_session(model, as_written=True).run(None, dict(feeds)))


def error(after: Any, before: Any) -> float:
    return float(np.sqrt(np.mean((after - before) ** 2) / np.mean(before**2)))


def optimized(model: bytes, path: Path) -> Counter[str]:
    """What ONNX Runtime really runs: how many nodes of each kind."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("dialect", ["cpu", "tensorrt"])
@pytest.mark.parametrize("name", NAMES)
def test_any_model_keeps_its_interface_and_its_answers(name: str, dialect: Any) -> None:
    model = foreign(name)
    file = int8(name, dialect)
    proto, before = onnx.load_from_string(file), onnx.load_from_string(model.model)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ir_version <= 10
    assert [item.name for item in proto.graph.output] == [item.name for item in before.graph.output]
    assert [(item.name, item.type) for item in proto.graph.input] == [
        (item.name, item.type) for item in before.graph.input
    ]
    assert len(file) < (1.01 if name in NO_INT8 else 0.72) * len(model.model)
    for was, now in zip(answers(model.model, model.feeds), answers(file, model.feeds), strict=True):
        assert now.dtype == np.float32
        assert now.shape == was.shape
        assert error(now, was) < 0.06
    single = open_session(file).run(None, {key: value[:1] for key, value in model.feeds.items()})
    assert all(len(output) == 1 for output in single)


@pytest.mark.parametrize("name", ["resnet", "resnet_opset13"])
def test_on_a_cpu_nothing_between_layers_goes_back_to_float(name: str, tmp_path: Path) -> None:
    ran = optimized(int8(name, "cpu"), tmp_path / "ran.onnx")
    assert ran["QuantizeLinear"] == 1  # the picture
    assert ran["DequantizeLinear"] == 0  # Gemm answers in float by itself
    assert ran["QLinearConv"] == 8
    assert ran["QLinearAdd"] == 3
    assert ran["QLinearGlobalAveragePool"] == ran["NhwcMaxPool"] == ran["QGemm"] == 1
    assert ran["Transpose"] == 2
    assert ran["Relu"] == ran["Conv"] == ran["Add"] == 0


def test_depthwise_convolutions_and_limits_have_int8_kernels(tmp_path: Path) -> None:
    ran = optimized(int8("mobilenet", "cpu"), tmp_path / "ran.onnx")
    assert (ran["QLinearConv"], ran["QLinearAdd"], ran["QGemm"]) == (11, 2, 1)
    assert ran["Conv"] == ran["Clip"] == 0


def test_sums_and_attention_of_a_transformer_stay_in_float(tmp_path: Path) -> None:
    ran = optimized(int8("vit", "cpu"), tmp_path / "ran.onnx")
    assert ran["QLinearAdd"] == ran["QLinearMatMul"] == ran["QLinearSoftmax"] == 0
    assert ran["MatMulIntegerToFloat"] + ran["QGemm"] == 9
    assert ran["MatMul"] + ran["FusedMatMul"] == 4  # two blocks: scores, and what they weigh


def test_filled_up_channels_change_no_number() -> None:
    model = foreign("resnet")
    proto = onnx.load_from_string(int8("resnet", "cpu"))
    graph = proto.graph
    constants = {item.name: item for item in graph.initializer}
    (pad,) = [node for node in graph.node if node.op_type == "Pad"]
    assert numpy_helper.to_array(constants[pad.input[1]]).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    conv = next(node for node in graph.node if node.op_type == "Conv")
    made = {name: node for node in graph.node for name in node.output}
    weights = numpy_helper.to_array(constants[made[conv.input[1]].input[0]])
    assert weights.shape[1] == 4
    assert not weights[:, 3].any()
    before = answers(proto.SerializeToString(), model.feeds)[0]
    plain = onnx.numpy_helper.from_array(weights[:, :3].copy(), made[conv.input[1]].input[0])
    constants[plain.name].CopyFrom(plain)
    data = made[conv.input[0]]
    data.input[0] = pad.input[0]
    graph.node.remove(pad)
    assert np.array_equal(answers(proto.SerializeToString(), model.feeds)[0], before)


@pytest.mark.parametrize("name", NAMES)
def test_the_tensorrt_dialect_is_what_tensorrt_wants(name: str) -> None:
    types, graph = onnx.TensorProto, onnx.load_from_string(int8(name, "tensorrt")).graph
    constants = {item.name: item for item in graph.initializer}
    made = {output: node for node in graph.node for output in node.output}
    quantized = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in made]
    layers = [node for node in layers if made[node.input[1]].op_type == "DequantizeLinear"]
    assert len(layers) == len(quantizable(foreign(name).model))
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert constants[node.input[2]].data_type == types.INT8
            assert not numpy_helper.to_array(constants[node.input[2]]).any()
    read = {made[node.input[0]].input[0] for node in layers}
    assert {node.output[0] for node in quantized} == read  # Q only on what layers read
    for node in layers:
        scales = constants[made[node.input[1]].input[1]]
        assert len(scales.dims) == 1  # a scale per channel
        if len(node.input) > 2:
            assert constants[node.input[2]].data_type == types.FLOAT  # the bias is not quantized


def test_a_residual_sum_reads_what_the_layers_read() -> None:
    graph = onnx.load_from_string(int8("resnet", "tensorrt")).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    sums = [[made[name] for name in node.input] for node in graph.node if node.op_type == "Add"]
    assert sorted(sums).count(["Conv", "DequantizeLinear"]) == 2  # no stride: the block's own input


def test_tensorrt_builds_int8_with_depthwise_convolutions_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(int8("mobilenet", "tensorrt"))
    log = build_plan(tmp_path / "model.onnx", 86, tmp_path / "model.plan")
    assert log.warnings == ()


def test_layers_can_stay_in_float() -> None:
    model = foreign("resnet")
    names = quantizable(model.model)
    assert [node.name for node in prepared(model.model).graph.node if node.name in names] == [*names]
    graph = onnx.load_from_string(int8("resnet", "cpu", floats=[names[2]])).graph
    kept = next(node for node in graph.node if node.name == names[2])
    constants = {item.name: item for item in graph.initializer}
    assert constants[kept.input[1]].data_type == onnx.TensorProto.FLOAT
    with pytest.raises(RejectedError, match="no layer of the model can be quantized"):
        int8("resnet", "cpu", floats=names)


def _s8(model: bytes) -> Any:
    found = [
        numpy_helper.to_array(item) for item in onnx.load_from_string(model).graph.initializer if len(item.dims) > 1
    ]
    return np.concatenate([array.ravel() for array in found if array.dtype == np.int8]).astype(int)


def test_7_bits_are_for_weights_of_the_cpu_dialect() -> None:
    assert np.abs(_s8(int8("resnet", "cpu", reduce_range=True))).max() == 64
    assert np.abs(_s8(int8("resnet", "cpu"))).max() == 127
    assert np.abs(_s8(int8("resnet", "tensorrt", reduce_range=True))).max() == 127


def test_the_targets_decide_on_7_bits() -> None:
    x86, arm, rtx = TARGETS["cpu-x86"], TARGETS["cpu-arm64"], TARGETS["rtx-sm86"]
    vnni = TargetProfile("new-x86", "onnxruntime", "x86_64", "cpu", cpu_features=("avx512_vnni",))
    assert needs_7_bits([x86])
    assert needs_7_bits([arm, vnni, x86])
    assert not needs_7_bits([arm, vnni, rtx])
    assert not needs_7_bits([rtx])


def test_the_same_ranges_give_the_same_bytes_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert int8("mobilenet", "cpu") == int8("mobilenet", "cpu")
    assert list(tmp_path.iterdir()) == []


def test_ranges_of_another_model_are_refused() -> None:
    other = foreign("mobilenet")
    ranges = calibrations(other.model, [other.feeds], ["minmax"])["minmax"]
    with pytest.raises(RejectedError, match="it is of another model"):
        quantize(foreign("resnet").model, ranges, "cpu")
