"""Searches on a foreign ONNX file, whose axes are what its exporter made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from assets.compression.documents import Recipe
from assets.compression.evidence import limited_drops
from assets.compression.formats.network import Network, candidate_of
from assets.compression.rule import limits_in_words, loses_too_much
from assets.compression.search import search
from assets.compression.subject import Subject
from assets.compression.trials import Made
from assets.evaluation.answers import logits, open_session
from assets.line.compression import Budget, CompressionPolicy
from assets.standalone.foreign_model import OnnxFile, SearchSettings, open_foreign
from assets.standalone.sources import Reading
from assets.storage.store import Store
from edge.contracts import TARGETS

RECORDS = 90


def _file(batch: int) -> bytes:
    """Three classes of six numbers, of `batch` records a call, as an exporter writes it without dynamic axes."""
    random = np.random.default_rng(0)
    shapes = {"w1": (6, 16), "b1": (16,), "w2": (16, 3), "b2": (3,)}
    constants = [numpy_helper.from_array(random.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], "first"),
        helper.make_node("Relu", ["h"], ["a"], "act"),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["y"], "second"),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, columns])
        for name, columns in (("x", 6), ("y", 3))
    )
    graph = helper.make_graph(nodes, "fixed", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _subject(folder: Path, batch: int, budget: Budget) -> Subject:
    random, file = np.random.default_rng(1), _file(batch)
    x = random.normal(size=(RECORDS, 6)).astype(np.float32)
    np.savez(folder / "held.npz", x=x, y=logits(open_session(file), x).argmax(1))
    policy = CompressionPolicy(formats=("int8",), ranges=("minmax", "entropy"))
    settings = SearchSettings(
        Store(str(folder / "store")),
        "fixed",
        "",
        budget,
        policy,
        (TARGETS["cpu-x86"], TARGETS["rtx-sm86"]),
        lambda _: None,
    )
    subject, _ = open_foreign(OnnxFile(file, "fixed.onnx"), folder / "held.npz", Reading(), settings)
    return subject


@pytest.mark.parametrize("batch", [1, 4])
def test_a_file_of_a_fixed_batch_gets_int8(tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.compression.timing.OPEN_BYTES", 1)  # each candidate is timed with the teacher alone
    subject = _subject(tmp_path, batch, Budget(max_drop=0.5, max_drops={"macro_f1": 0.5}))
    found = search(subject)
    assert {"teacher-float", "teacher-int8"} <= {one.name for one in found.candidates}
    assert "teacher-int8" not in {one.name for one in found.tried}
    (int8,) = [one for one in found.candidates if one.name == "teacher-int8"]
    assert len(int8.layers) == 2
    latency = int8.evidence["cpu"].latency
    assert latency is not None and latency.batch == batch


def test_u8_for_tensorrt_fails_with_its_reason(tmp_path: Path) -> None:
    subject = _subject(tmp_path, 4, Budget(max_drop=0.5))
    network = Network(subject, Made("teacher", Recipe(), subject.onnx, (), 1, 1))
    file = network.quantized(network.calibrated(("minmax",))["minmax"], ("cpu",))["cpu"]
    parity = candidate_of(network, Recipe(), {"cpu": file, "tensorrt": file}, {}).parity
    assert parity["cpu"][-1].passed
    assert not parity["tensorrt"][-1].passed
    assert "reads u8 as s8" in parity["tensorrt"][-1].note


def test_another_metric_beyond_its_limit_is_too_much(tmp_path: Path) -> None:
    budget = Budget(max_drop=0.5, max_drops={"macro_f1": 0.01})
    subject = _subject(tmp_path, 1, budget)
    same = limited_drops(subject, {"cpu": subject.teacher_held})
    assert same == {"macro_f1": pytest.approx(0.0, abs=1e-6)}
    assert not loses_too_much(0.0, {}, budget, same)
    constant = np.eye(3, dtype=np.float32)[np.zeros(len(subject.validation), int)]
    lost = limited_drops(subject, {"cpu": subject.teacher_held, "tensorrt": constant})
    assert lost["macro_f1"] > 0.01
    assert loses_too_much(0.0, {}, budget, lost)
    assert limits_in_words(budget) != limits_in_words(Budget(max_drop=0.5, max_drops={"macro_f1": 0.02}))
