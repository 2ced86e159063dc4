"""Making decisions: each is checked against everything decided before it, then takes exactly the next position."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assets.errors import ConflictError, RejectedError
from assets.line.config import Line
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.review import corrections
from assets.review.documents import Decision, waivable
from assets.review.held import find_rows, held_batches, held_records, rows_at
from assets.review.state import ABOUT_RECORDS, State, keep_bytes, keep_members
from assets.storage import audit, layout
from assets.storage.audit import AuditLog

if TYPE_CHECKING:
    import pyarrow as pa

MAX_TEXT = 1000
_AUDITED: Mapping[str, audit.Action] = {
    "accept": "accepted",
    "fix": "fixed",
    "waive": "waived",
    "reject": "rejected",
    "revoke": "revoked",
    "release": "released",
}


@dataclass(frozen=True)
class Correction:
    """What is changed in a record that is fixed.

    Attributes:
        label: its class or number; "" leaves it.
        changes: column to value, as text.
        file: the repaired file's bytes; None leaves the input.
    """

    label: str = ""
    changes: Mapping[str, str] | None = None
    file: bytes | None = None


def accept(
    state: State, line: Line, verdict: BatchVerdict, members: pa.Table, who: str, why: str, revise: int = 0
) -> int:
    """Records are good as they are: the rules that set them aside are not asked of them again. Needs a reason.

    Args:
        members: of the batch, with columns id and rule (`assets.review.state.select`).
        revise: position of the decision on all of them that this one replaces; 0 where they are undecided.

    Returns:
        The decision's position.

    Raises:
        ConflictError: somebody decided about one of them meanwhile.
        RejectedError: no record, no reason, or a record that cannot be trained on.
    """
    why = needed_reason(why, "accepting what a rule set aside")
    _refuse_unwaivable(members)
    corrections.refuse_unfit(bind(state.store, line), verdict, members)
    return decide_about(state, Decision("accept", who, why, 0.0, verdict.batch), members, revise)


def fix(
    state: State,
    line: Line,
    verdict: BatchVerdict,
    members: pa.Table,
    who: str,
    correction: Correction,
    why: str = "",
    revise: int = 0,
) -> int:
    """Records are good once corrected; they are judged anew when they are back. Arguments and errors as `accept`.

    A file repairs exactly one record.
    """
    data, why = line.config.data, _text(why, "the reason")
    label = corrections.checked_label(data, correction.label) if correction.label else ""
    changes: dict[str, str] = {}
    if correction.changes:
        changes, also = corrections.checked_changes(data, correction.changes)
        if label and also and label != also:
            raise RejectedError(f"the label is given twice, as {label!r} and as {also!r}; say one")
        label = label or also
    if not label and not changes and correction.file is None:
        raise RejectedError("nothing is corrected; say --label, --file or --set column=value")
    draft = Decision("fix", who, why, 0.0, verdict.batch, label=label, changes=changes)
    if correction.file is not None or changes:
        draft = _check_input(state, line, verdict, members, draft, correction)
    else:
        corrections.refuse_unfit(bind(state.store, line), verdict, members, label)
    return decide_about(state, draft, members, revise)


def reject(state: State, verdict: BatchVerdict, members: pa.Table, who: str, why: str, revise: int = 0) -> int:
    """Records stay out for good. Arguments and errors as `accept`."""
    draft = Decision("reject", who, needed_reason(why, "rejecting a record"), 0.0, verdict.batch)
    return decide_about(state, draft, members, revise)


def revoke(state: State, position: int, who: str, why: str) -> int:
    """Take a decision back: a waiver ends, records that have not gone back yet are undecided again.

    Raises:
        ConflictError: it was taken back already, or its records have gone back.
    """
    why = needed_reason(why, "taking a decision back")

    def check() -> None:
        entry = state.entry(position)
        if entry.action not in ABOUT_RECORDS:
            raise RejectedError(f"decision {position} is a {entry.action}, which cannot be taken back")
        if earlier := state.revoked(position):
            raise ConflictError(f"decision {position} was taken back already: {state.entry(earlier).sentence()}")
        gone = state.release_of(position)
        if gone and entry.action == "fix":
            raise ConflictError(
                f"decision {position} cannot be taken back: its records went back as batch "
                f"{state.entry(gone).returned[:12]} ({state.entry(gone).sentence()})"
            )

    check()
    batch = state.entry(position).batch
    return append(state, Decision("revoke", who, why, time.time(), batch, replaces=position), check)


def locate(line: BoundLine, record: str, batch: BatchVerdict | None = None) -> tuple[BatchVerdict, list[int], str]:
    """The batch, rows and id of the one quarantined record that `record` names: an id's first digits, or its file.

    Without a batch, the newest batch that holds it.

    Raises:
        RejectedError: there is none, or there are several.
    """
    batches = [batch] if batch is not None else list(reversed(list(held_batches(line))))
    for verdict in batches:
        found = find_rows(line.store, verdict, record) if record else []
        ids = dict.fromkeys(identity for _, identity in found)
        if len(ids) > 1:
            some = ", ".join(held.file for held in rows_at(line.store, verdict, [row for row, _ in found[:5]]))
            raise RejectedError(
                f"{record[:80]!r} names {len(ids)} quarantined records ({some}); give more digits of its id"
            )
        if ids:
            return verdict, [row for row, _ in found], next(iter(ids))
    where = f"batch {batch.batch[:12]}" if batch is not None else f"line {line.name!r}"
    raise RejectedError(
        f"{where} has no quarantined record {record[:80]!r}; `edgeloop quarantine list {line.name}` helps"
    )


def decide_about(state: State, draft: Decision, members: pa.Table, revise: int) -> int:
    """Add a decision about records, with their ids; arguments and errors as `accept`."""
    names = ["id", "rule", "label"]
    labels = members["label"].fill_null("")  # null in a decision stands for every label
    members = members.select(names).set_column(2, "label", labels).group_by(names, use_threads=False).aggregate([])
    records = members.group_by(["id", "label"], use_threads=False).aggregate([])
    if not records.num_rows:
        raise RejectedError("no undecided record is meant; `edgeloop quarantine list` shows what is undecided")

    def check() -> None:
        refuse_decided(state, draft.batch, records, revise)

    check()
    inline, more = keep_members(LineStore(state.store, state.line), members)
    draft = replace(draft, time=time.time(), count=records.num_rows, members=inline, more=more, replaces=revise)
    return append(state, draft, check)


def refuse_decided(state: State, batch: str, records: pa.Table, revise: int = 0) -> None:
    """Raise ConflictError unless decision `revise` (0: none) stands on each of these records and none went back.

    Args:
        records: columns id and label.
    """
    found, count_of = state.decided(batch, records["id"], records["label"]), records.num_rows
    other = found[found != revise]
    if len(other):
        counts = Counter(int(position) for position in other)
        position, count = counts.most_common(1)[0]
        if count_of == 1 and not position:
            raise ConflictError(f"decision {revise} does not stand on this record; decide without --revise")
        if not position:
            raise ConflictError(f"decision {revise} does not stand on {count:,} of these records; select them again")
        entry = state.entry(position)
        if count_of == 1:
            way = f"; to replace that decision, say --revise {position}"
            if gone := state.release_of(position):
                way = f"; it went back as batch {state.entry(gone).returned[:12]}, decide about it there"
            raise ConflictError(f"{entry.sentence()} (decision {position}){way}")
        raise ConflictError(
            f"{len(other):,} of these {count_of:,} records were decided meanwhile, {count:,} of them so: "
            f"{entry.sentence()} (decision {position}); nothing was recorded, select the rest again"
        )
    if revise and (gone := state.release_of(revise)):
        raise ConflictError(
            f"the records of decision {revise} went back as batch {state.entry(gone).returned[:12]} "
            f"({state.entry(gone).sentence()}); decide about them there"
        )


def append(state: State, draft: Decision, check: Callable[[], None]) -> int:
    """Add an entry at the first position whose every predecessor was read; `check` is asked again after each new one.

    Returns:
        Its position.
    """
    draft = replace(draft, who=_who(draft.who))
    while True:
        position = state.position + 1
        if state.journal.append_at(position, draft):
            state.refresh()
            _note(state, draft, position)
            return position
        state.refresh()
        check()


def _note(state: State, entry: Decision, position: int) -> None:
    """Tell the audit log."""
    about = entry.batch or f"line {state.line}"
    if entry.count == 1 and entry.members:
        about = f"{entry.members[0].id} of batch {entry.batch}"
    elif entry.count:
        about = f"{entry.count:,} records of batch {entry.batch}"
    what = f"decision {position}: {entry.why}" if entry.why else f"decision {position}"
    AuditLog(state.store).record(entry.who, _AUDITED[entry.action], state.line, about, what)


def _check_input(
    state: State, line: Line, verdict: BatchVerdict, members: pa.Table, draft: Decision, correction: Correction
) -> Decision:
    """Check each record as it will be; a repaired file is kept beside the quarantine."""
    data, ids = line.config.data, members["id"].unique()
    if correction.file is not None:
        if len(ids) != 1:
            raise RejectedError(f"one file repairs one record, {len(ids):,} are meant; name one")
        if data.inputs is not None:
            raise RejectedError("a row has no file of its own; correct its cells with --set column=value")
        if len(correction.file) > corrections.MAX_FILE_BYTES:
            raise RejectedError(f"the file has more than {corrections.MAX_FILE_BYTES:,} bytes; make it smaller")
    for held in held_records(state.store, verdict, ids):
        stored = correction.file if correction.file is not None else held.input
        stored = corrections.apply(data, stored, draft.changes)
        label = draft.label or held.label
        if problem := corrections.label_problem(data, label):
            raise RejectedError(f"{held.file}: {problem}")
        corrections.checked_record(data, held, stored, label)
    if correction.file is None:
        return draft
    ref = keep_bytes(bind(state.store, line), layout.decided(line.name), correction.file, "input", ".input")
    return replace(draft, input=ref)


def _refuse_unwaivable(members: pa.Table) -> None:
    for rule in members["rule"].unique().to_pylist():
        if not waivable(rule):
            raise RejectedError(
                f"the rule {rule!r} cannot be waived: a record that breaks it cannot be used; correct it, or reject it"
            )


def needed_reason(why: str, what: str) -> str:
    """The reason in one printable line. Raises RejectedError where there is none, or it is too long."""
    why = _text(why, "the reason")
    if not why:
        raise RejectedError(f"{what} needs a reason; say it with --why")
    return why


def _who(who: str) -> str:
    who = _text(who, "the name")[:100]
    if not who:
        raise RejectedError("who decides? say it with --who, or set EDGELOOP_USER")
    return who


def _text(text: str, what: str) -> str:
    """Text in one printable line. Raises RejectedError where it is too long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(text) > MAX_TEXT:
        raise RejectedError(f"{what} has {len(text):,} characters, at most {MAX_TEXT:,} are kept; say it shorter")
    return text
