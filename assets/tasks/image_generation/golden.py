"""Image generation's golden records: noise, and the pictures that the generator makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.tasks.class_golden import by_id

CLOSE = 0.05
"""Mean difference per pixel, of values 0 to 1, up to which two pictures are the same to an eye."""


def pick(ids: Sequence[str], sizes: Sequence[int], y: NDArray[Any], classes: Sequence[str], count: int) -> list[int]:
    """Positions of the first `count` noise records by their id."""
    del y, classes
    return by_id(ids, sizes)[:count]


def agrees(expected: NDArray[np.float32], outputs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(records,) whether each picture is that of the float parent, to `CLOSE`."""
    apart = np.abs(outputs.astype(np.float64) - expected).reshape(len(expected), -1).mean(axis=1)
    close: NDArray[np.bool_] = apart <= CLOSE
    return close
