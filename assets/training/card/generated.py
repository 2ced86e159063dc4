"""What a generator makes of fixed noise, and the real pictures that come nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.pages.redaction import page_mark
from assets.training.card.data import Generated
from assets.training.card.pictures import grid_picture, plain_picture
from assets.training.card.samples import TestRecords, picture_values
from edge.contracts import InputSpec

SHOWN = 64
NEIGHBOURS = 8
SEARCHED = 5_000
CHUNK = 1_000


@dataclass(frozen=True)
class GanEvidence:
    """What a generator's card shows besides its metrics.

    Attributes:
        samples: (n, channels, height, width) float32, 0 to 1, of fixed noise; None: the model's answers.
        real: the training pictures, among which nearest neighbours are searched.
        spec: of `real`, where it differs from the card's.
    """

    samples: NDArray[np.float32] | None
    real: TestRecords
    spec: InputSpec | None = None


def generated(
    outputs: NDArray[np.float32], gan: GanEvidence | None, spec: InputSpec, *, singles: bool
) -> Generated | None:
    """A grid of samples, and beside some of them the nearest training picture: a copy would be seen here.

    Args:
        outputs: (n, channels, height, width), 0 to 1.
        singles: whether real pictures may be shown.
    """
    samples = gan.samples if gan is not None and gan.samples is not None else outputs
    if not len(samples):
        return None
    samples = np.asarray(samples[:SHOWN], np.float32)
    neighbours: list[tuple[str, str, str, float]] = []
    if gan is not None and singles and len(gan.real):
        neighbours = _nearest(samples[:NEIGHBOURS], gan.real, gan.spec or spec)
    return Generated(grid_picture(samples), len(samples), tuple(neighbours))


def _nearest(samples: NDArray[np.float32], real: TestRecords, spec: InputSpec) -> list[tuple[str, str, str, float]]:
    """By the root mean squared difference of pixels, among the first `SEARCHED`."""
    asked = samples.reshape(len(samples), -1).astype(np.float64)
    best, where = np.full(len(samples), np.inf), np.zeros(len(samples), np.int64)
    for start in range(0, min(len(real), SEARCHED), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(real), SEARCHED))
        known = _pictures(real, rows, spec).reshape(len(rows), -1).astype(np.float64)
        squares = (asked**2).sum(1)[:, None] + (known**2).sum(1)[None, :] - 2 * asked @ known.T
        nearest = squares.argmin(axis=1)
        distance = np.sqrt(np.maximum(squares[np.arange(len(asked)), nearest], 0) / asked.shape[1])
        closer = distance < best
        best[closer], where[closer] = distance[closer], rows[nearest[closer]]
    pictures = _pictures(real, where, spec)
    ids: Any = real.ids
    return [
        (plain_picture(sample), plain_picture(picture), page_mark(str(ids[row])), float(distance))
        for sample, picture, row, distance in zip(samples, pictures, where.tolist(), best.tolist(), strict=True)
    ]


def _pictures(real: TestRecords, rows: NDArray[np.int64], spec: InputSpec) -> NDArray[np.float32]:
    return picture_values(spec, real.batch(rows).numpy())
