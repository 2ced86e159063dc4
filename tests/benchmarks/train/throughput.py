"""`fit()` against a bare PyTorch loop: the same network, pictures, batch size, optimizer and threads, in one process.

Both train the network of the `fashion-mnist` line for one epoch, in turn, `ROUNDS` times, the order changing; the
median of the rounds' ratios counts. The bare loop holds all pictures as one tensor and does nothing but steps. Of
`fit()`, the epoch's steps count; "whole call" adds setting up the trainer, judging the epoch and bringing back the best
weights, which a training does once, or once per epoch, whatever its length.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from assets.families.build import build_network, teacher_architecture
from assets.fitting.augment import augment
from assets.fitting.fit import fit, set_memory_format
from assets.line.model import ModelFamily
from assets.line.training import Augmentation, TrainingPolicy
from assets.tasks.task import load_task
from edge.contracts import InputSpec
from tests.benchmarks.train.asked import Row
from tests.memory_set import MemorySet
from tests.projects import ROOT
from tests.shared_sets import SHARED

ROUNDS, RECORDS, BATCH = 5, 3_840, 128
TARGET, MOST_WAIT = 0.97, 0.05
SPEC = InputSpec("image", "input", (1, 28, 28), (0.286,), (0.353,))
MODEL = ModelFamily(family="cnn", width=32, depth=4)
CLASSES = tuple("0123456789")
WAYS = {"plain": Augmentation(), "augmented": Augmentation(crop=1, flip=True)}


def measure() -> list[dict[str, Any]]:
    """Measured in a process of its own, whose threads are set once."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __name__], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [dict(row) for row in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Print the rows as JSON."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.use_deterministic_algorithms(True)
    pictures, name = _pictures()
    rows: list[Row] = []
    for way, augmentation in WAYS.items():
        rows += _measured(name, way, pictures, augmentation)
    print(json.dumps([row.plain() for row in rows]))


def _pictures() -> tuple[MemorySet, str]:
    """The first pictures of Fashion-MNIST where it is here, else made ones; a step takes as long with either."""
    file = SHARED / "fashion-mnist" / "train-images-idx3-ubyte"
    if file.exists():
        pixels, name = np.fromfile(file, np.uint8, RECORDS * 784, offset=16), "fashion-mnist"
    else:
        pixels, name = np.random.default_rng(0).integers(0, 256, RECORDS * 784, np.uint8), "made pictures, 28x28"
    x = torch.from_numpy(pixels.reshape(RECORDS, 1, 28, 28)).float().div(255).sub(SPEC.mean[0]).div(SPEC.std[0])
    return MemorySet(x, np.random.default_rng(0).integers(0, 10, RECORDS)), name


def _network() -> nn.Module:
    torch.manual_seed(0)
    return build_network(MODEL.family, SPEC, len(CLASSES), teacher_architecture(MODEL, SPEC))


def _bare(pictures: MemorySet, policy: TrainingPolicy) -> float:
    """Seconds of one epoch of the plainest loop."""
    network = _network()
    start = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    if policy.channels_last:
        set_memory_format(network, torch.channels_last)
    network.train()
    x, y = pictures.x.to(device), torch.from_numpy(pictures.y).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), policy.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(0)
    for rows in torch.randperm(len(x)).split(BATCH):
        inputs, labels = x[rows], y[rows]
        if policy.augment.spatial:
            inputs, labels = augment(inputs, labels, policy.augment, len(CLASSES), generator)
        if policy.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss.item()
    return time.perf_counter() - start


def _fit(pictures: MemorySet, policy: TrainingPolicy) -> tuple[float, float, float]:
    """Seconds of the same epoch by `fit()`, of the whole call, and the share of the epoch that steps waited."""
    network, task = _network(), load_task("image_classification")
    judged = MemorySet(pictures.x[:2], pictures.y[:2])
    start = time.perf_counter()
    fitted = fit(network, task, pictures, judged, policy, classes=CLASSES)
    return RECORDS / fitted.records_per_second, time.perf_counter() - start, fitted.data_wait


def _measured(name: str, way: str, pictures: MemorySet, augmentation: Augmentation) -> list[Row]:
    policy = TrainingPolicy(epochs=1, batch_size=BATCH, channels_last=True, augment=augmentation)
    bare: list[float] = []
    fitted: list[tuple[float, float, float]] = []
    for number in range(ROUNDS + 1):  # the first warms both up
        if number % 2:
            bare.append(_bare(pictures, policy))
        fitted.append(_fit(pictures, policy))
        if not number % 2:
            bare.append(_bare(pictures, policy))
    epochs, calls, waits = (np.array(column[1:]) for column in zip(*fitted, strict=True))
    loops = np.array(bare[1:])
    gpu = torch.cuda.is_available()
    machine = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads"
    note = f"{way}; {RECORDS:,} pictures, {ROUNDS} rounds in turn, {machine}"
    common: dict[str, Any] = {"line": name, "note": note, "records": RECORDS}
    ratio = loops / epochs
    wait = Row(metric="data_wait", value=float(np.median(waits)), better="lower", **common)
    return [
        Row(
            metric="throughput_ratio",
            value=float(np.median(ratio)),
            low=float(ratio.min()),
            high=float(ratio.max()),
            target=TARGET,
            **common,
        ),
        Row(metric="throughput_ratio_whole_call", value=float(np.median(loops / calls)), **common),
        Row(metric="bare_loop_per_second", value=RECORDS / float(np.median(loops)), **common),
        Row(metric="fit_per_second", value=RECORDS / float(np.median(epochs)), **common),
        dataclasses.replace(wait, target=MOST_WAIT if gpu else None),
    ]


if __name__ == "__main__":
    main()
