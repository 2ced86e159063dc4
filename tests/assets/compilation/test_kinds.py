"""Other answers than classes, from records to engines: numbers with students, anomalies, and a model INT8 breaks."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from assets.compilation.compile import compile_targets
from assets.compilation.documents import Engines
from assets.compression.choosing.choose import choose
from assets.compression.documents import ChosenModel
from assets.compression.formats import network as network_module
from assets.compression.search import search
from assets.compression.subject import open_subject
from assets.line.config import Line, parse_line
from assets.records.line_store import BoundLine, bind
from assets.storage import layout
from assets.storage.store import Store
from assets.training.dataset import build_dataset
from assets.training.documents import TrainedModel
from assets.training.train import train
from edge.contracts import TARGETS, ReleaseArtifact, chain_gap, digest
from edge.runtime.selftest import self_test
from edge.runtime.session import open_session
from edge.runtime.signature import check_signature
from tests.assets.accepted_records import Record, accept, cancer_line, cancer_records


def diabetes_records() -> list[Record]:
    """scikit-learn's diabetes table: how far the illness went a year later, from ten measurements."""
    table = load_diabetes()
    rows = []
    for row, (values, target) in enumerate(zip(table.data, table.target, strict=True)):
        data = np.asarray(values, dtype="<f8").tobytes()
        rows.append((hashlib.sha256(data).hexdigest(), repr(float(target)), "", f"table.csv#{row + 2}", data))
    return rows


def diabetes_line() -> Line:
    names = [str(name) for name in load_diabetes().feature_names]
    attributes = {
        "data": {"reader": "csv", "table": {"target": "progression", "columns": names}},
        "model": {"family": "mlp", "width": 16, "depth": 2},
        "training": {"epochs": 15, "batch_size": 32, "learning_rate": 0.01},
        "compress": {"prune": [0.5], "distill_epochs": 15, "calibration_records": 64},
        "budget": {"max_drop": 0.2},
    }
    return parse_line("diabetes", attributes, "test")


def to_engines(line: BoundLine, records: list[Record]) -> tuple[TrainedModel, ChosenModel, Engines]:
    accept(line, records, "a" * 64)
    dataset = build_dataset(line)
    line.store.save(layout.dataset(line.name, digest(dataset)), dataset)
    model = train(line, dataset, lambda _: None)
    found = search(open_subject(line, dataset, model, lambda _: None))
    chosen = choose(found, line.config.budget, [TARGETS[name] for name in line.config.targets])
    return model, chosen, compile_targets(line, chosen, lambda _: None)


def on_a_device(store: Store, made: Engines, folder: Path) -> Any:
    """What a device says of the engine that ships."""
    (engine,) = made.engines
    path = folder / "model.onnx"
    path.write_bytes(store.fetch(engine.file))
    session = open_session(ReleaseArtifact(engine.target, engine.file, engine.evidence), path)
    check_signature(session, made.input, made.output, made.labels, made.answer)
    return self_test(session, made.golden, made.input, engine.file.sha256, made.answer)


def test_numbers_are_pruned_taught_and_shipped_in_int8(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    model, chosen, made = to_engines(bind(store, diabetes_line()), diabetes_records())
    assert (model.task, model.metric, model.answer.kind, model.labels) == ("tabular_regression", "rmse", "number", ())
    rmse = model.evidence.metric("rmse", "test")
    (naive,) = [metric.value for metric in model.baseline if metric.name == "rmse"]
    assert rmse.value < 0.9 * naive  # the mean of all: about 77
    names = {chosen.candidate.name, *chosen.rejected}
    assert names >= {"teacher-float", "teacher-int8", "pruned-0.5-int8"}
    candidate = chosen.candidate  # whichever is cheapest: so small a network is as fast in float
    assert chain_gap(candidate.parity["cpu"], model.onnx.sha256, candidate.onnx["cpu"].sha256) is None
    drop = chosen.candidate.evidence["cpu"].metric("rmse_drop", "test")
    assert drop.low is not None
    assert "of rmse" in chosen.why or "rmse on validation records" in chosen.why
    assert (made.answer.kind, made.metric, made.labels) == ("number", "rmse", ())
    assert {float(record.label) for record in made.golden.records} <= set(load_diabetes().target)
    outcome = on_a_device(store, made, tmp_path)
    assert outcome.passed, outcome.reason


def test_anomalies_ship_with_the_threshold_of_validation_records(tmp_path: Path) -> None:
    store, config = Store(str(tmp_path)), cancer_line().config.model_dump(mode="json", exclude_defaults=True)
    attributes = config | {
        "task": "anomaly_detection",
        "model": {"family": "autoencoder", "width": 16, "depth": 1, "latent": 4},
        "training": {"epochs": 15, "batch_size": 32, "learning_rate": 0.01},
        "budget": {"max_drop": 0.1},
    }
    model, _, made = to_engines(bind(store, parse_line("breast-cancer", attributes, "test")), cancer_records())
    assert model.evidence.metric("roc_auc", "test").value > 0.8
    assert made.answer == model.answer
    assert made.answer.threshold is not None
    assert made.answer.threshold > 0
    assert made.labels == ()
    outcome = on_a_device(store, made, tmp_path)
    assert outcome.passed, outcome.reason


def test_where_int8_breaks_the_model_float_ships_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = diabetes_line()
    line = Line(
        line.name,
        line.config.model_copy(
            update={
                "compress": line.config.compress.model_copy(update={"prune": (), "formats": ("int8",), "qat_epochs": 0})
            }
        ),
    )
    real = network_module.calibrations

    def broken(*arguments: Any) -> Any:
        """Ranges of records that are nothing like the real ones."""
        return {
            method: dataclasses.replace(
                found, ranges={name: (low * 1e-3, high * 1e-3) for name, (low, high) in found.ranges.items()}
            )
            for method, found in real(*arguments).items()
        }

    monkeypatch.setattr(network_module, "calibrations", broken)
    store = Store(str(tmp_path))
    model, chosen, made = to_engines(bind(store, line), diabetes_records())
    assert chosen.candidate.name == "teacher-float"
    assert "quantize failed its parity check: cpu: has" in chosen.rejected["teacher-int8"]
    assert "not teacher-int8: cpu: quantize failed its parity check" in chosen.why
    assert chosen.candidate.onnx["cpu"] == model.onnx
    assert chosen.candidate.evidence["cpu"].metric("rmse_drop", "test").value == 0
    (engine,) = made.engines
    assert engine.file.sha256 == model.onnx.sha256
    assert dataclasses.asdict(made.input) == dataclasses.asdict(model.input)
    assert on_a_device(store, made, tmp_path).passed
