"""A page without a record: exactly what is marked goes, whatever else stands there."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from assets.pages.redaction import PLACE, SAID, page_mark, without_marked

WORDS = st.text(max_size=30)


def page(records: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr data-record="{page_mark(file)}"><td>{escape(text)}<br><i>x</i></td></tr>' for file, text in records
    )
    return f"<!doctype html>\n<p>head</p>{PLACE}<table>{rows}</table>\n<div data-values><div>9</div>8</div><p>foot</p>"


@given(st.lists(st.tuples(WORDS, WORDS), max_size=6, unique_by=lambda item: item[0]), st.integers(0, 5))
def test_what_is_marked_goes_and_the_rest_stays(records: list[tuple[str, str]], at: int) -> None:
    gone = records[at % len(records)] if records else ("nothing", "")
    left = [record for record in records if record != gone]
    cut = without_marked(page(records), {page_mark(gone[0])}, False)
    assert cut == (page(left).replace(PLACE, SAID) if records else page([]))


def test_values_of_the_whole_batch_go_where_asked() -> None:
    cut = without_marked(page([("a", "one")]), set(), True)
    assert re.sub(r"\s", "", cut).endswith("</table><p>foot</p>")
    assert ">9<" not in cut
    assert "one" in cut


def test_twice_is_once_and_several_marks_are_apart() -> None:
    text = f'{PLACE}<figure data-record="{page_mark("a")} {page_mark("b", earlier=True)}"><svg><path/></svg></figure>!'
    assert without_marked(text, {page_mark("b")}, True) == text
    cut = without_marked(text, {page_mark("b", earlier=True)}, True)
    assert cut == f"{SAID}!"
    assert without_marked(cut, {page_mark("b", earlier=True)}, True) == cut
    assert without_marked('a<div data-record="x">never closed', {"x"}, False) == "a"
