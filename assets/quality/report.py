"""The pages for reviewers: one per batch, one per line, one over all. Static HTML with nothing fetched and no script.

Every value is escaped by the template engine: labels, file names, column names and cells come from strangers. Each page
is bounded in size, whatever the batch.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assets.ingest.contract import Record, landing_journal
from assets.line import Line
from assets.quality.contract import BLOCKED_REMEDY, BatchVerdict, CheckOutcome, Reason, read_verdict
from assets.quality.decide import Decision
from assets.quality.frame import input_column
from assets.quality.pictures import histogram, thumbnail
from assets.store import Store

MAX_PICTURES = 24
MAX_BAD = 100
MAX_COLUMNS = 40
MAX_BARS = 100
MAX_CHECKS = 400
MAX_HISTORY = 200
MAX_TEXT = 600
_OPEN_CHECKS = 12


@dataclass(frozen=True)
class _Bad:
    """A reason with the picture it is about; None where there is none to show."""

    reason: Reason
    picture: str | None


def batch_page(
    verdict: BatchVerdict,
    line: Line,
    records: Sequence[Record],
    decision: Decision,
    frame: pd.DataFrame,
    ignored: Sequence[Reason],
) -> str:
    """The HTML page of one batch.

    Args:
        records, decision, frame: as judged; `decision` holds positions in `records`.
        ignored: files that are no data.
    """
    data = line.config.data
    channels = data.image.channels if data.image else None
    good = Counter(records[position].label for position in decision.good)
    first, rest = _ordered(decision.checks)
    total = len(verdict.reasons)
    return (
        _environment()
        .get_template("batch.html")
        .render(
            line=line.name,
            description=line.config.description,
            verdict=verdict,
            blocked=[_cut(text) for text in decision.blocked],
            blocked_remedy=BLOCKED_REMEDY,
            checks_first=first,
            checks_rest=rest,
            bad=list(_bad(verdict, records, decision, channels)),
            bad_more=max(0, verdict.refused + len(decision.bad) - min(total, MAX_BAD)),
            bars=_bars(good, data.classes),
            bars_more=max(0, len(data.classes) - MAX_BARS),
            samples=_samples(records, decision.good, channels) if channels else [],
            columns=_columns(frame, decision.good, data.table.columns) if data.table else [],
            columns_more=max(0, len(data.table.columns) - MAX_COLUMNS) if data.table else 0,
            pictures=channels is not None,
            ignored=ignored[:MAX_BAD],
            ignored_count=len(ignored),
        )
    )


def write_indexes(store: Store, line: Line) -> None:
    """Write the line's page and the page over all lines anew, from what the store holds."""
    journal = landing_journal(store, line.name)
    last = journal.length()
    start = max(0, last - MAX_HISTORY)
    entries: dict[str, dict[str, Any]] = {}
    for _, landing in journal.after(start):
        if landing.batch in entries:
            continue
        verdict = read_verdict(store, line.name, landing.batch)
        entries[landing.batch] = {
            "batch": landing.batch,
            "landed": f"{datetime.datetime.fromtimestamp(landing.time, datetime.UTC):%Y-%m-%d %H:%M} UTC",
            "state": verdict.state if verdict else "waiting",
            "why": _cut(verdict.why) if verdict else "Not judged yet.",
            "link": f"{landing.batch}/index.html" if verdict else None,
        }
    page = (
        _environment()
        .get_template("line.html")
        .render(
            line=line.name,
            description=line.config.description,
            entries=list(reversed(entries.values())),
            more=start,
        )
    )
    store.write(f"reports/{line.name}/index.html", page.encode())
    lines = [name for name in store.names("reports") if name != "index.html"]
    store.write("reports/index.html", _environment().get_template("lines.html").render(lines=lines).encode())


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(Path(__file__).parent / "pages")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _ordered(checks: Sequence[CheckOutcome]) -> tuple[list[CheckOutcome], list[CheckOutcome]]:
    """Checks that do not hold first; those that hold are folded away behind them."""
    rank = {"failed": 0, "errored": 0, "passed": 1}
    ordered = sorted(
        (replace(check, detail=_cut(check.detail)) for check in checks),
        key=lambda check: (rank[check.outcome], check.severity != "critical"),
    )
    problems = sum(check.outcome != "passed" for check in ordered)
    split = problems or _OPEN_CHECKS
    return ordered[: min(split, MAX_CHECKS)], ordered[split : split + MAX_CHECKS]


def _bad(verdict: BatchVerdict, records: Sequence[Record], decision: Decision, channels: int | None) -> Iterator[_Bad]:
    content = {records[position].file: records[position].input for position in decision.bad} if channels else {}
    pictures = 0
    for reason in verdict.reasons[:MAX_BAD]:
        picture = None
        if channels and reason.file in content and pictures < MAX_PICTURES:
            picture = thumbnail(content[reason.file], channels)
            pictures += 1
        short = replace(reason, file=_cut(reason.file), reason=_cut(reason.reason), remedy=_cut(reason.remedy))
        yield _Bad(short, picture)


def _bars(counts: Counter[str], classes: Sequence[str]) -> list[dict[str, Any]]:
    most = max(counts.values(), default=1)
    return [
        {"name": _cut(name), "count": counts[name], "percent": f"{100 * counts[name] / most:.1f}"}
        for name in classes[:MAX_BARS]
    ]


def _samples(records: Sequence[Record], good: Sequence[int], channels: int) -> list[dict[str, str | None]]:
    """Good pictures, taken from each class in turn."""
    by_class: dict[str, list[int]] = {}
    for position in good:
        by_class.setdefault(records[position].label, []).append(position)
    turns = sorted((turn, label, position) for label, found in by_class.items() for turn, position in enumerate(found))
    chosen = [records[position] for _, _, position in turns[:MAX_PICTURES]]
    return [{"picture": thumbnail(record.input, channels), "label": record.label} for record in chosen]


def _columns(frame: pd.DataFrame, good: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
    columns = []
    for index, name in enumerate(names[:MAX_COLUMNS] if good else ()):
        values = frame[input_column(index)].to_numpy()[list(good)]
        low, median, high = (f"{value:.3g}" for value in np.quantile(values, (0, 0.5, 1)))
        columns.append({"name": name, "bars": histogram(values), "low": low, "median": median, "high": high})
    return columns


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
