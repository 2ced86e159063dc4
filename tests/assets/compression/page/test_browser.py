"""A search's page in Chromium: read on a phone and in the dark, printed; nothing runs, nothing is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from assets.compression.documents import Recipe
from assets.compression.page import make_page
from tests.assets.compression.page.made_searches import made_candidate, made_choice, made_found, made_layers
from tests.assets.compression.page.test_make import ALL, BUDGET, ENGINES, EVIL, LONG
from tests.assets.quality.report.test_browser import FLAGS, MIXED, show

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A choice, and a search with long and hostile names where nothing fits."""
    folder = tmp_path_factory.mktemp("pages")
    found = made_found()
    chosen = make_page(found, made_choice(found, "pruned-0.3-cost-int8"), "", ALL, ENGINES, budget=BUDGET, linked=True)
    layers = made_layers(30, LONG + "{}")
    labels = tuple(f"{at}{LONG}" for at in range(10))
    names = (EVIL, LONG)
    evil = [
        made_candidate(name, Recipe(floats=(LONG, EVIL)), drop=0.03, layers=layers, labels=labels, size=10**7 + at)
        for at, name in enumerate(names)
    ]
    hard = made_found(evil, line=LONG, labels=labels, note=EVIL, metric="accuracy")
    misses = [f"  {name}: {LONG}" for name in names]
    why = "\n".join([f"line {LONG!r}: none of 2 fits; nearest first:", *misses, f"  {EVIL}"])
    made = {"chosen": chosen, "hostile": make_page(hard, None, why, ALL, {LONG: ENGINES["rtx-sm86"]}, budget=BUDGET)}
    for name, page in made.items():
        (folder / f"{name}.html").write_bytes(page)
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("kind", ["chosen", "hostile"])
def test_it_can_be_read_and_nothing_runs(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    for width, scheme in ((360, "light"), (1280, "dark")):
        page, asked, trouble = show(browser, pages[kind], viewport={"width": width, "height": 900}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(MIXED) == []
        assert page.title() != "owned"
        assert trouble == []
        assert asked == [pages[kind].as_uri()]
        if kind == "hostile":
            assert EVIL in page.inner_text("main")
        assert page.evaluate(OVERLAPS) == []
        page.context.close()


def test_it_can_be_printed(browser: Browser, pages: dict[str, Path]) -> None:
    page, _, _ = show(browser, pages["chosen"], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate(MIXED) == []
    assert page.get_by_text("/layers/26/conv/Conv").is_visible()  # what is folded is unfolded
    page.context.close()


OVERLAPS = """() => {
  const bad = [];
  for (const svg of document.querySelectorAll('.plot > svg')) {
    const edge = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll('text.label')].map(node => [node.textContent, node.getBoundingClientRect()]);
    boxes.forEach(([name, a], at) => {
      if (a.right > edge.right + 1 || a.left < edge.left - 1) bad.push(name + ' leaves the plot');
      for (const [other, b] of boxes.slice(0, at)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const up = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && up > .3 * Math.min(a.height, b.height)) bad.push(name + ' over ' + other);
      }
    });
  }
  return bad;
}"""
"""Labels, as they are really drawn, that lie over each other or outside."""
