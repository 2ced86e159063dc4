"""Chooses the method that fits a network and its input, runs it on a few records, and says why where it cannot.

- autoencoders: where the reconstruction is off, which is what their score is the mean of;
- pictures: Grad-CAM (Selvaraju et al. 2017) at the last convolution; integrated gradients (Sundararajan et al. 2017)
  for networks without one;
- series and texts: integrated gradients, of a text through its embedding;
- tables: Shapley values, sampled (Castro et al. 2009), of wide tables expected gradients (Erion et al. 2021), against
  the mean record.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.contracts import InputSpec

SEED = 20_170_319
CHUNKS = {"table": 64, "series": 16, "text": 4, "image": 4}
"""Records at once; the clock is looked at in between."""
STEPS = 24
"""Points along the path of integrated gradients."""
SAMPLES = 25
"""Orders of the columns that sampled Shapley values are averaged over."""
MOST_COLUMNS = 24
"""Wider tables are explained by gradients: Shapley values ask the network once per column and order."""
AnswerKind = Literal["class", "number", "anomaly", "image"]


@dataclass(frozen=True)
class Question:
    """What is to be explained.

    Attributes:
        x: (records, *spec.shape), as the network reads them.
        targets: (records,) int64: the output that is explained of each.
    """

    spec: InputSpec
    x: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Attributions:
    """How much each part of an input adds to the answer, larger is more, negative speaks against it.

    Attributes:
        method: in words.
        note: how it was made, or why there is none.
        values: (records, height, width) of pictures, 0 or more where the method is Grad-CAM; (records, steps, columns)
            of series; (records, tokens) of texts; (records, columns) of tables; the first records only where time ran
            out, None where there is nothing.
    """

    method: str
    note: str
    values: NDArray[np.float32] | None = None


def explain(network: nn.Module, question: Question, seconds: float = 10.0) -> Attributions:
    """Attributions of a few records. Never raises for a network that cannot be explained: the note says why.

    Args:
        network: stays as it is; its gradients are not kept.
        seconds: after which no further records are begun.
    """
    method, attribute = "", None
    try:
        method, attribute = _method(network, question.spec)
        with _undisturbed(network):
            values = _in_chunks(attribute, network, question, time.monotonic() + seconds)
    except Exception as error:  # a user's own network may do anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return Attributions(method, f"It could not be computed for this network: {reason}")
    if not len(values):
        return Attributions(method, f"It took more than {seconds:.0f} s, so there is none.")
    if not np.isfinite(values).all():
        return Attributions(method, "It is not finite for this network, so it is not shown.")
    asked = len(question.x)
    note = f"On {len(values)} test records" + (f" of {asked}: the time was over." if len(values) < asked else ".")
    return Attributions(method, note, values)


Attribute = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _method(network: nn.Module, spec: InputSpec) -> tuple[str, Attribute]:
    if callable(getattr(network, "reconstruct", None)):
        return "Squared error of the reconstruction, which the score is the mean of", _off
    if spec.kind == "image":
        return _of_pictures(network, spec)
    if spec.kind == "table":
        return _of_tables(spec)
    if spec.kind == "series":
        return "Integrated gradients (Sundararajan et al. 2017), against the mean reading", _gradients
    embedding = next((module for module in network.modules() if isinstance(module, nn.Embedding)), None)
    if embedding is None:
        raise ValueError("it has no nn.Embedding that tokens go through")
    return "Integrated gradients (Sundararajan et al. 2017) through the embedding", _tokens(embedding)


def _of_pictures(network: nn.Module, spec: InputSpec) -> tuple[str, Attribute]:
    convolution = last_convolution(network, min(spec.shape[1:]))
    if convolution is not None:
        return "Grad-CAM (Selvaraju et al. 2017) at the last convolution", _grad_cam(convolution)
    return "Integrated gradients (Sundararajan et al. 2017), against the mean picture", _pixels


def _of_tables(spec: InputSpec) -> tuple[str, Attribute]:
    if spec.shape[0] <= MOST_COLUMNS:
        return f"Shapley values, sampled over {SAMPLES} orders (Castro et al. 2009), against the mean record", _shapley
    return "Expected gradients (Erion et al. 2021), an estimate of Shapley values, against the mean record", _expected


def last_convolution(network: nn.Module, side: int) -> nn.Module | None:
    """The last 2-D convolution whose output is more than a point; None where there is none.

    Patch embeddings (as large a stride as the kernel, and large) are no convolutions in this sense.
    """
    found = None
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and not (module.stride == module.kernel_size and module.stride[0] > 3):
            found = module
    return found if side >= 8 else None


def _in_chunks(attribute: Attribute, network: nn.Module, question: Question, deadline: float) -> NDArray[np.float32]:
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    parts: list[NDArray[np.float32]] = []
    chunk = CHUNKS[question.spec.kind]
    for start in range(0, len(question.x), chunk):
        if parts and time.monotonic() > deadline:
            break
        x, targets = (part[start : start + chunk].to(device) for part in (question.x, question.targets))
        parts.append(attribute(network, x, targets).detach().float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


@contextlib.contextmanager
def _undisturbed(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, fixed randomness, gradients as they were; cuDNN has no backward pass of RNNs in this mode."""
    training, wanted = network.training, [parameter.requires_grad for parameter in network.parameters()]
    network.eval()
    with torch.random.fork_rng(), torch.backends.cudnn.flags(enabled=False), torch.enable_grad():
        torch.manual_seed(SEED)
        state = np.random.get_state()  # captum draws from numpy's global generator
        np.random.seed(SEED % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)
            for parameter, want in zip(network.parameters(), wanted, strict=True):
                parameter.requires_grad_(want)
            network.train(training)


def _off(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    del targets
    with torch.no_grad():
        error: Tensor = (x - network.reconstruct(x)) ** 2  # type: ignore[operator]
    return error.sum(dim=1) if x.ndim == 4 else error


def _grad_cam(layer: nn.Module) -> Attribute:
    from captum.attr import LayerAttribution, LayerGradCam

    def attribute(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
        for parameter in network.parameters():
            parameter.requires_grad_(True)  # a frozen backbone too
        heat: Any = LayerGradCam(network, layer).attribute(x, target=targets, relu_attributions=True)
        spread: Tensor = LayerAttribution.interpolate(heat, tuple(x.shape[2:]), interpolate_mode="bilinear")
        return spread[:, 0]

    return attribute


def _gradients(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    from captum.attr import IntegratedGradients

    found: Tensor = IntegratedGradients(network).attribute(
        x, baselines=torch.zeros_like(x), target=targets, n_steps=STEPS, internal_batch_size=256
    )
    return found


def _pixels(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    return _gradients(network, x, targets).abs().sum(dim=1)


def _tokens(embedding: nn.Module) -> Attribute:
    from captum.attr import LayerIntegratedGradients

    def attribute(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
        found: Any = LayerIntegratedGradients(network, embedding).attribute(
            x, baselines=torch.zeros_like(x), target=targets, n_steps=STEPS, internal_batch_size=256
        )
        summed: Tensor = found.sum(dim=-1)
        return summed

    return attribute


def _shapley(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    from captum.attr import ShapleyValueSampling

    with torch.no_grad():
        found: Tensor = ShapleyValueSampling(network).attribute(
            x, baselines=torch.zeros_like(x), target=targets, n_samples=SAMPLES
        )
    return found


def _expected(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    from captum.attr import GradientShap

    found: Tensor = GradientShap(network).attribute(
        x, baselines=torch.zeros_like(x[:1]), target=targets, n_samples=SAMPLES, stdevs=0.05
    )
    return found
