"""Weights in and out of networks, and what a network answers."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.line.families import FAMILIES, cuts_of


class Batches(Protocol):
    """Records by their position, as `assets.fitting.contract.TrainingSet` gives them."""

    def __len__(self) -> int:
        """How many records there are."""
        ...

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, *shape) of these records."""
        ...


def architecture_of(network: nn.Module) -> dict[str, Any]:
    """The architecture of a network of ours, whose layers may have been narrowed or taken out since it was built.

    It is the one that the network was built from, unless its layers differ from what that says.
    """
    architecture: dict[str, Any] = dict(network.architecture)  # type: ignore[arg-type]
    family: str = network.family  # type: ignore[assignment]
    if not cuts_of(family):
        return architecture
    module: Any = importlib.import_module(f"assets.families.{FAMILIES[family].module}")
    found, full = module.counted(network), module.full(family, architecture)
    return architecture if found.items() <= full.items() else full | found


def weights_of(network: nn.Module) -> bytes:
    """The weights as safetensors; `ValueError` by safetensors where two layers share one tensor."""
    return bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}))


def set_weights(network: nn.Module, data: bytes, source: str) -> None:
    """Load safetensors bytes into a network. Raises RejectedError, naming `source`, where they do not fit it."""
    try:
        network.load_state_dict(load(data))
    except (SafetensorError, RuntimeError) as error:
        raise RejectedError(f"{source}: these weights do not fit the network ({error}); train it again") from error


def parameters_of(network: nn.Module) -> int:
    """How many numbers are trained, frozen ones included."""
    return sum(parameter.numel() for parameter in network.parameters())


def predict(network: nn.Module, x: Tensor | Batches, batch: int = 256) -> Tensor:
    """What the network answers, (records, ...) on the CPU, in evaluation mode and without gradients.

    The network stays in evaluation mode.

    Args:
        x: (records, *shape), or a set of records. There must be at least one.
        batch: records at a time.
    """
    network.eval()
    place = next(network.parameters()).device
    parts = []
    with torch.no_grad():
        for start in range(0, len(x), batch):
            stop = min(start + batch, len(x))
            part = x[start:stop] if isinstance(x, Tensor) else x.batch(np.arange(start, stop))
            parts.append(network(part.to(place)).cpu())
    return torch.cat(parts)
