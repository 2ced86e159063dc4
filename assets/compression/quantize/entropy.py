"""Entropy ranges: where to cut a histogram so that 8 bits tell it best (Migacz 2017, 8-bit inference with TensorRT)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_CLIPPED = 0.01
"""Share of the magnitudes that an entropy limit may cut: numbers of few values, as pictures have, would lose most."""
LEVELS = 128
_STEP = 16


def bins_to_keep(magnitudes: NDArray[np.int64]) -> int:
    """How many bins to keep of a histogram of magnitudes, so that `LEVELS` levels tell it best (KL divergence)."""
    counts = magnitudes.astype(np.float64)
    counts[0] = counts[1]  # zeros are exact in any scale; they would drown the rest
    used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else len(counts)
    inside = np.cumsum(counts) / max(counts.sum(), 1)
    first = max(LEVELS, int(np.searchsorted(inside, 1 - MOST_CLIPPED)) + 1)
    best, least = used, np.inf
    for keep in [*range(first, used, _STEP), used] if used >= LEVELS else []:
        true = counts[:keep].copy()
        true[-1] += counts[keep:].sum()
        level = np.arange(keep) * LEVELS // keep
        filled = counts[:keep] > 0
        sums = np.bincount(level, counts[:keep], LEVELS)
        shares = np.bincount(level, filled, LEVELS)
        coarse = np.where(filled, (sums / np.maximum(shares, 1))[level], 0)
        divergence = _divergence(true, coarse)
        if divergence <= least:  # of equals the widest
            best, least = keep, divergence
    return best


def _divergence(true: NDArray[np.float64], coarse: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence of two histograms; infinite where the second misses what the first has."""
    p, q = true / true.sum(), coarse / max(coarse.sum(), 1e-12)
    there = p > 0
    if not (q[there] > 0).all():
        q = np.maximum(q, 1e-9)  # the outliers' bin may be empty without them
    return float((p[there] * np.log(p[there] / q[there])).sum())
