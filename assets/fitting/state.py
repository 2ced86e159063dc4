"""How far a training is: everything that a checkpoint has to bring back, besides the weights."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from assets.fitting.validation import ValidationScore

FIELDS = ("epoch", "batch", "step", "loss_sum", "loss_records", "curve", "best_epoch", "without_gain", "cuts", "ended")


@dataclass
class State:
    """Changed by the learner as the training goes.

    Attributes:
        epoch: the one that runs, from 1; one more than there are when all are done.
        batch: optimizer steps done in this epoch.
        step: optimizer steps done in all.
        loss_sum: of this epoch's records so far, on the training device; of this process alone.
        best: the score of `best_epoch`, and its weights.
        without_gain: epochs since then.
        cuts: how often a plateau has cut the learning rate.
        before: seconds of training before this process took it up.
        ended: "" while it runs.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    loss_sum: Tensor | float = 0.0
    loss_records: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: ValidationScore | None = None
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    without_gain: int = 0
    cuts: int = 0
    before: float = 0.0
    ended: str = ""
    resumed_at: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Of training so far, those before a crash included."""
        return self.before + time.monotonic() - self.began

    def pack(self) -> dict[str, Any]:
        """Plain numbers, texts and tensors."""
        body = {name: getattr(self, name) for name in FIELDS}
        best = [self.best.score, self.best.loss] if self.best else None
        return body | {"loss_sum": float(self.loss_sum), "seconds": self.seconds, "best": best}

    def unpack(self, body: dict[str, Any]) -> None:
        """Go on where `pack` was called. Raises KeyError where something is missing."""
        for name in FIELDS:
            setattr(self, name, body[name])
        self.best = ValidationScore(*body["best"]) if body["best"] else None
        self.before, self.began, self.resumed_at = body["seconds"], time.monotonic(), self.step
