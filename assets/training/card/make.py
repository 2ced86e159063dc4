"""Makes a model's card and keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from assets.line.config import Line
from assets.records.dataset import DatasetVersion
from assets.storage import layout
from assets.storage.store import Store
from assets.tasks.contract import Task
from assets.training.card.collect import collect
from assets.training.card.data import Rival
from assets.training.card.facts import Facts
from assets.training.card.generated import GanEvidence
from assets.training.card.index import write_index
from assets.training.card.page import card_page
from assets.training.card.samples import Judged
from assets.training.documents import TrainedModel
from edge.contracts import InputSpec


def make_card(
    store: Store,
    line: Line,
    dataset: DatasetVersion,
    model: TrainedModel,
    task: Task,
    *,
    records: Judged,
    spec: InputSpec,
    outputs: NDArray[np.float32],
    network: nn.Module | None = None,
    rival: Rival | None = None,
    gan: GanEvidence | None = None,
    best_epoch: int | None = None,
    folds: Sequence[float] = (),
    notes: Sequence[str] = (),
    seconds: float = 10.0,
) -> str:
    """Write the model card; the same inputs give the same page.

    Args:
        model: with its evidence; its `card` is not read.
        records: the test split, as the model is judged on it.
        spec: of the records; a generator's: of the pictures.
        outputs: of the exported file on `records`: (n, classes) logits, (n, 1) numbers or scores; of a generator its
            pictures (n, channels, height, width), 0 to 1.
        network: with the weights that were exported, for explanations; None: there are none.
        rival: the model in use, judged on the same records; None where there is none.
        gan: of a generator.
        best_epoch: whose weights were kept, from 1; None: not known.
        folds: scores of a cross-validation, by the line's metric.
        notes: further sentences for people.
        seconds: most time that explanations take.

    Returns:
        The page's key, which `TrainedModel.card` keeps.

    Raises:
        OSError: the store cannot be written.
    """
    facts = Facts(
        store,
        line,
        dataset,
        model,
        task,
        records,
        spec,
        np.asarray(outputs, np.float32),
        network,
        rival,
        gan,
        best_epoch,
        tuple(folds),
        tuple(notes),
        seconds,
    )
    key = layout.card(line.name, model.onnx.sha256)
    store.write(key, card_page(collect(facts)).encode())
    write_index(store, replace(model, card=key))
    return key
