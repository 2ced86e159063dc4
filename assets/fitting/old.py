"""One way to fit a network, for teachers (on labels) and students (on a teacher's answers).

AdamW (Loshchilov & Hutter 2019) on a one-cycle schedule (Smith & Topin 2018); the weights of the best validation epoch
are kept.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import RejectedError
from assets.learning import TrainingPolicy
from assets.networks import Network, predict

SMALL_STEP = 32_768
"""Input numbers per optimizer step below which one thread is faster on a machine that does other things too."""

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(inputs, labels, the network's logits) to the loss of one batch."""


@dataclass(frozen=True)
class Recipe:
    """How to fit; `recipe_of` takes it from a line's `training` section.

    Attributes:
        shift: pictures are moved by up to one pixel in each direction, anew in each epoch.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    shift: bool = False


def recipe_of(policy: TrainingPolicy, *, shift: bool) -> Recipe:
    """The recipe that a line's `training` section asks for."""
    return Recipe(policy.epochs, policy.batch_size, policy.learning_rate, policy.weight_decay, policy.seed, shift)


def set_up_torch(policy: TrainingPolicy, shape: tuple[int, ...]) -> None:
    """Seed torch, insist on deterministic algorithms, and choose how many threads it uses.

    `torch.distributed.run` sets one thread, which is for several workers on one machine; a large step gets every core.
    A small one keeps one: its threads would spend their time waiting for each other, which on a machine that has other
    work takes 5 times as long (measured: 25 s against 5 s for digits on two busy cores).

    Args:
        shape: of one record.
    """
    torch.manual_seed(policy.seed)
    torch.use_deterministic_algorithms(True)
    small = policy.batch_size * math.prod(shape) < SMALL_STEP
    torch.set_num_threads(1 if small else min(len(os.sched_getaffinity(0)), 8))


def cross_entropy(label_smoothing: float) -> Objective:
    """The objective of a teacher, with label smoothing (Szegedy et al. 2016)."""

    def loss(_inputs: Tensor, labels: Tensor, logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    return loss


def fit(
    network: Network,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    recipe: Recipe,
    objective: Objective,
    report: Callable[[str], None],
) -> tuple[dict[str, float], ...]:
    """Fit `network` in place and leave it with its best validation weights, in evaluation mode.

    Args:
        train, validation: inputs (records, …) float32 and labels (records,) int64.
        report: gets one line per epoch.

    Returns:
        One row per epoch: epoch, train_loss, validation_accuracy.

    Raises:
        RejectedError: fewer than two training records (BatchNorm needs two), or a loss that is not finite.
    """
    x, y = train
    if len(x) < 2:
        raise RejectedError("training needs at least 2 records in the train split; land more records")
    # Whole batches of at least `batch_size`: a last batch of one record would break BatchNorm.
    batches = max(1, len(x) // recipe.batch_size)
    generator = torch.Generator().manual_seed(recipe.seed)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=max(2, recipe.epochs * batches)
    )
    curve: list[dict[str, float]] = []
    best: tuple[float, float] | None = None
    kept = copy.deepcopy(network.state_dict())
    for epoch in range(1, recipe.epochs + 1):
        loss = _epoch(network, x, y, batches, recipe.shift, generator, optimizer, schedule, objective)
        if not torch.isfinite(torch.tensor(loss)):
            raise RejectedError(f"the loss is {loss} in epoch {epoch}; lower `training.learning_rate`")
        accuracy, held_out = _judge(network, *validation)
        curve.append({"epoch": epoch, "train_loss": loss, "validation_accuracy": accuracy})
        if best is None or (accuracy, -held_out) > best:
            best, kept = (accuracy, -held_out), copy.deepcopy(network.state_dict())
        report(f"epoch {epoch}/{recipe.epochs}  loss {loss:.3f}  validation {accuracy:.3f}")
    network.load_state_dict(kept)
    network.eval()
    return tuple(curve)


def _epoch(
    network: Network,
    x: Tensor,
    y: Tensor,
    batches: int,
    shift: bool,
    generator: torch.Generator,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    objective: Objective,
) -> float:
    """One pass over the records; the mean loss per record."""
    network.train()
    total = 0.0
    for rows in torch.randperm(len(x), generator=generator).tensor_split(batches):
        inputs = shifted(x[rows], generator) if shift else x[rows]
        loss = objective(inputs, y[rows], network(inputs))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        total += loss.item() * len(rows)
    return total / len(x)


def _judge(network: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    outputs = predict(network, x)
    return (outputs.argmax(1) == y).double().mean().item(), functional.cross_entropy(outputs, y).item()


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (records, channels, height, width), each moved by -1, 0 or 1 pixel both ways; edges are repeated."""
    records, _, height, width = x.shape
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    rows = torch.randint(0, 3, (records, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(0, 3, (records, 1), generator=generator) + torch.arange(width)
    record = torch.arange(records)[:, None, None]
    # The channel axis goes last under this indexing, so it is moved back.
    return padded[record, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
