"""What a card is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from assets.line.config import Line
from assets.records.dataset import DatasetVersion
from assets.storage.store import Store
from assets.tasks.task import Task
from assets.training.card.data import ModelInUse
from assets.training.card.generated import GanEvidence
from assets.training.card.samples import TestRecords, hidden_columns, label_is_hidden
from assets.training.documents import TrainedModel
from edge.contracts import InputSpec


@dataclass(frozen=True)
class Facts:
    """What a card is made from.

    Attributes:
        model: with its evidence; its `card` is not read.
        records: the test split, as the model is measured on it.
        spec: of the records; a generator's: of the pictures.
        outputs: of the exported file on `records`: (n, classes) logits, (n, 1) numbers or scores; of a generator its
            pictures (n, channels, height, width), 0 to 1.
        network: with the weights that were exported, for explanations; None: there are none.
        rival: the model in use, on the same records; None where there is none.
        gan: of a generator.
        best_epoch: whose weights were kept, from 1; None: not known.
        folds: scores of a cross-validation, by the line's metric.
        notes: further sentences for people.
        seconds: most time that explanations take.
    """

    store: Store
    line: Line
    dataset: DatasetVersion
    model: TrainedModel
    task: Task
    records: TestRecords
    spec: InputSpec
    outputs: NDArray[np.float32]
    network: nn.Module | None = None
    rival: ModelInUse | None = None
    gan: GanEvidence | None = None
    best_epoch: int | None = None
    folds: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 10.0

    @property
    def singles(self) -> bool:
        """Whether single test records may be shown."""
        data = self.line.config.data
        return not data.privacy.encrypt and not label_is_hidden(data)

    @property
    def groups(self) -> Sequence[str] | None:
        """The group of each test record, unless there is none or it is private."""
        groups, data = getattr(self.records, "groups", None), self.line.config.data
        if groups is None or len(groups) != len(self.records) or not any(groups):
            return None
        return None if self.group_name in hidden_columns(data) or data.privacy.encrypt else list(groups)

    @property
    def group_name(self) -> str:
        """The column that says which group a record is of."""
        data = self.line.config.data
        section = data.series or data.table
        return str(getattr(section, "unit", None) or getattr(section, "group", None) or "group")

    @property
    def target(self) -> str:
        """What is predicted, where it is a number."""
        data = self.line.config.data
        section = data.table or data.series
        return str(getattr(section, "target", None) or ("time left" if data.series is not None else "number"))
