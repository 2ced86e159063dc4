"""The page of a line, with its history, and the page over all lines: made anew from what the store holds."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from assets.quality.report.charts import polyline
from assets.quality.report.words import cut, environment
from assets.records.line_store import BoundLine, LineStore
from assets.storage import layout
from edge.contracts import document

MAX_HISTORY = 200
MAX_LINES = 200
MAX_BARS = 60
BAR_HEIGHT = 56


@document("edgeloop.batch_verdict")
@dataclass(frozen=True)
class Summary:
    """What the history shows of a `BatchVerdict`: the same document, without the thousands of reasons it may hold."""

    state: Literal["accepted", "blocked"]
    why: str
    seen: int
    accepted: int
    quarantined: int
    refused: int
    drift: float | None = None


@dataclass(frozen=True)
class Entry:
    """A landed batch; `verdict` is None until it is judged."""

    batch: str
    landed: str
    verdict: Summary | None

    @property
    def state(self) -> str:
        """What the pill says."""
        return self.verdict.state if self.verdict else "waiting"

    @property
    def why(self) -> str:
        """The verdict's reason."""
        return cut(self.verdict.why, 240) if self.verdict else "Not judged yet."


def write_indexes(line: BoundLine) -> None:
    """Write the line's page and the page over all lines anew, from what the store holds."""
    entries, more = _history(line, MAX_HISTORY)
    page = (
        environment()
        .get_template("line.html")
        .render(
            line=line.name,
            description=cut(line.config.description),
            entries=entries,
            more=more,
            models=line.config.model is not None,
            history=_bars(
                [entry.verdict for entry in reversed(entries) if entry.verdict], line.config.quality.drift.psi
            ),
        )
    )
    line.store.write(layout.line_page(line.name), page.encode())
    if line.config.model is not None:  # training and compression replace them
        empty = environment().get_template("models.html").render(line=line.name, entries=(), more=0)
        line.store.create(layout.cards(line.name), empty.encode())
        empty = environment().get_template("compressions.html").render(line=line.name, entries=(), more=0)
        line.store.create(layout.searches(line.name), empty.encode())
    names = [name for name in line.store.names(layout.REPORTS) if name != "index.html"]
    lines = []
    for name in names[:MAX_LINES]:
        newest, older = (
            (entries[:1], more + len(entries) - 1) if name == line.name else _history(LineStore(line.store, name), 1)
        )
        lines.append({"name": name, "newest": newest[0] if newest else None, "batches": older + len(newest)})
    page = environment().get_template("lines.html").render(lines=lines, more=max(0, len(names) - MAX_LINES))
    line.store.write(layout.LINES_PAGE, page.encode())


def _history(line: LineStore, most: int) -> tuple[list[Entry], int]:
    """The line's newest landings, newest first and each batch once, and how many are older."""
    journal = line.landings()
    start = max(0, journal.length() - most)
    entries: dict[str, Entry] = {}
    for _, landing in journal.after(start):
        if landing.batch not in entries:
            landed = f"{datetime.datetime.fromtimestamp(landing.time, datetime.UTC):%Y-%m-%d %H:%M} UTC"
            entries[landing.batch] = Entry(landing.batch, landed, _summary(line, landing.batch))
    return list(reversed(entries.values())), start


def _summary(line: LineStore, batch: str) -> Summary | None:
    try:
        return line.store.load(layout.verdict(line.name, batch), Summary)
    except FileNotFoundError:
        return None


def _bars(verdicts: Sequence[Summary], limit: float) -> dict[str, Any] | None:
    """The newest batches as stacked bars of accepted, quarantined and refused records, and their drift as a line."""
    shown = verdicts[-MAX_BARS:]
    if len(shown) < 2:
        return None
    bars = []
    for verdict in shown:
        heights = [count / max(verdict.seen, 1) * BAR_HEIGHT for count in (verdict.accepted, verdict.quarantined)]
        bars.append({"accepted": heights[0], "quarantined": heights[1], "refused": BAR_HEIGHT - sum(heights)})
    drifts = [verdict.drift for verdict in shown]
    known = [drift for drift in drifts if drift is not None]
    top = max([2 * limit, *(min(drift, 4 * limit) for drift in known)])
    return {
        "bars": bars,
        "count": len(bars),
        "drift": polyline(drifts, 10 * len(bars), BAR_HEIGHT, top) if known else "",
        "limit": BAR_HEIGHT - 2 - limit / top * (BAR_HEIGHT - 4),
        "most": max(known, default=0.0),
        "psi": limit,
    }
