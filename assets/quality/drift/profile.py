"""What a batch's good records look like, in a few kB: ten quantile bins per feature, and a sample of embeddings.

Profiles of one line share their bins' edges, so they can be added up: the data that a model was trained on has a
profile without being read again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from assets.line.data import DataContract
from assets.quality.drift.features import Bins, Feature, Tally, choose_bins, join_numbers, join_words, tally_words
from assets.quality.drift.sample import Sample, join_samples, take_sample
from assets.quality.redaction import hidden_columns
from assets.quality.spool import Spool
from edge.contracts import document

LABEL = "_label"
EDGE_SAMPLE = 100_000
MAX_DISTINCT = 10_000
_FREE_TEXT = "text"  # a fact of texts that is no category: as good as every record has its own


@document("edgeloop.data_profile")
@dataclass(frozen=True)
class Profile:
    """What records look like.

    Attributes:
        features: the fact columns in order, then the label (`LABEL`): a number where one is predicted, else a word.
        sample: embeddings of some records, for the domain classifier; None for tables and series.
    """

    records: int
    features: tuple[Feature, ...]
    sample: Sample | None = None

    @property
    def by_name(self) -> dict[str, Feature]:
        """Name to feature."""
        return {item.name: item for item in self.features}


def make_profile(
    spool: Spool, data: DataContract, rows: NDArray[Any] | Sequence[int], edges_from: Profile | None = None
) -> Profile:
    """The profile of some of a batch's records; the spool is read in chunks, so memory is that of a chunk.

    Args:
        rows: positions of the records that count (int), or a mask of all records (bool).
        edges_from: a profile of the same line whose bins are used, so that both can be compared and added up.
    """
    mask = np.zeros(spool.rows, dtype=np.bool_)
    picked = np.asarray(rows)
    mask[picked if picked.size else picked.astype(np.int64)] = True
    good = np.flatnonzero(mask)
    kinds = _kinds(spool, data)
    tallies = {name: Tally(bins) for name, bins in _bins(spool, good, kinds, edges_from).items()}
    words: dict[str, Counter[str | None]] = {name: Counter() for name, kind in kinds.items() if kind == "word"}
    for start, table in spool.chunks(list(kinds)):
        part = mask[start : start + table.num_rows]
        if not part.any():
            continue
        kept = table if part.all() else table.filter(pa.array(part))
        for name, tally in tallies.items():
            tally.add(_numbers(kept.column(name)))
        for name, counter in words.items():
            _count(counter, kept.column(name))
    private = hidden_columns(data)
    if data.privacy.encrypt and data.classes:
        private -= {LABEL}  # the names of the classes and how many there are of each are no secret
    features = []
    for name, kind in kinds.items():
        made = tallies[name].feature(name) if kind == "number" else tally_words(name, words[name])
        features.append(replace(made, private=True, low=None, high=None) if name in private else made)
    return Profile(len(good), tuple(features), take_sample(spool, good) if data.inputs is None else None)


def merge(profiles: Sequence[Profile]) -> Profile:
    """The profile of all their records together. The first one's bins are kept.

    A feature that is missing or of another kind in some profile counts as having no value there. Where a profile has
    other edges, its records are spread evenly within its bins.

    Raises:
        ValueError: there is no profile.
    """
    if not profiles:
        raise ValueError("there is no profile to merge")
    first = profiles[0]
    if len(profiles) == 1:
        return first
    records = sum(profile.records for profile in profiles)
    features = []
    names = [profile.by_name for profile in profiles]
    for feature in first.features:
        same = [found[feature.name] for found in names if feature.name in found]
        same = [item for item in same if item.kind == feature.kind]
        joined = join_numbers(same) if feature.kind == "number" else join_words(same)
        features.append(replace(joined, nulls=records - joined.values))
    samples = [(profile.records, profile.sample) for profile in profiles if profile.sample is not None]
    return Profile(records, tuple(features), join_samples(samples))


def _kinds(spool: Spool, data: DataContract) -> dict[str, Literal["number", "word"]]:
    """Column to what it holds, of the columns that are profiled."""
    kinds: dict[str, Literal["number", "word"]] = {}
    for field in spool.schema:
        if not field.name.startswith("_") and not (data.text is not None and field.name == _FREE_TEXT):
            kinds[field.name] = "number" if pa.types.is_floating(field.type) else "word"
    kinds[LABEL] = "number" if data.regression else "word"
    return kinds


def _bins(
    spool: Spool, good: NDArray[np.int64], kinds: dict[str, Literal["number", "word"]], edges_from: Profile | None
) -> dict[str, Bins]:
    """The bins of each column of numbers: the reference's, or new ones from a sample of the records."""
    known = edges_from.by_name if edges_from else {}
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    bins = {
        name: Bins(known[name].edges, known[name].fences) for name in numbers if name in known and known[name].edges
    }
    fresh = [name for name in numbers if name not in bins]
    if fresh:
        some = good[:: max(1, -(-len(good) // EDGE_SAMPLE))]
        table = spool.take(some, fresh)
        bins.update({name: choose_bins(_numbers(table.column(name))) for name in fresh})
    return bins


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Values as float64, NaN where there is none."""
    if not pa.types.is_floating(column.type):
        import pandas as pd

        # labels that are numbers are kept as text; what is none of them was not accepted as a good record
        numbers = pd.to_numeric(column.to_pandas(), errors="coerce")
        return np.asarray(numbers, dtype=np.float64)
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _count(counter: Counter[str | None], column: pa.ChunkedArray) -> None:
    """Count words; where a column has endlessly many, those met late are counted together, under ""."""
    for entry in pc.value_counts(column.cast(pa.string())).to_pylist():
        word = entry["values"]
        known = word is None or word in counter or len(counter) < MAX_DISTINCT
        counter[word if known else ""] += entry["counts"]
