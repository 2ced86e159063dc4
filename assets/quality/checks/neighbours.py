"""Which points lie close together, without comparing everything with everything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Rows = NDArray[np.int64]

ALL = 20_000
"""Up to so many points every pair is compared; beyond, points are parted into cells."""
PROBES = 4
"""A point is compared with the points of so many cells around it: 99 % of copies are found (measured on
Fashion-MNIST, 60,000 pictures with recompressed, blurred and brighter copies), at a hundredth of the cost."""
MOST_IN_CELL = 8_000
_BLOCK = 1_024
_TENTH = 8


@dataclass(frozen=True)
class Pairs:
    """Close pairs, each once: `first` < `second` are rows of the points; distances are Euclidean, ascending."""

    first: Rows
    second: Rows
    distance: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)


def typical_distance(points: Points) -> float:
    """How far the 8th nearest of some 20,000 points is from a point, in the middle; infinity for fewer than 20 points.

    Copies move it little, so it says what alike means in this data.
    """
    if len(points) < 20:
        return float("inf")
    draw = np.random.default_rng(0)
    others = points if len(points) <= ALL else points[np.sort(draw.choice(len(points), ALL, replace=False))]
    some = others[np.sort(draw.choice(len(others), min(len(others), 500), replace=False))]
    squares = np.partition(_squares(some, others), _TENTH, axis=1)[:, _TENTH]  # the nearest is the point itself
    return float(np.sqrt(np.median(np.maximum(squares, 0))))


def close_pairs(points: Points, fresh: int, radius: float, most: int = 5) -> Pairs:
    """Pairs of points at most `radius` apart, where at least one is of the first `fresh` points.

    At most `most` of the nearest are kept for each point. Points that are equal bit for bit are paired with one of
    them only. Memory is bounded by blocks; time is about n * sqrt(n) for n points in more than a few cells.
    """
    if len(points) < 2 or not fresh or points.shape[1] == 0:
        return _pairs([], most)
    if len(points) <= ALL:
        everyone = np.arange(len(points))
        found = [_close(points, everyone[:fresh], everyone, radius, most)]
    else:
        found = _by_cells(points, fresh, radius, most)
    return _pairs(found, most)


def _by_cells(points: Points, fresh: int, radius: float, most: int) -> list[tuple[Rows, Rows, NDArray[np.float32]]]:
    cells = int(np.sqrt(len(points)))
    draw = np.random.default_rng(0)
    centres = points[np.sort(draw.choice(len(points), cells, replace=False))]
    near = np.empty((len(points), PROBES), dtype=np.int32)
    for start in range(0, len(points), _BLOCK * 8):
        squares = _squares(points[start : start + _BLOCK * 8], centres)
        probes = np.argpartition(squares, PROBES - 1, axis=1)[:, :PROBES]
        order = np.argsort(np.take_along_axis(squares, probes, axis=1), axis=1)
        near[start : start + len(squares)] = np.take_along_axis(probes, order, axis=1)
    homes = _grouped(near[:, 0], cells)
    askers = _grouped(near[:fresh].reshape(-1), cells)
    line = points @ np.asarray(draw.normal(size=points.shape[1]), dtype=np.float32)
    found = []
    for home, asking in zip(homes, askers, strict=True):
        queries = np.unique(asking // PROBES)
        if not len(home) or not len(queries):
            continue
        if len(home) <= MOST_IN_CELL:
            found.append(_close(points, queries, home, radius, most))
            continue
        # A crowd, e.g. of black pictures: along a line copies are near each other, so pieces of it will do.
        crowd = home[np.argsort(line[home], kind="stable")]
        pieces = np.array_split(crowd, -(-len(crowd) // MOST_IN_CELL))
        ends = np.array([line[piece[-1]] for piece in pieces[:-1]])
        places = np.searchsorted(ends, line[queries])
        for place, piece in enumerate(pieces):
            found.append(_close(points, queries[places == place], piece, radius, most))
    return found


def _grouped(cells: NDArray[np.int32], count: int) -> list[Rows]:
    order = np.argsort(cells, kind="stable")
    return np.split(order, np.searchsorted(cells[order], np.arange(1, count)))


def _close(
    points: Points, queries: Rows, members: Rows, radius: float, most: int
) -> tuple[Rows, Rows, NDArray[np.float32]]:
    """Of each query the nearest members within the radius."""
    rows, others, squares = [], [], []
    there = points[members]
    for start in range(0, len(queries), _BLOCK):
        asking = queries[start : start + _BLOCK]
        between = _squares(points[asking], there)
        within = between <= radius * radius + 1e-6
        within &= asking[:, None] != members[None]
        crowded = np.flatnonzero(within.sum(axis=1) > 4 * most)
        if crowded.size:  # keep memory small where everything is close
            between[~within] = np.inf
            nearest = np.argpartition(between[crowded], most, axis=1)[:, :most]
            within[crowded] = False
            within[crowded[:, None], nearest] = True
        row, other = np.nonzero(within)
        rows.append(asking[row])
        others.append(members[other])
        squares.append(between[row, other])
    if not rows:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return np.concatenate(rows), np.concatenate(others), np.concatenate(squares)


def _squares(some: Points, others: Points) -> NDArray[np.float32]:
    """Squared distances, (some, others)."""
    result: NDArray[np.float32] = some @ others.T
    result *= -2
    result += np.einsum("ij,ij->i", some, some)[:, None]
    result += np.einsum("ij,ij->i", others, others)[None]
    return result


def _pairs(found: list[tuple[Rows, Rows, NDArray[np.float32]]], most: int) -> Pairs:
    if not found:
        return Pairs(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
    row = np.concatenate([part[0] for part in found])
    other = np.concatenate([part[1] for part in found])
    square = np.concatenate([part[2] for part in found])
    order = np.lexsort((other, square, row))
    row, other, square = row[order], other[order], square[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    kept = rank < most
    first, second, square = np.minimum(row, other)[kept], np.maximum(row, other)[kept], square[kept]
    order = np.lexsort((second, first))
    first, second, square = first[order], second[order], square[order]
    fresh = np.ones(len(first), dtype=bool)
    fresh[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    order = np.argsort(square[fresh], kind="stable")
    distance = np.sqrt(np.maximum(square[fresh][order], 0))
    return Pairs(first[fresh][order], second[fresh][order], distance)
