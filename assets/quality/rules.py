"""The rules of a line's gate: plain data, from its contract and its user's expectations, run by `rulings.py`."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from assets.errors import RejectedError
from assets.ingest.inspection.spellings import signs_of
from assets.line.config import Line, LineConfig
from assets.line.data import DataContract
from assets.line.quality import Severity
from assets.quality.columns import target_column
from assets.quality.rule import Rule, null_rule, short
from assets.quality.rules_by_kind import kind_rules
from assets.quality.user_expectations import user_rule
from assets.readers.cells import BEYOND
from assets.records.verdict import BatchVerdict
from assets.review.documents import RELABELLED

COPIES = "every record is in the batch once"
APART = "no input is in two splits"
SET_ASIDE = (COPIES, APART)
"""Rules that are asked last, of records that break no other; nothing is wrong with what they set aside."""


def rules_of(config: LineConfig) -> list[Rule]:
    """Every rule of a line's gate, in the order in which a record's first broken rule gives its reason."""
    data = config.data
    rules = [*_label_rules(data), *kind_rules(data)]
    rules += [user_rule(expectation, data) for expectation in config.quality.expectations]
    return [*rules, *_identity_rules(config), *_batch_rules(config)]


def refuse_unknown(rule: str, line: Line, verdicts: Iterable[BatchVerdict]) -> None:
    """Raise RejectedError for a rule that neither the line has nor a batch was judged by: waiving it waives nothing."""
    known = {found.name for found in rules_of(line.config)}
    known |= {check.name for verdict in verdicts for check in verdict.checks}
    if rule not in known:
        near = difflib.get_close_matches(rule, sorted(known), 1, 0.4)
        hint = f"is {near[0]!r} meant?" if near else f"`edgeloop quarantine list {line.name}` shows their names"
        raise RejectedError(f"line {line.name!r} has no rule {rule!r}; {hint}")


def _label_rules(data: DataContract) -> Iterator[Rule]:
    what = "label" if data.classes else "number to predict"
    yield Rule(
        f"every record has a {what}",
        f"A record without a {what} teaches nothing.",
        "ExpectColumnValuesToNotBeNull",
        {"column": "_label"},
        explain=partial(_explain_no_label, data),
        needs=("_notes",),
    )
    if data.classes:
        yield Rule(
            "every label is a class of the line",
            f"The line knows {len(data.classes)} classes: {_some(data.classes)}.",
            "ExpectColumnValuesToBeInSet",
            {"column": "_label", "value_set": list(data.classes)},
            explain=lambda row: _explain_label(str(row["_label"]), data),
        )


def _identity_rules(config: LineConfig) -> Iterator[Rule]:
    quality = config.quality
    yield null_rule(
        "no record was forgotten on request",
        "What somebody asked to be forgotten does not come back.",
        "_forgotten",
        lambda row: (f"it was forgotten on request on {row['_forgotten']}", "leave it out of the source"),
        "critical",
    )
    if config.conflicts != "off":
        severity: Severity = "critical" if config.conflicts == "quarantine" else "warning"
        yield null_rule(
            "no record has two labels in the batch",
            "The same input under two labels: nobody can say which is true.",
            "_conflict",
            lambda row: (
                f"the same input is in this batch as {row['_conflict']}",
                "find out which label is true, and land it in a new batch under that one only",
            ),
            severity,
            "_label",
        )
        yield null_rule(
            RELABELLED,
            "Records that earlier batches had accepted keep their label, unless it is corrected.",
            "_relabelled",
            lambda row: (
                f"it comes as {row['_label']!r}, but was accepted before as {row['_relabelled']!r}",
                "if the new one is true, accept it in review, or land the corrected records with --corrections",
            ),
            severity,
            "_label",
        )
    if quality.leakage != "off":
        yield null_rule(
            "no train record is almost a validation or test record",
            "A model that has seen what it is tested on looks better than it is.",
            "_leak",
            lambda row: (
                f"it is almost the same as {row['_leak']}, on which models are judged",
                "leave one of them out",
            ),
            "critical" if quality.leakage == "quarantine" else "warning",
        )
    if quality.near_duplicates != "off":
        yield null_rule(
            "no record is almost another one",
            "Many almost equal records weigh more than they teach.",
            "_near",
            lambda row: (f"it is almost the same as {row['_near']}", "keep one of them"),
            "critical" if quality.near_duplicates == "quarantine" else "warning",
        )
    if quality.label_suspects != "off" and config.data.classes:
        yield null_rule(
            "no label looks wrong",
            "A model that never saw the record is sure of another class.",
            "_suspect",
            lambda row: (
                f"it is labelled {row['_label']!r}, but looks like {row['_suspect']!r}",
                "look at it: correct the label, or accept it as it is",
            ),
            "critical" if quality.label_suspects == "quarantine" else "warning",
            "_label",
        )
    if config.copies == "once":
        yield null_rule(
            COPIES,
            "Of exact copies one is kept; the others do not count as bad records.",
            "_copy_of",
            lambda row: (f"it is an exact copy of {row['_copy_of']}", "nothing to do: one of them is kept"),
            "critical",
        )
    if quality.leakage != "off":
        yield null_rule(
            APART,
            "Equal inputs are in one split; those in another are set aside, and do not count as bad records.",
            "_other_split",
            lambda row: (
                f"its input is also {row['_other_split']}",
                "declare one split for all records of an input, or let splits be drawn",
            ),
            "critical" if quality.leakage == "quarantine" else "warning",
        )


def _batch_rules(config: LineConfig) -> Iterator[Rule]:
    yield Rule(
        "the batch has enough records",
        f"At least {config.quality.min_records:,} (quality.min_records).",
        "ExpectTableRowCountToBeBetween",
        {"min_value": config.quality.min_records},
    )
    yield Rule(
        "every split is a split",
        "A declared split is train, validation or test.",
        "ExpectColumnDistinctValuesToBeInSet",
        {"column": "_split", "value_set": ["train", "validation", "test"]},
    )
    if config.data.classes:
        yield Rule(
            "every class is in the batch",
            "A class that is missing may have been forgotten.",
            "ExpectColumnDistinctValuesToContainSet",
            {"column": "_label", "value_set": list(config.data.classes)},
            severity="warning",
        )
    yield Rule(
        "every record is new",
        "Records that were accepted before add nothing.",
        "ExpectColumnValuesToBeNull",
        {"column": "_known_label"},
        severity="warning",
    )


def _explain_no_label(data: DataContract, row: Mapping[str, Any]) -> tuple[str, str]:
    note = (row["_notes"] or {}).get(target_column(data) or "target")
    remedy = "scale the target" if BEYOND in (note or "") else "fill it in"
    return note or f"the {'label' if data.classes else 'number to predict'} is missing", remedy


def _folded(label: str) -> str:
    """A label without what the eye does not tell apart: case, spaces around it, wide forms, characters of no width."""
    plain = unicodedata.normalize("NFKC", label)
    return "".join(sign for sign in plain if not unicodedata.category(sign).startswith("C")).strip().casefold()


def _explain_label(label: str, data: DataContract) -> tuple[str, str]:
    where = "folder" if data.form == "files" else "cell"
    simple = {_folded(name): name for name in data.classes}
    key = _folded(label).removesuffix(".0")
    alike = [name for name in simple if signs_of(name) == signs_of(key)]  # another sign or digit is another class
    near = simple.get(key) or next(iter(difflib.get_close_matches(key[:80], alike, 1, 0.8)), None)
    near = simple.get(near, near) if near else None
    remedy = (
        f"if {near!r} is meant, write it so, or name it in data.aliases"
        if near
        else f"correct the {where}, or add it to the line's data.classes, and land these records as a new batch"
    )
    return f"{short(label)} is not a class of this line ({_some(data.classes)})", remedy


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f", … {len(names) - 10} more" if len(names) > 10 else "")
