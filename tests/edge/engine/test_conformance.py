"""One code path for every library: the same suite runs TensorRT-RTX for real, and TensorRT 10.3 to 11 as a fake."""

from __future__ import annotations

import dataclasses
import hashlib
import operator
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edge
from edge.child import bare_environment
from edge.contracts import BuildRecipe, InputShapes
from edge.engine import build as build_module
from edge.engine import recipe as recipe_module
from edge.engine.build import BuildLimits, build_plan
from edge.engine.build_child import build
from edge.engine.header import parse_plan
from edge.engine.library import installed_version, load_tensorrt
from edge.engine.recipe import build_from
from edge.engine.request import BuildRequest, flags_of
from edge.engine.versions import OPTIONS, TABLE, check_library, rules_for, versions_of
from edge.errors import EdgeError, IncompatibleError, RejectedError, TransientError
from tests.edge.engine import fake_tensorrt
from tests.edge.onnx_models import conv_net

VERSIONS = ("10.3.0.30", "10.16.1.11", "11.4.1.2")
Builds = Callable[..., tuple[bytes, list[str]]]


@pytest.fixture(scope="module", params=("rtx", *VERSIONS))
def library(request: pytest.FixtureRequest) -> Any:
    if request.param != "rtx":
        return fake_tensorrt.make(request.param)
    if not installed_version("tensorrt_rtx"):
        pytest.skip("TensorRT-RTX is not installed here")
    return load_tensorrt("tensorrt_rtx")


@pytest.fixture
def builds(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    """Builds an ONNX model with this library, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    runtime: Any = "tensorrt" if library.__name__ == "tensorrt" else "tensorrt_rtx"
    rules = rules_for(runtime, library.__version__)

    def run(model: bytes, sm: int = 86, gpu: int = 86, **fields: Any) -> tuple[bytes, list[str]]:
        request = BuildRequest(runtime, sm, 2048, **fields)
        check_library(library, rules, request.options)
        return build(model, request, library, rules, gpu=lambda: gpu)

    return run


def test_every_library_is_what_its_row_says(library: Any) -> None:
    rules = rules_for("tensorrt" if library.__name__ == "tensorrt" else "tensorrt_rtx", library.__version__)
    check_library(library, rules)
    for name in rules.gone:  # what the row says that this version has not
        with pytest.raises(AttributeError):
            operator.attrgetter(name)(library)
    flags = {name for name in dir(library.BuilderFlag) if name in {"FP16", "INT8", "BF16"}}
    assert flags == {"FP16", "INT8", "BF16"}.intersection(rules.weak_flags)
    assert hasattr(library, "IInt8Calibrator") is rules.calibrators


@pytest.mark.parametrize("quantized", [False, True])
def test_a_sound_model_becomes_a_plan_of_that_library(library: Any, builds: Builds, quantized: bool) -> None:
    plan, warnings = builds(conv_net(quantized).SerializeToString())
    header = parse_plan(plan)
    assert header.version == library.__version__
    assert header.tag == rules_for(header.runtime, header.version).tag
    assert header.sms in (None, (86,))
    assert not [warning for warning in warnings if "INT8" in warning]


def test_what_is_no_model_is_refused(builds: Builds) -> None:
    for data in (b"", b"just some text\n" * 20):
        with pytest.raises(RejectedError, match=r"holds no model|cannot read"):
            builds(data)


def test_an_unknown_operator_is_refused_by_its_node(builds: Builds) -> None:
    model = conv_net()
    model.graph.node[1].op_type = "Einstein"
    with pytest.raises(RejectedError, match=r"node 'relu' \(Einstein\): "):
        builds(model.SerializeToString())


def test_unsigned_activations_are_refused_by_their_node(builds: Builds) -> None:
    with pytest.raises(RejectedError, match=r"silently change the model at node 'input_q' \(QuantizeLinear\)"):
        builds(conv_net(True, zero_type=np.uint8).SerializeToString())


def test_a_builder_that_gives_neither_plan_nor_reason_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library = fake_tensorrt.make("10.3.0.30")
    library.Builder.build_serialized_network = lambda *_: None
    request, rules = BuildRequest("tensorrt", 87, 64), rules_for("tensorrt", "10.3.0.30")
    with pytest.raises(RejectedError, match="cannot build the model: the builder gives no reason"):
        build(conv_net().SerializeToString(), request, library, rules, gpu=lambda: 87)


def test_shapes_are_set_for_what_is_open(builds: Builds) -> None:
    model = conv_net(height="h").SerializeToString()
    shapes = (InputShapes("input", (1, 1, 4, 8), (1, 1, 8, 8), (2, 1, 16, 8)),)
    assert builds(model, shapes=shapes)[0]
    with pytest.raises(RejectedError, match="the batch axis, and only it, must be open"):
        builds(model)


def test_options_are_those_of_the_row(library: Any, builds: Builds) -> None:
    model = conv_net().SerializeToString()
    rules = rules_for("tensorrt" if library.__name__ == "tensorrt" else "tensorrt_rtx", library.__version__)
    for option in OPTIONS:
        if option in rules.options:
            assert builds(model, options=(option,))[0]
        else:
            with pytest.raises(RejectedError, match=f"takes no option '{option}'"):
                builds(model, options=(option,))
    with pytest.raises(RejectedError, match="takes no option 'fast'"):
        builds(model, options=("fast",))


def test_a_plan_is_built_for_the_sm_that_was_asked(library: Any, builds: Builds) -> None:
    model = conv_net().SerializeToString()
    if library.__name__ != "tensorrt":
        assert parse_plan(builds(model, sm=120)[0]).sms == (120,)
        return
    with pytest.raises(IncompatibleError, match=r"the GPU of its own machine, which is SM87, not SM110"):
        builds(model, sm=110, gpu=87)


def test_timings_are_kept_where_there_are_any(library: Any, builds: Builds, tmp_path: Path) -> None:
    model, cache = conv_net().SerializeToString(), tmp_path / "timing.cache"
    builds(model)
    if library.__name__ != "tensorrt":
        assert not cache.exists()
        return
    assert cache.read_bytes() == b"timings+"
    builds(model)
    assert cache.read_bytes() == b"timings++"
    cache.write_bytes(b"of another machine")
    builds(model)
    assert cache.read_bytes() == b"timings+"


def test_the_table_has_no_gap_and_no_overlap() -> None:
    for runtime in ("tensorrt", "tensorrt_rtx"):
        rows = sorted((row for row in TABLE if row.runtime == runtime), key=lambda row: row.least)
        assert all(first.below == second.least for first, second in pairwise(rows))
        assert {row.modules for row in rows} == {rows[0].modules}
    assert versions_of("tensorrt") == ("10.3", "12")
    assert [rules_for("tensorrt", version).dla for version in VERSIONS] == [True, False, False]
    assert [rules_for("tensorrt", version).strong_typing for version in VERSIONS] == ["flag", "flag", "always"]


@pytest.mark.parametrize("version", ["10.2.9", "12.0", "8.6", "", "newest"])
def test_an_unknown_version_is_refused(version: str) -> None:
    with pytest.raises(IncompatibleError, match=r"not known here \(tensorrt 10\.3 to below 10\.16, "):
        rules_for("tensorrt", version)


def test_a_library_without_a_name_that_is_used_is_refused() -> None:
    library = fake_tensorrt.make("10.3.0.30")
    del library.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    with pytest.raises(IncompatibleError, match=r"has no NetworkDefinitionCreationFlag\.STRONGLY_TYPED"):
        check_library(library, rules_for("tensorrt", "10.3.0.30"))


def test_a_weak_flag_would_fail_the_build(builds: Builds, library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the fake proves that none is set, as the real library would."""
    if library.__name__ != "tensorrt" or library.__version__.startswith("11"):
        return  # there is no such flag
    monkeypatch.setattr(fake_tensorrt.IBuilderConfig, "set_memory_pool_limit", lambda self, *_: self.set_flag("FP16"))
    with pytest.raises(RejectedError, match=r"cannot build the model: flags \['FP16'\]"):
        builds(conv_net().SerializeToString())


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with TensorRT 10.3 and a GPU of SM87, as far as the child process can tell."""
    folder = tmp_path / "device"
    folder.mkdir()
    (folder / "tensorrt.py").write_text(
        "import fake_tensorrt\nglobals().update(vars(fake_tensorrt.make('10.3.0.30', '10.3.0')))\n"
    )
    (folder / "sitecustomize.py").write_text(
        "import types\nimport edge.engine.cuda as cuda\ncuda.Cuda = lambda: types.SimpleNamespace(sm=87)\n"
    )
    here = str(Path(__file__).parent)
    path = f"{folder}:{here}:{Path(edge.__file__).parent.parent}"
    monkeypatch.setattr(build_module, "bare_environment", partial(bare_environment, PYTHONPATH=path))
    return folder


def test_a_device_builds_its_own_plan_in_a_child(device: Path, tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    onnx.save(conv_net(True), model)
    cache = tmp_path / "kept" / "timings"
    log = build_plan(model, 87, tmp_path / "p.plan", BuildLimits(memory_mb=64), runtime="tensorrt", timing_cache=cache)
    assert (log.header.tag, log.header.version, log.header.sm) == ("ftrt", "10.3.0.30", 87)
    assert cache.read_bytes() == b"timings+"
    with pytest.raises(IncompatibleError, match="which is SM87, not SM110"):
        build_plan(model, 110, tmp_path / "p.plan", BuildLimits(memory_mb=64), runtime="tensorrt")


def test_a_device_follows_a_recipe_or_says_why_not(
    device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, shapes = tmp_path / "net.onnx", (InputShapes("input", (1, 1, 8, 8), (1, 1, 8, 8), (8, 1, 8, 8)),)
    onnx.save(conv_net(True), model)
    found = hashlib.sha256(model.read_bytes()).hexdigest()
    recipe = BuildRecipe(
        found, "tensorrt", "aarch64", 87, "10.3", "11", flags_of(shapes), shapes, 64, "a test says so", 60.0
    )
    monkeypatch.setattr(recipe_module, "builder_version", lambda _: "10.3.0.30")
    log = build_from(recipe, model, tmp_path / "p.plan", tmp_path / "timings")
    assert (log.header.tag, log.header.sm, log.flags) == ("ftrt", 87, recipe.flags)
    for change, reason in (
        ({"model": "f" * 64}, "not the file of this recipe"),
        ({"flags": "weakly-typed"}, "this software cannot ask"),
        ({"least_version": "10.9"}, r"is for tensorrt 10\.9 to below 11, this machine has 10\.3\.0\.30"),
        ({"memory_mb": 99_999_999}, "it waits for more memory"),
    ):
        with pytest.raises(EdgeError, match=reason):
            build_from(dataclasses.replace(recipe, **change), model, tmp_path / "p.plan", tmp_path / "timings")


def test_a_build_waits_for_memory(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"needs about 99999999 MiB, \d+ MiB are free; it waits"):
        build_plan(quantized, 87, tmp_path / "p.plan", BuildLimits(memory_mb=99_999_999), runtime="tensorrt")


def test_a_machine_without_the_library_says_so(quantized: Path, tmp_path: Path) -> None:
    if installed_version("tensorrt"):
        pytest.skip("TensorRT is installed here")
    with pytest.raises(IncompatibleError, match="tensorrt does not load on this machine"):
        build_plan(quantized, 87, tmp_path / "p.plan", BuildLimits(memory_mb=64), runtime="tensorrt")
