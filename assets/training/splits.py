"""What a line's teacher learns from and is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.fitting.contract import Part, TrainingSet
from assets.loading.held_out import HeldOut, open_held_out, picture_spec
from assets.loading.records import RecordSet, open_split
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.tasks.task import Task
from assets.training.normalize import INPUT_NAME, input_spec
from edge.contracts import InputSpec


@dataclass(frozen=True)
class Sets:
    """The records of one training.

    Attributes:
        spec: of the model's input; noise for a generator.
        records: of the records; the same as `spec` unless the model reads noise.
        train: every training record.
        learned: what the network is fitted to: all of them, or for anomalies the normal ones only.
        validation, test: what models are chosen by and reported on.
    """

    spec: InputSpec
    records: InputSpec
    train: RecordSet
    learned: TrainingSet
    validation: HeldOut
    test: HeldOut


def open_sets(
    line: BoundLine,
    dataset: DatasetVersion,
    task: Task,
    scratch: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Sets:
    """Open every split of a dataset version as the line's model reads it.

    Args:
        scratch: a folder for decoded records that are too many for memory.
        report: told in words how far decoding is.

    Raises:
        RejectedError: records that cannot be read; anomalies without a normal training record.
        VerificationError: stored records that were changed.
    """
    config = line.config
    if task.spec.section_is_input:
        spec = records = input_spec(line.store, dataset, config, report)
    else:
        assert config.model is not None, "only lines with a model are trained"
        records, spec = picture_spec(config), InputSpec("noise", INPUT_NAME, (config.model.latent,), (), ())
    train = open_split(line.store, dataset, "train", records, config, scratch=scratch, report=report)
    learned: TrainingSet = train
    if task.spec.answer == "anomaly":
        normal = np.flatnonzero(task.loss.learns_from(np.asarray(train.y)))
        if not len(normal):
            raise RejectedError(
                f"line {line.name!r}: no training record is {config.data.classes[0]!r}, the normal class (the first in "
                "`data.classes`); land normal records, or name the classes in another order"
            )
        learned = Part(train, normal)
    validation = open_held_out(line.store, dataset, "validation", spec, config, scratch=scratch)
    test = open_held_out(line.store, dataset, "test", spec, config, scratch=scratch)
    return Sets(spec, records, train, learned, validation, test)


def truth_of(task: Task, sets: Sets) -> NDArray[Any]:
    """Labels of the training records, which a sanity baseline may know; of a generator the pictures themselves."""
    if task.spec.section_is_input:
        return sets.train.y
    rows = np.arange(min(len(sets.train), len(sets.test)))
    pictures: NDArray[Any] = sets.train.batch(rows).numpy()
    return pictures
