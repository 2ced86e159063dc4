"""torch-pruning as its documentation shows it, fine-tuned on the labels, in float and then in ONNX Runtime's INT8."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from assets.compression.subject import Trainable
from assets.families.export import export_onnx
from assets.fitting.contract import FitControl
from assets.fitting.fit import fit, narrow
from tests.benchmarks.compress.contract import Given, Made
from tests.benchmarks.compress.ort import BEST, FEW, made, reason

RATIOS = (0.25, 0.5, 0.65)
"""Shares of each layer's channels that go."""
_STEPS = 12


def pruned(given: Given) -> Iterator[Made]:
    """For each of `RATIOS` an equal part of the time: the float file, and what INT8 makes of it.

    The fine-tuning is the teacher's own recipe (optimizer, schedule, augmentation, label smoothing), on the labels,
    for as many epochs as fit the time.
    """
    trainable = given.subject.trainable
    assert trainable is not None, "a bench's teacher is a network"
    for ratio in RATIOS:
        start = time.monotonic()
        try:
            network = narrowed(trainable, given, ratio)
            seconds, epochs = _tuned(network, trainable, given, given.train_seconds / len(RATIOS))
            file = export_onnx(network, given.subject.input)
        except Exception as error:  # another's tool: whatever it raises is its answer
            yield Made("torch-pruning", f"{ratio:g}", {}, time.monotonic() - start, why_not=reason(error))
            continue
        variant, took = f"{ratio:g}, {epochs} epochs", time.monotonic() - start
        files = {target.name: file for target in given.subject.targets}
        yield Made("torch-pruning", variant, files, took, seconds)
        for name in FEW:
            yield made("torch-pruning-int8", f"{variant}, {name}", file, given, BEST[name], took)


def narrowed(trainable: Trainable, given: Given, ratio: float) -> nn.Module:
    """The teacher without a share of each layer's channels, by the magnitude of their weights."""
    import torch_pruning as tp

    network: nn.Module = copy.deepcopy(trainable.network).eval()
    network.requires_grad_(True)  # a teacher of students is frozen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch-pruning uses what torch is about to deprecate
        tp.pruner.BasePruner(
            network,
            torch.zeros((1, *given.subject.input.shape)),
            importance=tp.importance.GroupMagnitudeImportance(),
            pruning_ratio=ratio,
            round_to=8,
            ignored_layers=[network.head],
        ).step()
    return network


def _tuned(network: nn.Module, trainable: Trainable, given: Given, seconds: float) -> tuple[float, int]:
    """Fine-tune in place; seconds that it took, and epochs."""
    policy, train = trainable.policy, trainable.train
    epochs = max(1, int(seconds / _epoch_seconds(network, trainable)))
    start = time.monotonic()
    torch.manual_seed(policy.seed)
    fit(
        network,
        given.subject.task,
        train,
        given.subject.validation,
        policy.model_copy(update={"epochs": epochs, "patience": None, "metric": given.subject.metric}),
        classes=given.subject.classes,
        control=FitControl(minutes=1.15 * seconds / 60),
    )
    return time.monotonic() - start, epochs


def _epoch_seconds(network: nn.Module, trainable: Trainable) -> float:
    """What one pass over the training records takes, by a few steps of a copy."""
    copied, size = copy.deepcopy(network).train(), trainable.policy.batch_size
    taken = []
    for step in range(_STEPS):
        start = time.monotonic()
        rows = np.arange(step * size, (step + 1) * size) % len(trainable.train)
        x = trainable.train.batch(rows)
        if trainable.policy.channels_last and not narrow(copied):  # as `fit` does
            x = x.contiguous(memory_format=torch.channels_last)
        y = torch.from_numpy(trainable.train.y[rows])
        torch.autograd.backward(nn.functional.cross_entropy(copied(x), y))
        copied.zero_grad()
        taken.append(time.monotonic() - start)
    return 1.25 * float(np.median(taken)) * len(trainable.train) / size  # augmentation, the optimizer, validation
