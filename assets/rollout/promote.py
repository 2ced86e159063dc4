"""Which release a group of devices is pointed at, by policy or by a person."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from assets.records.line_store import BoundLine, LineStore
from assets.release.documents import ReleaseRecord, RolloutRecord, rollout_journal
from assets.release.published import find_release, releases
from assets.release.repository import DeploymentChangedError, current_deployment, deploy
from assets.storage.audit import AuditLog, current_user
from assets.storage.store import Store
from edge.contracts import Deployment, ReleaseManifest

Decision = Literal["promoted", "unchanged", "waiting"]
Promotion = Literal["manual", "gated", "auto"]
Choose = Callable[[Deployment | None], tuple[Decision, str]]
MENDED = "recorded later: the step that signed it was interrupted before it could"


def pending_targets(manifest: ReleaseManifest) -> tuple[str, ...]:
    """Names of the targets that have a verdict which only a device can give."""
    return tuple(
        artifact.target.name
        for artifact in manifest.artifacts
        if any(verdict.kind == "pending" for verdict in artifact.evidence.parity)
    )


def decide(
    promotion: Promotion,
    record: ReleaseRecord,
    current: Deployment | None,
    earlier: frozenset[str],
    first_of: int | None = None,
) -> tuple[Decision, str]:
    """What the policy does with a release.

    Args:
        promotion: the line's policy.
        current: what the group is pointed at; None before any promotion.
        earlier: releases the group was pointed at before. A release that the group was moved away from is never
            promoted by a policy again: the person who rolled it back would be overruled by the next nightly run.
        first_of: the generation that the release is of, where the group had no release of it yet and it is not the
            line's first: there is none to compare it with.

    Returns:
        The decision, and why in plain words. An older sequence never replaces a newer one.
    """
    command = f"edgeloop promote {record.line} {record.release[:12]}"
    if current is not None and current.release == record.release:
        return "unchanged", f"group {current.group!r} is already pointed at this release (serial {current.serial})"
    if current is not None and record.sequence < current.sequence:
        return "unchanged", f"sequence {record.sequence} is older than {current.sequence}, which the group has"
    if record.release in earlier:
        return "waiting", f"the group was moved away from this release before; to go back to it: {command}"
    if why := _for_a_person(promotion, record, first_of):
        return "waiting", f"{why}: {command}"
    return "promoted", f"promotion is {promotion}"


def _for_a_person(promotion: Promotion, record: ReleaseRecord, first_of: int | None) -> str:
    """Why a release waits for a person; "" where the policy promotes it."""
    if first_of is not None:
        return (
            f"it is the first model of generation {first_of}, whose inputs are others, so there is none to compare it "
            "with; to promote"
        )
    if promotion == "manual":
        return "promotion is manual; to promote"
    if promotion == "gated" and (pending := pending_targets(record.manifest)):
        return f"only a device can judge {', '.join(pending)}; to promote all the same"
    return ""


def roll_out(line: BoundLine, record: ReleaseRecord) -> RolloutRecord:
    """Apply the line's policy to a release and record what came of it.

    Raises:
        RejectedError: the repository refused (see `assets.release.repository.deploy`).
        TransientError: the group was pointed elsewhere each time between the decision and its signature.
    """
    group = line.config.rollout.group
    promotion = line.config.rollout.promotion

    def choose(current: Deployment | None) -> tuple[Decision, str]:
        journal = rollout_journal(line, group)
        earlier = frozenset(entry.release for _, entry in journal.after(0))
        return decide(promotion, record, current, earlier, _first_of(line, record, earlier))

    return _apply(line, group, record, choose)


def _first_of(line: LineStore, record: ReleaseRecord, earlier: frozenset[str]) -> int | None:
    """The generation of a release, where no release of it was promoted before; None where one was, and in the first."""
    generation = line.generation_at(record.sequence)
    if generation == 1:
        return None
    known = (one for one in releases(line) if one.release in earlier)
    return None if any(line.generation_at(one.sequence) == generation for one in known) else generation


def promote(line: BoundLine, release: str, group: str | None = None) -> RolloutRecord:
    """Point a group at a release because a person says so, forwards or back: what `edgeloop promote` does.

    Args:
        release: the release's id, or its first digits (at least 6).
        group: the line's own group where None.

    Raises:
        RejectedError: no such release, or the digits fit several.
        TransientError: the group was pointed elsewhere each time meanwhile.
    """
    record = find_release(line, release)
    group = group or line.config.rollout.group

    def choose(current: Deployment | None) -> tuple[Decision, str]:
        if current is not None and current.release == record.release:
            return "unchanged", f"group {group!r} is already pointed at this release (serial {current.serial})"
        back = current is not None and record.sequence < current.sequence
        return "promoted", "rolled back by hand" if back else "promoted by hand"

    rollout = _apply(line, group, record, choose)
    if rollout.decision == "promoted":
        line.set_newest(rollout)
        AuditLog(line.store).record(current_user(), "promoted", line.name, record.release, f"{group}: {rollout.why}")
    return rollout


def _apply(line: LineStore, group: str, record: ReleaseRecord, choose: Choose) -> RolloutRecord:
    """Decide on what is signed now, and sign only if that still holds under the lock; else decide again."""
    for last in (False, False, True):
        current = current_deployment(line, group)
        if current is not None:
            _note(
                line.store, RolloutRecord(line.name, group, "promoted", MENDED, current.release, current, time.time())
            )
        decision, why = choose(current)
        if decision != "promoted":
            break
        try:
            current = deploy(line, group, record, expected_serial=current.serial if current else 0)
            break
        except DeploymentChangedError:
            if last:
                raise
    rollout = RolloutRecord(line.name, group, decision, why, record.release, current, time.time())
    if decision == "promoted":
        _note(line.store, rollout)
    return rollout


def _note(store: Store, rollout: RolloutRecord) -> None:
    """Append a promotion to the group's journal, unless its serial is there.

    It runs before every decision for what is signed already: a crash between a signature and its entry would else hide
    a release that the group had, and a policy could overrule the person who moves the group away from it.
    """
    journal = rollout_journal(LineStore(store, rollout.line), rollout.group)
    serial = rollout.deployment.serial if rollout.deployment else 0
    while True:
        length = journal.length()
        last = journal.at(length) if length else None
        if last is not None and last.deployment is not None and last.deployment.serial >= serial:
            return
        if journal.append_at(length + 1, rollout):
            return
