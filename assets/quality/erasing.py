"""Takes forgotten records out of what the gate and reviewers kept: shards, reasons, pages, corrections.

Documents name artifacts by digest, so an artifact without the record is a new one: it is written first, then a note
of what it replaces, then the documents that lead to it; the old one is removed last. Killed anywhere, the next run goes
on from there.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from assets.errors import LandingError
from assets.ingest.privacy.blanking import blank_rows
from assets.ingest.privacy.erasing import erase_landed
from assets.line.config import Line
from assets.pages.redaction import page_mark, without_marked
from assets.records.forgotten import (
    FORGOTTEN_REASON,
    REPLACED,
    Replacement,
    current,
    fetch_shard,
    forgotten_ids,
)
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.reason import Reason
from assets.records.verdict import BatchVerdict, CheckOutcome
from assets.review.documents import decisions_journal
from assets.storage import layout
from assets.storage.sealed import is_sealed, seal, unseal
from assets.storage.store import Store
from edge.contracts import ArtifactRef, to_bytes

MANY_DIGITS = 4
"""A number of so many digits that is still on a page counts as the record's."""
LEADING = 40
"""So does so much of a text's beginning."""
UNTOLD = "what was found is not told, since a record was forgotten on request"


@dataclass
class Erasing:
    """One pass over everything that a line keeps of its batches.

    Attributes:
        ids: every forgotten record of the line, 64 hex digits.
        missing: places of records that were not found in the landing zone.
    """

    store: Store
    line: Line
    ids: frozenset[str]
    missing: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Erase, document by document."""
        hits = {batch: self._hits(batch) for batch in verdict_batches(LineStore(self.store, self.line.name))}
        elsewhere = frozenset(page_mark(file, earlier=True) for found in hits.values() for file in found)
        for batch, found in hits.items():
            if found:
                self._batch(batch, found, elsewhere)
            elif elsewhere:
                self._page_of(batch, elsewhere)
        self._decisions()
        self._sweep()

    def _hits(self, batch: str) -> dict[str, bytes]:
        """File of every forgotten record in a batch, and its stored input; b"" where it is gone."""
        store, name = self.store, self.line.name
        verdict = store.load(layout.verdict(name, batch), BatchVerdict)
        hits: dict[str, bytes] = {}
        for one in (verdict, *(entry for _, entry in LineStore(store, name).verdict_history(batch).after(0))):
            for _, place, stored in held_rows(store, (*one.records, *one.quarantine), self.ids):
                hits[place] = stored or hits.get(place, b"")
        return hits

    def _page_of(self, batch: str, elsewhere: frozenset[str]) -> None:
        """The page of a batch without the record, which shows it beside one of its own."""
        verdict = self.store.load(layout.verdict(self.line.name, batch), BatchVerdict)
        if verdict.page is None:
            return
        page = self._swap(verdict.page, lambda content: without_marked(content.decode(), elsewhere, False).encode())
        if page != verdict.page:
            new = replace(verdict, page=page)
            self.store.save(layout.verdict(self.line.name, batch), new)
            self._publish(new)

    def _batch(self, batch: str, hits: Mapping[str, bytes], elsewhere: frozenset[str]) -> None:
        store, name = self.store, self.line.name
        verdict = store.load(layout.verdict(name, batch), BatchVerdict)
        entries = list(LineStore(store, name).verdict_history(batch).after(0))
        try:
            self.missing += erase_landed(bind(store, self.line), batch, hits, self.ids)
        except LandingError:
            self.missing += list(hits)  # the landed folder is gone, or was changed by somebody: a person must look
        for position, entry in entries:
            if (new := self._without(entry, hits, elsewhere)) != entry:
                store.save(layout.entry(layout.verdict_history(name, batch), position), new)
        new = self._without(verdict, hits, elsewhere)
        if new != verdict:
            store.save(layout.verdict(name, batch), new)
        self._publish(new)

    def _without(self, verdict: BatchVerdict, hits: Mapping[str, bytes], elsewhere: frozenset[str]) -> BatchVerdict:
        """The verdict with the same counts, and nothing in it or behind it that the record can be told from."""
        blank: Callable[[bytes], bytes] = lambda content: blank_rows(content, self.ids)  # noqa: E731
        places = {place for file in hits for place in _places_of(file)}
        marks = elsewhere | {page_mark(file) for file in hits}
        why, checks = _silent_checks(verdict)
        return replace(
            verdict,
            why=why,
            checks=checks,
            page=verdict.page and self._swap(verdict.page, lambda page: self._cut(page, verdict, hits, marks)),
            records=tuple(self._swap(ref, blank) for ref in verdict.records),
            quarantine=tuple(self._swap(ref, blank) for ref in verdict.quarantine),
            ids=verdict.ids and self._swap(verdict.ids, blank),
            profile=verdict.profile and self._swap(verdict.profile, lambda text: blurred(text, self._values(hits))),
            reasons=tuple(_silent(reason, places) for reason in verdict.reasons),
            all_reasons=verdict.all_reasons
            and self._swap(verdict.all_reasons, lambda text: _silent_json(text, places)),
            suite_page=verdict.suite_page and self._swap(verdict.suite_page, lambda _: notice(verdict)),
        )

    def _cut(self, page: bytes, verdict: BatchVerdict, hits: Mapping[str, bytes], marks: frozenset[str]) -> bytes:
        """The page without the record; a short notice where something on it still looks like the record."""
        without = without_marked(page.decode(), marks, True)
        shown = [repr(value) for value in self._values(hits)] + [f"{value:.4g}" for value in self._values(hits)]
        needles = [text for text in shown if len(re.sub("[^0-9]", "", text.strip("-0."))) >= MANY_DIGITS]
        if self.line.config.data.text is not None:
            texts = [stored.decode("utf-8", "replace")[:LEADING].strip() for stored in hits.values()]
            needles += [html.escape(text) for text in texts if len(text) >= LEADING // 2]
        return notice(verdict) if any(needle in without for needle in needles) else without.encode()

    def _values(self, hits: Mapping[str, bytes]) -> frozenset[float]:
        """The numbers that these records were made of."""
        if self.line.config.data.inputs is None:
            return frozenset()
        return frozenset(
            value for stored in hits.values() if len(stored) % 8 == 0 for (value,) in struct.iter_unpack("<d", stored)
        )

    def _swap(self, ref: ArtifactRef, change: Callable[[bytes], bytes]) -> ArtifactRef:
        """The artifact with its content changed; itself where nothing changes."""
        ref = current(self.store, ref)
        raw = self.store.fetch(ref)
        content = unseal(raw)
        new = change(content)
        if new == content:
            return ref
        if is_sealed(raw):
            new = seal(new, self.line.name, ref.kind)
        return self._replaced(ref, new)

    def _replaced(self, ref: ArtifactRef, new: bytes) -> ArtifactRef:
        sha256 = hashlib.sha256(new).hexdigest()
        folder, _, name = ref.uri.rpartition("/")
        suffix = name[name.index(".") :]
        made = ArtifactRef(f"{folder}/{sha256}{suffix}", sha256, len(new), ref.kind, (*ref.parents, ref.sha256))
        if not self.store.create(made.uri, new) and not self.store.intact(made):
            self.store.write(made.uri, new)
        self.store.save(ref.uri + REPLACED, Replacement(ref, made))
        return made

    def _publish(self, verdict: BatchVerdict) -> None:
        """The readable copies of pages and reasons, and away with whatever else lies beside the page."""
        store, folder = self.store, verdict.report.rpartition("/")[0]
        copies = {
            verdict.report: verdict.page,
            layout.suite_page(verdict.line, verdict.batch): verdict.suite_page,
            layout.reasons(verdict.line, verdict.batch): verdict.all_reasons,
        }
        for key, ref in copies.items():
            if ref is not None and store.exists(key):
                store.copy(ref, key)
        for name in store.names(folder):
            if f"{folder}/{name}" not in copies:
                store.remove(f"{folder}/{name}")

    def _decisions(self) -> None:
        """Corrected values and repaired files of the record, and the copies that went back as a new batch.

        A correction of other records too still holds for those, and no longer says that it was this one's.
        """
        name = self.line.name
        journal = decisions_journal(LineStore(self.store, name))
        for position, entry in journal.after(0):
            others = tuple(member for member in entry.members if member.id not in self.ids)
            if len(others) == len(entry.members) or not (entry.changes or entry.input):
                continue
            if entry.input is not None:
                self.store.remove(entry.input.uri)
            without = replace(entry, changes=dict.fromkeys(entry.changes, ""))
            if others:
                without = replace(entry, members=others)
            if without != entry:
                self.store.write(layout.entry(journal.prefix, position), to_bytes(without))
        for folder in (layout.returns(name), layout.decided(name)):
            for file in self.store.names(folder):
                if file.startswith("until-"):  # copies of the journal's entries, made anew by who reads it next
                    self.store.remove(f"{folder}/{file}")
                if file.endswith(".records.parquet"):
                    raw = self.store.read(f"{folder}/{file}")
                    content = unseal(raw)
                    new = blank_rows(content, self.ids)
                    if new != content:
                        sha256 = file.partition(".")[0]
                        new = seal(new, name, "returned") if is_sealed(raw) else new
                        self._replaced(ArtifactRef(f"{folder}/{file}", sha256, len(raw), "parquet"), new)

    def _sweep(self) -> None:
        """Remove every artifact that has been replaced."""
        name = self.line.name
        for folder in (layout.artifacts(name), layout.quarantine(name), layout.returns(name)):
            for note in self.store.names(folder):
                if note.endswith(REPLACED):
                    self.store.remove(f"{folder}/{note.removesuffix(REPLACED)}")


def erase_again(line: BoundLine) -> None:
    """Take records that were forgotten before, and came in again, out of what the gate keeps.

    One without a trace is left: its forgetting has only begun, and where it was must be known before it is gone.
    """
    forgotten = (identity.hex() for identity in forgotten_ids(line))
    ids = frozenset(identity for identity in forgotten if line.store.exists(layout.trace(line.name, identity)))
    if ids:
        Erasing(line.store, line.line, ids).run()


def verdict_batches(line: LineStore) -> Iterator[str]:
    """Every batch that was judged."""
    for name in line.store.names(layout.verdicts(line.name)):
        if name.endswith(".json"):
            yield name.removesuffix(".json")


def held_rows(store: Store, shards: Sequence[ArtifactRef], ids: frozenset[str]) -> Iterator[tuple[str, str, bytes]]:
    """Id, file and stored input (b"" where it is gone) of each of these records in a verdict's shards."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(sorted(ids), pa.string())
    for ref in shards:
        content = fetch_shard(store, ref)
        with pq.ParquetFile(io.BytesIO(content)) as opened:
            for group in range(opened.num_row_groups):
                hits = pc.is_in(opened.read_row_group(group, ["id"]).column("id"), value_set=wanted)
                if pc.any(hits).as_py():
                    table = opened.read_row_group(group, ["id", "file", "input"]).filter(hits)
                    for row in table.to_pylist():
                        yield row["id"], row["file"], row["input"] or b""


def notice(verdict: BatchVerdict) -> bytes:
    """The page that stands where a page was that may have shown the record; it can be read without a script."""
    rows = "".join(
        f"<tr><td>{html.escape(check.outcome)}</td><td>{html.escape(check.severity)}</td>"
        f"<td>{html.escape(check.name)}</td></tr>"
        for check in verdict.checks
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Batch {verdict.batch[:12]}</title><body><h1>Batch {verdict.batch[:12]}: {verdict.state}</h1>"
        f"<p>{html.escape(verdict.why)}</p><p>{verdict.seen:,} seen: {verdict.accepted:,} accepted, "
        f"{verdict.quarantined:,} quarantined, {verdict.refused:,} refused.</p><p>A record of this batch was forgotten "
        "on request. The full report may have shown it, so it was taken away; the verdict stands.</p>"
        f"<table><tr><th>outcome</th><th>severity</th><th>check</th></tr>{rows}</table></body></html>\n"
    ).encode()


def blurred(text: bytes, values: frozenset[float]) -> bytes:
    """A batch's profile (JSON) without what single records show: least and greatest values, and the embeddings.

    Edges and means that are one of `values` are moved a little: bins stay in order, and as good as ever.
    """
    body = json.loads(text)
    body["sample"] = None
    for feature in body["features"]:
        feature["low"] = feature["high"] = None
        edges = feature["edges"]
        for at, edge in enumerate(edges):
            if _is_one(edge, values):
                other = edges[at + 1] if at + 1 < len(edges) else edges[at - 1] if at else edge * 1.1
                edges[at] = edge + (other - edge) / 64
        for name in ("means", "fences"):
            feature[name] = [float(f"{one:.2g}") if _is_one(one, values) else one for one in feature[name]]
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _is_one(number: float, values: frozenset[float]) -> bool:
    return any(math.isclose(number, value, rel_tol=1e-6) for value in values)


def _silent_checks(verdict: BatchVerdict) -> tuple[str, tuple[CheckOutcome, ...]]:
    """The verdict's reason and checks without what was observed: the greatest value is some record's."""
    why, checks = verdict.why, []
    for check in verdict.checks:
        if check.detail.startswith("Found "):
            why = why.replace(check.detail.rstrip("."), UNTOLD)
            check = replace(check, detail=f"{UNTOLD.capitalize()}.")  # noqa: PLW2901
        checks.append(check)
    return why, tuple(checks)


def _places_of(file: str) -> Iterator[tuple[str, str]]:
    """How reasons name a record's file and place."""
    yield file, "whole file"
    path, mark, number = file.rpartition("#")
    if mark:
        yield from ((path, f"{what} {number}") for what in ("line", "row", "picture"))


def _silent(reason: Reason, places: set[tuple[str, str]]) -> Reason:
    """A reason without the values that it shows, where it is about a forgotten record."""
    if not _is_about(reason.file, reason.place, places) or reason.reason.startswith(FORGOTTEN_REASON):
        return reason
    return replace(reason, reason=FORGOTTEN_REASON, remedy="nothing to do")


def _silent_json(text: bytes, places: set[tuple[str, str]]) -> bytes:
    body = json.loads(text)
    for entry in body["reasons"]:
        if _is_about(entry["file"], entry["place"], places) and not entry["reason"].startswith(FORGOTTEN_REASON):
            entry["reason"], entry["remedy"] = FORGOTTEN_REASON, "nothing to do"
    return json.dumps(body, indent=1, ensure_ascii=False).encode()


def _is_about(file: str, place: str, places: set[tuple[str, str]]) -> bool:
    """Whether a reason's file and place are a record's; "line 17, column x" is about line 17, "line 171" is not."""
    return (file, place) in places or (file, place.partition(",")[0]) in places
