"""The gate's worker: `python -m assets.quality.judge`, options {"batch": id}.

Written in this order: Parquets, reasons and page, each named by its digest; the verdict; copies of its reasons and page
under their plain names; journal of accepted batches; index pages. The verdict is the commit point: it is created once,
whoever comes second returns the first one's, and all after it is made from that one, and repeated after a kill.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

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
    rules_digest,
    stands,
    verdict_history,
    verdict_key,
)
from assets.quality.decide import Decision, decide
from assets.quality.frame import build_frame
from assets.quality.keeping import ids_parquet, known_labels, put_quarantine, reasons_json, records_parquet
from assets.quality.report import batch_page, write_indexes
from assets.quality.rules import rules_of
from assets.quality.suite import run_suite
from assets.store import Store
from assets.worker import Job, serve
from edge.contracts import to_bytes

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

    A batch that was blocked under rules which the line has changed since is judged anew; an accepted one never is.

    Args:
        tell: told how far it is, one line of text at a time.

    Raises:
        LandingError: no such batch is ready, or its manifest or a file of it was damaged; there is no verdict then.
    """
    verdict = read_verdict(store, line.name, batch)
    if verdict is None:
        verdict = _judge(store, line, batch, tell)
        if not store.create(verdict_key(line.name, batch), to_bytes(verdict)):
            verdict = read_verdict(store, line.name, batch)  # another judge was first: its verdict stands
            assert verdict is not None
    if not stands(verdict, line):
        verdict = _judge_anew(store, line, verdict, tell)
    publish(store, verdict)
    ensure_accepted(store, verdict)
    write_indexes(store, line)
    return verdict


def _judge_anew(store: Store, line: Line, blocked: BatchVerdict, tell: Tell) -> BatchVerdict:
    """The verdict under the line's rules of today; it stands from now on.

    Positions of the history are created once, so of several judges one wins, and an accepting verdict is the last.
    Whoever wrote the standing verdict looks again, so that a slow writer cannot leave an older one there.
    """
    history = verdict_history(store, line.name, blocked.batch)
    history.append_at(1, blocked)
    last = history.length()
    newest = history.at(last)
    assert newest is not None
    if not stands(newest, line):
        history.append_at(last + 1, _judge(store, line, blocked.batch, tell))
    written = 0
    while written < (last := history.length()):
        newest, written = history.at(last), last
        assert newest is not None
        store.save(verdict_key(line.name, blocked.batch), newest)
    return newest


def publish(store: Store, verdict: BatchVerdict) -> None:
    """Copy the verdict's page and reasons to where people look for them; one that was lost hinders nothing else."""
    reasons = f"quarantine/{verdict.line}/{verdict.batch}.json"
    for ref, key in ((verdict.page, verdict.report), (verdict.all_reasons, reasons)):
        if ref is not None and store.intact(ref):
            data = store.fetch(ref)
            if not store.exists(key) or store.read(key) != data:
                store.write(key, data)


def ensure_accepted(store: Store, verdict: BatchVerdict) -> None:
    """List an accepted batch in the journal of accepted batches, unless it is there: the step after the verdict."""
    if verdict.state != "accepted":
        return
    if all(entry.batch != verdict.batch for _, entry in accepted_batches(store, verdict.line)):
        accepted_journal(store, verdict.line).append(Accepted(verdict.batch, verdict.new, time.time()))


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
    new = sum(records[position].id not in known for position in decision.good)
    verdict = _keep(store, line, batch, contents, decision, new, time.perf_counter() - started)
    page = batch_page(verdict, line, records, decision, frame, contents.ignored)
    tell(verdict.why)
    return replace(verdict, page=store.put(line.name, page.encode(), "html", ".html", (batch,)))


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
    store: Store, line: Line, batch: str, contents: _Contents, decision: Decision, new: int, seconds: float
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
    quarantine = all_reasons = None
    if held:
        data = records_parquet(
            [records[position] for position in held], [why_held.get(at, block_reason) for at in held]
        )
        quarantine = put_quarantine(store, line.name, batch, data)
    if reasons or blocked:
        everything = [*contents.ignored, *reasons]
        text = reasons_json(line.name, batch, decision.blocked, everything)
        all_reasons = store.put(line.name, text, "json", ".json", (batch,))
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
        new=0 if blocked else new,
        rules=rules_digest(line),
        all_reasons=all_reasons,
    )


def _why(decision: Decision, seen: int, accepted: int, quarantined: int, refused: int) -> str:
    if decision.blocked:
        return f"Blocked: {'; '.join(text.rstrip('.') for text in decision.blocked)}."
    aside = [f"{quarantined:,} quarantined"] * bool(quarantined) + [f"{refused:,} refused"] * bool(refused)
    return f"{accepted:,} of {seen:,} records accepted{''.join(f', {part}' for part in aside)}."


if __name__ == "__main__":
    serve(step)
