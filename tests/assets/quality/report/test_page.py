"""A batch's page: everything escaped, nothing fetched, private values on none, bounded in size, the verdict first."""

from __future__ import annotations

import io
import itertools
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.quality.columns import Sparse
from assets.quality.report import batch_page
from assets.records.reason import Reason
from assets.records.verdict import CheckOutcome, Finding
from tests.assets.quality.report.conftest import BATCH, Batch, MakeBatch, make_line, record

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"
KINDS = ("pictures", "rows", "texts", "sounds")
LEAK = "no train record is almost a validation or test record"
LABEL_RULE = "every label is a class of the line"
LINKS = re.compile(
    r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+|(\.\./)*[\w-]*/?index\.html|suite\.html|#[\w-]+|/review/[\w-]+/[0-9a-f]{64}"
)


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.size = len(text)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.alts: list[str | None] = []
        self._quiet = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag == "img":
            self.alts.append(found.get("alt"))
        if tag == "style":
            self._quiet = tag

    def handle_endtag(self, tag: str) -> None:
        self._quiet = "" if tag == self._quiet else self._quiet

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.words += data


def check_harmless(page: Page) -> None:
    assert not {*page.tags} & {"script", "iframe", "object", "embed", "link", "form", "base", "video", "audio"}
    for link in page.links:
        assert LINKS.fullmatch(link), link
    assert all(page.alts)


def poison(batch: Batch) -> Batch:
    """Puts `EVIL` wherever a stranger could."""
    for row in (1, 3):
        facts = {name: EVIL if isinstance(value, str) else value for name, value in batch.records[row].facts.items()}
        batch.records[row] = replace(batch.records[row], label=EVIL, file=f"{EVIL}#{row}", split=EVIL, facts=facts)
    batch.broken = {LABEL_RULE: [1, 3], LEAK: [5]}
    batch.derived = {"_leak": Sparse(np.array([5]), np.array([EVIL], object))}
    batch.errored = {"every split is a split": EVIL}
    batch.findings = tuple(
        Finding(kind, 3, EVIL, other, 1.0, EVIL)
        for kind in ("leak", "copy", "near_duplicate", "label_suspect", "odd", "pii", "unit", "gap", EVIL)
        for other in (1, -1)
    )
    batch.refused = (Reason(EVIL, EVIL, "refused", EVIL, EVIL),)
    batch.ignored = (Reason(EVIL, "whole file", "ignored", EVIL, ""),)
    batch.extra = (CheckOutcome(EVIL, "failed", "critical", EVIL), CheckOutcome(EVIL, "passed", "warning", EVIL))
    batch.blocked = (EVIL,)
    batch.other_input = lambda finding: EVIL.encode()
    return batch


@pytest.mark.parametrize("kind", KINDS)
def test_everything_from_data_is_escaped(make_batch: MakeBatch, kind: str) -> None:
    page = Page(batch_page(poison(make_batch(kind, 40, before=120)).contents()))
    check_harmless(page)
    assert page.words.count(EVIL) > 15
    assert "alert(2)>49" not in page.words


def test_column_names_and_classes_are_escaped(make_batch: MakeBatch) -> None:
    table = {"target": "kind", "columns": [f"a{EVIL}", "b"]}
    line = make_line("rows", {"table": table, "classes": [f"yes{EVIL}", "no"]}, description=EVIL)
    batch = make_batch("rows", 2, line=make_line("rows"))
    batch.line = line
    generator = np.random.default_rng(0)
    batch.records = [
        replace(record("rows", at, generator, f"yes{EVIL}"), facts={f"a{EVIL}": float(at), "b": 1.0}, input=b"")
        for at in range(30)
    ]
    page = Page(batch_page(batch.contents()))
    check_harmless(page)
    assert f"a{EVIL}"[:100] in page.words
    assert EVIL in page.words
    assert "yes<script>" in page.words


def test_the_verdict_comes_first_in_plain_words(make_batch: MakeBatch) -> None:
    batch = make_batch("pictures", 30)
    words = Page(batch_page(batch.contents())).words
    assert "This batch was accepted" in words.split("Checks")[0]
    assert re.search(r"30\s*records seen", words)
    batch.blocked = ("1 of 30 records are bad (3.3%); at most 1.0% may be",)
    batch.broken = {LABEL_RULE: [4]}
    words = Page(batch_page(batch.contents())).words
    first = words.split("Checks that fail")[0]
    assert "This batch was blocked" in first
    assert "1 of 30 records are bad (3.3%)" in first
    assert f"edgeloop quarantine list pictures {BATCH}" in words
    assert "good records, held because the batch was blocked" in words
    assert "29" in words.split("good records, held because")[1][:80]


def test_a_check_that_broke_is_kept_apart_from_data_that_failed(make_batch: MakeBatch) -> None:
    batch = make_batch("rows", 30)
    batch.errored = {"every split is a split": "KeyError: nothing"}
    batch.broken = {"every cell of a has a value": [7]}
    batch.records[7] = replace(batch.records[7], facts={**batch.records[7].facts, "a": None})
    words = Page(batch_page(batch.contents())).words
    broke, failed = words.split("Checks that broke")[1].split("Checks that fail")
    assert "KeyError: nothing" in broke
    assert "every cell of a" not in broke
    assert "data.csv#9" in failed.split("checks hold")[0]
    assert "no value" in failed


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_shows_its_records(make_batch: MakeBatch, kind: str) -> None:
    batch = make_batch(kind, 30)
    batch.broken = {LABEL_RULE: [4, 9]}
    text = batch_page(batch.contents())
    shown = {"pictures": "data:image/jpeg;base64,", "rows": "<td>", "texts": "<blockquote>", "sounds": 'class="wave"'}
    assert text.split("checks hold")[0].count(shown[kind]) >= 2
    assert "is not a class of this line" in text


def test_pairs_stand_side_by_side(make_batch: MakeBatch) -> None:
    batch = make_batch("pictures", 30)
    batch.findings = (
        Finding("leak", 1, "x", 2, 1.0, "same"),
        Finding("leak", 3, "earlier/8.jpg", -1, 1.0, "earlier one"),
    )
    batch.other_input = lambda finding: batch.records[0].input
    text = batch_page(batch.contents())
    leaks = text.split('id="leak"')[1].split("</section>")[0]
    assert leaks.count("<img") == 4
    assert "earlier/8.jpg" in leaks
    batch.other_input = None
    assert batch_page(batch.contents()).split('id="leak"')[1].split("</section>")[0].count("<img") == 3


def test_a_suspect_shows_both_labels(make_batch: MakeBatch) -> None:
    batch = make_batch("texts", 30)
    batch.findings = (Finding("label_suspect", 1, "ham", -1, 0.9, "8 of 10 neighbours"),)
    words = " ".join(Page(batch_page(batch.contents())).words.split())
    assert "spam → ham" in words


def test_drift_is_drawn_and_told(make_batch: MakeBatch) -> None:
    page = batch_page(make_batch("rows", 400, before=800, shift=9).contents())
    words = " ".join(Page(page).words.split())
    assert "Column 'a' has drifted: its mean is 2" in words
    assert 'class="then"' in page
    assert "accepted before (800)" in words
    without = batch_page(make_batch("rows", 400).contents())
    assert 'path class="then"' not in without
    assert "nothing to compare with" in without


def test_private_values_are_shown_nowhere(make_batch: MakeBatch) -> None:
    line = make_line("rows", {"privacy": {"private": ["a", "kind"]}})
    batch = make_batch("rows", 300, before=300, line=line)
    for row in (4, 5):
        notes = {"a": "column a: '987654' is not a number"}
        batch.records[row] = replace(batch.records[row], facts={**batch.records[row].facts, "a": 987654.0}, notes=notes)
    batch.records[6] = replace(batch.records[6], label="secret-label")
    batch.broken = {"every cell of a has a value": [4, 5], LABEL_RULE: [6]}
    batch.findings = (Finding("label_suspect", 4, "secret-label", -1, 0.9, "most neighbours are 'secret-label'"),)
    batch.refused = (Reason("data.csv", "row 9, column a", "refused", "'987654' is too long", "shorten '987654'"),)
    page = Page(batch_page(batch.contents()))
    assert "987654" not in page.words
    assert "secret-label" not in page.words
    assert "(private)" in page.words
    shown = {name for record in batch.records[:3] for name in (f"{record.facts['a']:.4g}",)}
    assert not [value for value in shown if value in page.words]


def test_private_texts_are_not_quoted(make_batch: MakeBatch) -> None:
    line = make_line("texts", {"privacy": {"private": ["text"]}})
    batch = make_batch("texts", 30, line=line)
    batch.broken = {LABEL_RULE: [4]}
    words = Page(batch_page(batch.contents())).words
    assert "prize" not in words
    assert "noon" not in words


def test_an_empty_batch_has_a_page(make_batch: MakeBatch) -> None:
    batch = make_batch("pictures", 0)
    batch.refused = (Reason("a.jpg", "whole file", "refused", "not a picture", "save it as PNG"),)
    batch.blocked = ("0 good records; at least 20 are needed",)
    page = Page(batch_page(batch.contents()))
    check_harmless(page)
    assert "not a picture" in page.words


def huge(batch: Batch, count: int) -> Batch:
    """As large as strangers can make a page: long names, pictures that compress badly, findings without end."""
    noise = np.random.default_rng(0)
    for row in range(0, count, 7):
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 256, (300, 300, 3), dtype=np.uint8)).save(buffer, "JPEG")
        long = f"{'x' * 200}/{'y' * 200}{row}.jpg"
        batch.records[row] = replace(batch.records[row], input=buffer.getvalue(), file=long, label="bird" * 300)
    bad = list(range(0, count, 7))
    batch.broken = {rule: bad[at::5] for at, rule in enumerate((LABEL_RULE, LEAK, "every picture shows something",
                                                               "no record has two labels in the batch",
                                                               "every record is in the batch once"))}  # fmt: skip
    long_text = Sparse(np.array(bad), np.array(["z" * 5000] * len(bad), object))
    batch.derived = {"_leak": long_text, "_conflict": long_text, "_copy_of": long_text}
    batch.findings = tuple(
        Finding(kind, row, "o" * 2000, row - 1, 1.0, "d" * 2000)
        for kind in ("leak", "near_duplicate", "copy", "label_suspect", "odd")
        for row in bad[1:]
    )
    batch.refused = tuple(Reason("f" * 400, f"row {at}", "refused", "r" * 900, "w" * 900) for at in range(1000))
    batch.extra = tuple(CheckOutcome(f"check {at} {'c' * 500}", "failed", "warning", "d" * 900) for at in range(2000))
    return batch


def test_a_page_is_bounded(make_batch: MakeBatch) -> None:
    contents = huge(make_batch("pictures", 700, before=200), 700).contents()
    started = time.process_time()
    text = batch_page(contents)
    assert time.process_time() - started < 10  # half a second
    assert text.count("<img") <= 160  # of 100 pictures at most
    assert len(text) < 1_200_000, f"{len(text):,}"
    assert "more checks" in text


def test_headings_go_down_step_by_step(make_batch: MakeBatch) -> None:
    for kind in KINDS:
        text = batch_page(poison(make_batch(kind, 40, before=120)).contents())
        levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_the_same_batch_gives_the_same_page(make_batch: MakeBatch) -> None:
    contents: Any = make_batch("pictures", 40, before=120).contents()
    assert batch_page(contents) == batch_page(contents)
