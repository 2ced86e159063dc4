"""How many records each class has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.quality.checks.columns import class_codes
from assets.quality.spool import Spool
from assets.records.dataset import SPLITS


@dataclass(frozen=True)
class Balance:
    """Records per class; records whose label is no class of the line are counted apart.

    Attributes:
        counts: class to records, every class of the line in its order.
        splits: split to class to records; only classes that have some.
        other: records with another label; missing: records without one.
        imbalance: records of the largest class for one of the smallest that has any; 1.0 where fewer than two have.
    """

    counts: Mapping[str, int]
    splits: Mapping[str, Mapping[str, int]]
    other: int
    missing: int
    imbalance: float

    @property
    def single(self) -> str | None:
        """The one class that has records, where the line has classes and only one of them has."""
        there = [name for name, count in self.counts.items() if count]
        return there[0] if len(there) == 1 else None

    def untested(self) -> tuple[str, ...]:
        """Classes with test or validation records in the batch, but without train records: nothing can learn them."""
        train = self.splits["train"]
        return tuple(
            name
            for name in self.counts
            if not train.get(name) and (self.splits["test"].get(name) or self.splits["validation"].get(name))
        )


def class_balance(
    spool: Spool,
    classes: Sequence[str],
    splits: NDArray[np.int8],
    sound: NDArray[np.bool_] | None = None,
) -> Balance:
    """Count the classes of a batch; for lines without classes every count is empty.

    Args:
        splits: (rows,) 0 train, 1 validation, 2 test.
        sound: (rows,) which records count; all where it is None.
    """
    labels = spool.column("_label")
    found = class_codes(labels, classes)
    keep = np.ones(len(found), dtype=bool) if sound is None else np.asarray(sound, dtype=bool)
    none = np.asarray(pc.equal(pc.fill_null(labels, ""), "").combine_chunks(), dtype=bool) & keep
    known = keep & (found >= 0)
    counts = np.bincount(found[known], minlength=len(classes))
    per_split: dict[str, dict[str, int]] = {}
    for split, name in enumerate(SPLITS):
        here = np.bincount(found[known & (splits == split)], minlength=len(classes))
        per_split[name] = {classes[place]: int(here[place]) for place in np.flatnonzero(here).tolist()}
    there = counts[counts > 0]
    return Balance(
        {name: int(count) for name, count in zip(classes, counts, strict=True)},
        per_split,
        int((keep & (found < 0) & ~none).sum()),
        int(none.sum()),
        float(there.max() / there.min()) if there.size > 1 else 1.0,
    )
