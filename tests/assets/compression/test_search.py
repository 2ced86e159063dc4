"""Candidates made for real, small, and the evidence that comes with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from assets.compression.choosing.choose import choose
from assets.compression.documents import Candidate, Candidates
from assets.compression.formats import network as network_module
from assets.compression.prune import count_macs, prune
from assets.compression.quantize import needs_7_bits
from assets.compression.search import search
from assets.compression.students import teach as students_module
from assets.compression.students.distill import Distillation, distillation
from assets.compression.subject import Subject, open_subject
from assets.errors import RejectedError
from assets.evaluation.answers import logits, open_session
from assets.evaluation.hits import hits
from assets.evaluation.intervals import Interval, paired_difference
from assets.families.build import build_network, teacher_architecture
from assets.families.weights import predict
from assets.fitting.contract import Fitted
from assets.line.compression import Budget, CompressionPolicy
from assets.line.model import ModelFamily
from assets.records.line_store import bind
from assets.storage.store import Store
from edge.contracts import TARGETS, InputSpec, TargetProfile, chain_gap, from_bytes, to_bytes
from tests.assets.loading.loading_parts import load_split


def test_every_candidate_has_every_dialect_and_no_gap(made: Any) -> None:
    names = [candidate.name for candidate in made.found.candidates]
    assert names == ["teacher-float", "teacher-int8", "teacher-float16", "teacher-weights8", "pruned-0.5-int8"]
    for candidate in made.found.candidates:
        assert set(candidate.onnx) == set(candidate.evidence) == set(candidate.parity) == {"float", "cpu", "tensorrt"}
        for dialect, file in candidate.onnx.items():
            assert chain_gap(candidate.parity[dialect], made.model.onnx.sha256, file.sha256) is None
            assert candidate.evidence[dialect].artifact == file.sha256
            assert candidate.evidence[dialect].parity == candidate.parity[dialect]
            made.store.fetch(file)
        assert candidate.speedup is not None
        assert candidate.seconds > 0


def test_the_stages_are_the_ones_that_happened(made: Any) -> None:
    teacher, student = _named(made, "teacher-int8", "pruned-0.5-int8")
    assert _named(made, "teacher-float")[0].parity["cpu"] == ()
    assert [verdict.stage for verdict in teacher.parity["float"]] == []
    assert [verdict.stage for verdict in teacher.parity["cpu"]] == ["quantize"]
    assert [verdict.stage for verdict in student.parity["cpu"]] == ["prune", "distill", "export", "quantize"]
    assert student.parity["cpu"][-1].kind == "measured"
    assert student.parity["tensorrt"][-1].kind == "simulated"
    assert {verdict.records for verdict in student.parity["cpu"]} == {made.dataset.splits["validation"]}


def test_the_metrics_are_those_of_the_files(made: Any) -> None:
    test = load_split(made.store, made.dataset, "test", made.model.input)
    teacher = hits(logits(open_session(made.store.fetch(made.model.onnx)), test.x), test.y)
    for candidate in made.found.candidates:
        for dialect, file in candidate.onnx.items():
            answers = hits(logits(open_session(made.store.fetch(file)), test.x), test.y)
            evidence = candidate.evidence[dialect]
            assert evidence.metric("accuracy", "test").value == pytest.approx(answers.mean())
            drop = evidence.metric("accuracy_drop", "test")
            wanted = paired_difference(teacher, answers)
            if file.sha256 == made.model.onnx.sha256:  # the teacher's very file cannot differ from it
                wanted = Interval(0.0, 0.0, 0.0)
            assert (drop.value, drop.low, drop.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
            assert (evidence.latency is None) == (dialect == "tensorrt")  # not measured on its target: unknown
            kinds = {metric.kind for metric in evidence.metrics}
            told_of_target = dialect != "tensorrt" or file.sha256 == made.model.onnx.sha256
            assert kinds == {"measured" if told_of_target else "simulated"}


def test_int8_is_smaller_and_a_student_smaller_still(made: Any) -> None:
    teacher, student = _named(made, "teacher-int8", "pruned-0.5-int8")
    assert teacher.onnx["cpu"].size < 0.5 * made.model.onnx.size
    assert student.onnx["cpu"].size < teacher.onnx["cpu"].size
    assert student.parameters < teacher.parameters == made.model.parameters
    assert student.macs < teacher.macs
    for candidate in (teacher, student):
        assert candidate.evidence["cpu"].metric("accuracy", "test").value > 0.5


def test_progress_is_told(made: Any) -> None:
    assert any(text.startswith("pruned-0.5: epoch 20/20  loss ") for text in made.reports)
    assert any("times as fast as float" in text for text in made.reports)


def test_the_documents_cross_the_border(made: Any) -> None:
    assert from_bytes(Candidates, to_bytes(made.found)) == made.found
    chosen = choose(made.found, made.line.config.budget, [TARGETS[name] for name in made.line.config.targets])
    assert from_bytes(type(chosen), to_bytes(chosen)) == chosen


def test_another_dataset_is_refused(made: Any) -> None:
    other = replace(made.dataset, position=9)
    with pytest.raises(RejectedError, match="the teacher was trained on dataset"):
        open_subject(bind(made.store, made.line), other, made.model, lambda _: None)


def test_the_dialects_are_what_their_runtimes_want(made: Any) -> None:
    types = onnx.TensorProto
    for candidate in _named(made, "teacher-int8", "pruned-0.5-int8"):
        cpu, tensorrt = (onnx.load_from_string(made.store.fetch(candidate.onnx[name])) for name in ("cpu", "tensorrt"))
        for model in (cpu, tensorrt):
            onnx.checker.check_model(model, full_check=True)
            assert model.ir_version <= 10
            made_by = {output: node for node in model.graph.node for output in node.output}
            assert made_by[model.graph.output[0].name].op_type == "Gemm"  # logits stay float
        assert not [node for node in cpu.graph.node if node.op_type == "Relu"]  # part of the range
        _check_tensorrt(tensorrt, types)


def _check_tensorrt(model: Any, types: Any) -> None:
    graph = model.graph
    constants = {item.name: item for item in graph.initializer}
    quantized = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    layers = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    users = {name: node.op_type for node in graph.node for name in node.input}
    made_by = {output: node for node in graph.node for output in node.output}
    assert len(quantized) == len(layers)
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.data_type == types.INT8
            assert not onnx.numpy_helper.to_array(zero).any()
        if node.op_type == "QuantizeLinear":
            assert users[users_name(graph, node)] in ("Conv", "Gemm")
    for layer in layers:
        assert made_by[layer.input[0]].op_type == made_by[layer.input[1]].op_type == "DequantizeLinear"
        assert constants[layer.input[2]].data_type == types.FLOAT  # the bias is not quantized
        weights = made_by[layer.input[1]]
        assert len(constants[weights.input[1]].dims) == 1  # a scale per channel


def users_name(graph: Any, quantize_node: Any) -> str:
    """The output of the DequantizeLinear that follows a QuantizeLinear."""
    (after,) = [node for node in graph.node if node.input[0] == quantize_node.output[0]]
    assert after.op_type == "DequantizeLinear"
    return str(after.output[0])


def _table(columns: int) -> InputSpec:
    names = tuple(f"c{number}" for number in range(columns))
    return InputSpec("table", "input", (columns,), (0.0,) * columns, (1.0,) * columns, names)


def test_the_work_of_recurrent_layers_counts() -> None:
    spec = InputSpec("series", "input", (20, 4), (0.0,) * 4, (1.0,) * 4, ("a", "b", "c", "d"))
    for family, gates in (("gru", 3), ("lstm", 4)):
        architecture = teacher_architecture(ModelFamily(family=family, width=16, depth=1), spec)
        macs = count_macs(build_network(family, spec, 2, architecture), spec)
        assert macs >= 20 * gates * 16 * (16 + 4)


def test_a_student_that_agrees_with_its_teacher_has_no_soft_loss() -> None:
    teacher = build_network("mlp", _table(4), 3, {"depth": 1, "channels_0": 8})
    x, y = torch.randn(16, 4), torch.arange(16) % 3
    objective = Distillation(teacher, soft_share=1.0)
    same = objective(x, y, predict(teacher, x))
    assert same.item() == pytest.approx(0, abs=1e-6)
    assert objective(x, y, -predict(teacher, x)).item() > 1e-4


def test_numbers_are_taught_in_units_of_their_spread() -> None:
    teacher = build_network("mlp", _table(4), 1, {"depth": 1, "channels_0": 8, "target_mean": 5e6, "target_std": 1e6})
    x = torch.randn(16, 4)
    answers = predict(teacher, x)
    objective = distillation(teacher, 1e6)
    assert objective(x, answers[:, 0], answers).item() == pytest.approx(0, abs=1e-6)
    assert objective(x, answers[:, 0], answers + 1e6).item() == pytest.approx(1, rel=1e-3)


def test_a_ruined_student_fails_though_its_pruned_parent_was_no_better(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ruin(*arguments: Any) -> Any:
        student = prune(*arguments)
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.zero_()
        return student

    monkeypatch.setattr(students_module, "prune", ruin)
    monkeypatch.setattr(students_module, "teach", lambda *_: UNTAUGHT)
    subject = replace(_copied(made, tmp_path), policy=CompressionPolicy(prune=(0.5,), qat_epochs=0))
    found = {candidate.name: candidate for candidate in search(subject).candidates}
    student = found["pruned-0.5-int8"]
    pruned, distilled = student.parity["cpu"][:2]
    assert (pruned.stage, pruned.passed, distilled.stage, distilled.passed) == ("prune", True, "distill", False)
    assert pruned.metric_drop is not None
    assert pruned.metric_drop > 0.5  # recorded, and judged after distillation
    assert distilled.metric_drop == 0  # nothing lost against its own parent
    for dialect, file in student.onnx.items():
        gap = chain_gap(student.parity[dialect], made.model.onnx.sha256, file.sha256)
        assert str(gap).startswith("distill failed its parity check: float: loses ")
        assert "against the teacher" in str(gap)


def test_where_int8_loses_layers_go_back_to_float_and_training_simulates_it(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = network_module.calibrations

    def broken(*arguments: Any) -> Any:
        """Ranges so wide that few of the 255 steps are used."""
        found = real(*arguments)
        return {
            method: replace(one, ranges={name: (300 * low, 300 * high) for name, (low, high) in one.ranges.items()})
            for method, one in found.items()
        }

    monkeypatch.setattr(network_module, "calibrations", broken)
    policy = CompressionPolicy(prune=(), formats=("int8",), ranges=("minmax",), max_float_layers=2, qat_epochs=1)
    subject = replace(_copied(made, tmp_path), policy=policy, budget=Budget(max_drop=0))
    candidates = search(subject).candidates
    assert [one.name for one in candidates] == [
        "teacher-float",
        "teacher-int8",
        "teacher-int8-mixed",
        "teacher-int8-qat",
    ]
    _, int8, mixed, learned = candidates
    assert len(int8.layers) == 3
    worst = sorted(int8.layers, key=lambda layer: -layer.drop)
    assert mixed.recipe.floats == tuple(layer.layer for layer in worst[:2])
    values = [one.evidence["cpu"].metric("accuracy", "validation").value for one in (int8, mixed)]
    assert values[1] > values[0] + 0.1
    assert [verdict.stage for verdict in learned.parity["cpu"]] == ["distill", "export", "quantize"]
    chosen = choose(replace(made.found, candidates=candidates), subject.budget, subject.targets)
    assert chosen.candidate.name == "teacher-float"
    assert "not teacher-int8: cpu: quantize failed its parity check: cpu: loses 0." in chosen.why


def test_after_its_minutes_no_student_is_begun_and_the_note_says_so(made: Any, tmp_path: Path) -> None:
    policy = CompressionPolicy(prune=(0.3, 0.5), formats=("float16",), max_minutes=1e-6)
    found = search(replace(_copied(made, tmp_path), policy=policy))
    assert [one.name for one in found.candidates] == ["teacher-float", "teacher-float16"]
    assert "After 1e-06 minutes no time was left for pruned-0.3, pruned-0.5." in found.note
    assert "Latencies are measured" in found.note


def _copied(made: Any, folder: Path) -> Subject:
    """The subject with a store of its own, without any trial."""
    store = Store(str(folder))
    for ref in (made.model.onnx, made.model.weights):
        store.write(ref.uri, made.store.read(ref.uri))
    return replace(_subject(made), store=store)


UNTAUGHT = Fitted(({"seconds": 0.0},), 1, 0.0, 0, 0, "epochs", 1.0)


def _subject(made: Any) -> Subject:
    return open_subject(bind(made.store, made.line), made.dataset, made.model, lambda _: None)


def _named(made: Any, *names: str) -> list[Candidate]:
    found = {candidate.name: candidate for candidate in made.found.candidates}
    return [found[name] for name in names]


def _weights(model: bytes) -> Any:
    graph = onnx.load_from_string(model).graph
    found = [onnx.numpy_helper.to_array(item) for item in graph.initializer if item.data_type == onnx.TensorProto.INT8]
    return np.concatenate([array.ravel() for array in found if array.ndim > 1]).astype(int)


def test_weights_for_any_x86_keep_to_7_bits_whatever_this_machine_is(made: Any) -> None:
    assert made.line.config.targets == ("cpu-x86",)
    for candidate in _named(made, "teacher-int8", "pruned-0.5-int8"):
        assert np.abs(_weights(made.store.fetch(candidate.onnx["cpu"]))).max() <= 64
        assert np.abs(_weights(made.store.fetch(candidate.onnx["tensorrt"]))).max() == 127


def test_the_targets_decide_on_7_bits() -> None:
    x86, arm, rtx = TARGETS["cpu-x86"], TARGETS["cpu-arm64"], TARGETS["rtx-sm86"]
    vnni = TargetProfile("new-x86", "onnxruntime", "x86_64", "cpu", cpu_features=("avx512_vnni",))
    assert needs_7_bits([x86])
    assert needs_7_bits([arm, vnni, x86])
    assert not needs_7_bits([arm, vnni, rtx])
    assert not needs_7_bits([rtx])


def test_nothing_more_is_learned_from_the_records_of_a_private_teacher(made: Any) -> None:
    plain, private = (
        open_subject(bind(made.store, made.line), made.dataset, replace(made.model, epsilon=epsilon), lambda _: None)
        for epsilon in (None, 3.0)
    )
    assert plain.trainable is not None
    assert plain.calibration is plain.trainable.train
    assert private.trainable is None
    assert private.calibration is private.validation
