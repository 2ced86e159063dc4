"""Which records a classifier answers rightly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Outputs = NDArray[np.float32]


Labels = NDArray[np.int64]


def hits(outputs: Outputs, y: Labels) -> NDArray[np.bool_]:
    """(records,) bool: where the largest output is at the true label."""
    answers: NDArray[np.bool_] = outputs.argmax(axis=1) == y
    return answers
