"""k-fold cross-validation: how much a result depends on which records happened to be learned from.

Training and validation records are dealt to k parts; each part is scored by a teacher that learned from the others. The
test records stay out of it. Records of one group (a unit, a patient) stay together. Of the others a fifth chooses the
epoch, so that no part is scored by what it helped to choose. Pictures and columns stay normalized by the line's
training records, whose mean and spread hardly depend on single ones.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from assets.errors import RejectedError
from assets.fitting.contract import CheckpointPlace, Part, TrainingSet
from assets.line.training import TrainingPolicy
from assets.tasks.task import Task
from assets.training.tuning.trial_log import TrialLog

CHOOSERS = 5
"""One in so many of the records that are not scored chooses the epoch."""
Rows = NDArray[np.int64]
Fold = Callable[[TrainingSet, TrainingSet, TrainingSet, CheckpointPlace | None], NDArray[np.float32]]
"""Fits a fresh teacher to the first set, its epoch chosen on the second; its outputs on the third."""


@dataclass(frozen=True)
class Spread:
    """What a cross-validation found.

    Attributes:
        scores: of `metric`, one for each part.
        mean, deviation: of the scores (the deviation with k - 1).
        records: of all parts.
        sentence: for people.
    """

    metric: str
    scores: tuple[float, ...]
    mean: float
    deviation: float
    records: int
    sentence: str


@dataclass(frozen=True)
class Joined:
    """Two sets as one, the first one's records first."""

    first: TrainingSet
    second: TrainingSet

    @property
    def y(self) -> NDArray[Any]:
        """(records,) labels of both."""
        return np.concatenate([self.first.y, self.second.y])

    def __len__(self) -> int:
        """How many records both have."""
        return len(self.first) + len(self.second)

    def batch(self, rows: Rows) -> Tensor:
        """(rows, *shape) of these records."""
        rows = np.asarray(rows)
        late = rows >= len(self.first)
        if not late.any():
            return self.first.batch(rows)
        if late.all():
            return self.second.batch(rows - len(self.first))
        early = self.first.batch(rows[~late])
        found = early.new_empty((len(rows), *early.shape[1:]))
        found[~late] = early
        found[late] = self.second.batch(rows[late] - len(self.first))
        return found


@dataclass(frozen=True)
class GroupedRecords:
    """The records of a cross-validation: training and validation records, see `Joined`.

    Attributes:
        ids, groups: of each record; a group's name, "" for a record on its own.
    """

    records: TrainingSet
    ids: Sequence[str]
    groups: Sequence[str]


def deal(ids: Sequence[str], groups: Sequence[str], y: NDArray[Any], parts: int, seed: int) -> Rows:
    """(records,) the part of each record, 0 to `parts` - 1; the same whatever order the records are in.

    Units (a group, or a record without one) are drawn by the hash of their name and the seed. Records on their own are
    dealt class by class in turn, so that each part has its share of a rare class; numbers count as one class. Groups
    are dealt one by one to the part that has the fewest records, the largest first.

    Raises:
        RejectedError: fewer units than parts.
    """
    units: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for row, (own, group) in enumerate(zip(ids, groups, strict=True)):
        units[bool(group), group or own].append(row)
    if len(units) < parts:
        raise RejectedError(
            f"training.folds: {parts} parts cannot be made of {len(units)} records or groups; lower it, or land more"
        )
    labels = y if y.dtype.kind in "iu" else np.zeros(len(y), dtype=np.int64)

    def draw(unit: tuple[bool, str]) -> bytes:
        return hashlib.sha256(f"fold\0{seed}\0{unit[1]}".encode()).digest()

    alone = sorted((unit for unit in units if not unit[0]), key=lambda one: (int(labels[units[one][0]]), draw(one)))
    joined = sorted((unit for unit in units if unit[0]), key=lambda one: (-len(units[one]), draw(one)))
    found = np.empty(len(ids), dtype=np.int64)
    sizes = [0] * parts
    for unit in joined:
        part = sizes.index(min(sizes))
        found[units[unit]] = part
        sizes[part] += len(units[unit])
    for place, unit in enumerate(alone):
        found[units[unit]] = place % parts
    return found


def cross_validate(
    task: Task,
    records: GroupedRecords,
    policy: TrainingPolicy,
    fold: Fold,
    tries: TrialLog,
    *,
    report: Callable[[str], None],
    place: Callable[[int], CheckpointPlace | None] = lambda number: None,
) -> Spread:
    """Fit `policy.folds` teachers and tell how far their scores are apart.

    Args:
        policy: its `metric`, or the task's own, is the score.
        tries: parts that were scored already are not scored again.
        place: where part `number`'s checkpoints go, so that a killed one goes on.

    Raises:
        RejectedError: a task that makes pictures, or too few records.
    """
    if task.spec.answer == "image":
        raise RejectedError("training.folds: a generator of pictures is not cross-validated; take `folds` out")
    folds, seed, metric = policy.folds, policy.seed, policy.metric or task.spec.metric
    whole, ids, groups = records.records, records.ids, records.groups
    y = whole.y
    part = deal(ids, groups, y, folds, seed)
    learns = task.loss.learns_from(y)
    for number in range(len(tries.done), folds):
        began = time.monotonic()
        scored, others = np.flatnonzero(part == number), np.flatnonzero(part != number)
        named = [(ids[int(row)], groups[int(row)]) for row in others]
        chooses = deal([own for own, _ in named], [group for _, group in named], y[others], CHOOSERS, seed) == 0
        learned = others[~chooses]
        where = place(number)
        sets = (Part(whole, learned[learns[learned]]), Part(whole, others[chooses]), Part(whole, scored))
        outputs = fold(*sets, where)
        if where is not None:
            where.remove()
        score = task.score(metric, outputs, y[scored])
        tries.add({"score": score, "records": len(scored), "seconds": time.monotonic() - began})
        report(f"cross-validation {number + 1}/{folds}: {metric} {score:.4f} on {len(scored)} records")
    scores = tuple(float(one["score"]) for one in tries.done)
    mean, deviation = float(np.mean(scores)), float(np.std(scores, ddof=1))
    sentence = (
        f"cross-validation in {folds} parts: {metric} {mean:.4f}, give or take {deviation:.4f} from part to part "
        f"({min(scores):.4f} to {max(scores):.4f})"
    )
    report(sentence)
    return Spread(metric, scores, mean, deviation, len(whole), sentence)
