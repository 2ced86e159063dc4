"""What TensorRT would read: a sound file answers as itself, u8 files are caught by what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from assets.errors import CompileError
from assets.evaluation.answers import logits, open_session
from assets.evaluation.as_tensorrt import as_tensorrt_reads, misreading, open_as_tensorrt, unsigned
from assets.evaluation.hits import hits
from tests.edge.onnx_models import conv_net

# Pictures of different brightness, as a camera sees them; the last bias makes the four classes about as frequent.
DRAW = np.random.default_rng(3)
X = (DRAW.uniform(0.05, 1, (200, 1, 1, 1)) * DRAW.normal(size=(200, 1, 8, 8))).astype(np.float32)
PLAIN = logits(open_session(conv_net().SerializeToString()), X)
Y = (PLAIN - PLAIN.mean(0)).argmax(1)


def net(quantized: bool = True, change: Mapping[str, Any] | None = None, **settings: Any) -> bytes:
    """The conv net with ranges that fit `X`, and `change` among its constants."""
    model = conv_net(quantized, **settings)
    values = {"input_scale": np.float32(np.abs(X).max() / 127), **(change or {})}
    for tensor in model.graph.initializer:
        if tensor.name == "b2":
            values["b2"] = (numpy_helper.to_array(tensor) - PLAIN.mean(0)).astype(np.float32)
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(values[tensor.name]), tensor.name))
    return model.SerializeToString()


SOUND = net()
# s8 for the signed input, u8 with zero point 0 for what a Relu left: 255 steps for the same range.
LIKE_NNCF = net(change={"features_zero": np.uint8(0), "features_scale": np.float32(3 / 255)})


def answer(model: bytes, as_written: bool) -> NDArray[Any]:
    return logits(open_session(model, as_written=as_written), X)


def lost(before: NDArray[Any], after: NDArray[Any]) -> float:
    return float(hits(before, Y).mean() - hits(after, Y).mean())


def test_a_file_in_tensorrts_dialect_is_read_as_it_is_meant() -> None:
    assert as_tensorrt_reads(SOUND) == SOUND
    assert unsigned(SOUND) == ()
    assert misreading(SOUND, answer, lost) == ""
    assert misreading(SOUND, answer) == ""
    assert misreading(net(False), answer, lost) == ""


def test_unsigned_activations_after_a_relu_are_caught() -> None:
    assert unsigned(LIKE_NNCF) == ("features_q", "features_dq")
    assert lost(answer(net(False), False), answer(LIKE_NNCF, False)) < 0.05, "the file itself is fine"
    told = misreading(LIKE_NNCF, answer, lost)
    assert told.startswith("TensorRT would lose 0.")
    assert "it reads u8 as s8 at 'features_q' and 1 more" in told
    assert "QInt8" in told
    assert "of the outputs' spread" in misreading(LIKE_NNCF, answer)


def test_a_cpu_file_with_zero_points_is_caught() -> None:
    scales = {"input_scale": np.float32(2 * np.abs(X).max() / 255), "features_scale": np.float32(3 / 245)}
    model = net(zero_type=np.uint8, zero=10, change=scales)
    assert set(unsigned(model)) == {"input_q", "input_dq", "features_q", "features_dq"}
    assert "reads u8 as s8 at 'input_q'" in misreading(model, answer, lost)


def test_the_reading_cuts_at_127_steps() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], name="q"),  # without a zero point, ONNX means u8
        helper.make_node("Reshape", ["q", "shape"], ["r"], name="reshape"),
        helper.make_node("DequantizeLinear", ["r", "s"], ["y"], name="dq"),
    ]
    constants = [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.array([-1, 3]), "shape")]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    x = np.array([[-3, 12.5, 24]], np.float32)
    assert logits(open_session(model), x).tolist() == [pytest.approx([0, 12.5, 24])]
    read = logits(open_session(as_tensorrt_reads(model), as_written=True), x)
    assert read.tolist() == [pytest.approx([-3, 12.5, 12.7])]
    assert unsigned(model) == ("q", "dq")


def test_unsigned_weights_keep_their_bits() -> None:
    nodes = [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y0"], name="dq", axis=0)]
    nodes.append(helper.make_node("MatMul", ["x", "y0"], ["y"], name="m"))
    constants = [
        numpy_helper.from_array(np.array([[200], [100]], np.uint8), "w"),
        numpy_helper.from_array(np.array([1, 1], np.float32), "s"),
        numpy_helper.from_array(np.array([0, 0], np.uint8), "z"),
    ]
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])]
    values.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1]))
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    one = np.eye(2, dtype=np.float32)
    assert logits(open_session(as_tensorrt_reads(model), as_written=True), one).ravel().tolist() == [-56, 100]


def test_answers_that_are_no_numbers_are_told() -> None:
    def told(*made: NDArray[Any]) -> str:
        one_after_another = iter(made)
        return misreading(SOUND, lambda model, as_written: next(one_after_another))

    assert "NaN or infinite" in told(np.ones((2, 3)), np.full((2, 3), np.nan))
    assert "in the shape (2, 4)" in told(np.ones((2, 3)), np.ones((2, 4)))


def test_float_files_are_opened_and_q_dq_runs_as_written() -> None:
    for model in (SOUND, net(False), LIKE_NNCF):
        expected = logits(open_session(as_tensorrt_reads(model), as_written=True), X)
        assert np.allclose(logits(open_as_tensorrt(model), X), expected, atol=1e-5)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(CompileError, match="not an ONNX file"):
        as_tensorrt_reads(b"plain text\n" * 9)
    model = onnx.load_from_string(SOUND)
    model.graph.node[1].input[2] = "conv"
    with pytest.raises(CompileError, match="'input_q': its zero point is not a constant"):
        as_tensorrt_reads(model.SerializeToString())
