"""Which unit a reading is of: the name in its file, and the batch that names it, unless names hold for good.

Two deliveries that number their machines from 1 have different machines, so a unit is of its batch
(`data.series.unit_ids`). A reading that returned from quarantine is of the unit it was taken out of. Stored groups, ids
and splits do not depend on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.line.data import UnitIds
from assets.loading.stored import Stored
from assets.records.dataset import DatasetVersion
from assets.records.line_store import LineStore
from assets.storage.store import Store

_DIGITS = 12
"""Of a batch's id, as people see it elsewhere."""


def units_of(stored: Stored, unit_ids: UnitIds) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The unit of each reading.

    Returns:
        (readings,) numbers of units from 0, in the order in which they first appear, and the name of each: as in the
        file, with the batch behind it where units of several batches share it, so that no two units have one name.

    Raises:
        RejectedError: nothing says which batch a shard is of.
    """
    if unit_ids == "global":
        keys = [("", group) for group in stored.groups]
    else:
        homes = shard_batches(stored.store, stored.dataset)
        places = zip(stored.groups, stored.origins, stored.shard.tolist(), strict=True)
        keys = [(origin or homes[shard], group) for group, origin, shard in places]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.asarray([numbers[key] for key in keys], dtype=np.int64), _names(list(numbers))


def shard_batches(store: Store, dataset: DatasetVersion) -> tuple[str, ...]:
    """The batch of each of a dataset's shards. Raises RejectedError where nothing says it."""
    known = set(dataset.batches)
    found = [next((parent for parent in ref.parents if parent in known), "") for ref in dataset.shards]
    if all(found):
        return tuple(found)
    line = LineStore(store, dataset.line)  # references without parents: shards lie as their batches' verdicts name them
    verdicts = [line.verdict(batch) for batch in dataset.batches]
    told = [verdict.batch for verdict in verdicts if verdict is not None for _ in verdict.records]
    if len(told) != len(found):
        ref = dataset.shards[found.index("")]
        raise RejectedError(f"{ref.uri}: nothing says which batch it is of; materialize the dataset again")
    return tuple(told)


def _names(units: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    batches: dict[str, set[str]] = defaultdict(set)
    for batch, group in units:
        batches[group].add(batch)
    return tuple(group if len(batches[group]) == 1 else f"{group} (batch {batch[:_DIGITS]})" for batch, group in units)
