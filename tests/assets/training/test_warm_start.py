"""Which weights a training starts from, decided by what was measured, and the paired test against the model in use."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load

from assets.families.weights import weights_of
from assets.line.config import Line
from assets.records.line_store import LineStore, bind
from assets.storage.store import Store
from assets.tasks.task import load_task
from assets.training.dataset import build_dataset
from assets.training.documents import TrainedModel
from assets.training.previous_model import misfit, model_in_use
from assets.training.splits import open_sets
from assets.training.teacher import Teacher, build_teacher
from assets.training.train import train
from assets.training.warm_start import choose_start
from tests.assets.accepted_records import accept, digit_records, digits_line

TASK = load_task("image_classification")
EPOCHS = 4


def line_of(**training: object) -> Line:
    return digits_line(training={"epochs": EPOCHS, "batch_size": 32, "learning_rate": 0.01} | training)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Batch 1 and the model that was trained on it, then batch 2."""
    store = Store(str(tmp_path_factory.mktemp("home")))
    accept(LineStore(store, "digits"), digit_records(range(900)), "a" * 64)
    line = line_of(epochs=8)
    model = train(bind(store, line), build_dataset(bind(store, line)), lambda _: None)
    store.set_newest("digits", model)
    accept(LineStore(store, "digits"), digit_records(range(900, 1797)), "b" * 64)
    return store


def test_going_on_from_batch_1_against_from_scratch(store: Store, record_property: Any) -> None:
    """The issue's fourth table, small: accuracy and time of each."""
    found: dict[str, tuple[float, float]] = {}
    models: dict[str, TrainedModel] = {}
    for start in ("scratch", "last"):
        line, began = line_of(start=start), time.monotonic()
        models[start] = train(bind(store, line), build_dataset(bind(store, line)), lambda _: None)
        found[start] = (models[start].evidence.metric("accuracy", "test").value, time.monotonic() - began)
        record_property(start, f"accuracy {found[start][0]:.4f} in {found[start][1]:.1f} s")
    assert models["scratch"].start.kind == "scratch"
    assert models["last"].start.kind == "last"
    in_use = store.newest("digits", TrainedModel)
    assert models["last"].start.parent == in_use.weights.sha256
    first = [model.curve[0]["validation_accuracy"] for model in models.values()]
    assert first[1] > first[0]  # what was known is not lost
    assert found["last"][0] >= found["scratch"][0] - 0.02
    for model in models.values():  # the paired test, on the same test records
        assert " records" in model.versus
        assert model.versus.split(" ")[0] in {"better", "worse", "no"}
        assert model.versus in store.read(model.card).decode().replace("&#39;", "'")


def test_better_measures_both_and_says_so(store: Store) -> None:
    line = line_of(start="better", epochs=11)
    sets = open_sets(bind(store, line), build_dataset(bind(store, line)), TASK)
    tried: list[tuple[bytes, int]] = []

    def started(scores: list[float]) -> Any:
        def trial(teacher: Teacher, epochs: int) -> float:
            tried.append((weights_of(teacher.network), epochs))
            return scores.pop(0)

        assert line.config.model is not None
        model = line.config.model
        return choose_start(
            bind(store, line),
            TASK,
            model,
            model_in_use(bind(store, line)),
            lambda: build_teacher(TASK, model, sets, line.config.data.classes, 0),
            trial,
        )

    last, scratch = started([0.9, 0.8]), started([0.8, 0.9])
    assert (last.start.kind, scratch.start.kind) == ("last", "scratch")
    assert "after 2 of 11 epochs the model in use reached accuracy 0.9000" in last.start.why
    assert "a start from scratch 0.8000" in last.start.why
    assert {epochs for _, epochs in tried} == {2}
    assert weights_of(last.teacher.network) == tried[0][0]  # what was tried did not change what goes on
    assert weights_of(scratch.teacher.network) == tried[3][0]
    assert tried[0][0] != tried[1][0]


def test_weights_that_do_not_fit_are_left_and_the_reason_is_told(store: Store) -> None:
    earlier = store.newest("digits", TrainedModel)
    same: dict[str, Any] = {
        "task": earlier.task,
        "family": earlier.family,
        "spec": earlier.input,
        "architecture": earlier.architecture,
    }
    assert misfit(earlier, **same) == ""
    moved = replace(earlier.input, mean=(0.123,), std=(4.5,))  # of other records, as they come with each batch
    assert misfit(earlier, **same | {"spec": moved}) == ""
    assert "cnn for image" in misfit(earlier, **same | {"family": "vit"})
    assert "input" in misfit(earlier, **same | {"spec": replace(earlier.input, shape=(1, 9, 9))})
    assert "architecture" in misfit(earlier, **same | {"architecture": {"depth": 1, "channels_0": 8}})
    numbers = {**earlier.architecture, "target_mean": 1.0, "target_std": 2.0}
    assert misfit(earlier, **same | {"architecture": numbers}) == ""

    line = digits_line(
        model={"family": "cnn", "width": 8, "depth": 1}, training={"epochs": 1, "batch_size": 64, "start": "last"}
    )
    model = train(bind(store, line), build_dataset(bind(store, line)), lambda _: None)
    assert (model.start.kind, model.start.parent) == ("scratch", "")
    assert model.start.why == "from scratch: the model in use gives no weights, its architecture is another one"


def test_pretrained_weights_are_taken_up_and_the_last_layer_alone_is_trained(store: Store, tmp_path: Any) -> None:
    earlier = store.newest("digits", TrainedModel)
    path = tmp_path / "digits.safetensors"
    path.write_bytes(store.fetch(earlier.weights))
    line = digits_line(
        model={"family": "cnn", "width": 24, "depth": 2, "weights": str(path), "freeze": True},
        training={"epochs": 1, "batch_size": 64},
    )
    model = train(bind(store, line), build_dataset(bind(store, line)), lambda _: None)
    assert model.start.kind == "pretrained"
    assert "digits.safetensors" in model.start.why
    assert model.start.why.endswith("all but the last layer are frozen")
    before, after = load(store.fetch(earlier.weights)), load(store.fetch(model.weights))
    moved = {name for name in before if not bool((before[name] == after[name]).all())}
    assert moved
    assert all(name.startswith("head.") for name in moved)


def test_a_line_without_a_model_starts_from_scratch(tmp_path: Any) -> None:
    assert model_in_use(bind(Store(str(tmp_path)), line_of())) is None


def test_a_model_in_use_that_cannot_be_compared_is_told(store: Store) -> None:
    earlier = store.newest("digits", TrainedModel)
    other = Store(store.root)
    line = line_of(epochs=1)
    try:
        other.set_newest("digits", replace(earlier, labels=("a", "b")))
        model = train(bind(other, line), build_dataset(bind(other, line)), lambda _: None)
    finally:
        other.set_newest("digits", earlier)
    assert model.versus == "not compared: the model in use is for another task or other classes"
    assert np.isfinite(model.evidence.metric("accuracy", "test").value)
