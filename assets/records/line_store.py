"""A line and the store it is kept in, bound together: the way to everything that is kept of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from assets.errors import RejectedError
from assets.line.config import Line, LineConfig
from assets.line.stored_form import form_changes, stored_form
from assets.records.batch import Landing
from assets.records.dataset import DatasetVersion
from assets.records.generation import Generation, next_generation
from assets.records.verdict import Accepted, BatchVerdict, stands
from assets.storage import layout, memo
from assets.storage.journal import Journal
from assets.storage.store import Store
from edge.contracts import ArtifactRef

T = TypeVar("T")


@dataclass(frozen=True)
class LineStore:
    """What is kept of the line `name`; it needs no more of the line than its name."""

    store: Store
    name: str

    def newest(self, cls: type[T]) -> T:
        """The newest result of the asset that makes such documents. Raises RejectedError where there is none yet."""
        return self.store.newest(self.name, cls)

    def set_newest(self, value: Any) -> None:
        """Make `value` the newest result of the asset that makes such documents."""
        self.store.set_newest(self.name, value)

    def put(self, data: bytes, kind: str, suffix: str, parents: tuple[str, ...] = ()) -> ArtifactRef:
        """Store `data` under its digest, below the line's artifacts; the same bytes are stored once."""
        return self.store.put(self.name, data, kind, suffix, parents)

    def cached_step(self, inputs: tuple[str, ...], cls: type[T], make: Callable[[], T]) -> tuple[T, bool]:
        """The result of a step, made now or remembered.

        Args:
            inputs: digests and a revision string; any difference makes a new result.
            cls: the contract document that the step makes: one of an asset's (`layout.ASSETS`).
            make: makes it.

        Returns:
            The document, and whether it was remembered. It is also made the asset's head, unless the head is newer: an
            older result (of a smaller `position`) never replaces one that has seen more batches.
        """
        steps = layout.steps(self.name, layout.asset_of(cls))
        key = f"{steps}/{hashlib.sha256(chr(0).join(inputs).encode()).hexdigest()}.json"
        value = memo.cached(self.store, key, cls)
        reused = value is not None
        if value is None:
            value = make()
            self.store.save(key, value)
        if memo.position_of(value) >= self._newest_position(cls):
            self.set_newest(value)
        return value, reused

    def _newest_position(self, cls: type[Any]) -> int:
        try:
            return memo.position_of(self.newest(cls))
        except RejectedError:  # none yet, or one that this version no longer reads
            return 0

    def results(self, cls: type[T]) -> Iterator[T]:
        """Every remembered result of a step, in no order; those of other versions of this software are left out."""
        return memo.documents(self.store, layout.steps(self.name, layout.asset_of(cls)), cls)

    def landings(self) -> Journal[Landing]:
        """The journal that `new_batch_sensor` reads; positions are its cursor."""
        return Journal(self.store, layout.landings(self.name), Landing)

    def verdict(self, batch: str) -> BatchVerdict | None:
        """The gate's verdict on a batch, or None where it was not judged yet."""
        try:
            return self.store.load(layout.verdict(self.name, batch), BatchVerdict)
        except FileNotFoundError:
            return None

    def verdict_history(self, batch: str) -> Journal[BatchVerdict]:
        """Every verdict on a batch that was judged more than once, the first one too; the last one stands."""
        return Journal(self.store, layout.verdict_history(self.name, batch), BatchVerdict)

    def generations(self) -> Journal[Generation]:
        """The forms in which the line's records were stored, in order; empty for a line that never changed."""
        return Journal(self.store, layout.generations(self.name), Generation)

    def generation(self) -> int:
        """The generation that the line is in."""
        last = self.last_generation()
        return last.number if last is not None else 1

    def last_generation(self) -> Generation | None:
        """The newest entry of the journal of generations; None where it has none."""
        journal = self.generations()
        return journal.at(journal.length())

    def forms(self) -> dict[int, Mapping[str, Any]]:
        """Generation to the form in which its records are stored."""
        return {entry.number: entry.form for _, entry in self.generations().after(0)}

    def generation_at(self, position: int) -> int:
        """The generation of the batch that was accepted at that position, and so of datasets and models up to it."""
        entry = self.accepted().at(position) if position > 0 else None
        return entry.generation if entry is not None else 1

    def accepted(self) -> Journal[Accepted]:
        """The order in which batches were accepted: a dataset is a prefix of it, of one generation."""
        return Journal(self.store, layout.accepted(self.name), Accepted)

    def list_accepted(self, verdict: BatchVerdict, now: float) -> bool:
        """List an accepted batch in the journal of accepted batches, unless it is there; whether it was listed now.

        Walks on from where the journal ended when the batch was judged, so that several judges, and one that was killed
        and comes again, list it together once.
        """
        entry = Accepted(verdict.batch, verdict.new, now, verdict.since, verdict.generation)
        wanted = (verdict.batch, verdict.generation)
        found = self.accepted().append_once(
            entry, lambda other: (other.batch, other.generation) == wanted, verdict.since
        )
        return found[1]

    def accepted_after(self, after: int, most: int) -> list[tuple[int, Accepted]]:
        """The first `most` entries of batches accepted in the line's generation behind position `after`, each once.

        Reads these, and before them what was listed since the oldest of them was judged; not the whole journal.
        """
        journal, generation = self.accepted(), self.generation()
        ours = ((at, entry) for at, entry in journal.after(after) if entry.generation == generation)
        window = list(islice(ours, most))
        start = min((entry.since for _, entry in window), default=after)
        before = journal.after(start, after - start) if start < after else ()
        return _first_entries(window, {entry.batch for _, entry in before if entry.generation == generation})

    def accepted_batches(self) -> list[tuple[int, Accepted]]:
        """Position and entry of each batch accepted in the line's generation, in order: its first entry counts."""
        return self.accepted_in(self.generation())

    def accepted_in(self, generation: int) -> list[tuple[int, Accepted]]:
        """The same of any generation."""
        return _first_entries(
            ((at, one) for at, one in self.accepted().after(0) if one.generation == generation), set()
        )

    def accepted_before(self, generation: int) -> list[str]:
        """Batches that generations before that one accepted and it did not, in the order they were first accepted."""
        entries = [entry for _, entry in self.accepted().after(0)] if generation > 1 else []
        done = {entry.batch for entry in entries if entry.generation >= generation}
        return list(dict.fromkeys(entry.batch for entry in entries if entry.batch not in done))

    def dataset(self, version: str) -> DatasetVersion:
        """The dataset of that version (its digest). Raises RejectedError where it is not kept."""
        key = layout.dataset(self.name, version)
        try:
            return self.store.load(key, DatasetVersion)
        except FileNotFoundError as error:
            raise RejectedError(
                f"{key}: this dataset version is missing; materialize {self.name}/dataset again"
            ) from error


@dataclass(frozen=True)
class BoundLine(LineStore):
    """A line with its settings, when they were read (see `Line`), and where it is kept."""

    config: LineConfig
    read: float = field(default_factory=time.time, compare=False)

    @property
    def line(self) -> Line:
        """The line alone."""
        return Line(self.name, self.config, self.read)

    def is_judged(self, landing: Landing) -> bool:
        """Whether a verdict stands; one that was landed again may have to be judged under rules that changed."""
        if not landing.again:
            return self.store.exists(layout.verdict(self.name, landing.batch))
        verdict = self.verdict(landing.batch)
        return verdict is not None and self.stands(verdict)

    def generation(self) -> int:
        """The generation that the line's contract is of: the next one where it changed and nothing was judged since.

        A contract that was read before the newest generation began is of the one that it fits; 0 where it fits none.
        """
        form, journal = stored_form(self.config.data), self.generations()
        last = self.last_generation()
        if last is None or self.read > last.read:
            ahead = next_generation(last, form, self.read)
            return ahead.number if ahead is not None else last.number if last is not None else 1
        fitting = (entry.number for _, entry in journal.newest_first() if not form_changes(entry.form, form))
        return next(fitting, 0)

    def is_outdated(self) -> bool:
        """Whether the contract was changed by somebody since it was read here, so that records of it fit no more."""
        last = self.last_generation()
        return last is not None and self.read <= last.read and self.generation() < last.number

    def stands(self, verdict: BatchVerdict) -> bool:
        """Whether a verdict is final, as the line is now."""
        return stands(verdict, self.line, self.generation())

    @property
    def identifier(self) -> str:
        """The line's name as Dagster takes it for groups, jobs and partitions."""
        return self.line.identifier


def bind(store: Store, line: Line) -> BoundLine:
    """A line, bound to the store it is kept in."""
    return BoundLine(store, line.name, line.config, line.read)


def _first_entries(entries: Iterable[tuple[int, Accepted]], seen: set[str]) -> list[tuple[int, Accepted]]:
    """Those whose batch was not seen before, in order."""
    found = []
    for position, entry in entries:
        if entry.batch not in seen:
            seen.add(entry.batch)
            found.append((position, entry))
    return found
