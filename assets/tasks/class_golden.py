"""Golden records of models that answer with a class: of every classification task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_INPUT_BYTES", "agrees", "by_id", "pick"]

MAX_INPUT_BYTES = 1024 * 1024
"""Inputs up to this size are preferred, so that the set stays small enough to send to every device."""


def by_id(ids: Sequence[str], sizes: Sequence[int]) -> list[int]:
    """All positions in the order of their ids, oversized inputs last."""
    return sorted(range(len(ids)), key=lambda at: (sizes[at] > MAX_INPUT_BYTES, ids[at]))


def pick(ids: Sequence[str], sizes: Sequence[int], y: NDArray[Any], classes: Sequence[str], count: int) -> list[int]:
    """Positions of `count` records (all, where there are fewer), the same for the same records in any order.

    Classes take turns, in the order of `classes`; within a class, records go by their id, oversized ones last.

    Args:
        sizes: bytes of each record's input.
    """
    queues: list[list[int]] = [[] for _ in classes]
    for position in by_id(ids, sizes):
        queues[int(y[position])].append(position)
    turns = ((turn, label) for turn in range(len(ids)) for label in range(len(classes)))
    picked = (queues[label][turn] for turn, label in turns if turn < len(queues[label]))
    return [position for position, _ in zip(picked, range(count), strict=False)]


def agrees(expected: NDArray[np.float32], outputs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(records,) whether both answer the same class."""
    same: NDArray[np.bool_] = outputs.argmax(axis=1) == expected.argmax(axis=1)
    return same
