"""What a network makes on its way to an answer, and how far a student's is from its teacher's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.errors import RejectedError
from assets.families.attention import Block
from assets.families.network import Network

Seen = dict[tuple[int, ...], Tensor]
"""Maps by the places they are over, e.g. (8, 8), as (records, places); and features under (), as (records, features).
Of several maps over the same places the last one stays: the end of a stage."""
FEATURES: tuple[int, ...] = ()


@contextmanager
def watching(network: nn.Module, seen: Seen, *, training: bool) -> Iterator[None]:
    """Fill `seen` each time the network is called.

    Args:
        network: a `Network`, or what holds one.
        training: only in training mode. A copy of the network (averaged weights) has the same hooks, and is judged in
            evaluation mode.
    """
    inner = next((part for part in network.modules() if isinstance(part, Network)), None)
    if inner is None:
        raise RejectedError("compress.distill_features: this network shows no features; set it to 0")
    encoder = [part for part in inner.blocks.modules() if isinstance(part, Block)]
    rows = [part for part in inner.blocks.modules() if isinstance(part, nn.Sequential)]  # the outermost comes first
    taps: list[nn.Module] = [*encoder] or list(rows[0].children() if rows else [])

    def keep(layer: nn.Module, inputs: Any, out: Any) -> None:
        if (layer.training or not training) and isinstance(out, Tensor) and out.dim() > 2:
            found = attention_map(out, 2 if encoder else 1)
            places = out.shape[1:2] if encoder else out.shape[2:]
            if found.shape[1] > 1:
                seen[tuple(places)] = found

    def keep_features(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if layer.training or not training:
            seen[FEATURES] = inputs[0]

    handles = [part.register_forward_hook(keep) for part in taps]
    handles.append(inner.dropout.register_forward_pre_hook(keep_features))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def attention_map(x: Tensor, channels: int) -> Tensor:
    """Where a network looks: (records, places) of length 1, the mean square over channels.

    It needs no equal channels (Zagoruyko & Komodakis 2017, "Paying more attention to attention").

    Args:
        channels: the axis that is averaged.
    """
    return functional.normalize(x.square().mean(channels).flatten(1), dim=1)


def apart(student: Mapping[tuple[int, ...], Tensor], teacher: Mapping[tuple[int, ...], Tensor]) -> Tensor:
    """How far a student's features are from its teacher's, a mean over records; 0 to about 1.

    Features as many as the teacher's are compared themselves (Romero et al. 2015, "FitNets"), as a share of the
    teacher's length; else the attention maps over the same places.

    Raises:
        RejectedError: there is nothing to compare.
    """
    mine, its = student.get(FEATURES), teacher.get(FEATURES)
    if mine is not None and its is not None and mine.shape == its.shape:
        return ((mine - its).square().sum(1) / its.square().sum(1).clamp(min=1e-6)).mean()
    both = [places for places in teacher if places and places in student]
    if not both:
        raise RejectedError("compress.distill_features: student and teacher share neither features nor maps; set it 0")
    return torch.stack([(student[places] - teacher[places]).square().sum(1).mean() for places in both]).mean()
