"""What comes before the one training that counts, where the line asks for it: a search, and a cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.families.weights import predict
from assets.fitting.checkpoints import StorePlace
from assets.fitting.contract import CheckpointPlace, FitControl, Fitted, TrainingSet
from assets.line.config import Line
from assets.line.model import ModelFamily
from assets.line.training import TrainingPolicy
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore
from assets.storage.store import Store
from assets.tasks.task import Task
from assets.training.splits import Sets
from assets.training.teacher import build_teacher, fit_teacher
from assets.training.tuning.folds import GroupedRecords, Joined, Spread, cross_validate
from assets.training.tuning.trial_log import TrialLog
from edge.contracts import digest

SHARE_OF_TIME = 1 / 3
"""Of `retrain.max_minutes`: what a search may take, and what a cross-validation may take."""


@dataclass(frozen=True)
class Tuning:
    """What a line's trainings before the one that counts are made of."""

    store: Store
    line: Line
    dataset: DatasetVersion
    task: Task
    sets: Sets
    report: Callable[[str], None]

    @property
    def minutes(self) -> float | None:
        """The most that a search or a cross-validation may take."""
        most = self.line.config.retrain.max_minutes
        return None if most is None else most * SHARE_OF_TIME

    def tries(self, what: str, *parts: str) -> TrialLog:
        """What was done already."""
        config = self.line.config
        decides = config.digest("data", "task", "features", "model", "training")
        return TrialLog(LineStore(self.store, self.line.name), {what: [digest(self.dataset), decides, *parts]})

    def places(self, what: str) -> Callable[[int], CheckpointPlace]:
        """Where checkpoints go."""
        config = self.line.config
        name = (
            f"{what}-{digest(self.dataset)[:16]}-{config.digest('data', 'task', 'features', 'model', 'training')[:16]}"
        )
        return lambda number: StorePlace(self.store, self.line.name, f"{name}-{number}")

    def fit_fresh(
        self,
        model: ModelFamily,
        policy: TrainingPolicy,
        learned: TrainingSet,
        validation: TrainingSet,
        control: FitControl,
    ) -> tuple[Fitted, Callable[[TrainingSet], NDArray[np.float32]]]:
        """Fit a fresh teacher; how it went, and what it answers."""
        config, task = self.line.config, self.task
        teacher = build_teacher(task, model, self.sets, config.data.classes, policy.seed)
        fitted = fit_teacher(teacher, task, model, policy, learned, validation, config.data.classes, control)
        return fitted, lambda records: predict(teacher.network, records).numpy()


def search_settings(
    tuning: Tuning, model: ModelFamily, policy: TrainingPolicy
) -> tuple[ModelFamily, TrainingPolicy, dict[str, float], float]:
    """The line's sections with the settings that a search found, these settings, and the minutes it took.

    Raises:
        RejectedError: see `assets.training.tuning.search.search`.
    """
    from assets.training.tuning.search import REVISION, Goal, search

    metric = tuning.line.config.metric
    sets, tries = tuning.sets, tuning.tries("search")

    def trial(one: ModelFamily, short: TrainingPolicy, control: FitControl) -> Fitted:
        return tuning.fit_fresh(one, short, sets.learned, sets.validation, control)[0]

    found = search(
        model,
        policy,
        trial,
        tries,
        goal=Goal(metric, tuning.task.spec.sign(metric)),
        report=tuning.report,
        place=tuning.places(f"search{REVISION}"),
        minutes=tuning.minutes,
    )
    spent = sum(float(one["seconds"]) for one in tries.done) / 60
    return found.model, found.policy, dict(found.settings), spent


def validate_in_folds(tuning: Tuning, model: ModelFamily, policy: TrainingPolicy) -> tuple[Spread, float]:
    """How far scores are apart between parts of the records, and the minutes it took.

    Raises:
        RejectedError: see `assets.training.tuning.folds.cross_validate`.
    """
    sets, tries = tuning.sets, tuning.tries("folds", model.model_dump_json(), policy.model_dump_json())
    each = None if tuning.minutes is None else tuning.minutes / policy.folds

    def fold(
        learned: TrainingSet, chooses: TrainingSet, held_out: TrainingSet, place: CheckpointPlace | None
    ) -> NDArray[np.float32]:
        return tuning.fit_fresh(model, policy, learned, chooses, FitControl(place=place, minutes=each))[1](held_out)

    ids, groups = (*sets.train.ids, *sets.validation.ids), (*sets.train.groups, *sets.validation.groups)
    records = GroupedRecords(Joined(sets.train, sets.validation), ids, groups)
    spread = cross_validate(
        tuning.task, records, policy, fold, tries, report=tuning.report, place=tuning.places("fold")
    )
    return spread, sum(float(one["seconds"]) for one in tries.done) / 60
