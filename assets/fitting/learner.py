"""What Lightning's Trainer drives: the steps of one training, and what happens after each step and epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.fitting.ema import AveragedWeights
from assets.fitting.optimizers import optimizer_of
from assets.fitting.pace import Pace
from assets.fitting.prefetch import Batch, Feed
from assets.fitting.schedules import Schedule, plateau_cuts
from assets.fitting.state import State
from assets.fitting.work import Work

AGREE_STEPS = 10
"""Several processes ask the first one only so often whether to stop or to write a checkpoint."""


class Learner(pl.LightningModule):
    """One training. `state` says how far it is; the loop's own counters are not used, so that it can begin anywhere."""

    def __init__(self, network: nn.Module, work: Work) -> None:
        super().__init__()
        self.network, self.work, self.state = network, work, State()
        self.schedule = Schedule(work.policy, work.sampling.batches)
        self.feed = Feed(lambda: work.places(self.state), lambda place: work.make(place, self.device))
        self.pace = Pace(work, self.state, self.schedule, self.feed)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self.average: AveragedWeights | None = None
        self._taken: dict[str, Any] | None = None

    def go_on(self, body: dict[str, Any]) -> None:
        """Begin where a checkpoint was written."""
        self.network.load_state_dict(body["network"])
        self.state.unpack(body["state"])
        self.state.best_weights = body["best"]
        if self.work.rank:  # the first process has the sum of all
            self.state.loss_sum, self.state.loss_records = 0.0, 0
        if self.work.private is not None:
            self.work.private.secret = body["secret"]
        self._taken = body

    # What Lightning asks for.

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The line's optimizer, with its state where a training goes on."""
        optimizer = optimizer_of(self.network, self.work.policy)
        if self._taken is not None:
            optimizer.load_state_dict(self._taken["optimizer"])
        return optimizer if self.work.private is None else self.work.private.optimizer(optimizer)

    def on_train_start(self) -> None:
        """What only is there once the network is on its device."""
        if self.work.policy.ema:
            self.average = AveragedWeights(self.network, self.work.policy.ema)
        if self._taken is not None:
            if self.average is not None:
                self.average.load_state_dict(self._taken["average"])
            self.trainer.precision_plugin.load_state_dict(self._taken["precision"])
            self._taken = None

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
        self.pace.begin()
        if isinstance(self.state.loss_sum, float):
            self.state.loss_sum = torch.tensor(self.state.loss_sum, dtype=torch.float64, device=self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one part of a batch."""
        torch.manual_seed(batch.seed)  # dropout; so that a step is the same whether or not the training was resumed
        if self.work.private is not None:
            self.work.private.seed(self.state.step)
        if batch_idx % self.work.sampling.parts == 0:
            self._set_rate()
        x, y = batch.x, batch.y
        if x.device.type != "cpu":
            x, y = self.work.augmented(x, y, batch.seed)
        loss = self.work.objective(x, y, self._outputs(x).float())
        self.state.loss_sum += loss.detach() * len(x)
        self.state.loss_records += len(x)
        if self.work.policy.l1:
            weights = (weight.abs().sum() for weight in self.network.parameters() if weight.dim() > 1)
            loss = loss + self.work.policy.l1 * sum(weights)
        return loss * batch.weight

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """After the optimizer's step: count, tell, keep, stop."""
        if not batch.last:
            return
        state, sampling = self.state, self.work.sampling
        state.step += 1
        state.batch += 1
        self.pace.count()
        if self.average is not None:
            self.average.update(self.network)
        if sampling.processes > 1 and state.step % AGREE_STEPS:
            return
        self.pace.tell()
        # Right before an epoch's end nothing is kept: the judgement that follows belongs to it.
        due = state.batch < sampling.batches and self.work.keeper.due()
        over, due = self._agree(self.pace.over(), due)
        if due:
            self._keep()
        if over:
            state.ended = "time limit"
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        """Judge the weights, keep the best, and see whether to go on."""
        state, work = self.state, self.work
        loss = self._epoch_loss()  # waits for what the device still computes
        self.pace.end()
        if not math.isfinite(loss):
            raise RejectedError(f"the loss is {loss} in epoch {state.epoch}; lower `training.learning_rate`")
        judged = self.network if self.average is None else self.average.network
        judgement = work.judge(judged, self.device)
        if not math.isfinite(judgement.score):
            raise RejectedError(
                f"{work.judge.metric} is {judgement.score} on the validation records in epoch {state.epoch}; "
                "lower `training.learning_rate`"
            )
        state.curve.append(
            {
                "epoch": state.epoch,
                "step": state.step,
                "train_loss": loss,
                "validation_loss": judgement.loss,
                f"validation_{work.judge.metric}": judgement.score,
                "learning_rate": self._rate(max(0, state.step - 1)),
                "seconds": state.seconds,
            }
        )
        if work.judge.better(judgement, state.best):
            state.best, state.best_epoch, state.without_gain = judgement, state.epoch, 0
            state.best_weights = {name: value.detach().cpu().clone() for name, value in judged.state_dict().items()}
        else:
            state.without_gain += 1
            state.cuts += plateau_cuts(state.without_gain)
        work.watch.epoch(state.curve[-1], self.pace.progress())
        self._next_epoch()

    def _next_epoch(self) -> None:
        state, policy = self.state, self.work.policy
        state.epoch, state.batch, state.loss_records = state.epoch + 1, 0, 0
        state.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        if not state.ended and policy.patience is not None and state.without_gain >= policy.patience:
            state.ended = "patience"
        if not state.ended and state.epoch > policy.epochs:
            state.ended = "epochs"
        over, due = self._agree(self.pace.over(), self.work.keeper.due())
        if over and not state.ended:
            state.ended = "time limit"
        if due:
            self._keep()
        if state.ended:
            self.trainer.should_stop = True

    # Single steps.

    def _outputs(self, x: Tensor) -> Tensor:
        network: nn.Module = self.network
        if not self.work.policy.compile:
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
        if self.work.sampling.processes > 1:
            torch.distributed.all_reduce(total)
        return float(total[0] / total[1])

    def _agree(self, over: bool, due: bool) -> tuple[bool, bool]:
        """What the first process says, whose clock counts."""
        if self.work.sampling.processes == 1:
            return over, due
        said = torch.tensor([over, due], dtype=torch.uint8, device=self.device)
        torch.distributed.broadcast(said, 0)
        return bool(said[0]), bool(said[1])

    def _keep(self) -> None:
        """Write a checkpoint; of several processes the first does, for all."""
        state, work = self.state.pack(), self.work
        if work.sampling.processes > 1:
            total = torch.tensor([state["loss_sum"], state["loss_records"]], dtype=torch.float64, device=self.device)
            torch.distributed.all_reduce(total)
            state |= {"loss_sum": float(total[0]), "loss_records": int(total[1])}
        if work.rank:
            return
        work.keeper.write(
            {
                "network": self.network.state_dict(),
                "best": self.state.best_weights,
                "optimizer": self.trainer.optimizers[0].state_dict(),
                "average": {} if self.average is None else self.average.state_dict(),
                "precision": self.trainer.precision_plugin.state_dict(),
                "state": state,
                "secret": None if work.private is None else work.private.secret,
            }
        )
