"""Compiling for real: ONNX files and TensorRT-RTX plans with verdicts that lead back to the teacher."""

from __future__ import annotations

import dataclasses
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import onnx
import pytest

from assets.compilation import assets as assets_module
from assets.compilation import plans as plans_module
from assets.compilation import verify as judge_module
from assets.compilation.assets import build_assets
from assets.compilation.build import Built
from assets.compilation.compile import compile_targets
from assets.compilation.documents import Engine, Engines
from assets.compilation.plans import build_plans
from assets.compilation.verify import Source, Verifier
from assets.errors import CompileError, RejectedError
from assets.evaluation import answers as measure
from assets.evaluation.answers import logits
from assets.evaluation.hits import hits
from assets.evaluation.machine import machine_name
from assets.line.config import parse_line
from assets.loading.held_out import open_held_out
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.tasks.task import load_task
from edge.contracts import (
    TARGETS,
    ArtifactRef,
    DeviceProfile,
    Provenance,
    ReleaseArtifact,
    ReleaseManifest,
    chain_gap,
    from_bytes,
    to_bytes,
)
from edge.engine.decide import decide
from edge.engine.header import parse_plan
from edge.engine.library import installed_version
from edge.errors import VerificationError
from edge.runtime.machine import machine_arch
from edge.runtime.selftest import self_test
from edge.runtime.session import open_session
from tests.assets.loading.loading_parts import load_split
from tests.edge.onnx_models import conv_net

pytestmark = [
    pytest.mark.skipif(not installed_version("tensorrt_rtx"), reason="TensorRT-RTX is not installed here"),
    pytest.mark.skipif(machine_arch() != "x86_64", reason="what is measured and what is simulated is stated for x86"),
]


@pytest.fixture(scope="module")
def engines(made: Any) -> dict[str, Engine]:
    result = compile_targets(bind(made.store, made.line), made.chosen, lambda _: None)
    made.store.save("test/result.json", result)
    return {engine.target.name: engine for engine in result.engines}


@pytest.fixture
def result(made: Any, engines: dict[str, Engine]) -> Engines:
    return made.store.load("test/result.json", Engines)


def kinds(engine: Engine) -> list[tuple[str, str]]:
    return [(verdict.stage, verdict.kind) for verdict in engine.parity]


def test_every_target_has_an_engine_whose_chain_has_no_gap(made: Any, result: Engines) -> None:
    assert tuple(engine.target.name for engine in result.engines) == made.line.config.targets
    for engine in result.engines:
        assert chain_gap(engine.parity, result.teacher, engine.file.sha256) is None
        assert engine.evidence.artifact == engine.file.sha256
        assert engine.evidence.parity == engine.parity
    assert (result.dataset, result.teacher) == (made.chosen.dataset, made.chosen.teacher)
    assert from_bytes(Engines, to_bytes(result)) == result


def test_onnx_targets_ship_the_very_file(made: Any, engines: dict[str, Engine]) -> None:
    here, there = engines["cpu-x86"], engines["cpu-arm64"]
    assert here.file == there.file == made.chosen.candidate.onnx["cpu"]
    assert kinds(here) == [("quantize", "measured"), ("compile", "measured")]
    assert kinds(there) == [("quantize", "measured"), ("compile", "simulated"), ("device", "pending")]
    assert here.evidence.latency is not None
    assert there.evidence.latency is None  # never guessed
    assert (here.evidence.size, here.evidence.builder, here.evidence.flags) == (here.file.size, "", "")
    assert here.evidence.peak_mb is not None
    assert 20 < here.evidence.peak_mb < 1000
    assert here.evidence.peak_on == machine_name()
    assert there.evidence.peak_mb is None
    assert here.parity[-1].records == 30


def test_plans_are_real_and_their_device_verdict_is_pending(made: Any, engines: dict[str, Engine]) -> None:
    for sm in (86, 89):
        engine = engines[f"rtx-sm{sm}"]
        data = made.store.fetch(engine.file)
        header = parse_plan(data)
        assert data.startswith(b"vtrt")
        assert header.sms == (sm,)
        assert engine.plan == header.plan_header(sm)
        assert engine.target.runtime_version == header.version == installed_version("tensorrt_rtx")
        assert engine.file.parents == (made.chosen.candidate.onnx["tensorrt"].sha256,)
        assert kinds(engine) == [("quantize", "measured"), ("compile", "simulated"), ("device", "pending")]
        assert engine.parity[-2].metric_drop is not None
        assert engine.evidence.latency is None
        assert engine.evidence.seconds
        assert engine.evidence.builder == f"tensorrt_rtx {header.version}"
        assert engine.evidence.flags == "strongly-typed;batch=1..32,1"
        assert engine.evidence.size == len(data) == engine.file.size
        assert engine.evidence.build_mb is not None
        assert engine.evidence.build_mb > 50
        assert engine.evidence.peak_mb is None  # nothing here runs it
    assert engines["rtx-sm86"].file.sha256 != engines["rtx-sm89"].file.sha256


def test_the_golden_set_passes_on_the_artifact_that_ships(
    made: Any, result: Engines, tmp_path: Path, engines: dict[str, Engine]
) -> None:
    engine = engines["cpu-x86"]
    path = tmp_path / "model.onnx"
    path.write_bytes(made.store.fetch(engine.file))
    session = open_session(ReleaseArtifact(engine.target, engine.file, engine.evidence), path)
    outcome = self_test(session, result.golden, result.input, engine.file.sha256)
    assert outcome.passed, outcome.reason
    assert outcome.max_abs_diff > 0  # the cpu dialect is not the float parent
    counts = Counter(record.label for record in result.golden.records)
    assert sum(counts.values()) == 16

    path.write_bytes(conv_net(True, zero_type=np.uint8, zero=128, seed=5).SerializeToString())
    other = open_session(ReleaseArtifact(engine.target, engine.file, engine.evidence), path)
    assert not self_test(other, result.golden, result.input, engine.file.sha256).passed


def test_the_same_model_is_compiled_once(made: Any, result: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(subprocess, "Popen", never)  # no process is started: `run` opens one, too
    again = compile_targets(bind(made.store, made.line), made.chosen, lambda _: None)
    assert [engine.file for engine in again.engines] == [engine.file for engine in result.engines]
    assert [engine.reused for engine in again.engines] == [True] * 4
    assert again.golden == result.golden


def test_a_kept_plan_that_was_changed_is_refused_and_a_lost_one_is_built_again(made: Any, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    model = store.put("l", made.files["tensorrt"], "onnx", ".onnx")
    first = build_plans(LineStore(store, "l"), model, [86], lambda _: None)[86][0]
    path = Path(store.path(first.file.uri))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(VerificationError, match="was changed"):
        build_plans(LineStore(store, "l"), model, [86], lambda _: None)
    path.unlink()
    plan, reused = build_plans(LineStore(store, "l"), model, [86], lambda _: None)[86]
    assert not reused
    assert store.fetch(plan.file)


def test_a_model_that_breaks_a_rule_is_refused_before_any_build(made: Any) -> None:
    files = {**made.files, "tensorrt": conv_net(True, zero=3).SerializeToString()}
    chosen = made.choose(files)
    with pytest.raises(CompileError, match="symmetric-quantization"):
        compile_targets(bind(made.store, made.line), chosen, lambda _: None)


def test_a_builders_refusal_names_line_file_and_sm(made: Any) -> None:
    with pytest.raises(CompileError, match=r"line 'l': .*\.onnx: .* for SM75: .*FP32 GEMM"):
        build_plans(LineStore(made.store, "l"), made.chosen.candidate.onnx["tensorrt"], [75], lambda _: None)


@pytest.fixture
def failed(made: Any, monkeypatch: pytest.MonkeyPatch) -> Engines:
    """What compiling answers where the plans compute something else than their source."""
    other = conv_net(True, seed=3).SerializeToString()

    monkeypatch.setattr(judge_module, "open_as_tensorrt", lambda _: measure.open_session(other))
    return compile_targets(bind(made.store, made.line), made.chosen, lambda _: None)


def test_a_compiler_that_loses_accuracy_does_not_pass(failed: Engines) -> None:
    for engine in failed.engines:
        gap = chain_gap(engine.parity, failed.teacher, engine.file.sha256)
        if engine.plan is None:
            assert gap is None
        else:
            assert str(gap).startswith("compile failed its parity check: loses ")
            assert engine.evidence.metric("accuracy", "test").value < 0.9  # of what the plan computes, not its source


def test_an_answer_that_is_no_number_does_not_pass(made: Any) -> None:
    held = open_held_out(made.store, made.dataset, "validation", made.chosen.input, made.line.config)
    task = load_task("image_classification")
    verifier = Verifier(task, "accuracy", made.line.config.data.classes, made.chosen.answer, held, held)
    fine = np.zeros((len(held.y), 4), np.float32)
    broken = np.full_like(fine, np.nan)
    verdict = verifier.verdict("measured", "a" * 64, "b" * 64, fine, broken, "a test")
    assert verdict.passed is False
    assert "NaN or infinite" in verdict.note


def test_a_rewrite_of_a_fixed_batch_is_timed_with_as_many_records(made: Any) -> None:
    held = open_held_out(made.store, made.dataset, "validation", made.chosen.input, made.line.config)
    task = load_task("image_classification")
    verifier = Verifier(task, "accuracy", made.line.config.data.classes, made.chosen.answer, held, held)
    model = conv_net(batch=4)
    before = made.store.put("fixed", model.SerializeToString(), "onnx", ".onnx")
    model.doc_string = "rewritten"
    after = made.store.put("fixed", model.SerializeToString(), "onnx", ".onnx")
    known = made.chosen.candidate.evidence["float"]
    source = Source(before, made.store.fetch(before), known, ())
    engine = verifier.engine(made.store, Built(TARGETS["cpu-x86"], after, before.sha256, "a test"), source)
    assert engine.evidence.latency.batch == 4
    assert engine.parity[-1].passed


@pytest.mark.filterwarnings("ignore")  # Pipes warns of its own calls
def test_a_failed_engine_turns_the_check_red_and_the_engines_in_use_stay(
    made: Any, failed: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.set_newest(made.line.name, made.chosen)
    monkeypatch.setattr(assets_module, "run_step", lambda *_: failed)
    done = materialize(made, store)
    assert not done.success
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("engine_matches_onnx", False)
    assert "rtx-sm86: compile failed its parity check: loses " in str(check.description)
    with pytest.raises(RejectedError, match="no engines yet"):
        store.newest(made.line.name, Engines)


def test_what_was_not_run_on_its_target_is_called_simulated(made: Any, engines: dict[str, Engine]) -> None:
    for name, engine in engines.items():
        wanted = "measured" if name == "cpu-x86" else "simulated"
        assert {metric.kind for metric in engine.evidence.metrics} == {wanted}
    test = load_split(made.store, made.dataset, "test", made.chosen.input)
    answers = logits(measure.open_session(made.files["tensorrt"], as_written=True), test.x)
    found = engines["rtx-sm86"].evidence.metric("accuracy", "test")
    assert (found.value, found.records) == (pytest.approx(hits(answers, test.y).mean()), len(test.y))


def test_what_no_target_runs_is_not_judged(made: Any) -> None:
    chosen = made.choose({**made.files, "tensorrt": conv_net(True, zero=3).SerializeToString()})
    config = made.line.config.model_dump(mode="json")
    line = parse_line(made.line.name, config | {"targets": ["cpu-x86"]}, "test")
    assert len(compile_targets(bind(made.store, line), chosen, lambda _: None).engines) == 1
    line = parse_line(made.line.name, config | {"targets": ["rtx-sm86"]}, "test")
    found = compile_targets(bind(made.store, line), made.chosen, lambda _: None)
    assert found.chosen == made.chosen.candidate.onnx["tensorrt"].sha256  # provenance leads to what ships


def test_a_missing_dataset_says_what_to_do(made: Any) -> None:
    lost = dataclasses.replace(made.chosen, dataset="0" * 64)
    with pytest.raises(RejectedError, match="materialize shapes/dataset again"):
        compile_targets(bind(made.store, made.line), lost, lambda _: None)


def test_a_rewritten_graph_is_judged_and_measured_anew(made: Any) -> None:
    model = conv_net(True, zero_type=np.uint8, zero=128)
    at, pool = next((at, node) for at, node in enumerate(model.graph.node) if node.name == "pool")
    for number in range(10):  # so many that the rewrite is smaller, though it gives names to what had none
        made_of = pool.input[0]
        pool.input[0] = f"the-same-again-{number}"
        model.graph.node.insert(at + number, onnx.helper.make_node("Identity", [made_of], [pool.input[0]]))
    chosen = made.choose({**made.files, "cpu": model.SerializeToString()})
    config = made.line.config.model_dump(mode="json") | {"targets": ["cpu-x86", "cpu-arm64"]}
    found = compile_targets(bind(made.store, parse_line(made.line.name, config, "test")), chosen, lambda _: None)
    here, there = found.engines
    source = chosen.candidate.onnx["cpu"]
    assert here.file == there.file != source
    assert here.file.parents == (source.sha256,)
    assert (here.parity[-1].parent, here.parity[-1].child) == (source.sha256, here.file.sha256)
    assert chain_gap(here.parity, found.teacher, here.file.sha256) is None
    assert "rewritten by ONNX Runtime" in here.parity[-1].note
    assert here.evidence.artifact == here.file.sha256
    assert here.evidence.builder.startswith("onnxruntime ")
    assert here.evidence.flags == "basic"
    assert here.evidence.latency not in (None, chosen.candidate.evidence["cpu"].latency)
    assert here.evidence.metric("accuracy", "validation").records == 30
    assert here.evidence.metric("accuracy_drop", "test").low is not None
    assert there.evidence.latency is None


def test_a_board_that_builds_its_own_plan_gets_file_and_recipe(made: Any) -> None:
    config = made.line.config.model_dump(mode="json") | {"targets": ["cpu-x86", "orin-jp6", "thor-jp7"]}
    line = parse_line(made.line.name, config, "test")
    found = compile_targets(bind(made.store, line), made.chosen, lambda _: None)
    assert from_bytes(Engines, to_bytes(found)) == found
    engine = found.engines[1]
    assert engine.file == made.chosen.candidate.onnx["tensorrt"]
    assert kinds(engine) == [("quantize", "measured"), ("compile", "simulated"), ("device", "pending")]
    assert chain_gap(engine.parity, found.teacher, engine.file.sha256) is None
    assert (engine.evidence.latency, engine.evidence.builder, engine.evidence.build_mb) == (None, "", None)
    recipe = engine.recipe
    assert recipe is not None
    assert (recipe.model, recipe.sm, recipe.runtime) == (engine.file.sha256, 87, "tensorrt")
    assert (recipe.least_version, recipe.below_version) == ("10.3", "11")
    assert str(recipe.shapes[0]) == "input=1x1x8x8..1x1x8x8..32x1x8x8"

    artifacts = tuple(
        ReleaseArtifact(one.target, one.file, one.evidence, one.plan, one.recipe) for one in found.engines
    )
    release = ReleaseManifest(
        line.name,
        1,
        found.input,
        found.output,
        found.labels,
        ArtifactRef("golden.json", "a" * 64, 1, "json"),
        artifacts,
        Provenance((), found.dataset, found.teacher, found.chosen, ()),
    )
    read = from_bytes(ReleaseManifest, to_bytes(release))
    orin = DeviceProfile("orin-1", line.name, "canary", "aarch64", "a" * 64, 87, {"tensorrt": "10.3.0.30"})
    decision = decide(read, orin)
    assert decision.action == "rebuild"
    assert decision.artifact is not None
    assert decision.artifact.recipe == recipe
    assert "its recipe is for SM110" in decision.others["thor-jp7"]


class _NoPickle(dg.IOManager):
    def handle_output(self, context: Any, obj: Any) -> None:
        raise AssertionError(f"{context.name} was handed to the IO manager: {obj!r}")

    def load_input(self, context: Any) -> Any:
        raise AssertionError(context)


def materialize(made: Any, store: Store) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"store": store, "io_manager": _NoPickle()}
        return dg.materialize(build_assets(made.line), resources=resources, instance=instance, raise_on_error=False)


@pytest.mark.filterwarnings("ignore")  # Pipes warns of its own calls
def test_the_asset_compiles_in_a_child_and_remembers(made: Any) -> None:
    made.store.set_newest(made.line.name, made.chosen)
    for reused in (False, True):
        done = materialize(made, made.store)
        assert done.success
        (check,) = done.get_asset_check_evaluations()
        assert (check.check_name, check.passed) == ("engine_matches_onnx", True)
        assert check.metadata["pending_on_device"].value == "cpu-arm64, rtx-sm86, rtx-sm89"
        (event,) = done.asset_materializations_for_node("shapes__engines")
        assert event.metadata["reused"].value is reused
        assert "| rtx-sm86 |" in str(event.metadata["engines"].value)
    assert len(made.store.newest(made.line.name, Engines).engines) == 4


def test_without_a_chosen_model_the_asset_says_what_to_do(made: Any, tmp_path: Path) -> None:
    done = materialize(made, Store(str(tmp_path)))
    assert not done.success
    (failure,) = [event for event in done.all_events if event.is_step_failure]
    assert "materialize shapes/chosen_model first" in str(failure.step_failure_data)


def test_a_line_with_onnx_alone_needs_no_tensorrt(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans_module, "builder_version", lambda: 1 / 0)
    config = made.line.config.model_dump(mode="json") | {"targets": ["cpu-x86"]}
    line = parse_line(made.line.name, config, "test")
    found = compile_targets(bind(made.store, line), made.chosen, lambda _: None)
    assert [engine.target.name for engine in found.engines] == ["cpu-x86"]
