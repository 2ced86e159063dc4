"""Training with INT8 simulated brings back what quantizing a badly scaled network loses."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from assets.compression.quantize import calibrations, quantize
from assets.compression.quantize.dialects import VNNI
from assets.compression.students.distill import distillation
from assets.compression.students.qat import Simulated, SimulatedLayer, quantized_policy, simulated_int8
from assets.errors import RejectedError
from assets.evaluation.answers import answers, open_session
from assets.families.build import build_network
from assets.families.export import export_onnx
from assets.families.weights import predict, weights_of
from assets.fitting.fit import fit
from assets.line.training import TrainingPolicy
from assets.tasks.task import load_task
from edge.contracts import InputSpec
from edge.runtime.machine import cpu_features, machine_arch
from tests.memory_set import MemorySet

SPEC = InputSpec("image", "input", (1, 8, 8), (0.5,), (0.5,))
CLASSES = tuple("0123456789")
POLICY = TrainingPolicy(epochs=10, learning_rate=5e-3, batch_size=64)
TASK = load_task("image_classification")
SATURATES = machine_arch() == "x86_64" and VNNI.isdisjoint(cpu_features())
"""This machine needs weights of 7 bits, see `needs_7_bits`."""


@dataclass(frozen=True)
class Taught:
    """A network of digits whose channels differ a thousandfold, and its records."""

    network: Any
    train: MemorySet
    held: MemorySet


@pytest.fixture(scope="module")
def taught() -> Taught:
    """Its ReLUs let every channel be scaled up, and down again by who reads it: in float it answers the same."""
    digits: Any = load_digits()
    x = torch.tensor(digits.images[:, None] / 8 - 1, dtype=torch.float32)
    y = digits.target.astype(np.int64)
    train, held = MemorySet(x[:1200], y[:1200]), MemorySet(x[1200:], y[1200:])
    torch.manual_seed(0)
    network: Any = build_network("cnn", SPEC, 10, {"depth": 2, "channels_0": 16, "channels_1": 32})
    fit(network, TASK, train, held, POLICY, classes=CLASSES)
    before = predict(network, held)
    generator = torch.Generator().manual_seed(1)
    for norm, reader in ((network.blocks[1], network.blocks[3]), (network.blocks[4], network.head)):
        factors = 1000 ** torch.rand(norm.num_features, generator=generator)
        norm.weight.data *= factors
        norm.bias.data *= factors
        reader.weight.data /= factors.reshape(1, -1, *[1] * (reader.weight.dim() - 2))
    assert torch.allclose(predict(network, held), before, atol=1e-3)
    return Taught(network, train, held)


def _hits(outputs: Any, taught: Taught) -> float:
    return float((np.asarray(outputs).argmax(1) == taught.held.y).mean())


def _in_int8(network: nn.Module, taught: Taught) -> list[float]:
    """Accuracy of both dialects, quantized as every model is."""
    model = export_onnx(network, SPEC)
    found = calibrations(model, [{"input": taught.train.x[:256].numpy()}], ["minmax"])["minmax"]
    cpu = open_session(quantize(model, found, "cpu", reduce_range=SATURATES))
    tensorrt = open_session(quantize(model, found, "tensorrt"), as_written=True)
    return [_hits(answers(session, taught.held), taught) for session in (cpu, tensorrt)]


def test_what_int8_loses_comes_back(taught: Taught) -> None:
    kept = weights_of(taught.network)
    before, lost = _hits(predict(taught.network, taught.held), taught), _in_int8(taught.network, taught)
    assert before - max(lost) > 0.05  # quantizing alone really loses
    simulated = simulated_int8(taught.network, taught.train)
    fit(
        simulated,
        TASK,
        taught.train,
        taught.held,
        quantized_policy(POLICY, 12),
        classes=CLASSES,
        objective=distillation(taught.network),
    )
    trained = simulated.plain()
    assert weights_of(taught.network) == kept
    assert not [part for part in trained.modules() if isinstance(part, SimulatedLayer)]
    again = build_network("cnn", SPEC, 10, taught.network.architecture)
    again.load_state_dict(trained.state_dict())  # the same architecture
    after = _in_int8(trained, taught)
    for was, now in zip(lost, after, strict=True):
        assert before - now < 0.75 * (before - was)


def test_simulated_is_what_the_tensorrt_dialect_computes(taught: Taught) -> None:
    simulated = Simulated(copy.deepcopy(taught.network), 127)
    simulated.measure(taught.train.x[:256])
    model = export_onnx(taught.network, SPEC)
    found = calibrations(model, [{"input": taught.train.x[:256].numpy()}], ["minmax"])["minmax"]
    wanted = np.asarray(answers(open_session(quantize(model, found, "tensorrt")), taught.held))
    made = predict(simulated, taught.held).numpy()
    assert np.mean(made.argmax(1) == wanted.argmax(1)) > 0.95
    assert np.abs(made - wanted).mean() < 0.1 * np.abs(predict(taught.network, taught.held).numpy() - wanted).mean()
    plain = simulated.plain()
    assert weights_of(plain) == weights_of(taught.network)


def test_training_keeps_the_statistics_and_moves_the_ranges(taught: Taught) -> None:
    simulated = Simulated(copy.deepcopy(taught.network).requires_grad_(True), 63)
    simulated.measure(taught.train.x[:64])
    norm: Any = next(part for part in simulated.modules() if isinstance(part, nn.BatchNorm2d))
    mean, limit = norm.running_mean.clone(), simulated.layers()[0].limit.clone()
    simulated.train()
    simulated(2 * taught.train.x[:64]).sum().backward()
    assert torch.equal(norm.running_mean, mean)
    assert not norm.training
    assert limit < simulated.layers()[0].limit < 2 * limit
    first: Any = simulated.layers()[0]
    assert first.layer.weight.grad.abs().sum() > 0
    assert len(simulated.layers()) == 3


def test_it_is_slow_and_goes_to_the_end() -> None:
    policy = quantized_policy(POLICY.model_copy(update={"label_smoothing": 0.1, "patience": 2, "ema": 0.9}), 3)
    assert (policy.epochs, policy.patience, policy.ema, policy.label_smoothing) == (3, None, 0.0, 0.0)
    assert policy.learning_rate == pytest.approx(5e-5)
    assert policy.schedule == "cosine"


def test_a_network_without_such_layers_is_told(taught: Taught) -> None:
    with pytest.raises(RejectedError, match="no convolution and no linear layer"):
        simulated_int8(nn.Flatten(), taught.train)
