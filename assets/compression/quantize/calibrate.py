"""Ranges of activations from calibration records: one pass over them serves every method.

Of each tensor only its extremes and a histogram of fixed size are kept, and records are run in pieces whose activations
fit `MOST_BYTES`, so memory stays bounded whatever the batches. ONNX Runtime's own calibrators keep whole tensors, let a
histogram's bins multiply with its range, and their entropy method with its default bins is min-max.

- minmax: everything that was seen.
- percentile: without the outermost 0.01 % of the numbers.
- entropy: the limit whose 8-bit histogram differs least from the true one (Migacz 2017, "8-bit inference with
  TensorRT").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.compression.quantize.entropy import bins_to_keep
from assets.compression.quantize.graphs import Graph
from assets.compression.quantize.layers import plan_of
from assets.compression.quantize.prepare import opened, prepared
from assets.errors import RejectedError
from assets.line.compression import Ranges

Feeds = Mapping[str, NDArray[Any]]
"""One batch: input name to array."""
MOST_BYTES = 256_000_000
BINS = 4096
"""Of a histogram, over both signs; even, so that two bins can become one."""
OUTSIDE = 1e-4
"""Share of the numbers that percentile ranges leave outside."""


@dataclass(frozen=True)
class Calibration:
    """Ranges of a model's activations.

    Attributes:
        ranges: tensor to (lowest, highest); the tensors are those of the prepared model.
        method: how they were found.
        records: on how many records.
    """

    ranges: Mapping[str, tuple[float, float]]
    method: Ranges
    records: int


def calibrations(model: bytes, batches: Iterable[Feeds], methods: Collection[Ranges]) -> dict[Ranges, Calibration]:
    """Ranges by each method, from one pass over the batches.

    Args:
        model: the float ONNX file's bytes.
        batches: of the training split, each input name to array as the model takes it.

    Raises:
        RejectedError: no records, records the model does not take, or numbers that are not finite.
    """
    proto = prepared(model)
    graph = Graph(proto)
    wanted = dict.fromkeys((*plan_of(graph, "cpu").tensors, *plan_of(graph, "tensorrt").tensors))
    spread = any(method != "minmax" for method in methods)
    seen, records = {name: Seen(spread) for name in wanted}, 0
    for outputs, count in _runs(proto, list(wanted), batches):
        records += count
        for name, array in outputs.items():
            if not seen[name].add(array):
                raise RejectedError(
                    f"calibration: tensor {name!r} has numbers that are not finite; quantizing needs finite numbers "
                    "only: look at the records, or leave the model in float"
                )
    if not records:
        raise RejectedError("calibration needs at least one record, and finite numbers only")
    return {
        method: Calibration({name: one.range(method) for name, one in seen.items()}, method, records)
        for method in dict.fromkeys(methods)
    }


class Seen:
    """What is kept of one tensor: its extremes and a histogram over ±`limit`.

    A number beyond the limit doubles it, and two bins become one: bins stay as many and no count is guessed.
    """

    def __init__(self, spread: bool) -> None:
        self.low, self.high, self.limit, self.zeros = np.inf, -np.inf, 0.0, 0
        self.counts = np.zeros(BINS, np.int64) if spread else None

    def add(self, array: NDArray[Any]) -> bool:
        """Take more of the tensor's numbers. Returns whether all of them are finite."""
        if array.size == 0:
            return True
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            return False
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self.counts is not None:
            self._count(array.ravel(), max(-low, high))
        return True

    def _count(self, numbers: NDArray[Any], largest: float) -> None:
        assert self.counts is not None
        if largest <= np.finfo(np.float32).tiny:
            self.zeros += numbers.size
            return
        if not self.limit:
            self.limit = largest
        while largest > self.limit:
            half = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[BINS // 4 : 3 * BINS // 4] = half
            self.limit *= 2
        self.counts += np.histogram(numbers, BINS, (-self.limit, self.limit))[0]

    def range(self, method: Ranges) -> tuple[float, float]:
        """(lowest, highest), never beyond what was seen; (0, 0) of a tensor that was always empty."""
        if self.low > self.high:
            return 0.0, 0.0
        if method == "minmax" or not self.limit or self.counts is None:
            return self.low, self.high
        if method == "entropy":
            magnitudes = self.counts[BINS // 2 :] + self.counts[: BINS // 2][::-1]
            most = 2 * self.limit / BINS * bins_to_keep(magnitudes)
            return max(self.low, -most), min(self.high, most)
        counts = self.counts.copy()
        counts[BINS // 2] += self.zeros
        share = np.cumsum(counts) / counts.sum()
        edges = np.linspace(-self.limit, self.limit, BINS + 1)
        low = edges[np.searchsorted(share, OUTSIDE / 2, side="right")]
        high = edges[np.searchsorted(share, 1 - OUTSIDE / 2) + 1]
        return max(self.low, float(low)), min(self.high, float(high))


def _runs(proto: Any, wanted: list[str], batches: Iterable[Feeds]) -> Iterator[tuple[dict[str, NDArray[Any]], int]]:
    """The wanted tensors, piece by piece of the records, with how many records a piece has."""
    given = {value.name for value in proto.graph.input}
    there = {output.name for output in proto.graph.output}
    for name in wanted:
        if name not in given and name not in there:
            proto.graph.output.add().name = name
    session = opened(proto.SerializeToString(), "with inner tensors as outputs")
    names = [name for name in wanted if name not in given]
    open_axis = all(item.shape and not isinstance(item.shape[0], int) for item in session.get_inputs())
    rows = 1
    for batch in batches:
        missing = sorted(item.name for item in session.get_inputs() if item.name not in batch)
        if missing:
            raise RejectedError(
                f"calibration: the records have no {missing[0]!r}; the model's inputs are {sorted(given)}"
            )
        feeds = {item.name: np.asarray(batch[item.name]) for item in session.get_inputs()}
        lengths = {len(array) if array.ndim else 1 for array in feeds.values()}
        count = lengths.pop() if len(lengths) == 1 else 1
        whole, start = not open_axis or bool(lengths), 0
        while start < count:
            step = count if whole else rows
            piece = feeds if whole else {name: array[start : start + step] for name, array in feeds.items()}
            try:
                made = dict(zip(names, session.run(names, piece), strict=True)) if names else {}
            except Exception as error:  # its errors have no common base
                raise RejectedError(f"calibration: the model does not take the records ({error})") from error
            made |= {name: piece[name] for name in wanted if name in given}
            size = sum(array.nbytes for array in made.values()) / max(1, min(step, count - start))
            rows = max(1, int(MOST_BYTES // max(1, size)))
            yield made, min(step, count - start)
            start += step
