"""Great Expectations' own page, made harmless."""

from __future__ import annotations

import json
import time
from typing import Any

import pandas as pd
import pytest

from assets.quality.engines.contract import Question
from assets.quality.engines.pandas_suite import ask
from assets.quality.report import gx_page, suite_page
from tests.assets.quality.report.conftest import BATCH, MakeBatch
from tests.assets.quality.report.test_page import EVIL, Page, check_harmless

HOSTILE = (EVIL, "<img src=x onerror=alert(3)>", "$y ${z} $$PARAMETER %s", "</td></table><b>", "a`b\\c\ue000\ue001")


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """Results over a frame whose column names and cells are hostile."""
    frame = pd.DataFrame({EVIL: [1.0, 2.0, 300.0, 4.0, 5.0], "b": list(HOSTILE)})
    asked = [
        Question("ExpectColumnValuesToBeBetween", {"column": EVIL, "max_value": 10}),
        Question("ExpectColumnValuesToBeInSet", {"column": "b", "value_set": [EVIL, "x"]}),
        Question("ExpectColumnDistinctValuesToBeInSet", {"column": "b", "value_set": [EVIL]}),
        Question("ExpectColumnValuesToMatchRegex", {"column": "b", "regex": "^<script>"}),
        Question("ExpectColumnPairValuesToBeEqual", {"column_A": "b", "column_B": EVIL}),
        Question("ExpectTableRowCountToBeBetween", {"min_value": 9}),
        Question("ExpectColumnValuesToBeBetween", {"column": f"no such {EVIL}", "max_value": 10}),
        Question("ExpectColumnMeanToBeBetween", {"column": EVIL, "max_value": 1}),
    ]
    made = [dict(answer.raw) for answer in ask(frame, asked)]
    for result in made:
        result["expectation_config"]["description"] = EVIL if "regex" in str(result) else None
    return made


def test_hostile_names_and_values_are_text(results: list[dict[str, Any]]) -> None:
    text = gx_page(results, "pets", BATCH)
    page = Page(text)
    check_harmless(page)
    assert "https://" not in text
    assert EVIL in page.words
    for value in HOSTILE[1:4]:
        assert value in page.words
    assert "\ue000" not in text
    assert "unexpected values found" in page.words


def test_no_trace_and_no_folder_of_this_machine_is_shown(results: list[dict[str, Any]]) -> None:
    page = Page(gx_page(results, "pets", BATCH))
    assert "Traceback" not in page.words
    assert "site-packages" not in page.words
    assert "does not exist" in page.words


def test_private_values_are_left_out(results: list[dict[str, Any]]) -> None:
    page = Page(gx_page([item for item in results if "regex" not in str(item)], "pets", BATCH, {"b"}))
    assert "onerror=alert(3)" not in page.words
    assert "unexpected values found" in page.words  # how many is no secret


def test_the_page_is_quick_and_bounded(results: list[dict[str, Any]]) -> None:
    many = json.loads(json.dumps(results * 100))
    gx_page(many[:4], "pets", BATCH)
    started = time.process_time()
    text = gx_page(results, "pets", BATCH)
    assert time.process_time() - started < 10  # a fifth of a second
    assert len(text) < 100_000
    assert "400 more results" in gx_page(many, "pets", BATCH)


def test_what_the_judge_hands_over(make_batch: MakeBatch, results: list[dict[str, Any]]) -> None:
    batch = make_batch("rows", 30)
    assert "Great Expectations" in suite_page(batch.contents())
    batch.raw = tuple(results)
    check_harmless(Page(suite_page(batch.contents())))
