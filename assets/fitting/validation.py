"""How a network does on the validation records, by the line's metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.fitting.contract import TrainingSet
from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective
from assets.tasks.task import Task

AT_ONCE = 256


@dataclass(frozen=True)
class ValidationScore:
    """The metric in its own unit, and the mean loss, on all validation records."""

    score: float
    loss: float


class Validation:
    """Scores networks on one validation set; of several processes each answers a share, and all get the same score.

    The loss is the task's own without label smoothing and class weights, of the records that are learned from.
    """

    def __init__(
        self,
        task: Task,
        policy: TrainingPolicy,
        learned: NDArray[Any],
        validation: TrainingSet,
        classes: Sequence[str],
        metric: str,
        rank: int,
        world: int,
    ) -> None:
        if not len(validation):
            raise RejectedError("the validation split is empty; land more records or raise `data.validation_share`")
        self.task, self.metric, self.validation = task, metric, validation
        self.rank, self.world = rank, world
        plain = policy.model_copy(update={"label_smoothing": 0.0, "imbalance": "none"})
        self._loss: Objective = task.loss.objective(plain, learned, len(classes))
        counted = task.loss.learns_from(validation.y)
        self._counted = counted if counted.any() else np.ones(len(validation), dtype=bool)
        self._sign = task.spec.sign(metric)

    def __call__(self, network: nn.Module, device: torch.device) -> ValidationScore:
        """In evaluation mode and full precision. The network is left in evaluation mode."""
        network.eval()
        if self.world > 1:  # BatchNorm's statistics are the first process's, as DDP has them in each step
            for buffer in network.buffers():
                torch.distributed.broadcast(buffer, 0)
        share = -(-len(self.validation) // self.world)
        rows = np.arange(self.rank * share, min((self.rank + 1) * share, len(self.validation)))
        # Where the last process has no record of its own, it answers one for the answers' shape.
        parts = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        answers, losses = [], [torch.zeros((), dtype=torch.float64, device=device)]
        with torch.no_grad():
            for part in parts or [np.zeros(1, np.int64)]:
                x = self.validation.batch(part).to(device)
                outputs = network(x).float()
                answers.append(outputs)
                if len(rows) and (count := self._counted[part]).any():
                    kept = torch.from_numpy(count).to(device)
                    y = targets(self.validation.y[part]).to(device)
                    losses.append(self._loss(x[kept], y[kept], outputs[kept]).double() * int(count.sum()))
        outputs, loss = torch.cat(answers), torch.stack(losses).sum()
        if self.world > 1:
            padded = outputs.new_zeros(share, *outputs.shape[1:])
            padded[: len(rows)] = outputs[: len(rows)]
            outputs = _of_all(padded, self.world)
            torch.distributed.all_reduce(loss)
        found = outputs[: len(self.validation)].cpu().numpy()
        if not np.isfinite(found).all():
            return ValidationScore(float("nan"), float("nan"))
        score = self.task.score(self.metric, found, self.validation.y)
        return ValidationScore(float(score), float(loss) / int(self._counted.sum()))

    def better(self, one: ValidationScore, other: ValidationScore | None) -> bool:
        """Whether `one` is better: by the metric, then by the loss."""
        if other is None:
            return True
        return (self._sign * one.score, -one.loss) > (self._sign * other.score, -other.loss)


def targets(y: NDArray[np.generic]) -> Tensor:
    """(records,) int64 classes as they are; numbers as float32."""
    return torch.from_numpy(np.asarray(y, np.int64 if y.dtype.kind in "iub" else np.float32))


def _of_all(part: Tensor, world: int) -> Tensor:
    parts = [torch.empty_like(part) for _ in range(world)]
    torch.distributed.all_gather(parts, part.contiguous())
    return torch.cat(parts)
