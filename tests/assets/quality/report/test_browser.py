"""The pages in Chromium: hostile data does nothing, a phone need not scroll sideways, dark mode can be read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from assets.quality.report import batch_page, gx_page
from tests.assets.quality.report.conftest import BATCH, MakeBatch
from tests.assets.quality.report.test_page import EVIL, KINDS, poison

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]
CONTRAST = """() => {
  const light = c => { const v = c.map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const ground = node => { for (; node; node = node.parentElement) {
    const c = parts(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] === 1) return c.slice(0, 3); }
    return [255, 255, 255]; };
  const bad = [];
  for (const node of document.querySelectorAll('main *')) {
    const own = [...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !node.offsetParent || node.closest('svg')) continue;
    const style = getComputedStyle(node), a = light(parts(style.color).slice(0, 3)), b = light(ground(node));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(node.className + ' ' + node.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return bad;
}"""
MIXED = CONTRAST.replace(
    "text.match(/[\\d.]+/g).map(Number)",
    "text.match(/[\\d.]+/g).map((n, at) => Number(n) * (text.startsWith('color(srgb') && at < 3 ? 255 : 1))",
)
"""Colours that are mixed come as shares of 1."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def show(browser: Browser, path: Path, **settings: Any) -> tuple[Page, list[str], list[str]]:
    """A page from disk, what it asked for, and what it said or did that it must not."""
    context = browser.new_context(locale="en-US", **settings)
    page = context.new_page()
    asked: list[str] = []
    trouble: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(path.as_uri())
    return page, asked, trouble


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_data_does_nothing(browser: Browser, make_batch: MakeBatch, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "index.html"
    path.write_text(batch_page(poison(make_batch(kind, 40, before=120)).contents()))
    page, asked, trouble = show(browser, path, viewport={"width": 390, "height": 844})
    page.wait_for_load_state("networkidle")
    assert trouble == []
    assert [url for url in asked if not url.startswith("data:image/")] == [path.as_uri()]
    assert EVIL in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for image in page.locator("img").all():
        assert image.evaluate("node => node.naturalWidth > 0")
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["pictures", "rows"])
def test_every_word_can_be_read(
    browser: Browser, make_batch: MakeBatch, tmp_path: Path, kind: str, scheme: str
) -> None:
    path = tmp_path / "index.html"
    path.write_text(batch_page(poison(make_batch(kind, 400, before=400, shift=20)).contents()))
    page, _, _ = show(browser, path, viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 26)"
    assert dark == (scheme == "dark")
    page.context.close()


def test_print_is_dark_on_white_with_everything_unfolded(
    browser: Browser, make_batch: MakeBatch, tmp_path: Path
) -> None:
    path = tmp_path / "index.html"
    path.write_text(batch_page(poison(make_batch("rows", 60)).contents()))
    page, _, _ = show(browser, path, color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.get_by_text("What somebody asked to be forgotten").is_visible()
    page.context.close()


def test_it_can_be_read_without_javascript(browser: Browser, make_batch: MakeBatch, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(batch_page(poison(make_batch("texts", 40)).contents()))
    page, _, _ = show(browser, path, java_script_enabled=False)
    assert page.get_by_role("heading", level=1).inner_text() == "This batch was blocked"
    page.get_by_text("checks hold").click()
    assert page.get_by_text("The line knows 2 classes").first.is_visible()
    page.context.close()


def test_the_suite_page_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    config = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": EVIL * 3}, "meta": {}}
    result = {
        "success": True,
        "expectation_config": config,
        "result": {},
        "exception_info": {"raised_exception": False},
    }
    path = tmp_path / "suite.html"
    path.write_text(gx_page([result], "pets", BATCH))
    page, asked, trouble = show(browser, path, viewport={"width": 390, "height": 844})
    assert trouble == []
    assert asked == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.context.close()
