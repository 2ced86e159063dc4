"""Which accepted batches belong to which triggered training run.

A claim is an entry of the line's claim journal: the accepted batches at positions (after, upto]. The next claim starts
where the last one ended (or started, if it was given up), and a position can be written once, so every accepted batch
is in exactly one claim that is carried out, whoever makes it: sensor, schedule or command. A claim is made before its
run is requested and names the run, so a daemon that dies in between requests the same run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from assets.errors import RejectedError
from assets.line.config import RetrainPolicy
from assets.records.line_store import LineStore
from assets.records.verdict import Accepted
from assets.storage import layout
from assets.storage.journal import Journal
from assets.training.triggers.documents import Claim, Trigger
from assets.training.triggers.policy import DAY_SECONDS, MOST_BATCHES, Decision, Policy, decide
from assets.training.triggers.skips import note_skip

MOST_CLAIMS = 10_000
"""How many of the last claims a policy sees; `retrain.max_per_day` allows no more."""
CLAIM_TAG = "edgeloop/claim"
"""The run tag that says which claim a training run carries out."""


def claim_journal(line: LineStore) -> Journal[Claim]:
    """Every claim of the line, in order."""
    return Journal(line.store, layout.claims(line.name), Claim)


def next_claim(
    line: LineStore, trigger: Trigger, now: float, policy: Policy, *, replace_last: bool = False
) -> tuple[Claim | None, str]:
    """Claim the waiting batches that `policy` picks. Its time grows with those and with a day's claims, with no more.

    Args:
        replace_last: the last claim was given up; its batches wait again.

    Returns:
        The new claim, or None with the reason. None also where another process claimed at this moment.
    """
    journal = claim_journal(line)
    last, claims = _recent_claims(journal, now)
    after = (claims[-1].after if replace_last else claims[-1].upto) if claims else 0
    waiting = line.accepted_after(after, MOST_BATCHES)
    decision = policy(waiting, claims)
    if not decision.retrain:
        if waiting and decision.rule:
            note_skip(line, waiting, trigger, decision.rule, decision.why, now)
        return None, decision.why
    batches = tuple(entry.batch for _, entry in decision.batches)
    records = sum(entry.records for _, entry in decision.batches)
    claim = Claim(line.name, after, decision.batches[-1][0], batches, records, trigger, now)
    if not journal.append_at(last + 1, claim):
        return None, "another process claimed the waiting batches at this moment"
    return claim, decision.why


def last_claim(line: LineStore) -> Claim | None:
    """The newest claim of the line."""
    journal = claim_journal(line)
    return journal.at(journal.length())


def standing(line: LineStore, policy: RetrainPolicy, now: float) -> tuple[Sequence[tuple[int, Accepted]], Decision]:
    """The batches that wait now, and what the line's policy says of them; nothing is claimed or noted."""
    _, claims = _recent_claims(claim_journal(line), now)
    waiting = line.accepted_after(claims[-1].upto if claims else 0, MOST_BATCHES)
    return waiting, decide(policy, waiting, claims, now)


def _recent_claims(journal: Journal[Claim], now: float) -> tuple[int, list[Claim]]:
    """The last position, and in order the last claim and those of the 24 hours before `now`."""
    last = 0
    claims: list[Claim] = []
    for position, claim in journal.newest_first():
        last = max(last, position)
        if claims and (now - claim.time >= DAY_SECONDS or len(claims) >= MOST_CLAIMS):
            break
        claims.append(claim)
    return last, claims[::-1]


def find_claim(line: LineStore, run_key: str) -> Claim:
    """The claim of that run key, looked for from the newest on. Raises RejectedError where there is none."""
    journal = claim_journal(line)
    for position in range(journal.length(), 0, -1):
        claim = journal.at(position)
        if claim is not None and claim.run_key == run_key:
            return claim
    raise RejectedError(f"line {line.name!r} has no claim {run_key}; start a retrain without the tag {CLAIM_TAG}")


def start_claim(line: LineStore, run_key: str, run_id: str, is_over: Callable[[str], bool]) -> None:
    """Make `run_id` the one run that works on a claim.

    Args:
        run_key: the claim's, without a retry's suffix.
        is_over: whether a run ended without success, so that its place may be taken.

    Raises:
        RejectedError: another run is at it, or has done it.
    """
    name = hashlib.sha256(run_key.encode()).hexdigest()[:32]
    for attempt in range(1, 10_000):
        key = layout.attempt(line.name, name, attempt)
        if line.store.create(key, run_id.encode()):
            return
        holder = line.store.read(key).decode()
        if holder == run_id:
            return
        if not is_over(holder):
            raise RejectedError(
                f"these batches are already being trained on, or were, by run {holder}; nothing to do here"
            )
    raise RejectedError(f"{run_key}: too many attempts; look at why its runs fail")
