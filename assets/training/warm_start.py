"""Which weights a training starts from: fresh ones, pretrained ones, or those of the line's model in use.

Going on from the model in use is called warm starting or continual training. It saves epochs, but may end behind a
training from scratch (Ash & Adams 2020, arXiv:1910.08475), so `training.start: better` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from assets.families.weights import set_weights
from assets.line.model import ModelFamily
from assets.records.line_store import BoundLine
from assets.tasks.task import Task
from assets.training.documents import FROM_SCRATCH, Start, TrainedModel
from assets.training.previous_model import misfit
from assets.training.teacher import Teacher

TRIAL_SHARE = 0.1
"""Share of the line's epochs that each of the two starts is tried for."""

Trial = Callable[[Teacher, int], float]
"""Fits a teacher for so many epochs; the metric it then reaches on validation records."""


@dataclass(frozen=True)
class Started:
    """A teacher with the weights that training starts from."""

    teacher: Teacher
    start: Start


def choose_start(
    line: BoundLine,
    task: Task,
    model: ModelFamily,
    earlier: TrainedModel | None,
    fresh: Callable[[], Teacher],
    trial: Trial,
) -> Started:
    """The teacher that training goes on with.

    Args:
        earlier: the line's model in use.
        fresh: builds a teacher; with pretrained weights where the line names some.
        trial: tries a start, for `start: better`.

    Raises:
        RejectedError: weights that do not fit the network.
        VerificationError: the earlier model's weights were changed.
    """
    policy = line.config.training
    teacher = fresh()
    own = FROM_SCRATCH
    if model.weights is not None:
        frozen = "; all but the last layer are frozen" if model.freeze else ""
        own = Start("pretrained", "", f"{teacher.pretrained.removeprefix('started ')}{frozen}")
    if policy.start == "scratch":
        return Started(teacher, own)
    reason = "it is the line's first model"
    if earlier is not None:
        reason = misfit(earlier, task.name, model.family, teacher.spec, teacher.architecture)
        if not reason and earlier.labels != line.config.data.classes:
            reason = "its classes are other ones"
    if earlier is None or reason:
        why = f"{own.why or 'from scratch'}: the model in use gives no weights, {reason}"
        return Started(teacher, Start(own.kind, own.parent, why))

    def warm() -> Teacher:
        one = fresh()
        set_weights(one.network, line.store.fetch(earlier.weights), earlier.weights.uri)
        return one

    last = Start("last", earlier.weights.sha256, f"from the model in use, trained on dataset {earlier.dataset[:12]}")
    if policy.start == "last":
        return Started(warm(), last)
    epochs = max(1, math.ceil(TRIAL_SHARE * policy.epochs))
    scores = {"last": trial(warm(), epochs), own.kind: trial(teacher, epochs)}
    sign = task.spec.sign(line.config.metric)
    wins = sign * scores["last"] >= sign * scores[own.kind]
    metric = line.config.metric
    why = (
        f"after {epochs} of {policy.epochs} epochs the model in use reached {metric} {scores['last']:.4f} on "
        f"validation records, {own.why or 'a start from scratch'} {scores[own.kind]:.4f}; the one ahead went on"
    )
    if wins:
        return Started(warm(), Start("last", earlier.weights.sha256, why))
    return Started(fresh(), Start(own.kind, own.parent, why))
