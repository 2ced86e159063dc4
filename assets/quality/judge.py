"""The gate's worker: `python -m assets.quality.judge`, options {"batch": id}.

Written in this order: accepted Parquet (named by its digest), quarantine, report page, verdict, journal of accepted
batches, index pages. The verdict is the commit point: it is created once, whoever comes second returns the first one's,
and everything after it is repeated where a kill cut it short.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from assets.ingest.contract import Record, read_batch
from assets.line import Line
from assets.quality.contract import (
    MAX_REASONS,
    Accepted,
    BatchVerdict,
    Reason,
    accepted_batches,
    accepted_journal,
    read_verdict,
    verdict_key,
)
from assets.quality.decide import Decision, decide
from assets.quality.frame import build_frame
from assets.quality.keeping import ids_parquet, known_labels, reasons_json, records_parquet
from assets.quality.report import batch_page, write_indexes
from assets.quality.rules import rules_of
from assets.quality.suite import run_suite
from assets.store import Store
from assets.worker import Job, serve
from edge.contracts import ArtifactRef, to_bytes

Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Contents:
    """A batch as it was read."""

    records: list[Record]
    refused: list[Reason]
    ignored: list[Reason]


def step(job: Job) -> BatchVerdict:
    """Judge the batch that the job names. Raises LandingError where it is not ready."""
    return judge(job.store, job.line, str(job.options["batch"]), job.report)


def judge(store: Store, line: Line, batch: str, tell: Tell = lambda text: None) -> BatchVerdict:
    """The verdict on a landed batch, made now or before; killed and repeated it gives the same single result.

    Args:
        tell: told how far it is, one line of text at a time.

    Raises:
        LandingError: no such batch is ready, or its manifest was changed.
    """
    verdict = read_verdict(store, line.name, batch)
    if verdict is None:
        verdict = _judge(store, line, batch, tell)
        if not store.create(verdict_key(line.name, batch), to_bytes(verdict)):
            verdict = read_verdict(store, line.name, batch)  # another judge was first: its verdict stands
            assert verdict is not None
    ensure_accepted(store, verdict)
    write_indexes(store, line)
    return verdict


def ensure_accepted(store: Store, verdict: BatchVerdict) -> None:
    """List an accepted batch in the journal of accepted batches, unless it is there: the step after the verdict."""
    if verdict.state != "accepted":
        return
    if all(entry.batch != verdict.batch for _, entry in accepted_batches(store, verdict.line)):
        accepted_journal(store, verdict.line).append(Accepted(verdict.batch, verdict.accepted, time.time()))


def _judge(store: Store, line: Line, batch: str, tell: Tell) -> BatchVerdict:
    started = time.perf_counter()
    contents = _read(store, line, batch)
    records, refused = contents.records, contents.refused
    tell(f"read {len(records):,} records; {len(refused):,} refused")
    known = known_labels(store, line.name, [record.id for record in records])
    frame = build_frame(records, line.config.data, known)
    rulings = run_suite(frame, rules_of(line.config))
    decision = decide(records, refused, frame, rulings, line.config)
    tell(f"{len(decision.good):,} records are good, {len(decision.bad):,} are quarantined")
    verdict = _keep(store, line, batch, contents, decision, time.perf_counter() - started)
    page = batch_page(verdict, line, records, decision, frame, contents.ignored)
    store.write(verdict.report, page.encode())
    tell(verdict.why)
    return verdict


def _read(store: Store, line: Line, batch: str) -> _Contents:
    contents = _Contents([], [], [])
    for item in read_batch(store, line, batch):
        if isinstance(item, Record):
            contents.records.append(item)
        elif item.outcome == "ignored":
            contents.ignored.append(item)
        else:
            contents.refused.append(item)
    return contents


def _keep(
    store: Store, line: Line, batch: str, contents: _Contents, decision: Decision, seconds: float
) -> BatchVerdict:
    """Store both Parquet files and the reasons, and write up the verdict."""
    records, refused = contents.records, contents.refused
    blocked = bool(decision.blocked)
    accepted = [] if blocked else [records[position] for position in decision.good]
    held = list(range(len(records))) if blocked else list(decision.bad)
    why_held = {position: f"{reason.reason}; {reason.remedy}" for position, reason in decision.bad.items()}
    blocked_by = [text.rstrip(".") for text in decision.blocked]
    block_reason = f"batch blocked: {'; '.join(blocked_by)}"
    reasons = [*refused, *decision.bad.values()]
    quarantine = None
    if held:
        data = records_parquet(
            [records[position] for position in held], [why_held.get(at, block_reason) for at in held]
        )
        quarantine = _write(store, f"quarantine/{line.name}/{batch}.parquet", data, batch)
    if reasons or blocked:
        everything = [*contents.ignored, *reasons]
        store.write(
            f"quarantine/{line.name}/{batch}.json", reasons_json(line.name, batch, decision.blocked, everything)
        )
    seen = len(records) + len(refused)
    return BatchVerdict(
        line=line.name,
        batch=batch,
        state="blocked" if blocked else "accepted",
        why=_why(decision, seen, len(accepted), len(held), len(refused)),
        seen=seen,
        accepted=len(accepted),
        quarantined=len(held),
        refused=len(refused),
        reasons=tuple(reasons[:MAX_REASONS]),
        checks=decision.checks,
        report=f"reports/{line.name}/{batch}/index.html",
        seconds=seconds,
        per_class=dict(Counter(record.label for record in accepted)),
        records=store.put(line.name, records_parquet(accepted), "parquet", ".parquet", (batch,)) if accepted else None,
        quarantine=quarantine,
        ids=store.put(line.name, ids_parquet(accepted), "parquet", ".parquet", (batch,)) if accepted else None,
    )


def _write(store: Store, key: str, data: bytes, batch: str) -> ArtifactRef:
    store.write(key, data)
    return ArtifactRef(key, hashlib.sha256(data).hexdigest(), len(data), "parquet", (batch,))


def _why(decision: Decision, seen: int, accepted: int, quarantined: int, refused: int) -> str:
    if decision.blocked:
        return f"Blocked: {'; '.join(text.rstrip('.') for text in decision.blocked)}."
    aside = [f"{quarantined:,} quarantined"] * bool(quarantined) + [f"{refused:,} refused"] * bool(refused)
    return f"{accepted:,} of {seen:,} records accepted{''.join(f', {part}' for part in aside)}."


if __name__ == "__main__":
    serve(step)
