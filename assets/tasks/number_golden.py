"""Golden records of models that answer with a number: of every regression task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.tasks.class_golden import by_id

__all__ = ["CLOSE", "agrees", "pick"]

CLOSE = 0.05
"""Share of the expected answers' range within which two answers say the same."""


def pick(ids: Sequence[str], sizes: Sequence[int], y: NDArray[Any], classes: Sequence[str], count: int) -> list[int]:
    """Positions of `count` records (all, where there are fewer), the same for the same records in any order.

    The records are cut into `count` parts of equal size by their number, small to large, so that devices are tried over
    the whole range; of each part the first by id is taken, an oversized one last.
    """
    del classes
    rank = {position: place for place, position in enumerate(by_id(ids, sizes))}
    ordered = sorted(range(len(ids)), key=lambda at: (float(y[at]), ids[at]))
    parts = np.array_split(np.array(ordered, dtype=np.int64), min(count, len(ordered)) or 1)
    return [min(map(int, part), key=rank.__getitem__) for part in parts if len(part)]


def agrees(expected: NDArray[np.float32], outputs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(records,) whether each answer is within `CLOSE` of the expected one, as a share of the expected ones' range."""
    before, after = expected.reshape(-1).astype(np.float64), outputs.reshape(-1).astype(np.float64)
    span = float(np.ptp(before)) or float(np.abs(before).max()) or 1.0
    close: NDArray[np.bool_] = np.abs(after - before) <= CLOSE * span
    return close
