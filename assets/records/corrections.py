"""Labels that were corrected: which accepted pairs of input and target others took the place of.

A batch corrects where its source says so (`edgeloop land --corrections`), and a record that reviewers sent back where
they decided about its label. What a batch corrected is a Parquet that its verdict names, with the columns

    id     64 hex digits
    label  of the pair
    by     the label that took its place; null: the pair stands again, which an earlier correction had replaced

so a dataset, whose batches are a prefix of those accepted, knows exactly the corrections of its own batches.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.records.forgotten import fetch_shard
from assets.records.identity import Keys, keys_of_texts, replaced_keys
from assets.records.line_store import LineStore
from assets.storage.store import Store
from edge.contracts import ArtifactRef

if TYPE_CHECKING:
    import pyarrow as pa

MOST_TOLD = 3


def corrections_table(rows: Sequence[tuple[str, str, str | None]]) -> pa.Table:
    """Rows of id, label, and the label that took its place (None: it stands again)."""
    import pyarrow as pa

    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {name: pa.array(list(column), pa.string()) for name, column in zip(("id", "label", "by"), columns, strict=True)}
    )


def replaced_pairs(store: Store, corrections: Iterable[ArtifactRef]) -> Keys:
    """Sorted keys of the pairs that do not count any more, by the corrections of these batches in order.

    Raises:
        VerificationError: one is missing or was changed.
        RejectedError: one cannot be read.
    """
    return replaced_keys(_read(store, ref) for ref in corrections)


def accepted_corrections(line: LineStore, batches: Iterable[str]) -> tuple[ArtifactRef, ...]:
    """What each of these batches corrected, in order."""
    verdicts = (line.verdict(batch) for batch in batches)
    return tuple(found.corrections for found in verdicts if found is not None and found.corrections is not None)


def corrections_sentence(table: pa.Table) -> str:
    """Which label won, and how often: "3 labels corrected: cat -> dog (2), dog -> cat"; "" where none was corrected."""
    pairs = Counter(
        (row["label"], row["by"]) for row in table.select(["label", "by"]).to_pylist() if row["by"] is not None
    )
    if not pairs:
        return ""
    total = sum(pairs.values())
    told = [
        f"{old or 'none'} -> {new}{f' ({count:,})' * (count > 1 and len(pairs) > 1)}"
        for (old, new), count in pairs.most_common(MOST_TOLD)
    ]
    told += ["…"] * (len(pairs) > MOST_TOLD)
    return f"{total:,} label{'s' * (total != 1)} corrected: {', '.join(told)}"


def _read(store: Store, ref: ArtifactRef) -> tuple[Keys, NDArray[np.bool_]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(fetch_shard(store, ref)), columns=["id", "label", "by"])
        keys = keys_of_texts(table.column("id").to_pylist(), table.column("label").to_pylist())
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise RejectedError(f"{ref.uri}: not a Parquet of corrected labels ({error}); judge its batch again") from error
    return keys, np.asarray(table.column("by").is_valid().to_numpy(), dtype=bool)
