"""A teacher trained for real, small, in this process; and once as the assets run it, in a child."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import onnx
import pytest
import torch

from assets.errors import RejectedError
from assets.evaluation.answers import logits, open_session
from assets.families.build import build_network
from assets.families.weights import predict, set_weights
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.training.assets import build_assets, what_decides
from assets.training.dataset import build_dataset
from assets.training.documents import TrainedModel
from assets.training.train import train
from edge.contracts import digest, from_bytes, to_bytes
from edge.errors import VerificationError
from tests.assets.accepted_records import accept, cancer_line, cancer_records, digit_records, digits_line
from tests.assets.loading.loading_parts import load_split

A, B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(str(tmp_path_factory.mktemp("home")))
    accept(LineStore(store, "digits"), digit_records(range(500)), A)
    accept(LineStore(store, "breast-cancer"), cancer_records(), A)
    return store


@pytest.fixture(scope="module")
def dataset(store: Store) -> DatasetVersion:
    return build_dataset(bind(store, digits_line()))


@pytest.fixture(scope="module")
def reports() -> list[str]:
    return []


@pytest.fixture(scope="module")
def model(store: Store, dataset: DatasetVersion, reports: list[str]) -> TrainedModel:
    return train(bind(store, digits_line()), dataset, reports.append)


def test_a_teacher_learns(model: TrainedModel, dataset: DatasetVersion, reports: list[str]) -> None:
    test = model.evidence.metric("accuracy", "test")
    assert test.value > 0.6  # ten classes: guessing gives 0.1
    assert test.low is not None
    assert test.high is not None
    assert test.low < test.value < test.high
    assert test.records == dataset.splits["test"]
    assert model.evidence.latency is not None
    assert [row["epoch"] for row in model.curve] == list(range(1, 13))
    assert any(text.startswith("test accuracy 0.") for text in reports)
    assert (model.task, model.metric, model.answer.kind, model.ended) == (
        "image_classification",
        "accuracy",
        "class",
        "epochs",
    )
    (naive,) = [metric.value for metric in model.baseline if metric.name == "accuracy"]
    assert naive < 0.3 < test.value
    assert model.cost is not None
    assert model.cost.seconds > model.cost.cpu_seconds * 0.1 > 0
    assert from_bytes(TrainedModel, to_bytes(model)) == model


def test_the_file_answers_as_the_network(store: Store, dataset: DatasetVersion, model: TrainedModel) -> None:
    network = build_network(model.family, model.input, 10, model.architecture)
    set_weights(network, store.fetch(model.weights), "weights")
    held = load_split(store, dataset, "test", model.input)
    answers = logits(open_session(store.fetch(model.onnx)), held.x)
    assert predict(network, torch.from_numpy(held.x)).numpy() == pytest.approx(answers, abs=1e-3)
    assert (answers.argmax(1) == held.y).mean() == model.evidence.metric("accuracy", "test").value
    (verdict,) = model.evidence.parity
    assert (verdict.stage, verdict.parent, verdict.child) == ("export", model.weights.sha256, model.onnx.sha256)
    assert verdict.passed


def test_the_best_validation_epoch_is_kept(model: TrainedModel) -> None:
    best = max(row["validation_accuracy"] for row in model.curve)
    assert set(model.curve[0]) >= {"epoch", "step", "train_loss", "validation_loss", "learning_rate", "seconds"}
    assert model.evidence.metric("accuracy", "validation").value == pytest.approx(best)


def test_the_file_is_lean_and_loads_on_the_oldest_runtime(store: Store, model: TrainedModel) -> None:
    file = onnx.load_from_string(store.fetch(model.onnx))
    onnx.checker.check_model(file, full_check=True)
    assert file.ir_version <= 10
    assert [entry.version for entry in file.opset_import if entry.domain == ""] == [20]
    assert {node.op_type for node in file.graph.node} == {"Conv", "Relu", "ReduceMean", "Gemm"}  # BatchNorm is folded
    assert not any(node.doc_string or node.metadata_props for node in file.graph.node)
    assert file.graph.input[0].type.tensor_type.shape.dim[0].dim_param  # any batch
    assert model.onnx.size < 4 * model.parameters + 3000


def test_the_same_seed_gives_the_same_weights(store: Store, dataset: DatasetVersion, model: TrainedModel) -> None:
    again = train(bind(store, digits_line()), dataset, lambda _: None)
    assert again.weights == model.weights
    short = {"epochs": 1, "batch_size": 64}
    seeds = [
        train(bind(store, digits_line(training=short | {"seed": seed})), dataset, lambda _: None) for seed in (1, 2)
    ]
    assert seeds[0].weights != seeds[1].weights


def test_a_table_trains_too(store: Store) -> None:
    line = cancer_line()
    model = train(bind(store, line), build_dataset(bind(store, line)), lambda _: None)
    assert model.evidence.metric("accuracy", "test").value > 0.85
    assert model.labels == ("benign", "malignant")


def test_weights_of_another_network_are_refused(store: Store, model: TrainedModel) -> None:
    other = build_network("cnn", model.input, 10, {"depth": 1, "channels_0": 8})
    with pytest.raises(RejectedError, match="do not fit the network"):
        set_weights(other, store.fetch(model.weights), "weights")
    with pytest.raises(RejectedError, match="do not fit the network"):
        set_weights(other, b"no safetensors", "weights")


def test_the_card_is_kept_with_the_model(store: Store, model: TrainedModel) -> None:
    page = store.read(model.card).decode()
    assert model.onnx.sha256[:12] in page
    assert model.versus == ""  # it is the first


def test_what_decides_a_model_is_what_it_is_remembered_by() -> None:
    def decides(**sections: object) -> str:
        return what_decides(digits_line(**sections))

    plain = {"epochs": 12, "batch_size": 32, "learning_rate": 0.02}
    assert decides() == decides(training=plain | {"threads": 1, "checkpoint_seconds": 5, "cache_gb": 0.0})
    assert decides() == decides(retrain={"cooldown_minutes": 5}) == decides(targets=["cpu-arm64"])
    others = (
        {"training": plain | {"ema": 0.9}},
        {"model": {"family": "cnn", "width": 24, "depth": 3}},
        {"features": {"steps": 7}},
        {"retrain": {"max_minutes": 5}},
        {"task": "image_classification"},
    )
    assert len({decides(), *(decides(**one) for one in others)}) == 1 + len(others)


def test_a_changed_shard_stops_the_training(store: Store, dataset: DatasetVersion) -> None:
    shard = dataset.shards[0]
    forged = replace(dataset, shards=(replace(shard, sha256="0" * 64),))
    with pytest.raises(VerificationError):
        train(bind(store, digits_line()), forged, lambda _: None)


class _NoPickle(dg.IOManager):
    """Refuses everything: nothing may pass through an IO manager."""

    def handle_output(self, context: Any, obj: Any) -> None:
        raise AssertionError(f"{context.name} was handed to the IO manager: {obj!r}")

    def load_input(self, context: Any) -> Any:
        raise AssertionError(context)


@pytest.mark.filterwarnings("ignore")  # Pipes warns of its own calls
def test_the_assets_run_in_children_and_remember(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), digits_line(training={"epochs": 1})
    accept(LineStore(store, "digits"), digit_records(range(300)), A)
    resources = {"store": store, "io_manager": _NoPickle()}
    with dg.DagsterInstance.ephemeral() as instance:
        first = dg.materialize(build_assets(line), resources=resources, instance=instance)
        again = dg.materialize(build_assets(line), resources=resources, instance=instance)
    assert first.success
    assert again.success

    def reused(result: dg.ExecuteInProcessResult, asset: str) -> Any:
        (event,) = result.asset_materializations_for_node(f"digits__{asset}")
        return event.metadata["reused"].value

    assert [reused(first, "dataset"), reused(first, "trained_model")] == [False, False]
    assert [reused(again, "dataset"), reused(again, "trained_model")] == [True, True]
    model = store.newest("digits", TrainedModel)
    assert model.dataset == digest(store.newest("digits", DatasetVersion))


def test_an_older_dataset_never_replaces_a_newer_one(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), digits_line()
    accept(LineStore(store, "digits"), digit_records(range(100)), A)
    old = build_dataset(bind(store, line))
    accept(LineStore(store, "digits"), digit_records(range(100, 150)), B)
    new = build_dataset(bind(store, line))
    LineStore(store, "digits").cached_step(("new",), DatasetVersion, lambda: new)
    made, _ = LineStore(store, "digits").cached_step(("old",), DatasetVersion, lambda: old)
    assert made == old
    assert store.newest("digits", DatasetVersion) == new


def test_without_a_batch_the_asset_fails_once(tmp_path: Path) -> None:
    (asset, _) = build_assets(digits_line())
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"store": Store(str(tmp_path))}
        done = dg.materialize([asset], instance=instance, resources=resources, raise_on_error=False)
    (failure,) = (event.step_failure_data for event in done.all_events if event.is_step_failure)
    assert failure.user_failure_data is not None
    assert "no accepted batch yet" in str(failure.user_failure_data.description)
    assert not any(event.event_type is dg.DagsterEventType.STEP_UP_FOR_RETRY for event in done.all_events)


def test_numbers_come_out_finite(store: Store, dataset: DatasetVersion, model: TrainedModel) -> None:
    held = load_split(store, dataset, "validation", model.input)
    assert np.isfinite(logits(open_session(store.fetch(model.onnx)), held.x[:1])).all()
