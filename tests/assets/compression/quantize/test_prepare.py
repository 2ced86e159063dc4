"""A user's own ONNX: whatever form it has, it is quantized or refused with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from assets.compression.quantize import calibrations, quantizable, quantize
from assets.compression.quantize.dialects import VNNI
from assets.compression.quantize.prepare import prepared
from assets.errors import RejectedError
from assets.evaluation.answers import open_session
from edge.runtime.machine import cpu_features, machine_arch
from tests.assets.foreign_models import foreign

RANDOM = np.random.default_rng(3)
FLOAT, INT64, BOOL, HALF = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16
X = {"x": RANDOM.normal(size=(4, 4, 8, 8)).astype(np.float32)}
PICTURE = helper.make_tensor_value_info("x", FLOAT, ["records", 4, "height", "width"])


def some(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def value(name: str, shape: Any = None, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def file(
    nodes: list[Any],
    constants: Mapping[str, Any],
    inputs: Any = (PICTURE,),
    outputs: Any = ("y",),
    opset: int = 17,
    **options: Any,
) -> bytes:
    ends = [value(item) if isinstance(item, str) else item for item in outputs]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "own", list(inputs), ends, tensors)
    opsets = [helper.make_opsetid("", opset)]
    options.setdefault("ir_version", 8)
    return bytes(helper.make_model(graph, opset_imports=opsets, **options).SerializeToString())


CONV = node("Conv", "x w b", "y", pads=[1, 1, 1, 1])
WEIGHTS = {"w": some(4, 4, 3, 3), "b": some(4)}
BODY = [node("Conv", "x w b", "a", pads=[1, 1, 1, 1]), node("Relu", "a", "r")]


SATURATES = machine_arch() == "x86_64" and VNNI.isdisjoint(cpu_features())
"""This machine needs weights of 7 bits, see `needs_7_bits`; TensorRT's dialect is only right as it is written here."""


def both(model: bytes, feeds: Mapping[str, Any], most: float = 0.06) -> dict[str, Any]:
    """Quantize into both dialects; they must answer as the float file does. The graphs."""
    before = open_session(model).run(None, dict(feeds))
    ranges, graphs = calibrations(model, [feeds], ["minmax"])["minmax"], {}
    for dialect in ("cpu", "tensorrt"):
        made = quantize(model, ranges, dialect, reduce_range=SATURATES)  # type: ignore[arg-type]
        proto = onnx.load_from_string(made)
        onnx.checker.check_model(proto, full_check=True)
        runs = (True,) if SATURATES and dialect == "tensorrt" else (False, True)
        for as_written in runs:
            after = open_session(made, as_written=as_written).run(None, dict(feeds))
            for was, now in zip(before, after, strict=True):
                assert (now.dtype, now.shape) == (was.dtype, was.shape)
                assert np.sqrt(np.mean((now - was) ** 2)) < most * np.sqrt(np.mean(was**2))
        graphs[dialect] = proto.graph
    return graphs


@pytest.mark.parametrize("opset", range(13, 23))
def test_every_opset_from_13_to_22(opset: int) -> None:
    pool = node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2])
    nodes = [*BODY, pool, node("Flatten", "p", "f"), node("MatMul", "f m", "y")]
    model = file(nodes, WEIGHTS | {"m": some(64, 3)}, opset=opset, ir_version=11 if opset > 20 else 7)
    assert len(quantizable(model)) == 2
    both(model, X)


def test_layers_may_share_weights_and_biases() -> None:
    graphs = both(file([*BODY, node("Conv", "r w b", "y", pads=[1, 1, 1, 1])], WEIGHTS), X)
    for graph in graphs.values():
        weights = [item for item in graph.initializer if item.data_type == TensorProto.INT8 and len(item.dims) == 4]
        assert len(weights) == 1


def test_several_inputs_and_outputs_and_an_inner_tensor_among_them() -> None:
    nodes = [
        *BODY,
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gather", "e ids", "g"),
        node("ReduceMean", "g", "m", axes=[1], keepdims=0),
        node("Concat", "f m", "cat", axis=1),
        node("Gemm", "cat gw gb", "y", transB=1, alpha=0.5, beta=2.0),
    ]
    constants = WEIGHTS | {"e": some(50, 6), "gw": some(3, 10), "gb": some(1, 3)}
    model = file(nodes, constants, (PICTURE, value("ids", ["records", 5], INT64)), ("y", "r"))
    both(model, X | {"ids": RANDOM.integers(0, 50, (4, 5))})


def test_branches_stay_in_float_and_read_what_they_read() -> None:
    then = helper.make_graph([node("Mul", "r r", "t")], "then", [], [value("t")])
    other = helper.make_graph([node("Identity", "r", "e")], "other", [], [value("e")])
    nodes = [
        *BODY,
        node("Conv", "r w b", "z", pads=[1, 1, 1, 1]),
        node("If", "c", "f", then_branch=then, else_branch=other),
        node("Add", "z f", "y"),
    ]
    model = file(nodes, WEIGHTS, (PICTURE, value("c", [], BOOL)))
    for choice in (True, False):
        both(model, X | {"c": np.array(choice)})


def test_constants_may_be_nodes_or_inputs_with_a_default() -> None:
    constants = [
        node("Constant", "", name, value=numpy_helper.from_array(array, name)) for name, array in WEIGHTS.items()
    ]
    assert len(quantizable(file([*constants, CONV], {}))) == 1
    inputs = (PICTURE, value("w", [4, 4, 3, 3]), value("b", [4]))
    model = file([CONV], WEIGHTS, inputs)
    graphs = both(model, X)
    assert [item.name for item in graphs["cpu"].input] == ["x"]


def test_batch_norm_goes_into_the_convolution_and_limits_into_its_range() -> None:
    norm = {"s": np.abs(some(4)), "o": some(4), "m": some(4), "v": np.abs(some(4)) + 0.1}
    limits = {"low": np.float32(0), "high": np.float32(6)}
    nodes = [
        node("Conv", "x w b", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s o m v", "n"),
        node("Clip", "n low high", "c"),
        node("ConvTranspose", "c t", "y"),
    ]
    graphs = both(file(nodes, WEIGHTS | norm | limits | {"t": some(4, 5, 2, 2)}), X)
    assert not [item for item in graphs["cpu"].node if item.op_type in ("BatchNormalization", "Clip")]
    assert not [item for item in graphs["cpu"].initializer if item.name == "t"]  # s8, though its layer is float


@pytest.mark.parametrize(("low", "high"), [(0.5, 2.0), (-2.0, -0.5), (-1.0, 1.0)])
def test_limits_that_a_range_cannot_hold_stay_in_the_graph(low: float, high: float) -> None:
    nodes = [node("Conv", "x w b", "a"), node("Clip", "a low high", "c"), node("Conv", "c w", "y")]
    graphs = both(file(nodes, WEIGHTS | {"low": np.float32(low), "high": np.float32(high)}), X)
    assert bool([item for item in graphs["cpu"].node if item.op_type == "Clip"]) == (not low <= 0 <= high)


def test_functions_of_the_file_are_put_in_place() -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    body = [node("Conv", "d k", "z", pads=[1, 1, 1, 1]), node("Relu", "z", "out")]
    function = helper.make_function("own", "Block", ["d", "k"], ["out"], body, opsets[:1])
    proto = onnx.load_from_string(file([node("Block", "x w", "h", domain="own"), node("Conv", "h w", "y")], WEIGHTS))
    proto.functions.append(function)
    proto.opset_import.append(opsets[1])
    assert len(quantizable(proto.SerializeToString())) == 2
    both(proto.SerializeToString(), X)


def test_a_file_in_fp16_keeps_its_interface() -> None:
    half = {name: array.astype(np.float16) for name, array in WEIGHTS.items()}
    model = file([CONV], half, [value("x", ["n", 4, 8, 8], HALF)], [value("y", None, HALF)])
    both(model, {"x": X["x"].astype(np.float16)})
    kinds = {item.data_type for item in prepared(model).graph.initializer}
    assert HALF not in kinds


@pytest.mark.parametrize(("sides", "shape"), [(1, (3, 2, 32)), (3, (3, 1, 8, 8, 8))])
def test_series_and_volumes(sides: int, shape: tuple[int, ...]) -> None:
    kernel = [3] * sides
    weights = {"w": some(8, shape[1], *kernel), "b": some(8), "w2": some(8, 8, *kernel)}
    nodes = [node("Conv", "x w b", "a"), node("Relu", "a", "r"), node("Conv", "r w2", "y")]
    both(file(nodes, weights, [value("x", ["n", *shape[1:]])]), {"x": some(*shape)})


def test_squeeze_and_excite_and_concatenations_stay_in_8_bits() -> None:
    nodes = [
        *BODY,
        node("GlobalAveragePool", "r", "p"),
        node("Conv", "p s", "e"),
        node("Sigmoid", "e", "g"),
        node("Mul", "r g", "m"),
        node("Mul", "m k", "n"),
        node("Concat", "n r", "c", axis=1),
        node("Conv", "c last", "y"),
    ]
    constants = WEIGHTS | {"s": some(4, 4, 1, 1), "k": some(1, 4, 1, 1), "last": some(4, 8, 1, 1)}
    graphs = both(file(nodes, constants), X)
    made = {name: item.op_type for item in graphs["cpu"].node for name in item.output}
    for item in graphs["cpu"].node:
        if item.op_type in ("GlobalAveragePool", "Sigmoid", "Mul", "Concat"):
            assert {made[name] for name in item.input} == {"DequantizeLinear"}


def test_a_bias_far_larger_than_its_weights_fits_32_bits() -> None:
    weights = some(4, 4, 3, 3) * np.array([0, 1e-8, 1, 1], np.float32).reshape(4, 1, 1, 1)
    both(file([CONV], {"w": weights, "b": np.array([1e3, 5e3, 1, 0], np.float32)}), X, most=0.01)


def refused(model: bytes, why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        quantizable(model)


def test_what_cannot_be_quantized_is_refused_with_a_reason() -> None:
    ranges = calibrations(file([CONV], WEIGHTS), [X], ["minmax"])["minmax"]
    refused(quantize(file([CONV], WEIGHTS), ranges, "cpu"), "quantized already")
    refused(b"no model", "no ONNX model")
    refused(b"", "opset|no ONNX model|does not load")
    refused(file([CONV], WEIGHTS, opset=11), "opset 11; 13 to 22")
    refused(file([node("Conv", "x nowhere", "y")], WEIGHTS), "does not load")
    apart = onnx.load_from_string(file([CONV], WEIGHTS))
    apart.graph.initializer[0].data_location = TensorProto.EXTERNAL
    refused(apart.SerializeToString(), "weights in another file")
    assert quantizable(file([node("Relu", "x", "y")], {})) == ()


def test_nodes_without_names_get_the_same_ones_each_time() -> None:
    model = file([*BODY, node("Conv", "r w b", "y", name="")], WEIGHTS)
    names = [item.name for item in prepared(model).graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    assert prepared(prepared(model).SerializeToString()) == prepared(model)


@given(st.data())
@settings(max_examples=25)
def test_a_cut_or_changed_file_is_quantized_or_refused(data: st.DataObject) -> None:
    model = bytearray(foreign("gru").model)
    for _ in range(data.draw(st.integers(1, 3))):
        model[data.draw(st.integers(0, 2000))] = data.draw(st.integers(0, 255))
    try:
        onnx.checker.check_model(onnx.load_from_string(bytes(model)), full_check=True)  # the lint's first rule
    except Exception:
        return
    try:
        quantizable(bytes(model))
    except RejectedError as error:
        assert str(error)
