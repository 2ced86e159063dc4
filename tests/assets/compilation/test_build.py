"""One model for every target: graphs that any runtime loads, real plans, and recipes for what only a device builds."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from assets.compilation import build as build_module
from assets.compilation import optimize
from assets.compilation.build import build_targets
from assets.compilation.lint import lint_model
from assets.compilation.optimize import runtime_graph
from assets.compilation.recipes import memory_needed
from assets.compilation.shapes import Inputs
from assets.errors import CompileError
from assets.storage.store import Store
from edge.contracts import TARGETS, BuildRecipe, from_bytes, to_bytes
from edge.engine.library import installed_version
from edge.engine.request import flags_of
from edge.runtime.footprint import footprint
from tests.edge.onnx_models import conv_net, detector

RTX = pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here")
SIZES = {"picture": [(1, 3, 32, 32), (1, 3, 64, 64)]}


def legacy() -> onnx.ModelProto:
    """What an older exporter leaves: a BatchNorm that could be folded, an Identity, a constant that is computed."""
    draw = np.random.default_rng(1)
    constants = {
        "w": draw.normal(size=(4, 3, 3, 3)).astype(np.float32),
        **{name: draw.uniform(0.5, 1, size=4).astype(np.float32) for name in ("scale", "bias", "mean", "var")},
        "a": np.float32(2.0),
        "b": np.float32(3.0),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"], name="norm"),
        helper.make_node("Identity", ["n"], ["i"], name="same"),
        helper.make_node("Add", ["a", "b"], ["five"], name="five"),
        helper.make_node("Mul", ["i", "five"], ["m"], name="times"),
        helper.make_node("GlobalAveragePool", ["m"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["y"], name="flatten"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "legacy",
        [value("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [value("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_rewrite_ships_where_it_is_smaller_and_answers_the_same() -> None:
    source = legacy().SerializeToString()
    fed = {"x": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)}
    graph = runtime_graph(source, "float", fed)
    assert graph.saved, graph.note
    assert "7 nodes became" in graph.note
    saved = onnx.load_from_string(graph.model)
    assert [(entry.domain, entry.version) for entry in saved.opset_import] == [("", 17)]
    assert saved.ir_version == 8
    assert lint_model(graph.model, "float") == ()
    first, second = (
        ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, fed)[0]
        for data in (source, graph.model)
    )
    assert np.allclose(first, second, atol=1e-5)
    assert len(graph.model) <= len(source)


def test_a_rewrite_that_is_larger_or_slower_does_not_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    model = legacy()
    fed = {"x": np.ones((1, 3, 8, 8), np.float32)}
    slow = {"source": np.full((20, 3), 1.0), "saved": np.full((20, 3), 1.03)}
    monkeypatch.setattr(optimize, "bounded_ms", lambda *_: slow)
    graph = runtime_graph(model.SerializeToString(), "float", fed)
    assert not graph.saved
    assert "runs at 0.97 times" in graph.note
    nodes = model.graph.node
    next(node for node in nodes if node.name == "five").input[1] = "many"
    nodes.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["many"], name="many"))
    # three numbers that folding makes 144 of
    model.graph.initializer.append(numpy_helper.from_array(np.array([4, 6, 6]), "shape"))
    source = model.SerializeToString()
    graph = runtime_graph(source, "float", fed)
    assert (graph.model, graph.saved) == (source, False)
    assert "bytes, the file" in graph.note


@pytest.mark.parametrize("dialect", ["float", "cpu"])
def test_a_graph_without_anything_to_gain_ships_as_it_is(dialect: Any) -> None:
    model = conv_net() if dialect == "float" else conv_net(True, zero_type=np.uint8, zero=128)
    source = model.SerializeToString()
    graph = runtime_graph(source, dialect, {"input": np.zeros((1, 1, 8, 8), np.float32)})
    assert (graph.model, graph.saved) == (source, False)
    assert "as it is" in graph.note


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def files(store: Store) -> dict[str, Any]:
    data = detector().SerializeToString()
    return {dialect: store.put("foreign", data, "onnx", ".onnx") for dialect in ("float", "cpu", "tensorrt")}


NAMES = ("cpu-x86", "cpu-x86-vnni", "cpu-arm64", "rtx-sm86", "rtx-sm120", "orin-jp6", "thor-jp7", "trt-sm90")


@RTX
def test_every_kind_of_target_gets_its_own(store: Store, files: dict[str, Any]) -> None:
    targets = [TARGETS[name] for name in NAMES]
    made = build_targets(store, "foreign", files, targets, inputs=Inputs(SIZES, 4, foreign=True))
    assert tuple(made) == NAMES
    shapes = "picture=1x3x32x32..1x3x64x64..4x3x64x64,extra=1x2..1x2..4x2"
    for name in ("rtx-sm86", "rtx-sm120"):
        built = made[name]
        assert built.plan is not None
        assert built.plan.sm == built.target.sm
        assert built.flags == f"strongly-typed;{shapes}"
        assert built.builder == f"tensorrt_rtx {built.target.runtime_version}"
        assert built.file.parents == (files["tensorrt"].sha256,)
    for name in ("orin-jp6", "thor-jp7", "trt-sm90"):
        built, target = made[name], TARGETS[name]
        assert built.file == files["tensorrt"]
        assert (built.plan, built.build_mb) == (None, None)
        recipe = built.recipe
        assert recipe is not None
        assert (recipe.sm, recipe.arch, recipe.model) == (target.sm, target.arch, built.file.sha256)
        assert (recipe.least_version, recipe.below_version) == (target.runtime_version, target.below_version)
        assert recipe.flags == flags_of(recipe.shapes) == f"strongly-typed;{shapes}"
        assert "estimated, not measured" in recipe.memory_how
        assert from_bytes(BuildRecipe, to_bytes(recipe)) == recipe
        assert "built on the device" in built.note
    cpus = [made[name] for name in ("cpu-x86", "cpu-x86-vnni", "cpu-arm64")]
    assert len({built.file.sha256 for built in cpus}) == 1
    assert cpus[-1].peak_mb is None
    rtx_peak = made["rtx-sm86"].build_mb
    assert rtx_peak is not None
    assert rtx_peak < memory_needed(store.fetch(files["tensorrt"]), ())[0]

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a child process was started")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", never)  # `run` opens one, too
        again = build_targets(store, "foreign", files, targets, inputs=Inputs(SIZES, 4, foreign=True))
    assert {name: built.file for name, built in again.items()} == {name: built.file for name, built in made.items()}
    assert all(built.reused for built in again.values() if built.recipe is None)


@RTX
def test_other_shapes_are_another_plan(store: Store, files: dict[str, Any]) -> None:
    wider = {"picture": [(1, 3, 32, 32), (1, 3, 96, 96)]}
    target = TARGETS["rtx-sm86"]
    built = build_targets(store, "foreign", files, [target], inputs=Inputs(wider, 4, foreign=True))[target.name]
    assert not built.reused
    assert "4x3x96x96" in built.flags


def test_an_open_axis_without_examples_is_refused(store: Store, files: dict[str, Any]) -> None:
    with pytest.raises(CompileError, match="no example tells its size"):
        build_targets(store, "foreign", files, [TARGETS["orin-jp6"]], inputs=Inputs(foreign=True))


def test_a_device_interface_is_asked_for_unless_the_file_is_foreign(store: Store, files: dict[str, Any]) -> None:
    with pytest.raises(CompileError, match="one-input-one-output"):
        build_targets(store, "foreign", files, [TARGETS["cpu-x86"]], inputs=Inputs(SIZES))


def test_a_graph_is_measured_again_on_another_machine_and_where_its_document_is_of_another_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = conv_net(True, zero_type=np.uint8, zero=128).SerializeToString()
    files = {"cpu": store.put("small", data, "onnx", ".onnx")}
    peaks = iter((50.0, 60.0, 70.0))
    monkeypatch.setattr(build_module, "footprint", lambda *_: SimpleNamespace(peak_mb=next(peaks)))

    def built() -> tuple[float | None, bool]:
        made = build_targets(store, "small", files, [TARGETS["cpu-x86"]])["cpu-x86"]
        return made.peak_mb, made.reused

    assert [built(), built()] == [(50.0, False), (50.0, True)]
    (kept,) = Path(store.path("store/small/graphs")).glob("*.json")
    kept.write_text(kept.read_text("utf-8").replace('"1.0"', '"9.0"'), "utf-8")
    assert [built(), built()] == [(60.0, False), (60.0, True)]
    monkeypatch.setattr(build_module, "machine_name", lambda: "another")
    assert built() == (70.0, False)


def test_a_footprint_is_of_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(conv_net(), path)
    found = footprint(path, {"input": (1, 1, 8, 8)})
    assert 10 < found.start_mb <= found.peak_mb < 1000
