"""A hyperparameter search on real trainings: it finds what trains well, ends what does not, and pays nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assets.errors import RejectedError
from assets.fitting.contract import FitControl, Fitted, Progress
from assets.fitting.fit import fit
from assets.line.model import ModelFamily
from assets.line.training import SearchSpace, TrainingPolicy
from assets.records.line_store import LineStore
from assets.storage.store import Store
from assets.tasks.task import load_task
from assets.training.tuning.search import Goal, Searched, Trial, applied, search
from assets.training.tuning.trial_log import TrialLog
from tests.memory_set import MemorySet

MODEL = ModelFamily(family="mlp", width=16)
SPACE = SearchSpace(trials=5, epochs=4, learning_rate=(1e-4, 1.0), batch_size=(16, 32))
POLICY = TrainingPolicy(epochs=50, batch_size=32, learning_rate=1e-3, search=SPACE, folds=3)


class KilledError(Exception):
    """What a test ends a trial with."""


def _set(seed: int) -> MemorySet:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(96, 4, generator=generator)
    return MemorySet(x, ((x[:, 0] * x[:, 1]) > 0).long().numpy())


TRAIN, VALIDATION = _set(0), _set(1)


class Tried:
    """Fits a small network, and remembers what it was asked."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.asked: list[TrainingPolicy] = []
        self.kill_at = kill_at

    def __call__(
        self,
        model: ModelFamily,
        policy: TrainingPolicy,
        control: FitControl,
    ) -> Fitted:
        if len(self.asked) == self.kill_at:
            raise KilledError
        self.asked.append(policy)
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(4, model.width), torch.nn.ReLU(), torch.nn.Linear(model.width, 2))
        task = load_task("tabular_classification")
        return fit(network, task, TRAIN, VALIDATION, policy, classes=("a", "b"), control=control)


def _search(store: Store, trial: Trial, policy: TrainingPolicy = POLICY, **options: Any) -> tuple[Searched, list[str]]:
    said: list[str] = []
    tries = TrialLog(LineStore(store, "line"), {"policy": policy.model_dump(mode="json")})
    found = search(MODEL, policy, trial, tries, goal=Goal("accuracy", 1), report=said.append, **options)
    return found, said


def test_a_search_ends_with_the_best_of_what_it_tried(tmp_path: Path) -> None:
    trial = Tried()
    found, said = _search(Store(str(tmp_path)), trial)
    assert [policy.epochs for policy in trial.asked] == [4] * 5
    assert all(policy.search is None for policy in trial.asked)
    first = trial.asked[0]
    assert (first.learning_rate, first.batch_size) == (1e-3, 32)  # the line's own
    assert (found.tried, found.policy.epochs) == (5, 50)
    assert found.policy.learning_rate == found.settings["learning_rate"]
    assert found.policy.batch_size == int(found.settings["batch_size"])
    scores = [float(line.split("accuracy ")[1]) for line in said if " accuracy " in line and "best" not in line]
    assert found.score == pytest.approx(max(scores), abs=1e-4)
    assert found.score > scores[0]  # a rate of 0.001 is too small for 4 epochs
    assert said[-1] == found.sentence
    assert found.sentence.startswith("search: 5 settings tried for 4 epochs each; best ")


def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed, rest = Tried(), Tried(kill_at=3), Tried()
    expected, _ = _search(Store(str(tmp_path / "whole")), whole)
    store = Store(str(tmp_path / "killed"))
    with pytest.raises(KilledError):
        _search(store, killed)
    found, _ = _search(store, rest)
    assert len(killed.asked) == 3
    assert killed.asked + rest.asked == whole.asked
    assert (found.settings, found.score, found.tried) == (expected.settings, expected.score, 5)
    done = Tried()
    assert _search(store, done)[0].settings == expected.settings
    assert done.asked == []
    other = Tried()
    _search(store, other, POLICY.model_copy(update={"seed": 1}))
    assert len(other.asked) == 5


def test_a_trial_behind_the_others_ends_early(tmp_path: Path) -> None:
    ended: list[int] = []

    def trial(model: ModelFamily, policy: TrainingPolicy, control: FitControl) -> Fitted:
        good = policy.learning_rate == 1e-3 or len(ended) < 4
        rows: list[Mapping[str, float]] = []
        ended.append(0)
        for epoch in range(1, policy.epochs + 1):
            rows.append({"epoch": epoch, "validation_accuracy": (0.9 if good else 0.1) * epoch / policy.epochs})
            ended[-1] = epoch
            control.watch.epoch(rows[-1], Progress(epoch, policy.epochs, epoch, policy.epochs, 1.0, None))
        return Fitted(tuple(rows), policy.epochs, rows[-1]["validation_accuracy"], 1, 0, "epochs", 1.0)

    policy = TrainingPolicy(search=SearchSpace(trials=6, epochs=6, learning_rate=(1e-4, 1e-2)))
    found, said = _search(Store(str(tmp_path)), trial, policy)
    assert ended == [6, 6, 6, 6, 2, 2]
    assert sum("ended after 2 epochs, behind the others" in line for line in said) == 2
    assert found.score == pytest.approx(0.9)


def test_trials_that_fail_are_told_and_passed_over(tmp_path: Path) -> None:
    def trial(model: ModelFamily, policy: TrainingPolicy, *rest: object) -> Fitted:
        if policy.learning_rate > 1e-3:
            raise RejectedError("the loss is nan in epoch 1; lower `training.learning_rate`")
        return Fitted(({"epoch": 1, "validation_accuracy": 0.5},), 1, 0.5, 1, 0, "epochs", 1.0)

    found, said = _search(Store(str(tmp_path)), trial)
    assert found.policy.learning_rate <= 1e-3
    assert any(line.endswith("failed") for line in said)
    greedy = POLICY.model_copy(update={"search": SearchSpace(trials=2, learning_rate=(0.1, 1.0)), "learning_rate": 0.5})
    with pytest.raises(RejectedError, match=r"none of 2 trials succeeded \(the loss is nan"):
        _search(Store(str(tmp_path)), trial, greedy)


def test_less_is_better_where_it_is(tmp_path: Path) -> None:
    def trial(model: ModelFamily, policy: TrainingPolicy, *rest: object) -> Fitted:
        error = abs(np.log10(policy.learning_rate) + 2)
        return Fitted(({"epoch": 1, "validation_rmse": error},), 1, error, 1, 0, "epochs", 1.0)

    said: list[str] = []
    policy = POLICY.model_copy(update={"search": SearchSpace(trials=25, learning_rate=(1e-4, 1.0))})
    tries = TrialLog(LineStore(Store(str(tmp_path)), "line"), {})
    found = search(MODEL, policy, trial, tries, goal=Goal("rmse", -1), report=said.append)
    assert found.score == min(one["score"] for one in tries.done)
    assert found.score < 0.2


def test_time_that_is_up_ends_a_search_after_a_trial(tmp_path: Path) -> None:
    trial = Tried()
    found, _ = _search(Store(str(tmp_path)), trial, minutes=1e-6)
    assert len(trial.asked) == found.tried == 1


def test_values_that_the_line_refuses_are_told_before_any_trial(tmp_path: Path) -> None:
    trial = Tried()
    policy = TrainingPolicy(batch_size=64, accumulate=16, search=SearchSpace(batch_size=(64, 40)))
    with pytest.raises(RejectedError, match=r"training.search.batch_size: 40 does not go with the line .*16"):
        _search(Store(str(tmp_path)), trial, policy)
    assert trial.asked == []


def test_settings_go_where_they_belong() -> None:
    model, policy = applied(MODEL, POLICY, {"dropout": 0.25, "width": 64.0, "depth": 3.0, "weight_decay": 0.01})
    assert (model.dropout, model.width, model.depth) == (0.25, 64, 3)
    assert (policy.weight_decay, policy.learning_rate) == (0.01, POLICY.learning_rate)


def test_a_list_of_tries_that_is_damaged_is_begun_anew(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    tries = TrialLog(LineStore(store, "line"), {"a": 1})
    tries.add({"score": 1.0})
    assert TrialLog(LineStore(store, "line"), {"a": 1}).done == [{"score": 1.0}]
    assert TrialLog(LineStore(store, "line"), {"a": 2}).done == []
    (name,) = store.names("store/line/tries")
    store.write(f"store/line/tries/{name}", b'[{"score": 1')
    assert TrialLog(LineStore(store, "line"), {"a": 1}).done == []
