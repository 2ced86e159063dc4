"""What Lightning's Trainer drives: the steps of one training, and what happens after each step and epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.fitting.checkpoints import Checkpoints
from assets.fitting.contract import Watch
from assets.fitting.distributed_batches import Batches
from assets.fitting.early_stopping import end_epoch, why_ended
from assets.fitting.ema import AveragedWeights
from assets.fitting.optimizers import optimizer_of
from assets.fitting.prefetch import Batch, Feed
from assets.fitting.progress import ProgressClock
from assets.fitting.schedules import Schedule
from assets.fitting.state import State
from assets.fitting.validation import Validation
from assets.line.training import TrainingPolicy
from assets.tasks.contract import Objective

if TYPE_CHECKING:
    from assets.fitting.differential_privacy import Private  # Opacus takes 2 s to import, and few trainings are private

AGREE_STEPS = 10
"""Several processes ask the first one only so often whether to stop or to write a checkpoint."""


@dataclass(frozen=True, eq=False)
class TrainingParts:
    """What one training is made of.

    Attributes:
        objective: the loss of a batch.
        validation: decides which epoch is best.
        seconds: the longest training; None for no limit.
        private: bounds what one record can change; None where nobody asked for it.
    """

    policy: TrainingPolicy
    batches: Batches
    objective: Objective
    validation: Validation
    watch: Watch
    checkpoints: Checkpoints
    seconds: float | None
    private: Private | None = None

    @property
    def processes(self) -> int:
        """How many train together."""
        return self.batches.sampling.processes


class Learner(pl.LightningModule):
    """One training. `state` says how far it is; the loop's own counters are not used, so that it can begin anywhere."""

    def __init__(self, network: nn.Module, parts: TrainingParts) -> None:
        super().__init__()
        self.network, self.parts, self.state = network, parts, State()
        self.schedule = Schedule(parts.policy, parts.batches.sampling.batches)
        self.feed = Feed(lambda: parts.batches.places(self.state), lambda place: parts.batches.make(place, self.device))
        self.clock = ProgressClock(parts.watch, self.state, self.schedule, self.feed, parts.seconds)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self.average: AveragedWeights | None = None
        self._resumed: dict[str, Any] | None = None

    def resume(self, body: dict[str, Any]) -> None:
        """Begin where a checkpoint was written."""
        self.network.load_state_dict(body["network"])
        self.state.unpack(body["state"])
        self.state.best_weights = body["best"]
        if self.parts.batches.rank:  # the first process has the sum of all
            self.state.loss_sum, self.state.loss_records = 0.0, 0
        if self.parts.private is not None:
            self.parts.private.secret = body["secret"]
        self._resumed = body

    # What Lightning asks for.

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The line's optimizer, with its state where a training goes on."""
        optimizer = optimizer_of(self.network, self.parts.policy)
        if self._resumed is not None:
            optimizer.load_state_dict(self._resumed["optimizer"])
        return optimizer if self.parts.private is None else self.parts.private.optimizer(optimizer)

    def on_train_start(self) -> None:
        """What only is there once the network is on its device."""
        if self.parts.policy.ema:
            self.average = AveragedWeights(self.network, self.parts.policy.ema)
        if self._resumed is not None:
            if self.average is not None:
                self.average.load_state_dict(self._resumed["average"])
            self.trainer.precision_plugin.load_state_dict(self._resumed["precision"])
            self._resumed = None

    def train_dataloader(self) -> Feed:
        """The batches that are left of the epoch that comes next."""
        return self.feed

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Records and labels to the device; there they are augmented, where it is a GPU."""
        if device.type == "cpu":
            return batch
        x, y = batch.x.to(device, non_blocking=True), batch.y.to(device, non_blocking=True)
        return batch._replace(x=x, y=y)

    def on_train_epoch_start(self) -> None:
        """Training mode, and the clock."""
        self.network.train()
        self.clock.begin()
        if isinstance(self.state.loss_sum, float):
            self.state.loss_sum = torch.tensor(self.state.loss_sum, dtype=torch.float64, device=self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one part of a batch."""
        torch.manual_seed(batch.seed)  # dropout; so that a step is the same whether or not the training was resumed
        if self.parts.private is not None:
            self.parts.private.seed(self.state.step)
        if batch_idx % self.parts.batches.sampling.parts == 0:
            self._set_rate()
        x, y = batch.x, batch.y
        if x.device.type != "cpu":
            x, y = self.parts.batches.augmented(x, y, batch.seed)
        loss = self.parts.objective(x, y, self._outputs(x).float())
        self.state.loss_sum += loss.detach() * len(x)
        self.state.loss_records += len(x)
        if self.parts.policy.l1:
            weights = (weight.abs().sum() for weight in self.network.parameters() if weight.dim() > 1)
            loss = loss + self.parts.policy.l1 * sum(weights)
        return loss * batch.weight

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """After the optimizer's step: count, report, write a checkpoint, stop."""
        if not batch.last:
            return
        state, sampling = self.state, self.parts.batches.sampling
        state.step += 1
        state.batch += 1
        self.clock.count(sampling.batch_size)
        if self.average is not None:
            self.average.update(self.network)
        if sampling.processes > 1 and state.step % AGREE_STEPS:
            return
        self.clock.report(lambda: float(state.loss_sum) / max(1, state.loss_records))
        # Right before an epoch's end no checkpoint is written: the validation that follows belongs to it.
        due = state.batch < sampling.batches and self.parts.checkpoints.due()
        over, due = self._agree(self.clock.over(), due)
        if due:
            self._write_checkpoint()
        if over:
            state.ended = "time limit"
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        """Validate the weights, keep the best, and see whether to go on."""
        state, parts = self.state, self.parts
        loss = self._epoch_loss()  # waits for what the device still computes
        self.clock.end()
        if not math.isfinite(loss):
            raise RejectedError(f"the loss is {loss} in epoch {state.epoch}; lower `training.learning_rate`")
        validated = self.network if self.average is None else self.average.network
        found = parts.validation(validated, self.device)
        if not math.isfinite(found.score):
            raise RejectedError(
                f"{parts.validation.metric} is {found.score} on the validation records in epoch {state.epoch}; "
                "lower `training.learning_rate`"
            )
        state.curve.append(
            {
                "epoch": state.epoch,
                "step": state.step,
                "train_loss": loss,
                "validation_loss": found.loss,
                f"validation_{parts.validation.metric}": found.score,
                "learning_rate": self._rate(max(0, state.step - 1)),
                "seconds": state.seconds,
            }
        )
        end_epoch(state, found, validated, better=parts.validation.better(found, state.best))
        parts.watch.epoch(state.curve[-1], self.clock.progress())
        self._next_epoch()

    def _next_epoch(self) -> None:
        state = self.state
        state.epoch, state.batch, state.loss_records = state.epoch + 1, 0, 0
        state.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        over, due = self._agree(self.clock.over(), self.parts.checkpoints.due())
        state.ended = why_ended(state, self.parts.policy, over=over)
        if due:
            self._write_checkpoint()
        if state.ended:
            self.trainer.should_stop = True

    # Single steps.

    def _outputs(self, x: Tensor) -> Tensor:
        network: nn.Module = self.network
        if not self.parts.policy.compile:
            return network(x)  # type: ignore[no-any-return]
        if self._compiled is not None:
            return self._compiled(x)
        # A function, as a compiled module would be taken for another part of this one.
        self._compiled = torch.compile(lambda inputs: network(inputs))  # noqa: PLW0108
        try:
            return self._compiled(x)
        except Exception as error:
            raise RejectedError(
                f"this network cannot be compiled here ({str(error).splitlines()[0]}); take `training.compile` out"
            ) from error

    def _rate(self, step: int) -> float:
        return self.schedule.rate(step, self.state.cuts)

    def _set_rate(self) -> None:
        rate, beta = self._rate(self.state.step), self.schedule.beta(self.state.step)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
            if beta is not None:
                group["betas"] = (beta, group["betas"][1])

    def _epoch_loss(self) -> float:
        """The mean loss per record of the epoch so far, of all processes."""
        total = torch.stack(
            [
                torch.as_tensor(self.state.loss_sum, dtype=torch.float64, device=self.device),
                torch.tensor(self.state.loss_records, dtype=torch.float64, device=self.device),
            ]
        )
        if self.parts.processes > 1:
            torch.distributed.all_reduce(total)
        return float(total[0] / total[1])

    def _agree(self, over: bool, due: bool) -> tuple[bool, bool]:
        """What the first process says, whose clock counts."""
        if self.parts.processes == 1:
            return over, due
        agreed = torch.tensor([over, due], dtype=torch.uint8, device=self.device)
        torch.distributed.broadcast(agreed, 0)
        return bool(agreed[0]), bool(agreed[1])

    def _write_checkpoint(self) -> None:
        """Write a checkpoint; of several processes the first does, for all."""
        state, parts = self.state.pack(), self.parts
        if parts.processes > 1:
            total = torch.tensor([state["loss_sum"], state["loss_records"]], dtype=torch.float64, device=self.device)
            torch.distributed.all_reduce(total)
            state |= {"loss_sum": float(total[0]), "loss_records": int(total[1])}
        if parts.batches.rank:
            return
        parts.checkpoints.write(
            {
                "network": self.network.state_dict(),
                "best": self.state.best_weights,
                "optimizer": self.trainer.optimizers[0].state_dict(),
                "average": {} if self.average is None else self.average.state_dict(),
                "precision": self.trainer.precision_plugin.state_dict(),
                "state": state,
                "secret": None if parts.private is None else parts.private.secret,
            }
        )
