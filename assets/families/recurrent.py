"""LSTM (Hochreiter and Schmidhuber 1997) and GRU (Cho et al. 2014) over a series; the last reading's state answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from assets.families.network import DROPOUT, Network
from assets.line.model import ModelFamily
from edge.contracts import InputSpec

CELLS: Mapping[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """`depth` layers of cells."""

    def __init__(self, family: str, columns: int, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        width, depth, dropout = architecture["width"], architecture["depth"], architecture.get(DROPOUT, 0.0)
        # Between layers only; torch warns where there is none to put dropout after.
        between = dropout if depth > 1 else 0.0
        self.cells = CELLS[family](columns, width, depth, batch_first=True, dropout=between)

    def forward(self, x: Tensor) -> Tensor:
        """(records, steps, columns) to (records, width)."""
        states, _ = self.cells(x)
        last: Tensor = states[:, -1]
        return last


def architecture(model: ModelFamily, spec: InputSpec) -> dict[str, Any]:
    """Units and layers."""
    del spec
    return {"width": model.width, "depth": model.depth}


def build(family: str, spec: InputSpec, outputs: int, architecture: Mapping[str, Any]) -> Network:
    """See `assets.families.build`."""
    return Network(Recurrent(family, spec.shape[1], architecture), architecture["width"], outputs, architecture)
