"""One way to fit a network, for teachers (on labels) and students (on a teacher's answers).

Lightning's Trainer runs the steps. The weights of the best validation epoch are kept.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn

from assets.errors import RejectedError
from assets.fitting.checkpoints import Checkpoints, fingerprint
from assets.fitting.contract import FitControl, Fitted, Part, Quiet, TrainingSet
from assets.fitting.distributed_batches import Batches, sampling_of
from assets.fitting.learner import Learner, TrainingParts
from assets.fitting.validation import Validation
from assets.line.training import TrainingPolicy
from assets.tasks.contract import Attending, Objective
from assets.tasks.task import Task

if TYPE_CHECKING:
    from assets.fitting.differential_privacy import Private

for _name in ("pytorch_lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # it tells which devices there are, and gives tips

WIDE = 16
"""torch 2.13 on a CPU (oneDNN 3.12, two threads) ended the process in the backward pass of ResNets that had a
convolution of 8 channels in channels-last order, again and again; never with 16 or more, nor in the usual order."""
FREE = FitControl()
"""Nobody looks on, no checkpoint is kept, and there is no limit of time."""
PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def fit(
    network: nn.Module,
    task: Task,
    train: TrainingSet,
    validation: TrainingSet,
    policy: TrainingPolicy,
    *,
    classes: Sequence[str],
    objective: Objective | None = None,
    control: FitControl = FREE,
) -> Fitted:
    """Fit `network` in place and leave it with its best validation weights, on the CPU, in evaluation mode.

    Under `torch.distributed.run` with several processes, each calls this with the same arguments; they share each batch
    and all get the same result.

    Args:
        train, validation: what is learned from, and what chooses the epoch.
        classes: empty where a number is predicted.
        objective: the loss of a batch; None for the task's own as the policy asks for it. A module is moved to the
            training's device, and neither trained nor kept.
        policy: its `metric`, or the task's own, chooses the epoch.

    Raises:
        RejectedError: too few records (BatchNorm needs two), a loss that is not finite, or a setting that this machine
            or network cannot do.
        TransientError: a checkpoint that cannot be written now; the last one still stands.
    """
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    gpu = torch.cuda.is_available()
    if policy.precision == "fp16" and not gpu:
        raise RejectedError("training.precision fp16 needs a GPU, and this machine has none; use bf16 or 32")
    if policy.channels_last and not gpu and narrow(network):
        policy = policy.model_copy(update={"channels_last": False})
    train = learned_part(task, train)
    private = _private(network, policy, train) if policy.privacy else None
    sampling = private.sampling if private else sampling_of(policy, train.y, world)
    metric = policy.metric or task.spec.metric
    scored = Validation(task, policy, train.y, validation, classes, metric, rank, world)
    known = {
        "policy": policy.model_dump(mode="json", exclude={"checkpoint_seconds", "threads", "cache_gb"}),
        "records": [len(train), len(validation)],
        "task": [task.name, list(classes), metric, objective is None],
        "processes": world,
    }
    checkpoints = Checkpoints(control.place, policy.checkpoint_seconds, fingerprint(network, known))
    watch = control.watch if rank == 0 else Quiet()
    loss = objective or task.loss.objective(policy, train.y, len(classes))
    batches = Batches(policy, train, len(classes), sampling, rank)
    seconds = None if control.minutes is None else 60 * control.minutes
    parts = TrainingParts(policy, batches, loss, scored, watch, checkpoints, seconds, private)
    learner = Learner(private.network if private else network, parts)
    if (body := checkpoints.read(watch)) is not None:
        learner.resume(body)
        watch.note(f"training goes on from its last checkpoint: epoch {learner.state.epoch}, step {learner.state.step}")
    if isinstance(loss, nn.Module):
        loss.requires_grad_(False).to("cuda" if gpu else "cpu")
    state = learner.state
    if not state.ended:
        with loss.attend(network) if isinstance(loss, Attending) else nullcontext():
            _run(learner, policy, world, gpu)
    network.load_state_dict(private.plain(state.best_weights) if private else state.best_weights)
    set_memory_format(network.cpu().eval(), torch.contiguous_format)
    assert state.best is not None, "an epoch was validated"
    return Fitted(
        tuple(state.curve),
        state.best_epoch,
        state.best.score,
        state.step,
        state.resumed_at,
        cast(Literal["epochs", "patience", "time limit"], state.ended),
        learner.clock.records_per_second,
        private.epsilon(state.step) if private else None,
        learner.clock.data_wait,
    )


def _private(network: nn.Module, policy: TrainingPolicy, train: TrainingSet) -> Private:
    from assets.fitting.differential_privacy import Private

    return Private(network, policy, train.y)


def narrow(network: nn.Module) -> bool:
    """Whether a convolution has so few channels that channels-last order is not safe on a CPU, see `WIDE`."""
    return any(isinstance(part, nn.Conv2d) and part.out_channels < WIDE for part in network.modules())


def learned_part(task: Task, train: TrainingSet) -> TrainingSet:
    """The records that the task learns from: all, but for anomalies the normal ones."""
    learned = task.loss.learns_from(train.y)
    return train if learned.all() else Part(train, np.flatnonzero(learned))


def _run(learner: Learner, policy: TrainingPolicy, world: int, gpu: bool) -> None:
    if policy.channels_last:
        set_memory_format(learner.network, torch.channels_last)
    with warnings.catch_warnings():
        # Lightning's advice to people who call it by hand, and what torch has deprecated below it.
        warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning.*")
        warnings.filterwarnings("ignore", message=r"`?torch\.jit", category=DeprecationWarning)  # torch.compile's own
        # Opacus' hooks stand on the first layer too, whose input needs no gradient.
        warnings.filterwarnings("ignore", message="Full backward hook is firing", category=UserWarning)
        trainer = pl.Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))) if world > 1 else 1,
            num_nodes=world // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world > 1 else 1,
            strategy="ddp" if world > 1 else "auto",
            precision=PRECISIONS[policy.precision],
            accumulate_grad_batches=learner.parts.batches.sampling.parts,
            gradient_clip_val=policy.clip,
            sync_batchnorm=gpu and world > 1,
            use_distributed_sampler=False,
            max_epochs=policy.epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        try:
            trainer.fit(learner)
        finally:
            learner.feed.close()


def set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay the kernels of a network's 2-D convolutions out in this order; their values stay."""
    for weight in network.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=memory_format)
