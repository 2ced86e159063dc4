"""The contract of a line's model, loss and metrics, checked on made records before anything lands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assets.errors import EdgeError, RejectedError
from assets.families.build import teacher_architecture
from assets.families.check_network import RECORDS, Finding, Loss, Subject, check_network
from assets.families.network import TARGET_MEAN, TARGET_STD
from assets.families.pretrained import load_pretrained
from assets.line.config import LineConfig
from assets.line.model import ModelFamily
from assets.tasks.task import Task, load_task
from assets.tasks.user_metrics import user_score
from edge.contracts import InputSpec

MEAN, STD = 50.0, 20.0
"""Of the made numbers to predict."""


def made_spec(config: LineConfig) -> InputSpec:
    """What the line's model reads, as far as the YAML alone says it: nothing is normalized.

    Raises:
        RejectedError: the line has no model.
    """
    data, task = config.data, config.task_spec
    if config.model is None or task is None:
        raise RejectedError("the line has no `model`: it collects data only; name a family to have it checked")
    kind = task.input_kind(data)
    if kind == "noise":
        return InputSpec(kind, "noise", (config.model.latent,), (), ())
    if kind == "image":
        assert data.image is not None, "lines with pictures have the section"
        channels = data.image.channels
        return InputSpec(
            kind, "input", (channels, data.image.height, data.image.width), (0.0,) * channels, (1.0,) * channels
        )
    if kind == "text":
        features = config.features
        return InputSpec(kind, "input", (features.tokens,), (), (), buckets=features.buckets, unit=features.unit)
    section = data.inputs
    assert section is not None, "tables and series have columns"
    count = len(section.columns)
    shape = (count,) if kind == "table" else (config.features.steps, count)
    words = dict(section.categories)
    return InputSpec(kind, "input", shape, (0.0,) * count, (1.0,) * count, section.columns, words)


def check_model(config: LineConfig) -> tuple[Finding, ...]:
    """What the line's model, loss and own metrics keep and break, clause by clause."""
    try:
        spec, spec_of_task = made_spec(config), config.task_spec
        assert spec_of_task is not None and config.model is not None, "made_spec refuses lines without"
        task, classes = load_task(spec_of_task.name), config.data.classes
        outputs, architecture = task.outputs(classes, spec), teacher_architecture(config.model, spec)
    except EdgeError as error:
        return (Finding("builds", False, str(error)),)
    answer: tuple[int, ...] = (outputs,)
    if task.spec.answer == "number":
        architecture |= {TARGET_MEAN: MEAN, TARGET_STD: STD}
    if task.spec.answer == "image":
        image = config.data.image
        assert image is not None, "a GAN's line has pictures"
        answer = (image.channels, image.height, image.width)
        architecture["picture"] = list(answer)
    y = _made_targets(task, len(classes))
    loss, finding = _loss(config, task, y, len(classes))
    subject = Subject(config.model.family, spec, outputs, architecture, answer, loss)
    found = [*check_network(subject)]
    if config.model.weights is not None and found[0].ok:
        found.append(_weights(subject, config.model))
    if finding is not None:
        found.append(finding)
    outs = np.random.default_rng(0).normal(MEAN, STD, (RECORDS, *answer)).astype(np.float32)
    found += [_metric(name, outs, y) for name in config.training.metrics]
    return tuple(found)


def _made_targets(task: Task, classes: int) -> Any:
    """(records,) classes in turn, or numbers."""
    if task.spec.regression:
        return MEAN + STD * np.linspace(-1, 1, RECORDS)
    return np.arange(RECORDS, dtype=np.int64) % max(1, classes)


def _weights(subject: Subject, model: ModelFamily) -> Finding:
    """Whether `model.weights` names a file that the network can start from."""
    try:
        return Finding("starts from its weights", True, load_pretrained(subject.build(), model))
    except EdgeError as error:
        return Finding("starts from its weights", False, str(error))


def _loss(config: LineConfig, task: Task, y: Any, classes: int) -> tuple[Loss, Finding | None]:
    """The line's loss for one step, and what is wrong with it; a mean of the answers where it cannot be had."""
    if task.spec.answer == "image":
        return (lambda _, outputs: outputs.mean()), None
    targets = torch.from_numpy(y) if y.dtype == np.int64 else torch.from_numpy(y).float()
    own = config.training.loss is not None and ":" in config.training.loss

    def plain(_: Tensor, outputs: Tensor) -> Tensor:
        return outputs.mean()

    try:
        objective = task.loss.objective(config.training, y, classes)
        width = classes if task.spec.answer == "class" else 1
        value = objective(torch.zeros(1), targets, torch.randn(RECORDS, width, requires_grad=True))
        value.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # a function of the user's own raises what it likes
        return plain, Finding("has a loss", False, _sentence(error))
    used: Callable[[Tensor, Tensor], Tensor] = lambda x, outputs: objective(x, targets[: len(x)], outputs)  # noqa: E731
    name = config.training.loss or task.spec.losses[0]
    return used, Finding("has a loss", True, f"{name}: {float(value.detach()):.3g} on made answers") if own else None


def _metric(name: str, outputs: Any, y: Any) -> Finding:
    try:
        return Finding("has a metric", True, f"{name}: {user_score(name, outputs, y):.3g} on made answers")
    except Exception as error:
        return Finding("has a metric", False, _sentence(error))


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, EdgeError) else f"{type(error).__name__}: {text}"
