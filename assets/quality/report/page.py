"""One batch's page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.quality.decide import GOOD, explained
from assets.quality.drift.profile import LABEL
from assets.quality.redaction import HIDDEN, hidden_columns
from assets.quality.report.charts import Chart, chart
from assets.quality.report.data import ReportData
from assets.quality.report.found import groups_of, rows_of
from assets.quality.report.records import Records, Shown
from assets.quality.report.words import cut, environment
from assets.quality.rule import Rule
from assets.records.reason import Reason
from assets.records.verdict import BLOCKED_REMEDY, CheckOutcome

MAX_CHECKS = 300
MAX_SHOWN_RULES = 20
MAX_SAMPLES = 6
MAX_REFUSED = 50
MAX_IGNORED = 50
MAX_CHARTS = 40
MAX_OPEN_CHARTS = 12
MAX_DRIFT_ROWS = 60
MAX_CLASSES = 40
MAX_GRID = 18
MAX_ROWS = 8
_FOLDERS = re.compile(r"(?:/[\w.@-]+){2,}/")
"""Folders of this machine, as errors of libraries name them."""
_SEALED_REMEDY = "look at the record on the review page, which unseals it; or correct the source and land it again"
_REMEDY = "look at the record in its file; its value is private and shown nowhere"


@dataclass(frozen=True)
class Sample:
    """A record that breaks a check, and why ("" where the check itself says it all)."""

    record: Shown
    reason: str


@dataclass(frozen=True)
class Failed:
    """A check that does not hold, with some of the records that break it; `more` are left out.

    `remedies` are what to do, each said once; `marked` are the columns it is about.
    """

    check: CheckOutcome
    samples: tuple[Sample, ...]
    remedies: tuple[str, ...]
    columns: tuple[str, ...]
    marked: tuple[str, ...]
    total: int
    more: int


def batch_page(contents: ReportData) -> str:
    """The HTML page of one batch; bounded in size, about 1 MB at most."""
    verdict, data = contents.verdict, contents.line.config.data
    rows_by_rule, totals = _rows_by_rule(contents)
    good = _good_rows(contents)
    wanted = [row for rows in rows_by_rule.values() for row in rows]
    records = Records(contents.spool, data, [*wanted, *rows_of(contents.findings), *good])
    failed, broke, passed = _checks(contents, records, rows_by_rule, totals)
    private = hidden_columns(data)
    pairs, suspects, notes = groups_of(contents.findings, records, contents.other_input, "_label" in private)
    charts, labels = _charts(contents)
    place_hidden = frozenset[str]() if data.privacy.encrypt else private  # refusals of those came without values
    refused = [reason for reason in contents.reasons if reason.outcome == "refused"]
    samples = [shown for row in good if (shown := records.show(row)) is not None]
    return (
        environment()
        .get_template("batch.html")
        .render(
            line=contents.line.name,
            description=cut(contents.line.config.description),
            verdict=verdict,
            accepted=verdict.state == "accepted",
            good=len(contents.decision.good),
            blocked=[cut(text) for text in contents.decision.blocked[:MAX_ROWS]],
            blocked_remedy=BLOCKED_REMEDY,
            failed=failed[:MAX_CHECKS],
            broke=broke[:MAX_CHECKS],
            passed=passed[:MAX_CHECKS],
            checks_more=sum(max(0, len(part) - MAX_CHECKS) for part in (failed, broke, passed)),
            kind=records.kind,
            sealed=data.privacy.encrypt,
            columns=records.columns(),
            samples=samples,
            charts=charts[:MAX_OPEN_CHARTS],
            charts_more=charts[MAX_OPEN_CHARTS:MAX_CHARTS],
            charts_left=max(0, len(charts) - MAX_CHARTS),
            labels=labels,
            reference=contents.reference.records if contents.reference else 0,
            drift=contents.drift,
            drift_rows=contents.drift.features[:MAX_DRIFT_ROWS] if contents.drift else (),
            drift_left=max(0, len(contents.drift.features) - MAX_DRIFT_ROWS) if contents.drift else 0,
            policy=contents.line.config.quality.drift,
            pairs=pairs,
            suspects=suspects,
            notes=notes,
            refused=[_short(reason, place_hidden) for reason in refused[:MAX_REFUSED]],
            held=sorted(totals.items(), key=lambda item: -item[1]),
            held_good=verdict.quarantined - sum(totals.values()),
            ignored=[_short(reason, private) for reason in contents.ignored[:MAX_IGNORED]],
            ignored_count=contents.ignored_count,
        )
    )


def _rows_by_rule(contents: ReportData) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Rule to its first bad records, and to how many it set aside; where it set none aside itself (a
    warning; records that broke another rule first), the first that a check marked."""
    decision = contents.decision
    bad = decision.bad
    codes = decision.broken[bad]
    order = np.argsort(codes, kind="stable")
    met, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    rows: dict[str, list[int]] = {}
    totals: dict[str, int] = {}
    for code, start, count in zip(met.tolist(), starts.tolist(), counts.tolist(), strict=True):
        name = decision.rules[code].name
        totals[name] = count
        rows[name] = bad[order[start : start + min(count, MAX_SAMPLES)]].tolist()
    shown = dict(sorted(rows.items(), key=lambda item: -totals[item[0]])[:MAX_SHOWN_RULES])
    outcome = {check.name: check.outcome for check in decision.checks}
    for rule in decision.rules:
        marked = next((contents.derived[name] for name in rule.columns if name in contents.derived), None)
        failed = outcome.get(rule.name) == "failed"
        if failed and marked is not None and len(shown) < MAX_SHOWN_RULES + 8:
            shown.setdefault(rule.name, marked.rows[:MAX_SAMPLES].tolist())
    return shown, totals


def _good_rows(contents: ReportData) -> list[int]:
    """Some good records: evenly from all over the batch, so that every class has its chance."""
    data = contents.line.config.data
    most = MAX_GRID if data.image else MAX_ROWS
    if data.privacy.encrypt:
        return []
    good: NDArray[np.int64] = contents.decision.good
    return (
        good[np.unique(np.linspace(0, len(good) - 1, min(most, len(good))).astype(np.int64))].tolist()
        if len(good)
        else []
    )


def _checks(
    contents: ReportData, records: Records, rows_by_rule: dict[str, list[int]], totals: dict[str, int]
) -> tuple[list[Failed], list[CheckOutcome], list[CheckOutcome]]:
    """Checks that failed (critical ones first), that broke, and that hold."""
    rules = {rule.name: rule for rule in contents.decision.rules}
    reasons = _reasons(contents, rows_by_rule, rules)
    failed, broke, passed = [], [], []
    for check in contents.decision.checks:
        short = replace(check, detail=cut(check.detail), name=cut(check.name, 200))
        if check.outcome == "errored":
            broke.append(replace(short, detail=_FOLDERS.sub("…/", short.detail)))
        elif check.outcome == "passed":
            passed.append(short)
        else:
            rows, total = rows_by_rule.get(check.name, []), totals.get(check.name, 0)
            failed.append(_failed(short, rules.get(check.name), rows, records, reasons, total))
    failed.sort(key=lambda item: item.check.severity != "critical")
    broke.sort(key=lambda item: item.severity != "critical")
    return failed, broke, passed


def _failed(
    check: CheckOutcome,
    rule: Rule | None,
    rows: Sequence[int],
    records: Records,
    reasons: dict[tuple[str, int], Reason],
    total: int,
) -> Failed:
    about = rule.columns if rule else ()
    columns = records.columns(about)
    samples = []
    remedies: dict[str, None] = {}
    for row in rows:
        shown, reason = records.show(row), reasons.get((rule.name if rule else "", row))
        if shown is not None:
            samples.append(Sample(shown, cut(reason.reason) if reason else ""))
            remedies.update({cut(reason.remedy): None} if reason else {})
    marked = tuple(name for name in about if name in columns)
    more = max(0, total - len(samples))
    return Failed(check, tuple(samples), tuple(remedies), tuple(columns), marked, total, more)


def _reasons(
    contents: ReportData, rows_by_rule: dict[str, list[int]], rules: dict[str, Rule]
) -> dict[tuple[str, int], Reason]:
    """Why each sampled record breaks its check, without values of private columns."""
    decision, data = contents.decision, contents.line.config.data
    private = hidden_columns(data)
    places = {rule.name: at for at, rule in enumerate(decision.rules)}
    found: dict[tuple[str, int], Reason] = {}
    for name, rows in rows_by_rule.items():
        rule = rules[name]
        if rule.explain is None:
            continue
        asked = np.asarray(sorted(rows), dtype=np.int64)
        broken = np.full(len(decision.broken), GOOD, dtype=np.int16)
        broken[asked] = places[name]  # a record may break a warning, and nothing or another rule besides
        told = explained(contents.spool, contents.derived, replace(decision, broken=broken), asked, data)
        hidden = bool(private & {*rule.columns, *rule.needs})
        for row, (_, reason) in zip(asked.tolist(), told, strict=True):
            if data.privacy.encrypt:
                reason = replace(reason, reason="", remedy=_SEALED_REMEDY)  # noqa: PLW2901
            elif hidden:
                reason = replace(reason, reason=f"it breaks “{name}” {HIDDEN}", remedy=_REMEDY)  # noqa: PLW2901
            found[name, row] = reason
    return found


def _short(reason: Reason, private: frozenset[str]) -> Reason:
    """A reason as it is shown; one about a private column says where, not what."""
    hidden = any(reason.place.endswith(f"column {name}") for name in private)
    return replace(
        reason,
        file=cut(reason.file, 160),
        place=cut(reason.place, 120),
        reason=f"its value is wrong {HIDDEN}" if hidden else cut(reason.reason),
        remedy=_REMEDY if hidden else cut(reason.remedy),
    )


def _charts(contents: ReportData) -> tuple[list[Chart], Chart | None]:
    """Every feature's distribution, drifted ones first, and the label's."""
    if contents.profile is None:
        return [], None
    known: dict[str, Any] = contents.reference.by_name if contents.reference else {}
    moved = {item.name: item for item in contents.drift.features} if contents.drift else {}
    features = list(contents.profile.features)
    if contents.drift:
        features.sort(key=lambda item: (not (item.name in moved and moved[item.name].drifted), item.name not in moved))
    made = [
        chart(item, known.get(item.name), moved.get(item.name))
        for item in features[: MAX_CHARTS + 1]
        if item.name != LABEL
    ]
    made.sort(key=lambda item: (not item.drifted, len(item.bars) == 1))  # one value alone tells little
    label = contents.profile.by_name.get(LABEL)
    labels = (
        chart(label, known.get(LABEL), moved.get(LABEL), MAX_CLASSES) if label is not None and label.values else None
    )
    return made, labels
