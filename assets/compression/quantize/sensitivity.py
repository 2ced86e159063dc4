"""What quantizing each layer alone costs: where mixed precision should begin."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compression.documents import LayerLoss
from assets.compression.quantize.calibrate import Calibration
from assets.compression.quantize.dialects import quantize
from assets.compression.quantize.graphs import Graph
from assets.compression.quantize.layers import Dialect, layers_of
from assets.compression.quantize.prepare import prepared

Outputs = NDArray[np.float32]


def sensitivity(
    model: bytes,
    calibration: Calibration,
    dialect: Dialect,
    answer: Callable[[bytes], NDArray[Any]],
    lost: Callable[[NDArray[Any], NDArray[Any]], float],
    layers: Collection[str] | None = None,
    most: int | None = None,
) -> tuple[LayerLoss, ...]:
    """Each layer's loss with all others in float, in graph order.

    Args:
        answer: from a file's bytes to its outputs on the caller's records; called once per layer and once in float.
        lost: from the float outputs and a layer's to what the line's metric lost.
        most: layers, those with the most weights; None is all.
        layers: only these; None is every layer that INT8 can take, see `quantizable`.

    Raises:
        RejectedError: see `quantize`.
    """
    graph = Graph(prepared(model))
    every = layers_of(graph)
    before = np.asarray(answer(model), np.float64)
    size = float(np.sqrt(np.mean(before**2))) or 1.0
    found = []
    wanted = [
        name
        for name, layer in every.items()
        if (layers is None or name in layers) and not (dialect == "cpu" and layer.op == "ConvTranspose")
    ]
    heaviest = set(sorted(wanted, key=lambda name: -graph.numbers(every[name].weight))[:most])
    for name in (name for name in wanted if name in heaviest):
        layer = every[name]
        file = quantize(model, calibration, dialect, floats=every.keys() - {name})
        after = np.asarray(answer(file), np.float64)
        error = float(np.sqrt(np.mean((after - before) ** 2))) / size
        weight = graph.array(layer.weight)
        assert weight is not None, "a layer's weights are constant"
        drop = float(lost(before.astype(np.float32), after.astype(np.float32)))
        found.append(LayerLoss(name, layer.op, drop, error, weight.nbytes))
    return tuple(found)
