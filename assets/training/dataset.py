"""The union of everything the gate accepted, as a version."""

from __future__ import annotations

from collections import Counter

from assets.errors import RejectedError
from assets.records.corrections import accepted_corrections
from assets.records.dataset import SPLITS, DatasetVersion
from assets.records.line_store import BoundLine, LineStore
from assets.records.read import CountedBy, distinct_rows
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from edge.contracts import ArtifactRef


def accepted_upto(line: BoundLine, upto: int | None = None) -> tuple[int, tuple[str, ...]]:
    """Position and ids of the accepted batches, in order.

    Args:
        upto: the last position that counts, for a run that claims no more; None for all.

    Returns:
        The position of the last batch that counts, so a batch listed again after a crash makes no new version.

    Raises:
        RejectedError: nothing was accepted yet.
    """
    found = [(at, entry.batch) for at, entry in line.accepted_batches() if upto is None or at <= upto]
    if not found:
        if line.generation() > 1:
            raise RejectedError(
                f"line {line.name!r} has no accepted batch in generation {line.generation()} yet; its batches are "
                f"judged anew: materialize their partitions of {line.name}/batch, or use `edgeloop run {line.name}`"
            )
        raise RejectedError(
            f"line {line.name!r} has no accepted batch yet; land one with `edgeloop land {line.name} SOURCE` and "
            f"materialize its partition of {line.name}/batch"
        )
    return found[-1][0], tuple(batch for _, batch in found)


def accepted_shards(line: BoundLine, batches: tuple[str, ...]) -> tuple[ArtifactRef, ...]:
    """The accepted records of each batch, as its verdict names them.

    Raises:
        RejectedError: a verdict is missing, or does not accept the batch.
    """
    return tuple(shard for batch in batches for shard in _shards(line, batch))


def build_dataset(line: BoundLine, accepted: tuple[int, tuple[str, ...]] | None = None) -> DatasetVersion:
    """The union of all batches accepted so far; reads ids, labels and splits only.

    Args:
        accepted: what `accepted_upto` gave, where it was asked already.

    Raises:
        RejectedError: nothing was accepted yet, a verdict does not hold, or a split is empty.
        VerificationError: a shard is missing or its bytes were changed.
    """
    position, batches = accepted or accepted_upto(line)
    shards = accepted_shards(line, batches)
    data = line.config.data
    count: Counter[str] = Counter()
    forgotten: set[str] = set()
    counted = CountedBy(line.config.counting, accepted_corrections(line, batches))
    for _, rows in distinct_rows(line.store, shards, data.classes, data, forgotten, counted):
        count.update(row.split for row in rows)
    for split in SPLITS:
        if not count[split]:
            raise RejectedError(
                f"line {line.name!r}: the {split} split is empty ({sum(count.values())} records in {len(batches)} "
                f"accepted batches); land more records, declare the {split} split in the source, or let it be drawn "
                f"from train records (`data.carve: [{split}]`)"
            )
    return DatasetVersion(
        line=line.name,
        position=position,
        batches=batches,
        shards=shards,
        classes=data.classes,
        splits={split: count[split] for split in SPLITS},
        validation_share=data.validation_share,
        test_share=data.test_share,
        carve=data.carve,
        forgotten=len(forgotten),
        copies=counted.copies,
        corrections=tuple(counted.corrections),
    )


def _shards(line: LineStore, batch: str) -> tuple[ArtifactRef, ...]:
    key = layout.verdict(line.name, batch)
    redo = f"materialize partition {batch[:12]}… of {line.name}/batch again"
    try:
        verdict = line.store.load(key, BatchVerdict)
    except FileNotFoundError as error:
        raise RejectedError(f"{key}: the verdict of an accepted batch is missing; {redo}") from error
    if verdict.batch != batch or verdict.line != line.name:
        raise RejectedError(f"{key}: this is the verdict of another batch ({verdict.line}/{verdict.batch}); {redo}")
    if verdict.state != "accepted" or not verdict.records:
        raise RejectedError(f"{key}: the batch is in the journal, but its verdict does not accept it; {redo}")
    return verdict.records
