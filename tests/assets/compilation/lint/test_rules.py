"""Each rule finds its own kind of broken model, by name, and lets sound models through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from assets.compilation.lint import RULES, check_model, lint_model, rules, rules_table
from assets.errors import CompileError
from tests.assets.foreign_models import NAMES, foreign
from tests.edge.onnx_models import conv_net

SOUND = conv_net(True).SerializeToString()
ROOM = Path(__file__).parents[4] / "assets/compilation"
Change = Callable[[Any], Any]


def findings(model: onnx.ModelProto | bytes, dialect: Any = "tensorrt", **how: Any) -> list[str]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return [finding.rule for finding in lint_model(data, dialect, **how)]


def changed(change: Change, quantized: bool = False) -> onnx.ModelProto:
    """The conv net after `change`."""
    model = conv_net(quantized)
    change(model)
    return model


def constant(name: str, value: Any) -> Change:
    """Give a constant another value."""

    def change(model: Any) -> None:
        (tensor,) = [one for one in model.graph.initializer if one.name == name]
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), name))

    return change


def small(*nodes: Any, kind: int = TensorProto.FLOAT, shape: Any = ("n", 2), **constants: Any) -> onnx.ModelProto:
    """A model from x to y of one kind and shape."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "g", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), name=kind.lower(), **attributes)


def loop(trips: int) -> onnx.ModelProto:
    def value(name: str, kind: int, shape: Any) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [node("Identity", "go", "go_on"), node("Identity", "carried", "kept")],
        "body",
        [value("i", 7, []), value("go", 9, []), value("carried", 1, ["n", 2])],
        [value("go_on", 9, []), value("kept", 1, ["n", 2])],
    )
    return small(node("Loop", "trips go x", "y", body=body), trips=np.int64(trips), go=np.bool_(True))


def nested(depth: int) -> onnx.ModelProto:
    """Branches of branches, each level twice the one below."""
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, ["n", 2])
    graph = helper.make_graph([node("Identity", "x", "o")], "leaf", [], [output])
    for _ in range(depth):
        graph = helper.make_graph([node("If", "yes", "o", then_branch=graph, else_branch=graph)], "g", [], [output])
    return small(*graph.node, node("Identity", "o", "y"), yes=np.bool_(True))


def elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../etc/passwd"


def other_domain(model: Any) -> None:
    model.graph.node[1].domain = "com.acme"
    model.opset_import.append(helper.make_opsetid("com.acme", 1))


def own_function(model: Any) -> None:
    relu = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [relu], [helper.make_opsetid("", 20)]))


def half(model: Any) -> None:
    """Q/DQ within float16."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16


def text(model: Any) -> bytes:
    """A name that is not UTF-8."""
    return bytes(model.SerializeToString()).replace(b"flatten", b"fl\xff\xfeten")


Q_AND_DQ = (node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y"))
TILES = (node("Tile", "x times", "t"), node("ReduceMax", "t axes", "m"), node("Add", "m x", "y"))
ANY: dict[str, Any] = {"interface": "any"}
BROKEN: dict[str, list[tuple[Any, dict[str, Any]]]] = {
    "valid-protobuf": [
        (b"", {}),
        (b"plain text\n" * 40, {}),
        (SOUND[: len(SOUND) // 2], {}),
        (b"\x08\x0a", {}),  # a version and no graph
    ],
    "readable-names": [
        (text(conv_net()), {}),
        (changed(lambda model: setattr(model.graph.node[0], "name", "a\x00b")), {}),
        (changed(lambda model: setattr(model.graph.node[0], "name", "n" * 501)), {}),
    ],
    "known-ir-version": [(conv_net(ir_version=11), {})],
    "known-opset": [
        (conv_net(opset=12), {}),
        (changed(lambda model: setattr(model.opset_import[0], "version", 99)), {}),
        (changed(lambda model: model.opset_import.append(helper.make_opsetid("ai.onnx", 20))), {}),
    ],
    "standard-operators": [(changed(other_domain), {})],
    "no-local-functions": [(changed(own_function), {})],
    "no-external-data": [(changed(elsewhere), {})],
    "tensors-only": [
        (changed(lambda model: model.graph.input[0].type.sequence_type.elem_type.tensor_type.SetInParent()), {}),
        (changed(lambda model: model.graph.sparse_initializer.add()), {}),
    ],
    "no-strings": [
        (small(node("Cast", "x", "t", to=8), node("Cast", "t", "y", to=1)), {}),
        (small(node("Identity", "x", "y"), kind=TensorProto.STRING), {}),
    ],
    "valid-graph": [
        (changed(lambda model: model.graph.node[1].input.__setitem__(0, "nowhere")), {}),
        (changed(lambda model: setattr(model.graph.node[1], "op_type", "Einstein")), {}),
        (small(node("Identity", "x", "y"), shape=None), {}),  # onnx itself wants a shape
        (changed(lambda model: setattr(model.graph.initializer[0], "raw_data", b"1234")), {}),
    ],
    "unique-names": [(changed(lambda model: model.graph.initializer.append(model.graph.initializer[0])), {})],
    "bounded-loops": [(loop(2**40), {}), (loop(10_001), {})],
    "tensor-size": [
        (small(node("Identity", "x", "y"), shape=["n", 4096, 4096]), {}),
        (small(node("ConstantOfShape", "sizes", "c"), node("Add", "x c", "y"), sizes=np.array([2**40, 2])), {}),
        (small(*TILES, times=np.array([1, 2**40]), axes=np.array([1])), {}),
    ],
    "finite-weights": [
        (changed(constant("b1", np.full(8, np.nan, np.float32))), {}),
        (changed(constant("w1", np.full((8, 1, 3, 3), np.inf, np.float32))), {}),
    ],
    "positive-scales": [
        (changed(constant("features_scale", np.float32(bad)), True), {}) for bad in (0, -0.1, np.nan, np.inf, 1e-42)
    ],
    "one-scale-each": [
        (changed(constant("w1_scale", np.ones(5, np.float32)), True), {}),
        (changed(constant("w1_zero", np.zeros(5, np.int8)), True), {}),
    ],
    "one-input-one-output": [
        (
            changed(
                lambda model: model.graph.output.append(helper.make_tensor_value_info("conv", 1, ["batch", 8, 8, 8]))
            ),
            {},
        )
    ],
    "float32-interface": [(small(node("Identity", "x", "y"), kind=TensorProto.DOUBLE), {})],
    "known-rank": [(small(node("Identity", "x", "y"), shape=["n"]), {})],
    "dynamic-batch": [(conv_net(batch=4), {})],
    "only-batch-dynamic": [(conv_net(height="h"), {})],
    "known-shape": [
        (small(node("Identity", "x", "y"), shape=["n", 0]), ANY),
        (changed(lambda model: model.graph.input[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 0)), ANY),
    ],
    "numeric-interface": [(small(node("Identity", "x", "y"), kind=TensorProto.COMPLEX64), ANY)],
    "explicit-qdq": [(small(node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "y")), {})],
    "float-bias": [(conv_net(True, int32_bias=True), {})],
    "s8-quantization": [
        (conv_net(True, zero_type=np.uint8), {}),
        (small(node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "y"), s=np.float32(0.1)), {}),
    ],
    "symmetric-quantization": [(conv_net(True, zero=3), {})],
    "tensor-activations": [
        (
            small(*Q_AND_DQ, s=np.full(2, 0.1, np.float32), z=np.zeros(2, np.int8)),
            {},
        )
    ],
    "paired-quantization": [
        (small(Q_AND_DQ[0], node("Cast", "q", "y", to=1), s=np.float32(0.1), z=np.int8(0)), {}),
        (small(node("Cast", "x", "q", to=3), Q_AND_DQ[1], s=np.float32(0.1), z=np.int8(0)), {}),
    ],
    "no-float64": [(small(node("Cast", "x", "d", to=11), node("Cast", "d", "y", to=1)), {})],
    "sm75-gemm": [(SOUND, {"sms": (75, 86)}), (conv_net(), {"sms": (75,)})],
    "no-int8-in-float16": [(changed(half, True), {"dialect": "cpu", **ANY})],
}
SLOW = {"resnet", "vit"}
"""Their export takes seconds."""
ELSEWHERE = {"size-limit", "graph-limit", "loads", "survives-checking"}
"""Rules whose tests are below, and in `test_compilation_supervised.py`."""


def test_sound_models_break_no_rule() -> None:
    assert findings(conv_net(), "float") == []
    assert findings(conv_net(True, zero_type=np.uint8, zero=128), "cpu") == []
    assert findings(SOUND) == []
    assert findings(SOUND, sms=(80, 86)) == []
    assert findings(loop(3)) == []
    assert findings(small(*Q_AND_DQ, s=np.float32(0.1), z=np.int8(0))) == []


def test_every_rule_is_tested() -> None:
    assert {*BROKEN, *ELSEWHERE} == {*RULES}


@pytest.mark.parametrize("rule", BROKEN)
def test_every_rule_finds_its_own(rule: str) -> None:
    for model, how in BROKEN[rule]:
        assert rule in findings(model, **how), model


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.nightly] if name in SLOW else []) for name in NAMES]
)
def test_models_that_others_made_are_sound(name: str) -> None:
    model = foreign(name).model
    assert findings(model, "float", interface="any") == []
    if name == "detector":
        assert set(findings(model, "float")) == {"one-input-one-output", "only-batch-dynamic"}


def test_a_fixed_batch_and_several_outputs_are_no_faults_of_a_users_file() -> None:
    model = conv_net(batch=4)
    model.graph.output.append(helper.make_tensor_value_info("conv", 1, [4, 8, 8, 8]))
    assert findings(model, interface="any") == []
    assert set(findings(model)) == {"dynamic-batch", "one-input-one-output"}


def test_masks_may_be_infinite() -> None:
    for last, told in ((-np.inf, []), (np.nan, ["finite-weights"])):
        assert findings(small(node("Add", "x mask", "y"), mask=np.array([[0, last]], np.float32))) == told


def test_files_of_too_many_bytes_nodes_or_branches_are_found_before_they_cost_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "MAX_MODEL_BYTES", 100)
    assert findings(SOUND) == ["size-limit"]
    monkeypatch.undo()
    assert findings(nested(12)) == ["graph-limit"]
    monkeypatch.setattr("assets.compilation.lint.file_checks.MAX_NODES", 4)
    assert findings(SOUND) == ["graph-limit"]


def test_an_error_names_file_rule_node_reason_and_remedy() -> None:
    with pytest.raises(CompileError) as caught:
        check_model(conv_net(True, zero=3).SerializeToString(), "tensorrt", "net.onnx")
    told = str(caught.value)
    assert told.startswith("net.onnx: not compiled, the model breaks 1 rule(s)")
    assert "symmetric-quantization at 'input_q': its zero point is not 0; use ActivationSymmetric" in told


def test_the_checkers_own_reason_names_the_node() -> None:
    model = changed(lambda model: setattr(model.graph.node[1], "op_type", "Einstein"))
    (finding,) = lint_model(model.SerializeToString(), "float")
    assert finding.rule == "valid-graph"
    assert "Einstein" in finding.reason
    assert finding.node == "relu"


def test_the_readme_lists_every_rule() -> None:
    assert rules_table() in (ROOM / "README.md").read_text()
    assert all(rule.why and rule.remedy for rule in RULES.values())


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, len(SOUND) - 1), value=st.binary(min_size=1, max_size=4))
def test_changed_bytes_are_accepted_or_found_without_a_crash(at: int, value: bytes) -> None:
    data = SOUND[:at] + value + SOUND[at + len(value) :]
    for finding in lint_model(data, "tensorrt"):
        assert finding.rule in RULES
        assert finding.reason
