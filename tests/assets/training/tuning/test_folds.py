"""Cross-validation: each record is judged once, by a teacher that has seen neither it nor its group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.fitting.contract import CheckpointPlace, FitControl, TrainingSet
from assets.fitting.fit import fit
from assets.line.training import TrainingPolicy
from assets.records.line_store import LineStore
from assets.storage.store import Store
from assets.tasks.task import load_task
from assets.training.tuning.folds import GroupedRecords, Joined, Spread, cross_validate, deal
from assets.training.tuning.trial_log import TrialLog
from tests.memory_set import MemorySet

TASK = load_task("tabular_classification")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=5, max_size=60), st.integers(2, 4))
def test_parts_hold_groups_together_whatever_the_order(records: list[tuple[int, int]], parts: int) -> None:
    ids = [f"r{at}" for at in range(len(records))]
    groups = [f"g{group}" if group else "" for group, _ in records]
    y = np.array([label for _, label in records])
    if len({group or own for own, group in zip(ids, groups, strict=True)}) < parts:
        with pytest.raises(RejectedError, match=r"training.folds: \d parts cannot be made of"):
            deal(ids, groups, y, parts, 0)
        return
    part = deal(ids, groups, y, parts, 0)
    assert all(
        len({int(part[at]) for at in range(len(ids)) if groups[at] == group}) == 1 for group in set(groups) - {""}
    )
    turned = np.random.default_rng(0).permutation(len(ids))
    again = deal([ids[at] for at in turned], [groups[at] for at in turned], y[turned], parts, 0)
    assert again.tolist() == part[turned].tolist()


def test_parts_share_rare_classes_and_depend_on_the_seed() -> None:
    y = np.array([0] * 90 + [1] * 10)
    ids, none = [str(at) for at in range(100)], [""] * 100
    part = deal(ids, none, y, 5, 0)
    assert np.bincount(part).tolist() == [20] * 5
    assert [int((y[part == number]).sum()) for number in range(5)] == [2] * 5
    assert deal(ids, none, y, 5, 1).tolist() != part.tolist()


def test_two_sets_are_read_as_one() -> None:
    x = torch.arange(10.0)[:, None]
    joined = Joined(MemorySet(x[:6], np.arange(6)), MemorySet(x[6:], np.arange(6, 10)))
    assert len(joined) == 10
    assert joined.y.tolist() == list(range(10))
    for rows in ([7, 1, 9, 0], [1, 2], [8, 6], [5, 6]):
        assert joined.batch(np.array(rows))[:, 0].tolist() == rows


def _records(count: int = 150) -> tuple[Joined, list[str], list[str]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, generator=generator)
    y = (x[:, 0] > 0).long().numpy()
    cut = count * 4 // 5
    ids = [f"r{at}" for at in range(count)]
    return Joined(MemorySet(x[:cut], y[:cut]), MemorySet(x[cut:], y[cut:])), ids, [""] * count


class Folds:
    """Fits a small network for each part, and remembers what it was given."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.seen: list[tuple[int, int, int]] = []
        self.kill_at = kill_at

    def __call__(
        self, learned: TrainingSet, chooser: TrainingSet, judged: TrainingSet, place: CheckpointPlace | None
    ) -> NDArray[np.float32]:
        if len(self.seen) == self.kill_at:
            raise KeyboardInterrupt
        self.seen.append((len(learned), len(chooser), len(judged)))
        torch.manual_seed(0)
        network = torch.nn.Linear(3, 2)
        fit(
            network,
            TASK,
            learned,
            chooser,
            TrainingPolicy(epochs=3, batch_size=16, learning_rate=0.1),
            classes=("a", "b"),
            control=FitControl(place=place),
        )
        with torch.no_grad():
            return network(judged.batch(np.arange(len(judged)))).numpy()  # type: ignore[no-any-return]


def _validate(store: Store, fold: Folds, said: list[str], **options: Any) -> Spread:
    records, ids, groups = _records()
    tries = TrialLog(LineStore(store, "line"), {"folds": 3})
    policy = TrainingPolicy(folds=3, seed=0, metric="accuracy")
    return cross_validate(
        TASK, GroupedRecords(records, ids, groups), policy, fold, tries, report=said.append, **options
    )


def test_every_record_is_judged_once_and_the_spread_is_told(tmp_path: Path) -> None:
    fold, said = Folds(), list[str]()
    found = _validate(Store(str(tmp_path)), fold, said)
    assert fold.seen == [(80, 20, 50)] * 3
    assert found.records == 150
    assert len(found.scores) == 3
    assert found.mean == pytest.approx(np.mean(found.scores))
    assert found.deviation == pytest.approx(np.std(found.scores, ddof=1))
    assert found.mean > 0.85
    assert said[0].startswith("cross-validation 1/3: accuracy ")
    assert said[-1] == found.sentence


def test_parts_that_were_judged_are_not_judged_again(tmp_path: Path) -> None:
    killed, rest, whole = Folds(kill_at=2), Folds(), Folds()
    store = Store(str(tmp_path / "killed"))
    with pytest.raises(KeyboardInterrupt):
        _validate(store, killed, [])
    found = _validate(store, rest, [])
    assert (len(killed.seen), len(rest.seen)) == (2, 1)
    assert found == _validate(Store(str(tmp_path / "whole")), whole, [])


def test_anomalies_are_judged_but_never_learned_from(tmp_path: Path) -> None:
    task = load_task("anomaly_detection")
    x = torch.zeros(60, 2)
    y = np.array([0, 0, 1] * 20)
    learned_labels: list[int] = []

    def fold(
        learned: TrainingSet, chooser: TrainingSet, judged: TrainingSet, place: CheckpointPlace | None
    ) -> NDArray[np.float32]:
        learned_labels.extend(learned.y.tolist())
        assert 1 in judged.y
        assert 1 in chooser.y
        return np.asarray(judged.y, dtype=np.float32)[:, None]

    found = cross_validate(
        task,
        GroupedRecords(MemorySet(x, y), [str(at) for at in range(60)], [""] * 60),
        TrainingPolicy(folds=4, seed=0, metric="roc_auc"),
        fold,
        TrialLog(LineStore(Store(str(tmp_path)), "line"), {}),
        report=lambda text: None,
    )
    assert set(learned_labels) == {0}
    assert found.scores == (1.0,) * 4


def test_generators_are_not_cross_validated(tmp_path: Path) -> None:
    records, ids, groups = _records()
    tries = TrialLog(LineStore(Store(str(tmp_path)), "line"), {})
    with pytest.raises(RejectedError, match="a generator of pictures is not cross-validated"):
        cross_validate(
            load_task("image_generation"),
            GroupedRecords(records, ids, groups),
            TrainingPolicy(folds=3, seed=0, metric="frechet"),
            Folds(),
            tries,
            report=print,
        )
