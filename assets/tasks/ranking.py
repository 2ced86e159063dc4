"""How well scores put one kind of record before the other: ROC-AUC and average precision, also of weighted records."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def ranking(scores: Numbers, positive: NDArray[np.bool_]) -> Callable[[Numbers], tuple[Numbers, Numbers]]:
    """What computes both areas by how often each record counts; the records are sorted once, here.

    Args:
        scores: (records,), larger where a record is rather positive. Equal scores share their places.

    Returns:
        A function of (records, resamples) weights. It gives (resamples,) areas under the ROC curve, NaN where either
        kind is missing, and (resamples,) average precisions (the area under the precision-recall curve, summed in
        steps, as Davis & Goadrich 2006 ask for), NaN where no record is positive.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], positive[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])  # of those that share a place
    starts, place = np.flatnonzero(first), np.cumsum(first) - 1
    wins = order[hit]
    # Only places with positive records count in either sum.
    places, good_starts = np.unique(place[hit], return_index=True)

    def areas(weights: Numbers) -> tuple[Numbers, Numbers]:
        every, good = weights.take(order, axis=0), weights.take(wins, axis=0)
        if len(starts) < len(ordered):
            every = np.add.reduceat(every, starts, axis=0)
            good = np.add.reduceat(good, good_starts, axis=0) if len(wins) else good
        tied = every[places] - good
        seen, total = _sums(every)[places], weights.sum(axis=0)
        found = _sums(good)
        positives = good.sum(axis=0)
        negatives = total - positives
        below = negatives - (seen - found) + tied / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            roc = (good * below).sum(axis=0) / (positives * negatives)
            average = (good * (found / np.maximum(seen, 1e-12))).sum(axis=0) / positives
        return roc, average

    return areas


def _sums(values: Numbers) -> Numbers:
    """Running sums down the first axis, by blocks of rows: numpy's own walks column by column, 3 times slower."""
    records, columns = values.shape
    side = max(1, math.isqrt(records))
    blocks = -(-records // side)
    padded = np.zeros((blocks * side, columns))
    padded[:records] = values
    running = padded.reshape(blocks, side, columns)
    for row in range(1, side):
        running[:, row] += running[:, row - 1]
    for block in range(1, blocks):
        running[block] += running[block - 1, -1]
    return padded[:records]


def placements(scores: Numbers, positive: NDArray[np.bool_]) -> Numbers:
    """(records,) the share of records of the other kind that each record is on the right side of, a tie for half.

    Their mean is the ROC-AUC, over either kind (DeLong et al. 1988, Biometrics 44:837-845). 1 where there is no record
    of the other kind.
    """
    result = np.ones(len(scores))
    for kind, sign in ((positive, 1.0), (~positive, -1.0)):
        others = np.sort(scores[~kind] * sign)
        if len(others):
            own = scores[kind] * sign
            places = np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")
            result[kind] = places / (2 * len(others))
    return result
