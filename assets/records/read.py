"""From a dataset version to arrays: which records count, in which split they are, and their tensors.

Training, compression and compilation read records here, so all of them see the same ones. What does not fit in memory
is read by `assets.loading`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.records.corrections import replaced_pairs
from assets.records.dataset import SPLITS, Counting, DatasetVersion, Shares, Split
from assets.records.forgotten import fetch_shard, forgotten_ids
from assets.records.identity import Keys, Occurrences, among, is_counted, keys_of_texts
from assets.records.line_store import LineStore
from assets.records.record import LATER_COLUMNS
from assets.records.splits import record_split
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import ArtifactRef, InputSpec
from edge.runtime.preprocess import record_tensor


class Records(NamedTuple):
    """The records of one split, in the order of acceptance; of a series its windows (see `assets.loading.windows`).

    Attributes:
        x: (records, *spec.shape) float32, normalized; int64 token numbers of texts.
        y: (records,) int64, positions in `DatasetVersion.classes`; float64 where a number is predicted.
        ids: 64 hex digits each; of a window its last reading's.
        inputs: the stored bytes each tensor was made from.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    ids: tuple[str, ...]
    inputs: tuple[bytes, ...]


@dataclass(frozen=True)
class CountedBy:
    """How often equal records count, and which labels were corrected; see `DatasetVersion.copies`, `corrections`."""

    copies: Counting = "by_id"
    corrections: Sequence[ArtifactRef] = ()


@dataclass(frozen=True)
class Row:
    """A record that counts: its place in a shard, its class (or the number to predict), its split, and its unit.

    Attributes:
        origin: the batch that its group is of, where that is not the shard's own (see `RECORD_COLUMNS`).
    """

    index: int
    id: str
    label: int | float
    split: Split
    group: str = ""
    origin: str = ""


def distinct_rows(
    store: Store,
    shards: Sequence[ArtifactRef],
    classes: Sequence[str],
    shares: Shares,
    left_out: set[str] | None = None,
    counted: CountedBy | None = None,
) -> Iterator[tuple[bytes, list[Row]]]:
    """Each shard's bytes with the rows that count: of pairs that more than one batch accepted, the first acceptance.

    Records that were forgotten since, and those whose label was corrected, do not count.

    Args:
        counted: as the dataset version says, where `shares` is none; each input once without.
        left_out: filled with the ids of those that were forgotten.
        classes: positions are the labels; empty where labels are numbers to predict.
        shares: the data contract or the dataset version, which says how splits are drawn.

    Raises:
        VerificationError: a shard is missing or its bytes were changed.
        RejectedError: a shard cannot be read, or holds a label or split that the line does not know.
    """
    known = {name: number for number, name in enumerate(classes)}
    lines = {layout.line_of(shard.uri) for shard in shards}
    forgotten = {record.hex() for name in lines for record in forgotten_ids(LineStore(store, name))}
    counting = counted or (counted_by(shares) if isinstance(shares, DatasetVersion) else CountedBy())
    counter = _Counter(counting.copies, replaced_pairs(store, counting.corrections))
    for shard in shards:
        data = fetch_shard(store, shard)
        table = read_columns(data, shard.uri, ["id", "label", "split", "group", "origin", "drawn_by"])
        rows: list[Row] = []
        columns = (table["id"], table["label"], table["split"], table["group"], table["origin"], table["drawn_by"])
        counts = counter.counts(shard, table["id"], table["label"])
        for index, (record, label, split, group, origin, by) in enumerate(zip(*columns, strict=True)):
            if record in forgotten or by in forgotten:
                if left_out is not None:
                    left_out.add(record)
                continue
            value = known.get(label) if known else _number(label)
            if not isinstance(record, str) or value is None or split not in ("", None, *SPLITS):
                raise RejectedError(
                    f"{shard.uri}: row {index + 1}: label {label!r} with split {split!r} is not one of the line's "
                    f"classes with a split it knows; put the class back into `data.classes`, or land the batch anew"
                )
            if counts[index]:
                drawn = record_split(by or record, "" if by else group or "", split or "", shares)
                rows.append(Row(index, record, value, drawn, group or "", origin or ""))
        yield data, rows


def counted_by(dataset: DatasetVersion) -> CountedBy:
    """How a dataset version counts its records."""
    return CountedBy(dataset.copies, dataset.corrections)


class _Counter:
    """Says of each shard in turn which rows count; a batch may have several."""

    def __init__(self, counting: Counting, replaced: Keys) -> None:
        self._counting, self._replaced = counting, replaced
        self._seen, self._batch = Occurrences(), ""

    def counts(self, shard: ArtifactRef, ids: list[Any], labels: list[Any]) -> NDArray[np.bool_]:
        """(rows,) whether each row counts; corrected ones do not. Raises RejectedError where a row has no id."""
        batch = shard.parents[0] if shard.parents else shard.sha256
        if batch != self._batch:
            self._seen.end_batch()
            self._batch = batch
        try:
            pairs = keys_of_texts(ids, labels)
            keys = pairs if self._counting != "by_id" else keys_of_texts(ids, None)
        except (TypeError, ValueError) as error:
            raise RejectedError(f"{shard.uri}: a row has no id ({error}); judge its batch again") from error
        counts = ~among(pairs, self._replaced)
        living = np.flatnonzero(counts)
        counts[living] = is_counted(self._counting, *self._seen.take(keys[living]))
        return counts


def raw_inputs(
    store: Store, dataset: DatasetVersion, split: Split, limit: int | None = None
) -> tuple[list[bytes], list[Row]]:
    """The stored `input` bytes of a split's records and their rows, in the order of acceptance, at most `limit`."""
    inputs: list[bytes] = []
    kept: list[Row] = []
    shards = dataset.shards
    for shard, (data, rows) in zip(
        shards,
        distinct_rows(store, shards, dataset.classes, dataset),
        strict=True,
    ):
        wanted = [row for row in rows if row.split == split]
        if not wanted:
            continue
        column = read_columns(data, shard.uri, ["input"])["input"]
        inputs += [column[row.index] for row in wanted]
        kept += wanted
        if limit is not None and len(kept) >= limit:
            return inputs[:limit], kept[:limit]
    return inputs, kept


def checked_tensor(dataset: DatasetVersion, split: Split, spec: InputSpec, record: str, data: bytes) -> NDArray[Any]:
    """One stored record's tensor. Raises RejectedError, which names line, split and record."""
    try:
        return record_tensor(spec, data)
    except (RejectedError, TypeError) as error:
        raise RejectedError(f"line {dataset.line!r}: {split} record {record[:12]}…: {error}") from error


def labels_of(dataset: DatasetVersion, rows: Sequence[Row]) -> NDArray[Any]:
    """(rows,) int64 classes, or float64 numbers."""
    return np.asarray([row.label for row in rows], dtype=np.int64 if dataset.classes else np.float64)


def empty_split(dataset: DatasetVersion, split: Split) -> RejectedError:
    """What is raised where a split has no record."""
    return RejectedError(f"line {dataset.line!r}: the {split} split has no record; land more records")


def _number(label: object) -> float | None:
    """A number to predict, or None where the text is none."""
    try:
        value = float(str(label))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_columns(data: bytes, uri: str, names: list[str]) -> dict[str, list[Any]]:
    """Columns of a records Parquet as lists; only these are decoded; `LATER_COLUMNS` may be missing.

    Raises RejectedError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(pa.BufferReader(data))
        absent = LATER_COLUMNS.intersection(names).difference(opened.schema_arrow.names)
        table = opened.read(columns=[name for name in names if name not in absent])
        return {name: [None] * table.num_rows if name in absent else table.column(name).to_pylist() for name in names}
    except (pa.ArrowException, KeyError, OSError) as error:
        raise RejectedError(
            f"{uri}: not a records Parquet with the columns {', '.join(names)} ({error}); judge the batch again"
        ) from error
