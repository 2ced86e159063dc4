"""What changes how records are stored, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from assets.line.config import parse_line
from assets.line.stored_form import form_changes, stored_form

SERIES: dict[str, Any] = {
    "reader": "series",
    "classes": ["ok", "bad"],
    "aliases": {"OK": "ok"},
    "series": {
        "unit": "machine",
        "time": "hour",
        "columns": ["heat", "mode"],
        "categories": {"mode": ["idle", "busy"]},
        "target": "state",
    },
}


def form(section: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    body = {**SERIES, **data, "series": {**SERIES["series"], **(section or {})}}
    return stored_form(parse_line("n", {"data": body}, "test").config.data)


@pytest.mark.parametrize(
    ("section", "data", "said"),
    [
        ({"columns": ["mode"]}, {}, "column 'heat' was taken out"),
        ({"columns": ["heat", "mode", "load"]}, {}, "column 'load' was added"),
        ({"columns": ["mode", "heat"]}, {}, "the columns stand in another order"),
        ({"categories": {"mode": ["idle", "busy", "off"]}}, {}, "the words of 'mode' got 'off'"),
        ({"categories": {"mode": ["busy", "idle"]}}, {}, "the words of 'mode' stand in another order"),
        ({"categories": {}}, {}, "column 'mode' has no words any more"),
        ({"unit": "engine"}, {}, "`unit` was 'machine' and is 'engine'"),
        ({"unit_ids": "global"}, {}, "`unit_ids` was not set and is 'global'"),
        ({}, {"classes": ["ok", "worn"]}, "class 'bad' was taken out"),
        ({}, {"aliases": {"OK": "bad"}}, "the spelling 'OK' stood for 'ok' and stands for 'bad'"),
        ({}, {"classes": ["ok", "bad", "worn"]}, ""),
        ({}, {"aliases": {"OK": "ok", "BAD": "bad"}}, ""),
        ({"max_gap": 3.0}, {"test_share": 0.3}, ""),
        ({"unit_ids": "batch"}, {}, ""),
    ],
)
def test_what_changes_the_form(section: dict[str, Any], data: dict[str, Any], said: str) -> None:
    assert "; ".join(form_changes(form(), form(section, **data))) == said
