"""What the forms below `/review/` do. Each returns the address to go on to, or raises what the reviewer is told."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import pyarrow as pa
from starlette.requests import Request

from assets.errors import ConflictError, RejectedError
from assets.records.verdict import BatchVerdict
from assets.review import decisions, waivers
from assets.review.documents import end_of_day
from assets.review.returns import release as release_decided
from assets.review.state import select
from platform_defs.web.guard import Form
from platform_defs.web.review.pages import verdict_of
from platform_defs.web.review.quarantines import Quarantine
from platform_defs.web.review.render import Refusal

ACTIONS = ("accept", "fix", "waive", "reject")
MAX_CHOSEN = 500


def release(quarantine: Quarantine, request: Request, form: Form) -> str:
    """Send back what was decided."""
    done = release_decided(quarantine.state, quarantine.line, form.one("who"), form.one("why"))
    here = f"/review/{quarantine.line.name}"
    if not done.batch and not done.completed:
        raise Refusal("Nothing was left to send back", "Everything that was decided has gone back already.", here)
    return f"{here}?done={done.position}" if done.position else here


def revoke(quarantine: Quarantine, request: Request, form: Form) -> str:
    """Take a decision back."""
    position = form.one("position")
    if not (position.isdecimal() and position.isascii() and len(position) < 12):
        raise RejectedError("which decision? open the page again")
    done = decisions.revoke(quarantine.state, int(position), form.one("who"), form.one("why"))
    return f"/review/{quarantine.line.name}?done={done}"


def waive(quarantine: Quarantine, request: Request, form: Form) -> str:
    """Waive a rule for the line's batches to come."""
    until = _end_of(form.one("until"))
    done = waivers.waive(quarantine.state, quarantine.line, form.one("rule"), form.one("who"), form.one("why"), until)
    return f"/review/{quarantine.line.name}?done={done}"


def decide(quarantine: Quarantine, request: Request, form: Form) -> str:
    """Decide about the chosen records, or about all undecided ones of a rule."""
    verdict = verdict_of(quarantine, request)
    here = f"/review/{quarantine.line.name}/{verdict.batch}"
    if form.one("action") not in ACTIONS:
        raise RejectedError("choose one of the buttons")
    if form.one("all"):
        members = select(quarantine.state, verdict, rule=form.one("rule"))
        seen = [(0, members)]
    else:
        seen = _chosen(quarantine, verdict, form)
    done = 0
    for position, members in seen:
        try:
            done = _decide_one(quarantine, verdict, members, position, form)
        except ConflictError as error:
            raise _conflict(quarantine, verdict, members, form, here, str(error), done) from error
    if record := form.one("record"):
        return f"{here}/{record}?done={done}" if form.one("action") != "fix" or not form.file else f"{here}?done={done}"
    query = {name: form.one(name) for name in ("rule", "by", "status", "start") if form.one(name)}
    return f"{here}?{urlencode({**query, 'done': str(done)})}"


def _decide_one(quarantine: Quarantine, verdict: BatchVerdict, members: pa.Table, revise: int, form: Form) -> int:
    state, line, who, why = quarantine.state, quarantine.line, form.one("who"), form.one("why")
    match form.one("action"):
        case "accept":
            return decisions.accept(state, line, verdict, members, who, why, revise)
        case "reject":
            return decisions.reject(state, verdict, members, who, why, revise)
        case "waive":
            until = _end_of(form.one("until"))
            rules = members["rule"].unique().to_pylist()
            if len(rules) != 1:
                raise RejectedError("the chosen records break different rules; waive one at a time")
            return waivers.waive(state, line, rules[0], who, why, until, waivers.Scope(verdict, members, revise))
    correction = decisions.Correction(form.one("label"), _cells(quarantine, form), form.file or None)
    if not (correction.label or correction.changes or correction.file):
        raise RejectedError("choose the true label, or correct something else")
    return decisions.fix(state, line, verdict, members, who, correction, why, revise)


def _chosen(quarantine: Quarantine, verdict: BatchVerdict, form: Form) -> list[tuple[int, pa.Table]]:
    """The records that are ticked, by the decision that the page showed on them."""
    picked = list(dict.fromkeys(form.all("chosen")))
    if not picked:
        raise RejectedError("no record is chosen; tick some first")
    if len(picked) > MAX_CHOSEN:
        raise RejectedError(f"more than {MAX_CHOSEN} records are chosen; decide about fewer at once")
    by_position: dict[int, list[str]] = {}
    for value in picked:
        identity, mark, position = value.partition(".")
        if not mark or not (position.isdecimal() and position.isascii() and len(position) < 12):
            raise RejectedError("the form cannot be read; open the page again")
        by_position.setdefault(int(position), []).append(identity)
    found = []
    for seen, ids in sorted(by_position.items()):
        members = select(quarantine.state, verdict, ids=ids, decided=True)
        if len(members["id"].unique()) != len(ids):
            raise RejectedError("a chosen record is not in this batch's quarantine any more; open the page again")
        found.append((seen, members))
    return found


def _conflict(
    quarantine: Quarantine, verdict: BatchVerdict, members: pa.Table, form: Form, here: str, reason: str, done: int
) -> Refusal:
    """What others decided about these records, and a form that decides all the same.

    `done`: position of what was recorded of the same form before, about other records; 0 for nothing.
    """
    state = quarantine.state
    ids = members["id"].unique()
    found = state.decided(verdict.batch, members["id"], members["label"]).tolist()
    seen = dict(zip(reversed(members["id"].to_pylist()), reversed(found), strict=True))
    positions = [int(seen[identity]) for identity in ids.to_pylist()]
    standing = sorted(set(positions) - {0})
    others = [f"Decision {position}: {state.entry(position).sentence()}" for position in standing[:10]]
    gone = any(state.release_of(position) for position in standing)
    again: list[tuple[str, str]] = []
    if not gone and not form.file and len(ids) <= MAX_CHOSEN:
        kept = ("who", "why", "label", "until", "action", "rule", "by", "status", "start", "record")
        again = [(name, form.one(name)) for name in kept if form.one(name)]
        again += [(name, form.one(name)) for name in form.fields if name.startswith("cell.") and form.one(name)]
        again += _values(ids.to_pylist(), positions)
    title = "Its records have gone back already" if gone else "Somebody decided meanwhile"
    recorded = f"Of the other records, decision {done} is on record." if done else "Nothing of yours was recorded."
    text = recorded if others else f"{reason}. {recorded}" if done else reason
    back = f"{here}/{form.one('record')}" if form.one("record") else here
    return Refusal(title, text, back, others, again, f"{here}/decide")


def _values(ids: Sequence[str], positions: Sequence[int]) -> list[tuple[str, str]]:
    return [("chosen", f"{identity}.{position}") for identity, position in zip(ids, positions, strict=True)]


def _cells(quarantine: Quarantine, form: Form) -> dict[str, str]:
    """Corrected cells; those left empty stay."""
    data = quarantine.line.config.data
    names = (data.text.column,) if data.text else data.inputs.columns if data.inputs else ()
    return {name: text for number, name in enumerate(names) if (text := form.one(f"cell.{number}"))}


def _end_of(day: str) -> float:
    """The end of a day (UTC) as seconds since 1970. Raises RejectedError."""
    try:
        return end_of_day(day)
    except ValueError as error:
        raise RejectedError("until when? give the last day of the waiver") from error
