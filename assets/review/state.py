"""What stands on a line's quarantined records: its journal of decisions, read once and continued."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import io
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.errors import RejectedError
from assets.records.forgotten import forgotten_ids
from assets.records.line_store import BoundLine, LineStore
from assets.records.verdict import BatchVerdict
from assets.review.documents import MAX_INLINE, Decision, Member, decisions_journal
from assets.review.held import scan
from assets.review.lookup import Lookup
from assets.review.standing import Standing
from assets.storage import layout
from assets.storage.sealed import seal
from assets.storage.store import Store
from edge.contracts import ArtifactRef, from_bytes, to_bytes

if TYPE_CHECKING:
    import pyarrow as pa

ABOUT_RECORDS = ("accept", "fix", "waive", "reject")
RETURNING = ("accept", "fix", "waive")
SEGMENT = 500
"""Entries of the journal that are packed into one file once they are complete."""


class State:
    """The journal as far as it was read. `refresh` reads on; of two states, the one that read further knows more.

    Attributes:
        entries: the entry at position p is `entries[p - 1]`.
    """

    def __init__(self, line: LineStore) -> None:
        self.store = line.store
        self.line = line.name
        self.journal = decisions_journal(line)
        self.entries: list[Decision] = []
        self._by_batch: dict[str, list[int]] = {}
        self._revoked: dict[int, int] = {}
        self._releases: list[int] = []
        self._ends: list[float] = []
        self._tables: dict[int, pa.Table] = {}
        self._current: dict[str, tuple[tuple[int, ...], Standing]] = {}
        self.refresh()

    @property
    def position(self) -> int:
        """The last position that was read; 0 where nothing was decided yet."""
        return len(self.entries)

    def refresh(self) -> State:
        """Read what was added since. Raises ContractError for an entry that is none."""
        while self.position % SEGMENT == 0 and (packed := self._packed(self.position)):
            for entry in packed:
                self._take(entry)
        for position, entry in self.journal.after(self.position):
            self._take(entry)
            if position % SEGMENT == 0:
                self._pack(position)
        return self

    def _take(self, entry: Decision) -> None:
        self.entries.append(entry)
        position = len(self.entries)
        if entry.until is not None:
            bisect.insort(self._ends, entry.until)
        if entry.action in ABOUT_RECORDS and entry.count:
            self._by_batch.setdefault(entry.batch, []).append(position)
        elif entry.action == "revoke":
            self._revoked[entry.replaces] = position
        elif entry.action == "release":
            self._releases.append(position)

    def _packed(self, after: int) -> list[Decision]:
        """The `SEGMENT` entries after a position, from one file that some reader packed; empty where none did yet."""
        key = self._packed_key(after + SEGMENT)
        try:
            lines = self.store.read(key).split(b"\n")
        except FileNotFoundError:
            return []
        return [from_bytes(Decision, line, key) for line in lines]

    def _pack(self, position: int) -> None:
        """Put the last entries together, for readers to come: a request for each of them is slow in a bucket."""
        with contextlib.suppress(OSError):
            body = b"\n".join(to_bytes(entry) for entry in self.entries[position - SEGMENT : position])
            self.store.create(self._packed_key(position), body)

    def _packed_key(self, position: int) -> str:
        return f"{layout.decided(self.line)}/until-{position:012d}.jsonl"

    def entry(self, position: int) -> Decision:
        """The entry at `position`. Raises RejectedError where there is none."""
        if not 1 <= position <= self.position:
            raise RejectedError(f"line {self.line!r}: there is no decision {position}; the last one is {self.position}")
        return self.entries[position - 1]

    def batches(self) -> list[str]:
        """Batches with decided records, in the order of their first decision."""
        return list(self._by_batch)

    def of(self, batch: str) -> Sequence[int]:
        """Positions of the decisions about records of a batch."""
        return self._by_batch.get(batch, ())

    def revoked(self, position: int) -> int:
        """Position of the entry that took this one back; 0 where none did."""
        return self._revoked.get(position, 0)

    def releases(self) -> list[int]:
        """Positions of the releases."""
        return list(self._releases)

    def release_of(self, position: int) -> int:
        """Position of the release that sent back what decision `position` covers; 0 where none did yet."""
        entry = self.entry(position)
        if entry.action not in RETURNING:
            return 0
        taken_back = self.revoked(position) or self.position + 1
        for number in self._releases:
            release = self.entries[number - 1]
            covers = position <= release.upto and release.batch in ("", entry.batch) and number < taken_back
            if covers and (entry.until is None or release.time <= entry.until):
                return number
        return 0

    def pending(self, position: int, now: float) -> bool:
        """Whether what decision `position` covers would go back with a release at `now`."""
        entry = self.entry(position)
        return (
            entry.action in RETURNING
            and not self.revoked(position)
            and (entry.until is None or now <= entry.until)
            and not self.release_of(position)
        )

    def stands(self, position: int) -> bool:
        """Whether a decision holds its records: it was not taken back and has not ended, or they had gone before."""
        until = self.entry(position).until
        over = self.revoked(position) or (until is not None and until < time.time())
        return not over or bool(self.release_of(position))

    def expired(self) -> int:
        """How many waivers have ended: what was counted before one more did is out of date."""
        return bisect.bisect_left(self._ends, time.time())

    def members(self, position: int) -> pa.Table:
        """A decision's records: columns id (64 hex digits), rule, label (null: every one). Raises VerificationError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if position not in self._tables:
            entry = self.entry(position)
            if entry.more is None:
                table = members_table([(member.id, member.rule, member.label) for member in entry.members])
            else:
                table = pq.read_table(pa.BufferReader(self.store.fetch(entry.more)))
                if "label" not in table.column_names:
                    table = table.append_column("label", pa.nulls(table.num_rows, pa.string()))
                table = table.select(["id", "rule", "label"])
            self._tables[position] = table
        return self._tables[position]

    def _current_of(self, batch: str) -> Standing:
        """The batch's decided records, and the position of the decision that stands on each."""
        stamp = (len(self.of(batch)), len(self._revoked), len(self._releases), self.expired())
        if batch in self._current and self._current[batch][0] == stamp:
            return self._current[batch][1]
        # the last decision on a record is the one that was validated
        gone = [position for position in self.of(batch) if not self.stands(position)]
        found = Standing(self.numbered(batch), gone)
        self._current[batch] = (stamp, found)
        return found

    def decided(
        self, batch: str, ids: pa.Array | pa.ChunkedArray, labels: pa.Array | pa.ChunkedArray
    ) -> NDArray[np.int64]:
        """Position of the decision that stands on each record of a batch, 0 for none.

        Args:
            ids: (n,) 64 hex digits.
            labels: (n,) as the records are held; of equal inputs under different labels each is decided by itself.

        Returns:
            (n,) int64.
        """
        return self._current_of(batch).of(ids, labels)

    def numbered(self, batch: str) -> pa.Table:
        """Every member of every decision on a batch: columns id, rule, label and position."""
        import pyarrow as pa

        parts = [self._numbered(position) for position in self.of(batch)]
        return pa.concat_tables(parts) if parts else _NO_DECISIONS()

    def _numbered(self, position: int) -> pa.Table:
        import pyarrow as pa

        table = self.members(position)
        return table.append_column("position", pa.array(np.full(table.num_rows, position, dtype=np.int64)))


def _NO_DECISIONS() -> pa.Table:  # noqa: N802 - an empty table, made where pyarrow is there
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("id", "rule", "label")]
    return pa.schema([*texts, ("position", pa.int64())]).empty_table()


def members_table(members: Sequence[tuple[str, str, str | None]]) -> pa.Table:
    """Id, rule and label of each member as a table."""
    import pyarrow as pa

    columns = zip(*members, strict=True) if members else ((), (), ())
    names = ("id", "rule", "label")
    return pa.table({name: pa.array(list(values), pa.string()) for name, values in zip(names, columns, strict=True)})


def keep_members(line: LineStore, members: pa.Table) -> tuple[tuple[Member, ...], ArtifactRef | None]:
    """Members as a `Decision` holds them: itself, or as a Parquet below `quarantine/<line>/.decided/`."""
    import pyarrow.parquet as pq

    if members.num_rows <= MAX_INLINE:
        return tuple(Member(row["id"], row["rule"], row["label"]) for row in members.to_pylist()), None
    buffer = io.BytesIO()
    pq.write_table(members, buffer, compression="zstd", use_dictionary=["rule"])
    return (), _put(line.store, layout.decided(line.name), buffer.getvalue(), "parquet", ".parquet")


def keep_bytes(line: BoundLine, folder: str, data: bytes, kind: str, suffix: str) -> ArtifactRef:
    """Keep what records are made of below `folder`, named by its digest, sealed where the line says so."""
    return _put(
        line.store, folder, seal(data, line.name, kind) if line.config.data.privacy.encrypt else data, kind, suffix
    )


def _put(store: Store, folder: str, data: bytes, kind: str, suffix: str) -> ArtifactRef:
    sha256 = hashlib.sha256(data).hexdigest()
    ref = ArtifactRef(f"{folder}/{sha256}{suffix}", sha256, len(data), kind)
    if not store.create(ref.uri, data) and not store.intact(ref):
        store.write(ref.uri, data)
    return ref


def select(
    state: State,
    verdict: BatchVerdict,
    *,
    rule: str | None = None,
    labelled: str | None = None,
    ids: Sequence[str] | None = None,
    decided: bool = False,
) -> pa.Table:
    """Quarantined records of a batch: columns id, rule and label, each combination once, in the order of the batch.

    Records that were forgotten on request are none of them: nothing can be decided about those.

    Args:
        rule: only those that this rule set aside; "" for good records of a blocked batch.
        labelled: only those with this label.
        ids: only these.
        decided: also those that were decided already.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = []
    wanted = None if ids is None else Lookup(pa.array(list(dict.fromkeys(ids)), pa.string()))
    forgotten = Lookup(
        pa.array([record.hex() for record in forgotten_ids(LineStore(state.store, state.line))], pa.string())
    )
    for _, table in scan(state.store, verdict, ("id", "rule", "label")):
        keep = np.ones(table.num_rows, dtype=bool)
        for name, value in (("rule", rule), ("label", labelled)):
            if value is not None:
                same = pc.equal(pc.fill_null(table[name], ""), value)
                keep &= np.asarray(same.to_numpy(zero_copy_only=False), dtype=bool)
        keep &= ~forgotten.holds(table["id"])
        if wanted is not None:
            keep &= wanted.holds(table["id"])
        if not decided:
            keep &= state.decided(verdict.batch, table["id"], table["label"]) == 0
        parts.append(table.filter(pa.array(keep)))
    if not parts:
        return pa.table({name: pa.array([], pa.string()) for name in ("id", "rule", "label")})
    found = pa.concat_tables(parts)
    return found.group_by(["id", "rule", "label"], use_threads=False).aggregate([])
