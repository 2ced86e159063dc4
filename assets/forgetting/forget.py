"""Forgets a record: `edgeloop forget LINE RECORD`.

Its tombstone comes first: from then on no dataset, golden set or batch takes it. Then a trace, of where it was and what
was trained on it. Then its bytes go, from everything the platform keeps. Repeating it completes what a kill cut short,
and changes nothing else.

Out of reach are backups, copies on devices, the histories of Dagster's runs, and models: those that were trained on it
are named, so that somebody can decide about them.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from assets.errors import RejectedError
from assets.forgetting.golden import erase_engines, erase_release, golden_holds
from assets.loading.cache import drop_before
from assets.pages.redaction import page_mark, without_marked
from assets.quality.erasing import Erasing, held_rows, verdict_batches
from assets.records.dataset import DatasetVersion
from assets.records.forgotten import Tombstone, current, fetch_shard, forgotten_ids
from assets.records.line_store import BoundLine, LineStore
from assets.records.read import read_columns
from assets.records.verdict import BatchVerdict
from assets.release.documents import ReleaseRecord
from assets.release.published import serving_releases
from assets.storage import layout
from assets.storage.audit import AuditLog, current_user
from assets.storage.store import Store
from assets.training.documents import TrainedModel
from edge.contracts import document, to_bytes
from edge.errors import ContractError
from edge.lock import lock_file

T = TypeVar("T")
SHORTEST_PREFIX = 6


@document("edgeloop.trace")
@dataclass(frozen=True)
class Trace:
    """Where a forgotten record was when it was forgotten.

    Attributes:
        accepted, held: batches that accepted it, or hold it in quarantine.
        shards: digests of the records Parquets that held it as accepted.
        golden: releases whose golden set holds it.
    """

    record: str
    accepted: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    shards: tuple[str, ...] = ()
    golden: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What `forget` did and found.

    Attributes:
        record: its id.
        new: False where it had been forgotten before.
        batches: those it was in.
        datasets, models, releases: what was made with it; a model is named by the digest of its ONNX file.
        serving: releases among them that a group of devices is pointed at.
        still: where its bytes still are, in plain words, and what to do.
    """

    record: str
    new: bool
    date: str
    batches: tuple[str, ...]
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    releases: tuple[str, ...]
    serving: tuple[str, ...]
    still: tuple[str, ...]


def forget(line: BoundLine, prefix: str, why: str = "", who: str | None = None) -> Outcome:
    """Forget the record whose id begins with `prefix`, everywhere; every record with these very values has that id.

    What it was in other generations of the line, under another id, is forgotten with it.

    Args:
        prefix: 6 to 64 hex digits; all 64 also forget a record that was never seen here, so that it never comes in.
        who: by default, who runs this.

    Raises:
        RejectedError: no record, or several, have such an id; the state is of an older version.
    """
    name = line.name
    identity = _resolve(line, prefix.lower())
    who = who or current_user()
    with _locked(line):
        for other in _other_forms(line, identity):
            line.store.create(layout.tombstone(name, other), to_bytes(Tombstone(name, other, time.time(), who, why)))
            _trace(line, other)
        stone = Tombstone(name, identity, time.time(), who, why)
        if not line.store.exists(layout.tombstone(name, identity)):
            # Before its tombstone: a kill in between has it on record twice, rather than never.
            AuditLog(line.store).record(who, "forgot", name, identity, why)
        new = line.store.create(layout.tombstone(name, identity), to_bytes(stone))
        trace = _trace(line, identity)
        missing = erase(line)
    return _outcome(line, identity, new, trace, missing)


def erase(line: BoundLine) -> tuple[str, ...]:
    """Take every forgotten record of the line out of what is kept.

    Returns:
        Places in the landing zone where a record should have been, and was not found.
    """
    ids = frozenset(identity.hex() for identity in forgotten_ids(line))
    if not ids:
        return ()
    for identity in ids:
        if not line.store.exists(layout.trace(line.name, identity)):  # a kill came before its trace
            _trace(line, identity)
    drop_before(line)
    work = Erasing(line.store, line.line, ids)
    work.run()
    _erase_golden(line, ids)
    _erase_cards(line, ids)
    return tuple(dict.fromkeys(work.missing))


def _resolve(line: LineStore, prefix: str) -> str:
    """The one id that begins so, among those kept or forgotten."""
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", prefix):
        raise RejectedError(
            f"record {prefix[:80]!r}: this is no record's id; give {SHORTEST_PREFIX} to 64 hex digits of one"
        )
    if len(prefix) == 64:
        return prefix
    found = {identity.hex() for identity in forgotten_ids(line) if identity.hex().startswith(prefix)}
    for batch in verdict_batches(line):
        found |= set(_ids(line.store, line.store.load(layout.verdict(line.name, batch), BatchVerdict), prefix))
        if len(found) > 1:
            break
    if len(found) != 1:
        what = (
            "several records begin so, give more digits"
            if found
            else f"there is none; see: edgeloop batches {line.name}"
        )
        raise RejectedError(f"line {line.name!r}: record {prefix!r}: {what}")
    return found.pop()


def _ids(store: Store, verdict: BatchVerdict, prefix: str) -> Iterator[str]:
    import io

    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for ref in (*verdict.records, *verdict.quarantine):
        ids = pq.read_table(io.BytesIO(fetch_shard(store, ref)), columns=["id"]).column("id")
        yield from pc.filter(ids, pc.starts_with(ids, prefix)).to_pylist()


def _other_forms(line: BoundLine, identity: str) -> list[str]:
    """Ids that the record has in other generations, where its columns are others: those that stand at its places."""
    found: set[str] = set()
    for batch in verdict_batches(line) if line.generations().length() > 1 else ():
        history = [entry for _, entry in line.verdict_history(batch).after(0)]
        rows = [row for verdict in history for row in _places(line.store, verdict)]
        files = {file for record, file, by in rows if identity in (record, by)}
        found |= {record for record, file, _ in rows if file in files}
    return sorted(found - {identity})


def _places(store: Store, verdict: BatchVerdict) -> Iterator[tuple[str, str, str | None]]:
    """Id, file and what draws it, of every record behind a verdict."""
    for ref in (*verdict.records, *verdict.quarantine):
        columns = read_columns(fetch_shard(store, ref), ref.uri, ["id", "file", "drawn_by"])
        yield from zip(*columns.values(), strict=True)


def _trace(line: BoundLine, identity: str) -> Trace:
    """Where the record is; kept before anything is erased, and found again afterwards."""
    key = layout.trace(line.name, identity)
    with contextlib.suppress(FileNotFoundError):
        return line.store.load(key, Trace)
    wanted = frozenset({identity})
    accepted, held, shards = [], [], []
    for batch in verdict_batches(line):
        verdicts = [line.store.load(layout.verdict(line.name, batch), BatchVerdict)]
        verdicts += [entry for _, entry in line.verdict_history(batch).after(0)]
        for verdict in verdicts:
            for ref in verdict.records:
                if any(held_rows(line.store, (ref,), wanted)):
                    accepted.append(batch)
                    now = current(line.store, ref)
                    shards += [ref.sha256, now.sha256, *now.parents]
            if any(held_rows(line.store, verdict.quarantine, wanted)):
                held.append(batch)
    golden = [one.release for one in _releases(line) if golden_holds(line, one, wanted)]
    trace = Trace(identity, *(tuple(dict.fromkeys(found)) for found in (accepted, held, shards, golden)))
    line.store.create(key, to_bytes(trace))
    return line.store.load(key, Trace)


def _outcome(line: BoundLine, identity: str, new: bool, trace: Trace, missing: tuple[str, ...]) -> Outcome:
    name = line.name
    shards = set(trace.shards)
    datasets = {
        file.removesuffix(".json")
        for file, version in _documents(line.store, layout.datasets(name), DatasetVersion)
        if shards & {ref.sha256 for ref in version.shards}
    }
    models = {model.onnx.sha256: None for model in line.results(TrainedModel) if model.dataset in datasets}
    releases = [
        one.release
        for one in _releases(line)
        if one.manifest.provenance.dataset in datasets or one.release in trace.golden
    ]
    serving = [one for one in serving_releases(line) if one in releases]
    still = [f"{place}: not found in the landing zone; look whether it lies elsewhere" for place in missing]
    still += [
        f"release {one[:12]}: its golden set holds the record, and devices are pointed at it; run the line, promote "
        "the new release, then forget the record again"
        for one in trace.golden
        if one in serving
    ]
    date = line.store.load(layout.tombstone(name, identity), Tombstone).date
    batches = tuple(dict.fromkeys((*trace.accepted, *trace.held)))
    found = (tuple(sorted(datasets)), tuple(models), tuple(releases), tuple(serving), tuple(still))
    return Outcome(identity, new, date, batches, *found)


def _erase_golden(line: BoundLine, ids: frozenset[str]) -> None:
    """Golden sets that hold a forgotten record: of releases that no device is pointed at, and of engines."""
    serving = set(serving_releases(line))
    golden = {one for identity in ids for one in line.store.load(layout.trace(line.name, identity), Trace).golden}
    for release in _releases(line):
        if release.release in golden - serving:
            erase_release(line.store, release)
    erase_engines(line, ids)


def _erase_cards(line: BoundLine, ids: frozenset[str]) -> None:
    """Model cards without the records, and without figures that may tell their values."""
    shards = {one for identity in ids for one in line.store.load(layout.trace(line.name, identity), Trace).shards}
    marks = frozenset(page_mark(identity) for identity in ids)
    for model in line.results(TrainedModel):
        with contextlib.suppress(FileNotFoundError):
            version = line.store.load(layout.dataset(line.name, model.dataset), DatasetVersion)
            if not model.card or shards.isdisjoint(ref.sha256 for ref in version.shards):
                continue
            page = line.store.read(model.card).decode()
            if (cut := without_marked(page, marks, values=True)) != page:
                line.store.write(model.card, cut.encode())


def _releases(line: LineStore) -> list[ReleaseRecord]:
    return [one for _, one in _documents(line.store, layout.releases(line.name), ReleaseRecord)]


def _documents(store: Store, folder: str, cls: type[T]) -> Iterator[tuple[str, T]]:
    for name in store.names(folder):
        with contextlib.suppress(ContractError):  # of another version of this software
            yield name, store.load(f"{folder}/{name}", cls)


@contextlib.contextmanager
def _locked(line: LineStore) -> Iterator[None]:
    """One at a time on this machine; machines that share a store may overlap, and repeating it repairs that."""
    if not line.store.local:
        yield
        return
    path = Path(line.store.path(layout.lock(f"forget-{line.name}")))
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(path):
        yield
