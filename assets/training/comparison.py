"""Is the new teacher really better than the model in use? Both answer the same test records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.evaluation.answers import answers, open_session
from assets.line.config import Line
from assets.loading.held_out import open_held_out
from assets.records.dataset import DatasetVersion
from assets.records.line_store import BoundLine
from assets.tasks.compare import Comparison, compare
from assets.tasks.task import Task
from assets.training.documents import TrainedModel
from assets.training.splits import Sets
from assets.training.verify import exam_of
from edge.contracts import Metric
from edge.errors import VerificationError


class NotComparableError(Exception):
    """The model in use cannot answer these records; the text says why."""


def against_the_model_in_use(
    line: BoundLine,
    dataset: DatasetVersion,
    task: Task,
    sets: Sets,
    earlier: TrainedModel,
    outputs: NDArray[np.float32],
) -> tuple[Comparison, tuple[Metric, ...]]:
    """The paired test on the test records, and what the model in use reaches on them.

    A record's split never changes, so no test record was ever trained on by the earlier model either.

    Args:
        outputs: what the new model answers.

    Raises:
        NotComparableError: the earlier model is for another task, reads other records or knows other classes.
    """
    if earlier.task != task.name or earlier.labels != labels_of(task, line.line):
        raise NotComparableError("the model in use is for another task or other classes")
    try:
        held = open_held_out(line.store, dataset, "test", earlier.input, line.config)
        before = answers(open_session(line.store.fetch(earlier.onnx)), held)
    except (RejectedError, VerificationError, RuntimeError, ValueError) as error:  # ONNX Runtime's are RuntimeErrors
        raise NotComparableError(f"the model in use cannot answer these records ({error})") from error
    if before.shape != outputs.shape:
        raise NotComparableError("the model in use reads other records (`features` was changed)")
    found = compare(task, line.config.metric, before, outputs, sets.test.y, groups=_units(held.ids, held.groups))
    return found, exam_of(task, line.line, sets, earlier.answer).metrics_on("test", before)


def labels_of(task: Task, line: Line) -> tuple[str, ...]:
    """The classes in the order of the outputs; none where the answer is something else."""
    return line.config.data.classes if task.spec.answer == "class" else ()


def _units(ids: Sequence[str], groups: Sequence[str]) -> NDArray[np.generic] | None:
    """The unit of each record; None where all are on their own."""
    if not any(groups):
        return None
    return np.asarray([f"group {group}" if group else own for own, group in zip(ids, groups, strict=True)])
