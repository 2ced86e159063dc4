"""What is in quarantine, counted and shown: never more of it in memory than a row group's ids, or one page."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.errors import RejectedError
from assets.line.data import DataContract
from assets.records.verdict import BatchVerdict
from assets.review.documents import Decision
from assets.review.held import Held, rows_at, scan
from assets.review.state import State
from edge.runtime.preprocess import decode_image

THUMBNAIL = 160
MAX_SHOWN = 2000
STATUSES = ("undecided", "accepted", "fixed", "waived", "rejected", "released")
_STATUS = {"accept": 1, "fix": 2, "waive": 3, "reject": 4}
HIDDEN = "(private)"


@dataclass(frozen=True)
class Group:
    """The quarantined records of a batch that one rule set aside.

    Attributes:
        rule: "" for good records whose batch was blocked.
        held: how many there are.
        counts: each of `STATUSES` to how many of them are so; they add up to `held`.
    """

    batch: str
    rule: str
    held: int
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Shown:
    """A quarantined record with what was decided about it.

    Attributes:
        position: of the decision that stands on it; 0 for none.
        status: one of `STATUSES`.
    """

    held: Held
    position: int
    status: str


def groups(state: State, verdict: BatchVerdict) -> list[Group]:
    """The batch's quarantined records, counted by rule and by what was decided; the largest group first."""
    import pyarrow.compute as pc

    status_of = _statuses(state, verdict.batch)
    counts: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = {}
    for _, table in scan(state.store, verdict, ("id", "rule", "label")):
        status = status_of[state.decided(verdict.batch, table["id"], table["label"])]
        rules = pc.fill_null(table["rule"], "").combine_chunks().dictionary_encode()
        codes = np.asarray(rules.indices.to_numpy(zero_copy_only=False), dtype=np.int64)
        found = np.bincount(codes * len(STATUSES) + status, minlength=len(rules.dictionary) * len(STATUSES))
        for rule, row in zip(rules.dictionary.to_pylist(), found.reshape(-1, len(STATUSES)), strict=True):
            counts[rule] = counts.get(rule, 0) + row
    made = [
        Group(verdict.batch, rule, int(row.sum()), dict(zip(STATUSES, row.tolist(), strict=True)))
        for rule, row in counts.items()
    ]
    return sorted(made, key=lambda group: (-group.held, group.rule))


def page(
    state: State,
    verdict: BatchVerdict,
    *,
    rule: str | None = None,
    status: str | None = None,
    start: int = 0,
    size: int = 24,
) -> tuple[list[Shown], int | None]:
    """Records from position `start` on, at most `size`, and where the next page starts; None on the last page.

    Args:
        rule, status: only these; None for all.
    """
    rows: list[int] = []
    status_of = _statuses(state, verdict.batch)
    for first, table in scan(state.store, verdict, ("id", "rule", "label")):
        if first + table.num_rows <= start:
            continue
        keep = np.arange(first, first + table.num_rows) >= start
        if rule is not None:
            keep &= np.asarray([(value or "") == rule for value in table["rule"].to_pylist()], dtype=bool)
        if status is not None:
            wanted = STATUSES.index(status)
            keep &= status_of[state.decided(verdict.batch, table["id"], table["label"])] == wanted
        rows += [first + int(row) for row in np.flatnonzero(keep)[: size + 1 - len(rows)]]
        if len(rows) > size:
            break
    following = rows[size] if len(rows) > size else None
    return show_rows(state, verdict, rows[:size]), following


def show_rows(state: State, verdict: BatchVerdict, rows: list[int]) -> list[Shown]:
    """These quarantined records with what was decided about them."""
    import pyarrow as pa

    held = rows_at(state.store, verdict, rows)
    ids, labels = ([getattr(record, name) for record in held] for name in ("id", "label"))
    positions = state.decided(verdict.batch, pa.array(ids, pa.string()), pa.array(labels, pa.string()))
    status_of = _statuses(state, verdict.batch)
    return [
        Shown(record, int(position), STATUSES[status_of[position]])
        for record, position in zip(held, positions, strict=True)
    ]


def history(state: State, batch: str, identity: str) -> list[tuple[int, Decision]]:
    """Position and entry of everything that was ever decided about a record of a batch, in order."""
    import pyarrow.compute as pc

    table = state.numbered(batch)
    own = set(table.filter(pc.equal(table["id"], identity))["position"].to_pylist())
    own |= {state.revoked(position) for position in own} | {state.release_of(position) for position in own}
    return [(position, state.entry(position)) for position in sorted(own - {0})]


def fields(data: DataContract, held: Held) -> Iterator[tuple[str, str]]:
    """Name and text of what a record holds, for people; the values of private columns are hidden."""
    private = set(data.privacy.private)

    def shown(column: str | None, value: str) -> str:
        return HIDDEN if column in private else _cut(value)

    if data.text is not None:
        yield data.text.column, shown(data.text.column, held.input.decode(errors="replace"))
    section = data.inputs
    if section is not None:
        values = np.frombuffer(held.input[: len(held.input) // 8 * 8], dtype="<f8")
        for number, column in enumerate(section.columns):
            value = float(values[number]) if number < len(values) else math.nan
            yield column, shown(column, _cell(value, section.categories.get(column, ())))
    if held.group:
        yield "group", shown(group_column(data), held.group)
    if held.time is not None:
        yield "time", shown(data.series.time if data.series else None, f"{held.time:g}")


def label_shown(data: DataContract, held: Held) -> str:
    """The record's label, hidden where it comes from a private column."""
    section = data.table or data.series or data.text
    return HIDDEN if section is not None and section.target in data.privacy.private else held.label


def group_column(data: DataContract) -> str | None:
    """The column that records are grouped by."""
    return data.table.group if data.table else data.series.unit if data.series else None


def picture(data: DataContract, held: Held, longest: int | None = None) -> bytes:
    """The record's picture as a PNG made anew, so without anything hidden in its file.

    Args:
        longest: pixels of the longer side it is scaled down to; None leaves it.

    Raises:
        RejectedError: it is no picture.
    """
    from PIL import Image

    if data.image is None:
        raise RejectedError(f"{held.file}: records of reader {data.reader} are no pictures; leave --save out")
    pixels = decode_image(held.input, data.image.channels)
    made = Image.fromarray(pixels[:, :, 0] if data.image.channels == 1 else pixels)
    if longest is not None:
        made.thumbnail((longest, longest))
    buffer = io.BytesIO()
    made.save(buffer, "PNG")
    return buffer.getvalue()


def _statuses(state: State, batch: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """By the position of a decision, the number in `STATUSES` of the records it stands on; 0 at 0."""
    found = np.zeros(state.position + 1, dtype=np.int64)
    for position in state.of(batch):
        released = state.release_of(position)
        found[position] = STATUSES.index("released") if released else _STATUS[state.entry(position).action]
    return found


def _cell(value: float, words: tuple[str, ...]) -> str:
    if math.isnan(value):
        return "(no value)"
    if words:
        return words[int(value)] if value.is_integer() and 0 <= value < len(words) else f"word {value:g}"
    return f"{value:.10g}"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}… ({len(text):,} characters)"
