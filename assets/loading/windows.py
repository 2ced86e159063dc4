"""Windows of a unit's readings: where they end, and which readings are in them.

A window is the last `steps` readings up to one of them, and its label and id are that reading's. Where a unit has
fewer, its first reading is repeated before them, on the device too. No window has readings of two units.

Which readings windows end at:

- train: from the first full window to the last reading, every `stride`-th, counted back from the last.
- test: every full window; with `judge: last` one for each unit, which ends at its last reading.
- validation: as test, but with `judge: last` `CUTS` windows for each unit, evenly from the first full one to the last.
  Test units are cut at some time of their life, and validation units mostly are not (in C-MAPSS they run to failure):
  their last window alone would always be labelled 0. Evenly spread cuts, as many of each unit, have the labels that a
  cut at a random time has, without the luck of a draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.line.model import FeaturePolicy
from assets.records.dataset import Split

CUTS = 20
"""Windows for each unit that stand for a cut at a random time."""


@dataclass(frozen=True)
class Windows:
    """Windows over readings that lie in order, unit after unit.

    Attributes:
        first: (windows,) position of the unit's first reading.
        last: (windows,) position of the window's last reading.
        steps: readings in each.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    steps: int

    def __len__(self) -> int:
        """How many there are."""
        return len(self.last)

    def readings(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(windows, steps) positions of these windows' readings, oldest first."""
        reach = self.last[windows, None] + np.arange(1 - self.steps, 1)
        found: NDArray[np.int64] = np.maximum(reach, self.first[windows, None])
        return found


def order_of(units: NDArray[np.int64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of readings sorted by unit, then by time; of equal times the first accepted comes first."""
    return np.lexsort((times, units))


def cut_windows(units: NDArray[np.int64], split: Split, features: FeaturePolicy) -> Windows:
    """The windows of a split.

    Args:
        units: (readings,) a number for each unit, sorted; readings of one are in the order of time.
    """
    edges = np.flatnonzero(np.diff(units)) + 1
    begins, ends = np.r_[0, edges][: len(units)], np.r_[edges, len(units)][: len(units)]
    last = [ends_of(int(end - begin), split, features) + begin for begin, end in zip(begins, ends, strict=True)]
    first = [np.full(len(found), begin) for begin, found in zip(begins, last, strict=True)]
    nothing: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    return Windows(np.concatenate(nothing + first), np.concatenate(nothing + last), features.steps)


def ends_of(readings: int, split: Split, features: FeaturePolicy) -> NDArray[np.int64]:
    """Positions in a unit of so many readings that its windows of a split end at, ascending; at least one."""
    newest, full = readings - 1, min(features.steps, readings) - 1
    if split == "train":
        return np.arange(newest, full - 1, -features.stride, dtype=np.int64)[::-1]
    if features.judge == "all":
        return np.arange(full, readings, dtype=np.int64)
    if split == "test":
        return np.asarray([newest], dtype=np.int64)
    return np.unique(np.rint(np.linspace(full, newest, CUTS)).astype(np.int64))
