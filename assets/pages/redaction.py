"""Cuts a record out of a page that the gate wrote, and leaves the rest of the page as it is.

The page's template marks what shows a record with `data-record`, its marks apart by spaces, and what may show values of
any record of the batch (distributions, observed values) with `data-values`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set as AbstractSet
from html.parser import HTMLParser

PLACE = "<!--forgotten-->"
"""Where the page says that something was taken out."""
SAID = (
    '<p class="soft">A record that this page showed was forgotten on request. It was taken out of the page, with '
    "whatever else may tell its values; counts and the verdict stand.</p>"
)


def page_mark(file: str, earlier: bool = False) -> str:
    """What marks a record on a page: of its file, so that it tells nothing of what the record holds.

    Args:
        earlier: whether it is of another batch than the page.
    """
    return f"{'e' if earlier else 'r'}{hashlib.sha256(file.encode('utf-8', 'replace')).hexdigest()[:16]}"


def without_marked(page: str, marks: AbstractSet[str], values: bool) -> str:
    """The page without every element that has one of the marks, and, where asked, without those that tell values.

    Args:
        page: as `batch_page` made it; an element that is not closed there is cut to the page's end.
    """
    found = _Marked(page, marks, values)
    found.feed(page)
    found.close()
    if not found.cuts:
        return page
    parts, at = [], 0
    for start, stop in found.cuts:
        parts.append(page[at:start])
        at = stop
    return "".join([*parts, page[at:]]).replace(PLACE, SAID, 1)


class _Marked(HTMLParser):
    """Where the marked elements begin and end."""

    def __init__(self, page: str, marks: AbstractSet[str], values: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.cuts: list[tuple[int, int]] = []
        self._page, self._marks, self._values = page, marks, values
        self._lines = [0]
        for line in page.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._tag, self._depth, self._start = "", 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._tag:
            self._depth += tag == self._tag
            return
        told = dict(attrs)
        if not self._marks.isdisjoint((told.get("data-record") or "").split()) or (
            self._values and "data-values" in told
        ):
            self._tag, self._depth, self._start = tag, 1, self._place()

    def handle_endtag(self, tag: str) -> None:
        if tag == self._tag:
            self._depth -= 1
            if not self._depth:
                self._cut(self._page.index(">", self._place()) + 1)

    def close(self) -> None:
        super().close()
        if self._tag:
            self._cut(len(self._page))

    def _cut(self, stop: int) -> None:
        self.cuts.append((self._start, stop))
        self._tag = ""

    def _place(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column
