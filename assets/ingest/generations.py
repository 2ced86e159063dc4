"""Begins a line's next generation where its contract changed, and lists its accepted batches to be judged anew.

They are listed in the landing journal once more (`Landing.again`), so the sensors judge each, show it and repeat it
after a failure as they do what lands. Listed before the generation stands in its journal, and once more behind it:
killed at any point, and with batches accepted meanwhile, none is left out.
"""

from __future__ import annotations

import io
import time
from dataclasses import replace

from assets.errors import RejectedError
from assets.ingest.listing import known, list_batch
from assets.line.stored_form import stored_form
from assets.records.forgotten import fetch_shard
from assets.records.generation import Generation, next_generation
from assets.records.line_store import BoundLine, LineStore
from assets.records.verdict import BatchVerdict

FLOAT_BYTES = 8


def begin_generation(line: BoundLine) -> Generation | None:
    """Write down in which form the line's records are stored from now on; what was begun, or None where all is known.

    A state of a version that knew no generations is in generation 1, with the contract that it has when it is first
    asked, unless its stored records have another number of columns. A contract that was read before the newest
    generation began is out of date, e.g. in a code location that was not reloaded, and begins none.
    """
    form, last = stored_form(line.config.data), line.last_generation()
    if last is not None and line.read <= last.read:
        return None
    if last is None and (old := _stored_otherwise(line)) is not None:
        line.generations().append_at(1, old)
        last = line.last_generation()
    ahead = next_generation(last, form, line.read)
    if ahead is None:
        return None
    if ahead.number > 1:
        _list_again(line, ahead.number)
    if not line.generations().append_at(line.generations().length() + 1, ahead):
        return None  # another process began it at this moment
    if ahead.number > 1:
        _list_again(line, ahead.number)
    return ahead


def hand_on(line: LineStore, verdict: BatchVerdict) -> None:
    """List a batch to be judged anew where a generation began while it was judged."""
    now = LineStore(line.store, line.name).generation()
    if verdict.generation < now:
        _again(line, verdict.batch, now)


def refuse_outdated(line: BoundLine) -> None:
    """Raise RejectedError where the line's contract was changed since it was read here."""
    if line.is_outdated():
        raise RejectedError(
            f"line {line.name!r}: its contract was changed after this process read it, and its records are stored as "
            "that says now; run it again, and in the UI reload the code location first"
        )


def waiting(line: BoundLine) -> list[str]:
    """Batches that an earlier generation accepted and this one has not judged yet, in the order of their acceptance."""
    verdicts = ((batch, line.verdict(batch)) for batch in line.accepted_before(line.generation()))
    return [batch for batch, verdict in verdicts if verdict is None or not line.stands(verdict)]


def foreseen(line: BoundLine) -> str:
    """What the line's contract will do to the records it has, in a sentence; "" where nothing. Writes nothing."""
    last = line.last_generation()
    if last is not None and line.read <= last.read:
        return ""
    if last is None:
        last = _stored_otherwise(line)
    ahead = next_generation(last, stored_form(line.config.data), line.read)
    accepted = line.accepted_before(ahead.number) if ahead is not None else []
    if ahead is None or not ahead.why or not accepted:
        return ""
    return begins(ahead, len(accepted))


def begins(generation: Generation, batches: int) -> str:
    """A generation's beginning in words: what was changed, and what comes of it."""
    judged = f"{batches:,} accepted batches are" if batches != 1 else "1 accepted batch is"
    return (
        f"generation {generation.number}: {judged} judged anew, because {'; '.join(generation.why)}. "
        "Each record keeps its split, and the first model of a generation waits for a person"
    )


def _list_again(line: BoundLine, number: int) -> None:
    for batch in line.accepted_before(number):
        _again(line, batch, number)


def _again(line: LineStore, batch: str, number: int) -> None:
    landing = known(line, batch)
    if landing is not None:
        list_batch(line, replace(landing, time=time.time(), again=f"generation-{number}"))


def _stored_otherwise(line: BoundLine) -> Generation | None:
    """The form of records that an older version stored, where their width contradicts the line's columns."""
    inputs = line.config.data.inputs
    if inputs is None:
        return None
    verdicts = (line.verdict(entry.batch) for _, entry in line.accepted_in(1))
    refs = (ref for verdict in verdicts if verdict is not None for ref in verdict.records)
    width = next(filter(None, (_width(fetch_shard(line.store, ref)) for ref in refs)), 0)
    if width in {0, len(inputs.columns)}:
        return None
    names = [f"column {place} of {width}" for place in range(1, width + 1)]
    return Generation(1, {**stored_form(line.config.data), "columns": names}, (), 0.0)


def _width(shard: bytes) -> int:
    """Numbers in the input of the first record that was not forgotten; 0 where there is none."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(io.BytesIO(shard)) as opened:
        inputs = (value.as_py() for part in opened.iter_batches(1000, columns=["input"]) for value in part.column(0))
        return len(next(filter(None, inputs), b"")) // FLOAT_BYTES
