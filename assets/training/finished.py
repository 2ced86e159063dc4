"""A training that ended, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assets.fitting.contract import Fitted
from assets.line.model import ModelFamily
from assets.tasks.task import Task
from assets.training.documents import Start, TrainedModel
from assets.training.splits import Sets
from assets.training.teacher import Teacher


@dataclass(frozen=True)
class FinishedTraining:
    """A teacher with its best weights, and all that it came from.

    Attributes:
        model: the line's section, with what a search found.
        earlier: the model in use; None before the first.
        settings: what a search found; empty without one.
        folds: scores of a cross-validation by the line's metric; empty without one.
    """

    task: Task
    model: ModelFamily
    sets: Sets
    teacher: Teacher
    start: Start
    earlier: TrainedModel | None
    fitted: Fitted
    settings: Mapping[str, float]
    folds: tuple[float, ...]
