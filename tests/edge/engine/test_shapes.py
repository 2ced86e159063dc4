"""Several inputs, several outputs, open heights and widths: real plans of TensorRT-RTX for stated shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.contracts import BuildRecipe, InputShapes, from_bytes, to_bytes
from edge.engine.build import FLAGS, build_plan
from edge.engine.build_child import build, load
from edge.engine.library import installed_version
from edge.engine.request import BuildRequest, flags_of
from edge.errors import ContractError, RejectedError
from tests.edge.onnx_models import conv_net, detector

pytestmark = pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")
PICTURE = InputShapes("picture", (1, 3, 32, 32), (1, 3, 64, 64), (4, 3, 96, 128))
EXTRA = InputShapes("extra", (1, 2), (1, 2), (4, 2))


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(model, path)
    return path


def built_here(model: onnx.ModelProto, shapes: tuple[InputShapes, ...] = ()) -> bytes:
    """Built in this process, to save the start of another one."""
    request = BuildRequest("tensorrt_rtx", 86, 4096, shapes)
    trt, rules = load(request)
    return build(model.SerializeToString(), request, trt, rules)[0]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a build notes the node that it reads."""
    monkeypatch.chdir(tmp_path)


def test_a_plan_for_several_inputs_and_open_sizes(tmp_path: Path) -> None:
    log = build_plan(saved(detector(), tmp_path), 86, tmp_path / "p.plan", shapes=(PICTURE, EXTRA))
    assert log.header.sm == 86
    assert log.flags == flags_of((PICTURE, EXTRA))
    assert log.flags == "strongly-typed;picture=1x3x32x32..1x3x64x64..4x3x96x128,extra=1x2..1x2..4x2"
    assert flags_of() == FLAGS == "strongly-typed;batch=1..32,1"


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ((), r"'picture' has shape \(-1, 3, -1, -1\); the batch axis, and only it, must be open"),
        ((PICTURE,), r"'extra' has open axes \(-1, 2\), and no shapes are given"),
        ((PICTURE, InputShapes("extra", (1, 3), (1, 3), (4, 3))), r"'extra' has shape \(-1, 2\), which the given"),
        ((PICTURE, EXTRA, InputShapes("mask", (1,), (1,), (1,))), "given for mask, the model's inputs are 'picture'"),
    ],
    ids=["none", "one", "wrong", "unknown"],
)
def test_shapes_that_do_not_fit_are_refused(shapes: tuple[InputShapes, ...], reason: str) -> None:
    with pytest.raises(RejectedError, match=reason):
        built_here(detector(), shapes)


def test_a_fixed_batch_builds_where_shapes_are_stated() -> None:
    shape = (4, 1, 8, 8)
    assert len(built_here(conv_net(batch=4), (InputShapes("input", shape, shape, shape),))) > 10_000


def test_shapes_are_a_contract() -> None:
    recipe = BuildRecipe("a" * 64, "tensorrt", "aarch64", 87, "10.3", "12", "f", (PICTURE,), 2048, "guessed", 900.0)
    assert from_bytes(BuildRecipe, to_bytes(recipe)) == recipe
    for wrong in ({"low": (2, 3, 32, 32)}, {"high": (4, 3)}, {"low": (0, 3, 32, 32)}):
        fields = {"name": "x", "low": PICTURE.low, "usual": PICTURE.usual, "high": PICTURE.high, **wrong}
        with pytest.raises(ValueError, match="shapes of input 'x'"):
            InputShapes(**fields)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="memory_mb"):
        from_bytes(BuildRecipe, to_bytes(recipe).replace(b":2048", b":0"))


def graph_of(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_numbers_beyond_float32_are_not_cut_silently() -> None:
    nodes = [
        helper.make_node("Cast", ["big"], ["small"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "small"], ["y"], name="scale"),
    ]
    model = graph_of(nodes, {"big": np.full(4, 1e300)})
    with pytest.raises(RejectedError, match=r"silently change the model.*float64 constants are cut"):
        built_here(model)


def test_a_seed_is_not_lost_silently() -> None:
    nodes = [
        helper.make_node("RandomUniform", [], ["noise"], name="draw", shape=[1, 4], seed=1.0),
        helper.make_node("Add", ["x", "noise"], ["y"], name="add"),
    ]
    with pytest.raises(RejectedError, match=r"at node 'draw' \(RandomUniform\).*loses its seed"):
        built_here(graph_of(nodes, {}))


def test_an_operator_that_is_not_supported_is_named() -> None:
    nodes = [helper.make_node("Bernoulli", ["x"], ["y"], name="toss")]
    with pytest.raises(RejectedError, match=r"node 'toss' \(Bernoulli\): it does not support this operator"):
        built_here(graph_of(nodes, {}))


def test_an_input_that_decides_shapes_is_refused() -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"], name="reshape")]
    model = graph_of(nodes, {})
    model.graph.input.append(helper.make_tensor_value_info("shape", TensorProto.INT64, [2]))
    shapes = (InputShapes("x", (1, 4), (1, 4), (8, 4)),)
    with pytest.raises(RejectedError, match=r"'shape' decides the shapes of others"):
        built_here(model, shapes)
