"""A training set in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class MemorySet:
    """A training set that fits in memory. `x` is (records, *shape)."""

    x: Tensor
    y: NDArray[Any]

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.x)

    def batch(self, rows: NDArray[np.int64]) -> Tensor:
        """(rows, *shape) of these records."""
        return self.x[rows]
