"""A forgotten record in golden sets: named while devices need it, gone once they do not, and in no later one."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from assets.compilation.documents import Engines
from assets.compression.documents import ChosenModel
from assets.errors import RejectedError
from assets.forgetting.forget import forget
from assets.records.line_store import LineStore, bind
from assets.release.documents import ReleaseRecord, golden_key
from assets.release.manifest import build_manifest
from assets.release.repository import publish
from assets.rollout.promote import promote
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import Evidence, GoldenRecord, GoldenSet
from tests.assets.release.release_parts import land_heads, toy_line

IDENTITY = hashlib.sha256(struct.pack("<2d", 1, 0)).hexdigest()
"""The record that the toy line's golden set is made of."""
OTHER = GoldenSet((GoldenRecord('{"a": 0, "b": 1}', (1.0, -1.0), "a"),), 0.1, 0.9)


def _release(store: Store, position: int, golden: GoldenSet | None = None) -> ReleaseRecord:
    engines = land_heads(bind(store, toy_line()), position)
    if golden is not None:
        engines = replace(engines, golden=golden)
        store.set_newest("toy", engines)
    store.save(f"store/toy/steps/engines/{position}.json", engines)
    chosen = store.newest("toy", ChosenModel)
    dataset = LineStore(store, "toy").dataset(engines.dataset)
    manifest, files = build_manifest(store, engines, chosen, dataset, demo_keys=True)
    return publish(LineStore(store, "toy"), manifest, files)


def test_golden_sets_let_go_of_a_forgotten_record(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), toy_line()
    first = _release(store, 1)
    promote(bind(store, line), first.release)

    outcome = forget(bind(store, line), IDENTITY)

    assert (outcome.releases, outcome.serving) == ((first.release,), (first.release,))
    assert ["its golden set holds the record" in text for text in outcome.still] == [True]
    assert store.exists(golden_key(first))  # devices test themselves with it
    assert not store.exists("store/toy/steps/engines/1.json")
    with pytest.raises(RejectedError, match="no engines yet"):
        store.newest("toy", Engines)

    second = _release(store, 2, OTHER)
    promote(bind(store, line), second.release)
    outcome = forget(bind(store, line), IDENTITY)

    assert (outcome.new, outcome.releases, outcome.serving, outcome.still) == (False, (first.release,), (), ())
    assert not store.exists(golden_key(first))
    assert store.exists(golden_key(second))
    assert store.newest("toy", Engines).golden == OTHER


def test_models_trained_on_a_dataset_are_named(tmp_path: Path) -> None:
    store, line = Store(str(tmp_path)), toy_line()
    engines = land_heads(bind(store, line))
    shard = store.put("toy", b"not read", "parquet", ".parquet")
    dataset = replace(LineStore(store, "toy").dataset(engines.dataset), shards=(shard,))
    store.save("store/toy/datasets/0.json", dataset)
    model = TrainedModel("toy", "0", 1, "mlp", 1, engines.input, "logits", ("a", "b"), shard, shard,
                         Evidence(shard.sha256), {}, ())  # fmt: skip
    store.save("store/toy/steps/trained_model/1.json", model)
    from assets.forgetting.forget import Trace

    store.save(f"store/toy/forgotten/traces/{IDENTITY}.json", Trace(IDENTITY, ("f" * 64,), (), (shard.sha256,)))
    outcome = forget(bind(store, line), IDENTITY)
    assert (outcome.datasets, outcome.models, outcome.batches) == (("0",), (shard.sha256,), ("f" * 64,))
