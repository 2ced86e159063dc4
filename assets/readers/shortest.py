"""Floats of 32 and 16 bits as the number that they are written as: 0.35, not 0.3499999940395355.

A CSV holds the shortest decimal text of such a float, and its reader the float64 next to that text; so the same rows
from Parquet or Arrow have the same values, and the same ids.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = {2: (3, 4, 5), 4: (6, 7, 8, 9)}
"""Bytes of a float to how many decimal digits may tell it from its neighbours, fewest first; the last always do."""


def shortest_decimals(floats: NDArray[Any]) -> NDArray[np.float64]:
    """The float64 next to the shortest decimal text of each float16 or float32; NaN and infinity stay.

    The nearest decimal of ever more digits is tried until it is the same float again (Steele and White, "How to print
    floating-point numbers accurately", 1990), for all values at once.
    """
    kind, values = np.finfo(floats.dtype), floats.astype(np.float64)
    size = np.abs(values)
    whole = (values == np.rint(values)) & (size <= 2**kind.nmant)
    # Neighbours of a power of two lie unevenly around it, and powers of ten beyond 22 are not exact: one by one.
    easy = (size >= max(kind.tiny, 1e-12)) & (size < 1e22) & (np.frexp(size)[0] != 0.5)
    slow = np.flatnonzero(np.isfinite(values) & ~whole & ~easy)
    left = np.flatnonzero(~whole & easy)
    exponent = np.floor(np.log10(size[left])).astype(np.int64)
    for digits in _DIGITS[floats.dtype.itemsize]:
        power = digits - 1 - exponent
        up, down = (10.0 ** np.maximum(sign * power, 0) for sign in (1, -1))
        found = np.rint(values[left] * up / down) / up * down
        sound = found.astype(floats.dtype) == floats[left]
        values[left[sound]] = found[sound]
        left, exponent = left[~sound], exponent[~sound]
    rest = np.append(left, slow)
    values[rest] = [float(str(value)) for value in floats[rest]]
    return values
