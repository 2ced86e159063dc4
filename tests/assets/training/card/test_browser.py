"""The card and the live page in Chromium: readable on a phone and in the dark, nothing runs, nothing is fetched."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, sync_playwright

from assets.fitting.contract import Progress
from assets.records.line_store import LineStore
from assets.storage import layout
from assets.storage.store import Store
from assets.training.card import make_card
from assets.training.progress.live import Live, live_page
from assets.training.progress.watch import RunWatch
from platform_defs.web.serve import Server, report_app
from tests.assets.quality.report.test_browser import FLAGS, MIXED, show
from tests.assets.training.card.made_cards import make_case
from tests.assets.training.card.test_make import poisoned

CHROMIUM = shutil.which("chromium")
EVIL = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A card of pictures, one of texts with hostile names, one of numbers, and a live page."""
    folder = tmp_path_factory.mktemp("pages")
    torch.set_num_threads(1)
    store = Store(str(folder / "home"))
    made = {}
    for kind in ("pictures", "texts", "numbers"):
        case = make_case(kind, store)
        case = poisoned(case) if kind == "texts" else case
        key = make_card(replace(case, store=store).facts(notes=(EVIL,)))
        made[kind] = folder / f"{kind}.html"
        made[kind].write_bytes(store.read(key))
    rows = tuple(
        {"epoch": float(e), "train_loss": 2 / e, "validation_loss": 2.2 / e, "validation_accuracy": 1 - 0.5 / e}
        for e in range(1, 9)
    )
    progress = Progress(9, 20, 430, 1000, 1240.0, 71.0)
    live = Live(
        "digits",
        "run",
        "accuracy",
        rows=rows,
        progress=progress,
        loss=0.31,
        notes=(EVIL,),
        said=1.7e9,
        began=1.7e9 - 60,
    )
    made["live"] = folder / "live.html"
    made["live"].write_text(live_page(live))
    return made


@pytest.mark.parametrize("kind", ["pictures", "texts", "numbers", "live"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_nothing_runs(browser: Browser, pages: dict[str, Path], kind: str, scheme: str) -> None:
    for width in (390, 1280):
        settings = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        page, asked, trouble = show(browser, pages[kind], **settings)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(MIXED) == []
        assert page.title() != "owned"
        assert page.locator("img[src=x]").count() == 0
        assert EVIL in page.inner_text("main")
        assert trouble == []
        own = pages[kind].as_uri()
        assert {url for url in asked if not url.startswith("data:image/")} == {own}
        for picture in page.locator("img").all():
            assert picture.evaluate("node => node.naturalWidth > 0")
        assert page.locator(".plot > svg text").first.evaluate("node => node.getBoundingClientRect().height") >= 9
        page.context.close()


def test_the_live_page_asks_for_itself_again(browser: Browser, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(report_app(store, [])))
        context = browser.new_context(locale="en-US", java_script_enabled=False)
        stack.callback(context.close)
        page = context.new_page()
        with RunWatch(LineStore(store, "digits"), "run-1", report=lambda text: None, metric="accuracy") as watch:
            watch.progress(Progress(9, 20, 430, 1000, 1240.0, 71.0), 0.31)
            deadline = time.monotonic() + 120
            while not store.exists(layout.training_page("digits", "run-1")) and time.monotonic() < deadline:
                time.sleep(0.02)
            page.goto(f"{server.url}/digits/training/run-1.html")
            page.get_by_text("About 1 min 10 s left").wait_for(timeout=120_000)  # it may be the page before, at first
            watch.done("reports/digits/models/x.html")
        page.get_by_role("link", name="Open the model card").wait_for(timeout=120_000)


def test_the_card_can_be_printed(browser: Browser, pages: dict[str, Path]) -> None:
    page, _, _ = show(browser, pages["pictures"], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate(MIXED) == []
    assert page.locator("summary").first.is_hidden()
    assert page.get_by_text("batch size", exact=True).is_visible()  # what is folded is unfolded
    page.context.close()
