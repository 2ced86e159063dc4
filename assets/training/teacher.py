"""A line's teacher as a network: built from its `model` section, and fitted by its `training` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from assets.families.build import build_discriminator, build_network, teacher_architecture
from assets.families.encoding import measured
from assets.families.pretrained import load_pretrained
from assets.fitting.contract import FitControl, Fitted, TrainingSet
from assets.fitting.fit import FREE, fit
from assets.fitting.gan import fit_gan
from assets.line.model import ModelFamily
from assets.line.training import TrainingPolicy
from assets.tasks.task import Task
from assets.training.splits import Sets
from edge.contracts import InputSpec

MEASURED_RECORDS = 20_000
"""The spread of what is derived from columns needs no more."""


@dataclass(frozen=True)
class Teacher:
    """A network, the numbers that build it again, what it reads, and what its pretrained weights are ("" without)."""

    network: nn.Module
    architecture: dict[str, Any]
    spec: InputSpec
    pretrained: str = ""


def build_teacher(task: Task, model: ModelFamily, sets: Sets, classes: tuple[str, ...], seed: int) -> Teacher:
    """A network with fresh weights, the same for the same seed; with those of `model.weights` where it names some.

    Of a task that predicts a number, mean and spread of the training numbers go into the architecture, so that the
    network answers in the target's unit; of a generator, the shape of the pictures.

    Raises:
        RejectedError: pretrained weights that are not there or do not fit.
    """
    architecture = teacher_architecture(model, sets.spec)
    if task.spec.answer == "number":
        numbers = np.asarray(sets.learned.y, dtype=np.float64)
        spread = float(numbers.std())
        architecture |= {"target_mean": float(numbers.mean()), "target_std": spread if spread > 0 else 1.0}
    if task.spec.answer == "image":
        architecture |= {"picture": list(sets.records.shape)}
        architecture |= {"kinds": len(classes)} if architecture.get("labels") else {}
    if "derived" in architecture:
        rows = np.arange(min(len(sets.learned), MEASURED_RECORDS), dtype=np.int64)
        architecture |= measured(architecture, sets.spec, sets.learned.batch(rows))
    torch.manual_seed(seed)
    network = build_network(model.family, sets.spec, task.outputs(classes, sets.spec), architecture)
    return Teacher(network, architecture, sets.spec, load_pretrained(network, model) if model.weights else "")


def fit_teacher(
    teacher: Teacher,
    task: Task,
    model: ModelFamily,
    policy: TrainingPolicy,
    learned: TrainingSet,
    validation: TrainingSet,
    classes: tuple[str, ...],
    control: FitControl = FREE,
) -> Fitted:
    """Fit the teacher in place; it ends with the weights of its best epoch.

    Args:
        policy: its `metric`, or the task's own, chooses the epoch.
        learned, validation: what it is fitted to, and what chooses the epoch.

    Raises:
        RejectedError: too few records, or a loss that is not finite.
    """
    if task.spec.answer == "image":
        metric = policy.metric or task.spec.metric
        return fit_gan(
            teacher.network,
            build_discriminator(model.family, teacher.architecture),
            learned,
            policy,
            latent=model.latent,
            distance=lambda pictures: task.score(metric, pictures, validation.y),
            control=control,
        )
    return fit(teacher.network, task, learned, validation, policy, classes=classes, control=control)
