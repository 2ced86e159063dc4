"""The page of a line and the page over all lines."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from assets.quality.report import write_indexes
from assets.records.batch import Landing
from assets.records.line_store import BoundLine, LineStore, bind
from assets.records.verdict import BatchVerdict
from assets.storage import layout
from assets.storage.store import Store
from edge.contracts import to_bytes
from tests.assets.quality.report.conftest import MakeBatch, make_line
from tests.assets.quality.report.test_page import EVIL, Page, check_harmless


def remember(line: BoundLine, number: int, verdict: BatchVerdict | None) -> str:
    """Land a batch, and keep a verdict on it."""
    batch = hashlib.sha256(f"{line.name}{number}".encode()).hexdigest()
    line.landings().append(Landing(batch, f"drop{number}", 1.79e9 + number * 3600))
    if verdict is not None:
        kept = replace(verdict, line=line.name, batch=batch)
        line.store.write(layout.verdict(line.name, batch), to_bytes(kept))
    return batch


def test_history_newest_first_with_bars_and_drift(tmp_path: Path, make_batch: MakeBatch) -> None:
    store, line = Store(str(tmp_path / "home")), make_line("pictures", description=EVIL)
    verdict = make_batch("pictures", 20).contents().verdict
    first = remember(bind(store, line), 0, replace(verdict, drift=0.05))
    blocked = replace(verdict, state="blocked", why=f"Blocked: {EVIL}", accepted=0, new=0, quarantined=20, drift=0.7)
    second = remember(bind(store, line), 1, blocked)
    waiting = remember(bind(store, line), 2, None)
    LineStore(store, line.name).landings().append(Landing(first, "again", 1.8e9))
    write_indexes(bind(store, line))
    text = store.read("reports/pictures/index.html").decode()
    page = Page(text)
    check_harmless(page)
    assert EVIL in page.words
    assert page.words.index(waiting[:8]) < page.words.index(second[:8]) < page.words.index(first[:8])
    assert [link for link in page.links if link.endswith("/index.html")][1:] == [
        f"{second}/index.html",
        f"{first}/index.html",
    ]
    assert "The last 2 batches" in page.words
    assert "drift 0.70" in page.words
    assert text.count('class="held"') == 2


def test_the_page_over_all_lines_knows_the_others(tmp_path: Path, make_batch: MakeBatch) -> None:
    store = Store(str(tmp_path / "home"))
    for kind in ("pictures", "rows"):
        line = make_line(kind)
        remember(bind(store, line), 0, make_batch(kind, 20).contents().verdict)
        remember(bind(store, line), 1, make_batch(kind, 20).contents().verdict)
        write_indexes(bind(store, line))
    page = Page(store.read("reports/index.html").decode())
    check_harmless(page)
    assert page.links == ["pictures/index.html", "rows/index.html"]
    assert page.words.count("2 batches") == 2
    assert page.words.count("accepted") >= 2


def test_a_line_without_batches(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "home"))
    write_indexes(bind(store, make_line("rows")))
    assert "No batch has landed yet" in store.read("reports/rows/index.html").decode()
