"""What Lightning's Trainer drives when a GAN is trained: both networks' steps, and what happens after each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.fitting.augment import augment
from assets.fitting.checkpoints import Checkpoints
from assets.fitting.contract import TrainingSet, Watch
from assets.fitting.distributed_batches import Sampling, step_seed
from assets.fitting.early_stopping import end_epoch, why_ended
from assets.fitting.ema import AveragedWeights
from assets.fitting.optimizers import optimizer_of
from assets.fitting.prefetch import Batch, Feed
from assets.fitting.progress import ProgressClock
from assets.fitting.schedules import Schedule
from assets.fitting.state import State
from assets.fitting.validation import ValidationScore
from assets.line.training import TrainingPolicy
from assets.tasks.image_generation.loss import discriminator_loss, generator_loss, kinds_loss

BETAS = (0.5, 0.99)
"""Of Adam and AdamW: an opponent that moves makes old gradients worthless (Radford et al. 2016)."""
VALIDATED = 2_000
"""Pictures that an epoch is validated by, always of the same noise."""
AT_ONCE = 250
_VALIDATION_SEED = 1


@dataclass(frozen=True, eq=False)
class GanParts:
    """What one training is made of.

    Attributes:
        train: real pictures, (rows, channels, height, width) with values 0 to 1.
        latent: how many numbers the generator reads.
        distance: of generated pictures from real ones, less is better; None: the last epoch is the best.
        seconds: the longest training; None for no limit.
    """

    policy: TrainingPolicy
    train: TrainingSet
    sampling: Sampling
    latent: int
    distance: Callable[[NDArray[np.float32]], float] | None
    watch: Watch
    checkpoints: Checkpoints
    seconds: float | None

    @property
    def loss(self) -> str:
        """The name of both networks' loss."""
        return self.policy.loss or "adversarial"


class GanModule(pl.LightningModule):
    """Generator and discriminator of one training. `state` says how far it is, as in `assets.fitting.learner`."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, parts: GanParts) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator, self.parts = generator, discriminator, parts
        self.state, self.schedule = State(), Schedule(parts.policy, parts.sampling.batches)
        self.feed = Feed(self._places, self._make)
        self.clock = ProgressClock(parts.watch, self.state, self.schedule, self.feed, parts.seconds)
        self.average: AveragedWeights | None = None
        self.sums = torch.zeros(2, dtype=torch.float64)
        self._resumed: dict[str, Any] | None = None

    def resume(self, body: dict[str, Any]) -> None:
        """Begin where a checkpoint was written."""
        self.generator.load_state_dict(body["generator"])
        self.discriminator.load_state_dict(body["discriminator"])
        self.sums = body["sums"]
        self.state.unpack(body["state"])
        self.state.best_weights = body["best"]
        self._resumed = body

    # What Lightning asks for.

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The line's optimizer twice: the generator's, and the discriminator's."""
        optimizers = [optimizer_of(network, self.parts.policy) for network in (self.generator, self.discriminator)]
        for position, optimizer in enumerate(optimizers):
            for group in optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = BETAS
            if self._resumed is not None:
                optimizer.load_state_dict(self._resumed["optimizers"][position])
        return optimizers

    def on_train_start(self) -> None:
        """What only is there once the networks are on their device."""
        self.sums = self.sums.to(self.device)
        if self.parts.policy.ema:
            self.average = AveragedWeights(self.generator, self.parts.policy.ema)
            if self._resumed is not None:
                self.average.load_state_dict(self._resumed["average"])
        self._resumed = None

    def train_dataloader(self) -> Feed:
        """The batches that are left of the epoch that comes next."""
        return self.feed

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Real pictures and their labels to the device."""
        return batch._replace(x=batch.x.to(device, non_blocking=True), y=batch.y.to(device, non_blocking=True))

    def on_train_epoch_start(self) -> None:
        """Training mode, and the clock."""
        self.generator.train()
        self.discriminator.train()
        self.clock.begin()

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the discriminator on real and generated pictures, then one of the generator on the same ones."""
        torch.manual_seed(batch.seed)  # dropout, so that a step is the same whether or not the training was resumed
        draws = torch.Generator().manual_seed(batch.seed)
        smoothing, name = self.parts.policy.label_smoothing, self.parts.loss
        noise = torch.randn(len(batch.x), self.parts.latent, generator=draws).to(self.device)
        optimizers = self.trainer.optimizers
        made = self._shown(self.generator(noise), batch.seed + 1)
        answers = self.discriminator(self._shown(batch.x, batch.seed))
        real, kinds = answers[:, :1], answers.shape[1] - 1
        wrong = discriminator_loss(name, real, self.discriminator(made.detach())[:, :1])
        if smoothing:  # what the target 1 - smoothing adds to the cross entropy with 1 (Salimans et al. 2016)
            wrong = wrong + smoothing * real.float().mean() / 2
        wrong = wrong + kinds_loss(answers, batch.y)
        self._step(optimizers[1], wrong, self.discriminator)
        # The discriminator's own gradients are not needed here, and cost a third of its backward pass.
        self.discriminator.requires_grad_(False)
        answers = self.discriminator(made)
        unmasked = generator_loss(name, answers[:, :1])
        if kinds:
            unmasked = unmasked + kinds_loss(answers, noise[:, :kinds].argmax(1))
        self._step(optimizers[0], unmasked, self.generator)
        self.discriminator.requires_grad_(True)
        self.sums += torch.stack([unmasked.detach(), wrong.detach()]) * len(batch.x)
        self.state.loss_records += len(batch.x)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """After both steps: count, report, write a checkpoint, stop."""
        state, parts = self.state, self.parts
        state.step += 1
        state.batch += 1
        self.clock.count(len(batch.x))
        if self.average is not None:
            self.average.update(self.generator)
        self.clock.report(lambda: float(self.sums[0]) / state.loss_records)
        # Right before an epoch's end no checkpoint is written: the validation that follows belongs to it.
        if state.batch < parts.sampling.batches and parts.checkpoints.due():
            self._write_checkpoint()
        if self.clock.over():
            state.ended = "time limit"
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        """Validate what the generator makes, keep the best, and see whether to go on."""
        state, parts = self.state, self.parts
        losses = (self.sums / max(1, state.loss_records)).tolist()
        if not all(map(math.isfinite, losses)):
            raise RejectedError(
                f"the generator's loss is {losses[0]} and the discriminator's {losses[1]} in epoch {state.epoch}; "
                "lower `training.learning_rate`"
            )
        self.clock.end()
        validated = self.generator if self.average is None else self.average.network
        distance = self._distance(validated)
        row = {
            "epoch": state.epoch,
            "step": state.step,
            "train_loss": losses[0],
            "discriminator_loss": losses[1],
            "learning_rate": self.schedule.rate(max(0, state.step - 1), state.cuts),
            "seconds": state.seconds,
        }
        state.curve.append(row if distance is None else row | {"validation_frechet": distance})
        better = state.best is None or distance is None or distance < state.best.score
        score = ValidationScore(losses[0] if distance is None else distance, losses[0])
        end_epoch(state, score, validated, better=better)
        parts.watch.epoch(state.curve[-1], self.clock.progress())
        self._next_epoch()

    def _next_epoch(self) -> None:
        state = self.state
        state.epoch, state.batch, state.loss_records = state.epoch + 1, 0, 0
        self.sums = torch.zeros_like(self.sums)
        state.ended = why_ended(state, self.parts.policy, over=self.clock.over())
        if self.parts.checkpoints.due():
            self._write_checkpoint()
        if state.ended:
            self.trainer.should_stop = True

    # The records of a step.

    def _places(self) -> list[tuple[NDArray[np.int64], int]]:
        """(rows of the batch, step) of what is left of the epoch."""
        batches = self.parts.sampling.epoch(self.state.epoch)[self.state.batch :]
        return [(rows, self.state.step + position) for position, rows in enumerate(batches)]

    def _make(self, place: tuple[NDArray[np.int64], int]) -> Batch:
        rows, step = place
        labels = torch.from_numpy(np.asarray(self.parts.train.y[rows], np.int64))
        return Batch(self.parts.train.batch(rows), labels, 1.0, step_seed(self.parts.policy.seed, step), True)

    def _shown(self, pictures: Tensor, seed: int) -> Tensor:
        """Pictures as the discriminator gets to see them."""
        if self.parts.policy.augment.spatial:
            draws = torch.Generator().manual_seed(seed)
            pictures, _ = augment(pictures, torch.empty(0), self.parts.policy.augment, 0, draws)
        if self.parts.policy.channels_last:
            pictures = pictures.contiguous(memory_format=torch.channels_last)
        return pictures

    # Single steps.

    def _step(self, optimizer: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> None:
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.state.step, self.state.cuts)
        optimizer.zero_grad()
        self.manual_backward(loss)
        if self.parts.policy.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.parts.policy.clip)
        optimizer.step()

    @torch.no_grad()
    def _distance(self, generator: nn.Module) -> float | None:
        """From real pictures to those of the same noise in each epoch. Raises RejectedError where it is not finite."""
        if self.parts.distance is None:
            return None
        generator.eval()
        noise = torch.randn(VALIDATED, self.parts.latent, generator=torch.Generator().manual_seed(_VALIDATION_SEED))
        parts = [noise[at : at + AT_ONCE] for at in range(0, VALIDATED, AT_ONCE)]
        made = [generator(part.to(self.device)).float().cpu() for part in parts]
        distance = float(self.parts.distance(torch.cat(made).numpy()))
        if not math.isfinite(distance):
            raise RejectedError(
                f"the generated pictures are {distance} from real ones in epoch {self.state.epoch}; "
                "lower `training.learning_rate`"
            )
        return distance

    def _write_checkpoint(self) -> None:
        self.parts.checkpoints.write(
            {
                "generator": self.generator.state_dict(),
                "discriminator": self.discriminator.state_dict(),
                "best": self.state.best_weights,
                "optimizers": [optimizer.state_dict() for optimizer in self.trainer.optimizers],
                "average": {} if self.average is None else self.average.state_dict(),
                "sums": self.sums,
                "state": self.state.pack(),
            }
        )
