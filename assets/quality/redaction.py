"""What is said of records whose values must not be shown: which check they break, and where they are.

Values of private columns are on no page, in no verdict and in no message; of encrypted records no value is, outside the
sealed files. Reviewers see encrypted records below /review/, which unseals them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from assets.line.data import DataContract
from assets.quality.columns import visible_columns
from assets.quality.rule import Rule
from assets.records.reason import Reason

if TYPE_CHECKING:
    from assets.quality.rulings import Ruling

HIDDEN = "(private)"
LABELS = ("_label", "_conflict", "_relabelled", "_known_label", "_suspect")
"""Columns that tell labels."""
_SHOWN = re.compile(r"['\"“].*['\"”]|\(.*\)|\d[\d.,]*", re.DOTALL)
"""What a reader quotes, what it says in brackets (messages of libraries), each from the first to the last; numbers."""
_BROKE = "the check itself broke; what it says may show hidden values, so it is left out"
_REVIEW = "look at it below /review/, or correct the source and land it again"


def hidden_columns(data: DataContract) -> frozenset[str]:
    """Every name, of visible, own and derived columns, whose values must not be shown."""
    visible, private = visible_columns(data), {*data.privacy.private, *data.privacy.pseudonymize}
    if data.privacy.encrypt:
        return frozenset({*visible, *visible.values(), *private, *LABELS})
    if data.text is not None and data.text.column in private:
        private.add("text")
    stored = {visible[name] for name in private if name in visible}
    same = {name for name, source in visible.items() if source in stored}
    return frozenset({*private, *stored, *same, *(LABELS if "_label" in stored else ())})


def without_values(reason: Reason, data: DataContract) -> Reason:
    """A refusal as it is kept: where records are encrypted its file, its place and the kind of trouble."""
    if not data.privacy.encrypt:
        return reason
    return replace(reason, reason=_SHOWN.sub("…", reason.reason), remedy=_SHOWN.sub("…", reason.remedy))


def without_label(rule: Rule, reason: Reason, data: DataContract) -> Reason:
    """Why a record was set aside, as it is stored with the record: without a label of a private column."""
    if data.privacy.encrypt or hidden_columns(data).isdisjoint({*LABELS} & {*rule.columns, *rule.needs}):
        return reason
    remedy = "look at the record in its file: its label is private and shown nowhere"
    return replace(reason, reason=f"it breaks “{rule.name}” {HIDDEN}", remedy=remedy)


def without_record(rule: Rule, reason: Reason, data: DataContract) -> Reason:
    """Why a record was set aside, as everybody may read it: where records are encrypted the check that it breaks."""
    if not data.privacy.encrypt:
        return reason
    return replace(reason, reason=f"it breaks “{rule.name}”; what it holds is encrypted", remedy=_REVIEW)


def quiet(ruling: Ruling, data: DataContract) -> Ruling:
    """The ruling without what was observed, and what an error says, in columns that must not be shown."""
    rule = ruling.rule
    about = not hidden_columns(data).isdisjoint((*rule.columns, *rule.needs))
    if ruling.outcome == "passed" or not (about or data.privacy.encrypt):
        return ruling
    if ruling.outcome == "errored":
        return replace(ruling, detail=_BROKE)
    observed = not rule.row_wise and not len(ruling.rows) and not ruling.detail.startswith("Missing: ")
    return replace(ruling, detail=rule.description) if observed else ruling
