"""The gate's worker: `python -m assets.quality.gate`, options {"batch": id}.

Written in this order: Parquets, reasons and page, each named by its digest; the verdict; copies of its reasons and page
under their plain names; journal of accepted batches; index pages. The verdict is the commit point: it is created once,
whoever comes second returns the first one's, and all after it is made from that one, and repeated after a kill.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from assets.errors import LandingError
from assets.ingest.generations import begin_generation, hand_on, refuse_outdated, waiting
from assets.ingest.landing import find_landing, load_manifest
from assets.ingest.reading import read_landed
from assets.line.config import Line
from assets.line.quality import Severity
from assets.processes.worker import Job, serve
from assets.quality.batch_checks import check_batch
from assets.quality.checks.known import Corrected
from assets.quality.computed_checks import Computed, computed_checks, splits_of
from assets.quality.decide import GOOD, Allowed, Decision, broken_rules, decide
from assets.quality.drift.compare import Drift, compare
from assets.quality.drift.profile import Profile, make_profile
from assets.quality.earlier_units import earlier_units
from assets.quality.engines.choose import open_engine
from assets.quality.engines.contract import Engine
from assets.quality.equal_inputs import EqualRecords
from assets.quality.erasing import erase_again
from assets.quality.history import finder, reference_profile
from assets.quality.kept_splits import drawn_by
from assets.quality.redaction import LABELS, hidden_columns, quiet, without_values
from assets.quality.refusals import Refused
from assets.quality.report import batch_page, suite_page, write_indexes
from assets.quality.report.data import ReportData
from assets.quality.rules import SET_ASIDE, rules_of
from assets.quality.rulings import RowWise, Ruling, run_rules
from assets.quality.shards import Keeper, Kept, keep_records
from assets.quality.spool import Spool
from assets.readers.rows import named_splits
from assets.records.chunks import chunk_schema
from assets.records.corrections import corrections_sentence, corrections_table
from assets.records.forgotten import forgotten_ids
from assets.records.line_store import BoundLine
from assets.records.reason import Reason
from assets.records.verdict import (
    BatchVerdict,
    rules_digest,
)
from assets.review.waivers import active_waivers
from assets.storage import layout
from assets.storage.audit import AuditLog
from assets.storage.scratch import scratch_folder, scratch_root
from assets.storage.store import Store
from edge.contracts import to_bytes
from edge.errors import VerificationError

Tell = Callable[[str], None]
Part = Callable[[Iterator[pa.Table | Reason]], Iterator[pa.Table | Reason]]
"""Of what a batch holds the part that is judged."""


TELL_SECONDS = 5.0
GATE = "gate"
"""Who judges, in the audit log."""
FORGOTTEN = "no record was forgotten on request"
MAX_CLASSES = 1000


def step(job: Job) -> BatchVerdict:
    """Judge the batch that the job names. Raises LandingError where it is not ready."""
    return judge(job.line, str(job.options["batch"]), job.report)


def judge(
    line: BoundLine, batch: str, tell: Tell = lambda text: None, part: Part = lambda items: items
) -> BatchVerdict:
    """The verdict on a landed batch, made now or before; killed and repeated it gives the same single result.

    A batch that was blocked under rules which the line has changed since is judged anew; an accepted one only where its
    records are stored in another form now, which begins a new generation.

    Args:
        tell: told how far it is, one line of text at a time.
        part: takes a sample, where a batch is only tried (`dry_run`).

    Raises:
        LandingError: no such batch is ready, or its manifest or a file of it was damaged; there is no verdict then.
        RejectedError: the line's contract was changed since it was read.
    """
    begin_generation(line)
    refuse_outdated(line)
    _judge_waiting(line, batch, tell)
    return _judge_one(line, batch, tell, part)


def _judge_waiting(line: BoundLine, batch: str, tell: Tell) -> None:
    """Judge what an earlier generation accepted: a new record that equals one of these is drawn to splits as that is.

    Their own records know what they were drawn by, so each may be judged alone.
    """
    others = waiting(line)
    for number, other in enumerate(others if batch not in others else (), 1):
        tell(f"judging {other[:12]} first, which was accepted before the contract changed: {number} of {len(others)}")
        with contextlib.suppress(LandingError):  # its own run says what is wrong with it
            _judge_one(line, other, tell)


def _judge_one(line: BoundLine, batch: str, tell: Tell, part: Part = lambda items: items) -> BatchVerdict:
    verdict = line.verdict(batch)
    if verdict is None:
        verdict = _judge(line, batch, tell, part)
        if not line.store.exists(layout.verdict(line.name, batch)):
            # Before the verdict: a kill in between has it on record twice, rather than never.
            _note(line.store, verdict)
        if not line.store.create(layout.verdict(line.name, batch), to_bytes(verdict)):
            verdict = line.verdict(batch)  # another judge was first: its verdict stands
            assert verdict is not None
    if not line.stands(verdict):
        verdict = _judge_anew(line, verdict, tell)
    publish(line.store, verdict)
    if verdict.state == "accepted":
        line.list_accepted(verdict, time.time())  # the step after the verdict, which a kill may have cut short
        hand_on(line, verdict)
    write_indexes(line)
    return _without_forgotten(line, verdict)


def _note(store: Store, verdict: BatchVerdict) -> None:
    """Put a verdict into the audit log, by its counts: its words may show a value, and that log forgets nothing."""
    counts = f"{verdict.accepted:,} accepted, {verdict.quarantined:,} quarantined, {verdict.refused:,} refused"
    AuditLog(store).record(GATE, verdict.state, verdict.line, verdict.batch, f"of {verdict.seen:,} records {counts}")


def _without_forgotten(line: BoundLine, verdict: BatchVerdict) -> BatchVerdict:
    """The verdict, once nothing of a forgotten record that came in again is kept, in quarantine or elsewhere."""
    if not any(check.name == FORGOTTEN and check.outcome == "failed" for check in verdict.checks):
        return verdict
    erase_again(line)
    return line.verdict(verdict.batch) or verdict


def _judge_anew(line: BoundLine, earlier: BatchVerdict, tell: Tell) -> BatchVerdict:
    """The verdict under the line's rules of today; it stands from now on.

    Positions of the history are created once, so of several judges one wins, and one that stands is the last.
    Whoever wrote the standing verdict looks again, so that a slow writer cannot leave an older one there.
    """
    history = line.verdict_history(earlier.batch)
    history.append_at(1, earlier)
    last = history.length()
    newest = history.at(last)
    assert newest is not None
    if not line.stands(newest):
        anew = _judge(line, earlier.batch, tell)
        if history.at(last + 1) is None:
            _note(line.store, anew)
        history.append_at(last + 1, anew)
    written = 0
    while written < (last := history.length()):
        newest, written = history.at(last), last
        assert newest is not None
        line.store.save(layout.verdict(line.name, earlier.batch), newest)
    return newest


def publish(store: Store, verdict: BatchVerdict) -> None:
    """Copy the verdict's page and reasons to where people look for them; one that was lost hinders nothing else."""
    reasons = layout.reasons(verdict.line, verdict.batch)
    suite = layout.suite_page(verdict.line, verdict.batch)
    for ref, key in ((verdict.suite_page, suite), (verdict.page, verdict.report), (verdict.all_reasons, reasons)):
        if ref is not None:
            with contextlib.suppress(VerificationError):
                store.copy(ref, key)


def _judge(line: BoundLine, batch: str, tell: Tell, part: Part = lambda items: items) -> BatchVerdict:
    started = time.perf_counter()
    since, generation = line.accepted().length(), line.generation()
    data = line.config.data
    with (
        scratch_folder(scratch_root(line.store)) as folder,
        open_engine() as engine,
        Refused(folder / "refused") as refused,
        Spool(folder / "records", chunk_schema(data)) as spool,
    ):
        ahead = RowWise(spool, rules_of(line.config), data, engine)
        _read(part(read_landed(line, batch)), line, spool, refused, engine, ahead, tell)
        equal = EqualRecords.of(line, batch, spool)
        earlier = equal.earlier.table
        drawn = drawn_by(line, batch, spool, earlier)
        splits = splits_of(spool, data, drawn)
        units = earlier_units(line, spool)
        computed = computed_checks(spool, splits, earlier, forgotten_ids(line), line.line, units, drawn)
        allowed = Allowed(active_waivers(line, time.time()), batch)
        rulings, broken = _rule(equal, splits, computed, allowed, line.line, engine, ahead)
        good = np.flatnonzero(broken == GOOD)
        reference = reference_profile(line)
        profile, drift = _drift(spool, good, reference, computed, line.line)
        check_batch(computed, spool, splits, good, reference, line.line)
        decision = decide(rulings, broken, refused, line.config, allowed, computed.outcomes)
        tell(f"{len(decision.good):,} records are good, {len(decision.bad):,} are quarantined")
        keeper = Keeper(line, batch, folder)
        kept = keep_records(keeper, spool, computed.derived, decision, refused, splits, drawn)
        verdict = _verdict(line, batch, spool, decision, refused, kept, len(good) - equal.known(good))
        if verdict.state == "accepted" and (corrected := equal.corrected(good)):
            verdict = _correcting(verdict, corrected, keeper)
        findings = tuple(computed.findings)
        verdict = replace(
            verdict,
            findings=keeper.findings(findings),
            profile=keeper.document(profile) if verdict.state == "accepted" and profile is not None else None,
            seconds=time.perf_counter() - started,
            since=since,
            notes=_notes(line, batch),
            generation=generation,
        )
        contents = ReportData(
            verdict=verdict,
            line=line.line,
            spool=spool,
            derived=computed.derived,
            decision=decision,
            reasons=tuple(kept.first),
            findings=findings,
            profile=profile,
            reference=reference,
            drift=drift,
            ignored=tuple(refused.ignored),
            ignored_count=refused.ignored_count,
            raw=tuple(result for ruling in rulings for result in ruling.raw[:1]),
            other_input=finder(line, earlier),
        )
        tell(verdict.why)
        return replace(
            verdict,
            page=line.put(batch_page(contents).encode(), "html", ".html", (batch,)),
            suite_page=line.put(suite_page(contents).encode(), "html", ".html", (batch,)),
        )


def _notes(line: BoundLine, batch: str) -> tuple[str, ...]:
    """What people should know of how the batch was read."""
    data = line.config.data
    if data.inputs is None and data.text is None:
        return ()
    manifest = load_manifest(line, find_landing(line, batch).drop, batch)
    return tuple(filter(None, (named_splits((file.path for file in manifest.files), data),)))


def _read(
    items: Iterator[pa.Table | Reason],
    line: BoundLine,
    spool: Spool,
    refused: Refused,
    engine: Engine,
    ahead: RowWise,
    tell: Tell,
) -> None:
    told = time.monotonic()
    for item in items:
        if isinstance(item, Reason):
            refused.add(without_values(item, line.config.data))
            continue
        spool.append(item)
        engine.expect(spool.rows)
        ahead.ask_ahead()
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            tell(f"read {spool.rows:,} records so far")
    spool.finish()
    tell(f"read {spool.rows:,} records; {refused.count:,} refused")


def _rule(
    equal: EqualRecords,
    splits: NDArray[np.int8],
    computed: Computed,
    allowed: Allowed,
    line: Line,
    engine: Engine,
    ahead: RowWise,
) -> tuple[list[Ruling], NDArray[np.int16]]:
    """The suite's rulings, and the first rule that each record breaks.

    Asked in steps, since of exact copies one is kept that breaks no other rule, and only what is kept leaks.
    """
    data, spool = line.config.data, equal.spool
    rules = rules_of(line.config)
    equal.ask_first(computed)
    first = [rule for rule in rules if rule.name not in SET_ASIDE]
    rulings = [
        quiet(found, data) for found in run_rules(spool, computed.derived, computed.broken, first, data, engine, ahead)
    ]
    broken = broken_rules(rulings, spool, allowed)
    for rule in (rule for rule in rules if rule.name in SET_ASIDE):
        equal.ask_last(computed, rule.name, broken == GOOD, splits)
        rulings += run_rules(spool, computed.derived, computed.broken, [rule], data, engine)
        broken = broken_rules(rulings, spool, allowed)
    return rulings, broken


def _drift(
    spool: Spool, good: NDArray[np.int64], reference: Profile | None, computed: Computed, line: Line
) -> tuple[Profile | None, Drift | None]:
    """What the good records look like, and how far that is from the data that the model in use was trained on."""
    policy = line.config.quality.drift
    profile = make_profile(spool, line.config.data, good, reference) if len(good) else None
    if profile is None or reference is None or policy.action == "off":
        return profile, None
    found: list[Drift] = []

    def check() -> tuple[bool, str]:
        found.append(compare(profile, reference, policy))
        told = (text.partition(" (PSI ")[0].rstrip(".") for text in found[0].sentences)  # the page has the figures
        return found[0].state != "drifted", f"{'. '.join(told)}."

    severity: Severity = "critical" if policy.action == "block" else "warning"
    computed.check("the batch looks like the data the model was trained on", severity, check)
    return profile, found[0] if found else None


def _verdict(
    line: BoundLine,
    batch: str,
    spool: Spool,
    decision: Decision,
    refused: Refused,
    kept: Kept,
    new: int,
) -> BatchVerdict:
    blocked, seen = bool(decision.blocked), spool.rows + refused.count
    accepted = 0 if blocked else len(decision.good)
    return BatchVerdict(
        line=line.name,
        batch=batch,
        state="blocked" if blocked else "accepted",
        why=_why(decision, seen, accepted, spool.rows - accepted, refused.count),
        seen=seen,
        accepted=accepted,
        quarantined=spool.rows - accepted,
        refused=refused.count,
        reasons=tuple(kept.first),
        checks=decision.checks,
        report=layout.report(line.name, batch),
        seconds=0.0,
        per_class=dict(kept.per_class.most_common(MAX_CLASSES)) if line.config.data.classes else {},
        records=kept.records,
        quarantine=kept.quarantine,
        ids=kept.ids,
        new=0 if blocked else new,
        rules=rules_digest(line.line),
        all_reasons=kept.reasons,
    )


def _correcting(verdict: BatchVerdict, corrected: list[Corrected], keeper: Keeper) -> BatchVerdict:
    """The verdict with what the batch corrected of accepted labels; which one won is said where labels may be."""
    table = corrections_table(corrected)
    count = sum(by is not None for _, _, by in corrected)
    hidden = not hidden_columns(keeper.line.config.data).isdisjoint(LABELS)
    told = f"{count:,} label{'s' * (count != 1)} corrected" if hidden else corrections_sentence(table)
    why = f"{verdict.why} {told[:1].upper()}{told[1:]}." if count else verdict.why
    return replace(verdict, why=why, corrections=keeper.table("corrections", table), corrected=count)


def _why(decision: Decision, seen: int, accepted: int, quarantined: int, refused: int) -> str:
    if decision.blocked:
        first, *others = (text.rstrip(".") for text in decision.blocked)
        return ". ".join([f"Blocked: {first}", *(f"{text[:1].upper()}{text[1:]}" for text in others)]) + "."
    aside = [f"{quarantined:,} quarantined"] * bool(quarantined) + [f"{refused:,} refused"] * bool(refused)
    return f"{accepted:,} of {seen:,} records accepted{''.join(f', {part}' for part in aside)}."


if __name__ == "__main__":
    serve(step)
