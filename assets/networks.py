"""The networks that lines train, built from plain numbers so that a pruned one can be built again.

An architecture is `{"depth": n, "channels_0": c, …}`: the channels (or units) of each block. Blocks are plain
convolution or linear layer + BatchNorm + ReLU: the exporter folds BatchNorm into the weights and INT8 runtimes fuse the
ReLU, so that one block is one operation. Strides follow from the picture's size alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from assets.errors import RejectedError
from assets.learning import ModelFamily

MIN_SIDE = 4
"""Pictures are halved, block by block, while both sides stay at least this long."""
MAX_GROWTH = 4
"""Channels double with each halving, up to this multiple of the first block's."""


class Network(nn.Module):
    """Blocks, then for pictures the mean over all places, then one linear layer to a logit per class."""

    def __init__(self, blocks: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.blocks = blocks
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """(records, channels, height, width) or (records, columns) float32 to (records, classes)."""
        x = self.blocks(x)
        if x.dim() == 4:
            x = x.mean((2, 3))
        logits: Tensor = self.head(x)
        return logits


def strides(shape: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """The stride of each block for pictures of shape (channels, height, width)."""
    side, found = min(shape[1:]), [1]
    for _ in range(1, depth):
        found.append(2 if side >= 2 * MIN_SIDE else 1)
        side //= found[-1]
    return tuple(found)


def teacher_architecture(model: ModelFamily, shape: tuple[int, ...]) -> dict[str, int]:
    """The architecture that a line's `model` section asks for, for inputs of `shape`."""
    growth, channels = 1, []
    for block in range(model.depth):
        if model.family == "cnn":
            growth = min(growth * strides(shape, model.depth)[block], MAX_GROWTH)
        channels.append(model.width * growth)
    return {"depth": model.depth} | {f"channels_{block}": width for block, width in enumerate(channels)}


def build_network(family: str, shape: tuple[int, ...], classes: int, architecture: Mapping[str, int]) -> Network:
    """A network with fresh weights (seed torch before).

    Args:
        family: "cnn" or "mlp".
        shape: of one record: (channels, height, width) or (columns,).

    Raises:
        ValueError: an unknown family.
        KeyError: the architecture lacks a block.
    """
    depth, inputs = architecture["depth"], shape[0]
    layers: list[nn.Module] = []
    for block in range(depth):
        width = architecture[f"channels_{block}"]
        if family == "cnn":
            stride = strides(shape, depth)[block]
            layers += [nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        elif family == "mlp":
            layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        else:
            raise ValueError(f"family {family!r} is neither 'cnn' nor 'mlp'")
        inputs = width
    return Network(nn.Sequential(*layers), nn.Linear(inputs, classes))


def architecture_of(network: Network) -> dict[str, int]:
    """The architecture of a network whose layers may have been narrowed."""
    widths = [layer.weight.shape[0] for layer in network.blocks if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return {"depth": len(widths)} | {f"channels_{block}": width for block, width in enumerate(widths)}


def weights_of(network: nn.Module) -> bytes:
    """The weights as safetensors."""
    return bytes(save({name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}))


def set_weights(network: nn.Module, data: bytes, source: str) -> None:
    """Load safetensors bytes into a network. Raises RejectedError where they do not fit it."""
    try:
        network.load_state_dict(load(data))
    except (SafetensorError, RuntimeError) as error:
        raise RejectedError(f"{source}: these weights do not fit the network ({error}); train it again") from error


def parameters_of(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def predict(network: nn.Module, x: Tensor, batch: int = 256) -> Tensor:
    """Logits (records, classes) in evaluation mode, without gradients."""
    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(x, batch)])
