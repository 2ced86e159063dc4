"""The report pages: everything escaped, nothing fetched, bounded in size."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assets.line import Line, parse_line
from assets.quality.contract import BatchVerdict
from assets.quality.judge import judge
from assets.quality.pictures import histogram, thumbnail
from assets.store import Store

EVIL = "<script>alert(1)</script>"
Land = Callable[[Line, dict[str, bytes]], str]


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += data


def page_of(store: Store, verdict: BatchVerdict) -> Page:
    return Page(store.read(verdict.report).decode())


def check_harmless(page: Page) -> None:
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "form", "base"}
    for link in page.links:
        assert link.startswith("data:image/png;base64,") or re.fullmatch(r"[./\w-]+/?index\.html", link), link


def test_everything_from_data_is_escaped(store: Store, pictures: Line, put: Land, good: dict[str, bytes]) -> None:
    name = EVIL.replace("/", ":")
    files = {**good, f"{name}/1.png": good["cat/1.png"], f"cat/{name}.png": b"junk"}
    page = page_of(store, judge(store, pictures, put(pictures, files)))
    check_harmless(page)
    assert name in page.words
    check_harmless(Page(store.read("reports/pets/index.html").decode()))
    check_harmless(Page(store.read("reports/index.html").decode()))


def test_column_names_classes_and_cells_are_escaped(store: Store, put: Land) -> None:
    table = {"target": f"kind{EVIL}", "columns": [f"a{EVIL}", "{{ 7 * 7 }}"]}
    data = {"reader": "csv", "classes": [f"yes{EVIL}", "no"], "table": table}
    quality = {"min_records": 5, "max_bad_share": 0.5}
    attributes = {"data": data, "model": {"family": "mlp"}, "quality": quality, "description": EVIL}
    line = parse_line("rows", attributes, "test")
    header = f"a{EVIL},{{{{ 7 * 7 }}}},kind{EVIL}"
    body = [header, *(f"{n},{n % 3},yes{EVIL}" for n in range(9)), f"{EVIL},1,no", f"1,2,{EVIL}"]
    verdict = judge(store, line, put(line, {"x.csv": "\n".join(body).encode()}))
    assert verdict.state == "accepted"
    page = page_of(store, verdict)
    check_harmless(page)
    for text in (f"a{EVIL}", f"yes{EVIL}", f"'{EVIL}' is not a number", "{{ 7 * 7 }}"):
        assert text in page.words
    assert "svg" in page.tags


def test_the_verdict_comes_first_in_plain_words(
    store: Store, pictures: Line, put: Land, good: dict[str, bytes]
) -> None:
    words = page_of(store, judge(store, pictures, put(pictures, good))).words
    assert "This batch was accepted" in words.split("Checks")[0]
    blocked = judge(store, pictures, put(pictures, {"cat/1.png": b"junk"}))
    words = page_of(store, blocked).words
    first = words.split("Checks")[0]
    assert "This batch was blocked" in first
    assert "1 of 1 records are bad (100.0%)" in first
    assert words.index("Set aside, and why") > words.index("Checks")
    index = Page(store.read("reports/pets/index.html").decode())
    assert index.words.index("blocked") < index.words.index("accepted")  # newest first
    assert f"{blocked.batch}/index.html" in index.links


def test_a_page_is_bounded(store: Store, pictures: Line, put: Land, png: Callable[..., bytes]) -> None:
    files = {f"{'bird' * 60}/{'x' * 200}{n}.png": png(n, 300) for n in range(150)}
    verdict = judge(store, pictures, put(pictures, files))
    page = store.read(verdict.report).decode()
    assert page.count("<img") == 24
    assert "and 50 more" in page
    assert len(page) < 1_000_000


def test_thumbnails_are_made_anew(png: Callable[..., bytes]) -> None:
    assert thumbnail(b"junk", 1) is None
    made = thumbnail(png(1, 300) + EVIL.encode(), 3)
    assert made is not None
    assert made.startswith("data:image/png;base64,")
    assert len(made) < 30_000


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-3.4e38, 3.4e38)))
def test_histograms_hold_any_finite_values(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    bars = histogram(values)
    assert len(bars) == 16
    assert max(bars) == 40
    assert min(bars) >= 0


def test_a_histogram_of_nothing_is_empty() -> None:
    assert histogram(np.zeros(0)) == []
