"""What reviewers decided about quarantined records, and the waivers that follow from it.

All of a line's decisions, revocations and releases are entries of one journal, `quarantine/<line>/.decisions`. Whoever
adds one has read every entry before it and creates exactly the next position, so two people at once cannot contradict
each other: one of them is told who was first.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.journal import Journal
from edge.contracts import ArtifactRef, document

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Action = Literal["accept", "fix", "waive", "reject", "revoke", "release"]
MAX_INLINE = 100
"""Records that an entry names itself; more of them are kept as a Parquet beside the quarantine."""

STRUCTURAL = frozenset(
    {
        "every record has a label",
        "every record has a number to predict",
        "every label is a class of the line",
        "every reading has a time",
        "every split is a split",
        "no record was forgotten on request",
    }
)
"""Rules that nobody can waive: a record that breaks one cannot be trained on, or must not be. See `waivable`."""

RELABELLED = "no known record comes under another label"
"""The rule that holds records whose input was accepted under other labels."""

RETURN_RULES = frozenset(
    {
        "the share of bad records is small",
        "there are enough good records",
        "the batch has enough records",
        "every class is in the batch",
    }
)
"""Rules about a batch as a whole that a batch of returned records need not keep: people looked at each of them."""


@dataclass(frozen=True)
class Member:
    """A record that a decision is about, and the rule that had set it aside ("" where only its batch was blocked).

    Attributes:
        label: as it was held; None in entries from before it was kept, which are about every label of the input.
    """

    id: str
    rule: str
    label: str | None = None


@document("edgeloop.decision")
@dataclass(frozen=True)
class Decision:
    """One entry of the journal.

    Attributes:
        action: accept (good as it is), fix (good once corrected), waive (a rule is not asked until `until`), reject
            (stays out for good), revoke (entry `replaces` no longer holds), release (what was decided goes back).
        who, why: by whom and for what reason, as they said.
        time: seconds since 1970.
        batch: whose records it is about; "" for a waiver of the whole line, and for a release of every batch.
        count: how many records it is about.
        members: these records, where they are at most `MAX_INLINE`; else they stand in `more`.
        more: Parquet with the columns id, rule and label (which may be missing, as a member's may).
        rule: of a waiver.
        whole: whether a waiver is for every record of its batch (or line), those to come too, not for `members` only.
        until: seconds since 1970 when a waiver ends.
        label: the corrected class or number; "" where the label stays.
        changes: column to corrected value, as text.
        input: the repaired file.
        replaces: position of the entry that it knowingly takes the place of; 0 for none.
        upto: of a release: it covers decisions up to this position.
        files: of a release: Parquet shards of the records that go back.
        returned: of a release: id of the batch they go back as; "" where nothing did.
    """

    action: Action
    who: str
    why: str
    time: float
    batch: str = ""
    count: int = 0
    members: tuple[Member, ...] = ()
    more: ArtifactRef | None = None
    rule: str = ""
    whole: bool = False
    until: float | None = None
    label: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)
    input: ArtifactRef | None = None
    replaces: int = 0
    upto: int = 0
    files: tuple[ArtifactRef, ...] = ()
    returned: str = ""

    def sentence(self) -> str:
        """Who decided what and when, in one line."""
        what = {
            "accept": "accepted",
            "fix": f"corrected to {self.label!r}" if self.label else "corrected",
            "waive": f"waived the rule {self.rule!r}",
            "reject": "rejected",
            "revoke": f"took back decision {self.replaces}",
            "release": "released",
        }[self.action]
        why = f": {self.why}" if self.why else ""
        return f"{self.who} {what} at {moment(self.time)}{why}"


@dataclass(frozen=True)
class Waiver:
    """A rule that is not asked, of the line (`batch` ""), of a batch, or of `count` records only.

    Attributes:
        position: of the entry that granted it; `edgeloop quarantine revoke LINE POSITION` ends it.
        whole: whether it is for every record of its batch or line, those that come later too.
        until: seconds since 1970; None for a record that was accepted as it is, which has no end.
    """

    position: int
    rule: str
    batch: str
    whole: bool
    count: int
    who: str
    why: str
    time: float
    until: float | None

    def sentence(self) -> str:
        """It, in one line, for a verdict or a report."""
        scope = (
            f"{self.count:,} records" if not self.whole else f"batch {self.batch[:12]}" if self.batch else "the line"
        )
        end = f" until {moment(self.until)}" if self.until is not None else ""
        return f"{self.rule!r} is waived for {scope}{end} by {self.who} ({self.why}; decision {self.position})"


class Waivers:
    """The waivers that hold at one moment, quick to ask for many records."""

    def __init__(
        self,
        waivers: tuple[Waiver, ...],
        keys: Mapping[str, tuple[pa.Array, pa.Array]],
        returned: frozenset[str] = frozenset(),
    ) -> None:
        """`keys`: rule to `waiver_keys` of the pairs, and of the inputs under any label, that it is waived for.

        `returned`: batches that came out of the quarantine.
        """
        self.waivers = waivers
        self._keys = keys
        self._returned = returned

    def whole(self, rule: str, batch: str) -> Waiver | None:
        """The waiver of `rule` for the whole batch or line, or None."""
        if not waivable(rule):
            return None
        return next((w for w in self.waivers if w.whole and w.rule == rule and w.batch in ("", batch)), None)

    def exempt(self, rule: str, batch: str) -> bool:
        """Whether a rule about a whole batch does not count: waived, or about the size of a returned batch."""
        return self.whole(rule, batch) is not None or (rule in RETURN_RULES and batch in self._returned)

    def waived(self, rule: str, batch: str, records: pa.Table) -> NDArray[np.bool_]:
        """Which records a rule does not set aside.

        Args:
            records: columns `_id` (32 bytes each) and `_label`: a waiver for one label of an input is for no other.

        Returns:
            (records,) bool.
        """
        import numpy as np
        import pyarrow.compute as pc

        if not waivable(rule):
            return np.zeros(records.num_rows, dtype=bool)
        if self.whole(rule, batch) is not None:
            return np.ones(records.num_rows, dtype=bool)
        if rule not in self._keys or not records.num_rows:
            return np.zeros(records.num_rows, dtype=bool)
        found = np.zeros(records.num_rows, dtype=bool)
        for labelled, known in zip((True, False), self._keys[rule], strict=True):
            if len(known):
                found |= pc.is_in(waiver_keys(records, labelled), value_set=known).to_numpy(zero_copy_only=False)
        return found

    def rules(self) -> frozenset[str]:
        """Every rule that some waiver is about: the others need not be asked."""
        return frozenset(self._keys) | {waiver.rule for waiver in self.waivers}

    def describe(self, rule: str, batch: str, waived: int | None = None) -> str:
        """A sentence for the verdict on `batch`: who waived `rule` and why. "" where it is not waived.

        Args:
            waived: how many records of the batch it let through, where that is known.
        """
        found = [w for w in self.waivers if w.rule == rule and (not w.whole or w.batch in ("", batch))]
        if (whole := self.whole(rule, batch)) is not None:
            text = whole.sentence()
        elif rule in RETURN_RULES and batch in self._returned:
            return "not asked of a batch of returned records"
        elif not found:
            return ""
        elif len(found) == 1:
            text = found[0].sentence()
        else:
            people = sorted({w.who for w in found})
            named = ", ".join(people[:3]) + (f" and {len(people) - 3} more" if len(people) > 3 else "")
            numbers = ", ".join(str(w.position) for w in found[:5]) + ("…" if len(found) > 5 else "")
            text = f"{rule!r} is waived by {named} for single records (decisions {numbers})"
        return text if waived is None else f"{text}; {waived:,} records of this batch pass because of it"


def waiver_keys(records: pa.Table, labelled: bool = True) -> pa.Array:
    """Id and label of each record as bytes (the id alone where not `labelled`), to look records up by.

    Args:
        records: columns id (64 hex digits) and label, or `_id` (32 bytes each) and `_label`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    packed, binary = "_id" in records.column_names, pa.binary()
    given = records["_id" if packed else "id"]
    ids = given if packed else pa.chunked_array([pa.array(map(bytes.fromhex, given.to_pylist()), binary)])
    raw = pa.concat_arrays([pa.array([], binary), *ids.cast(binary).chunks])
    if not labelled:
        return raw
    texts = records["_label" if packed else "label"].fill_null("").cast(binary)
    labels = pa.concat_arrays([pa.array([], binary), *texts.chunks])
    return pc.binary_join_element_wise(raw, labels, pa.scalar(b"", binary))


def decisions_journal(line: LineStore) -> Journal[Decision]:
    """Every decision of the line, in the order in which they were made."""
    return Journal(line.store, layout.decisions(line.name), Decision)


def waivable(rule: str) -> bool:
    """Whether people may waive a rule; not one without which a record cannot be trained on."""
    return rule not in STRUCTURAL and not (rule.startswith("every cell of ") and rule.endswith(" has a value"))


def moment(seconds: Any) -> str:
    """Seconds since 1970 as "2026-11-24 06:06 UTC"."""
    return f"{datetime.datetime.fromtimestamp(float(seconds), datetime.UTC):%Y-%m-%d %H:%M} UTC"


def end_of_day(text: str) -> float:
    """The end of a day (UTC) like "2027-01-31", or a moment like "2027-01-31T12:00", as seconds since 1970.

    Raises:
        ValueError: it is neither.
    """
    end = datetime.datetime.fromisoformat(text)
    if len(text) <= len("2027-01-31"):
        end += datetime.timedelta(days=1) - datetime.timedelta(seconds=1)
    return end.replace(tzinfo=end.tzinfo or datetime.UTC).timestamp()
