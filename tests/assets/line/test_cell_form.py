"""How cells are written is told once, and contradictions are refused in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from assets.line.cell_form import PLAIN, CellForm
from assets.line.config import LineConfig
from assets.line.data import DataContract

TABLE = {"target": "y", "columns": ["a"]}
SERIES = {"unit": "u", "time": "t", "target": "y", "columns": ["a"]}


def contract(reader: str = "table", **more: Any) -> DataContract:
    section = {"table": TABLE, "series": SERIES, "text": {}}[reader]
    return DataContract.model_validate({"reader": reader, "classes": ["p", "q"], reader: {**section, **more}})


def test_a_separator_is_what_keyboards_have() -> None:
    for like in " \u00a0\u202f\u2009\u2007":
        assert CellForm(decimal=",", thousands=like).thousands == " "  # type: ignore[arg-type]
    assert CellForm(thousands="\u2019").thousands == "'"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reader", "more", "said"),
    [
        ("table", {"cells": {"decimal": ",", "thousands": ","}}, "nobody can tell them apart; change one of them"),
        ("table", {"cells": {"thousands": "."}}, "nobody can tell them apart; say `decimal` too"),
        ("table", {"cells": {"day_first": True}}, "a table has none; take it out"),
        ("table", {"cells": {"trim": True}, "columns": [" a"]}, "`columns` has ' a'"),
        ("table", {"cells": {"trim": True}, "categories": {"a": ["x", "x "]}}, "`categories.a` has 'x '"),
        ("series", {"cells": {"trim": True}, "unit": "u "}, "`unit` has 'u '"),
        ("text", {"cells": {"decimal": ","}}, "only `trim` is for them"),
        ("text", {"cells": {"trim": True}, "column": "text\t"}, "`column` has 'text\\t'"),
    ],
)
def test_contradictions_are_refused(reader: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        contract(reader, **more)
    assert said in str(caught.value)


def test_classes_with_spaces_around_them_cannot_be_trimmed_cells() -> None:
    with pytest.raises(ValidationError, match="`classes` has ' q'"):
        DataContract.model_validate(
            {"reader": "table", "classes": ["p", " q"], "table": {**TABLE, "cells": {"trim": True}}}
        )


def test_who_does_not_use_it_keeps_the_digest() -> None:
    def digest(**more: Any) -> str:
        body = {"reader": "table", "classes": ["p", "q"], "table": {**TABLE, **more}}
        return LineConfig.model_validate({"data": body}).digest("data")

    old = "949f32ecaaafd014d5fc8ea2d0de3b75e2fcad643e4d15740d14be8986e82baa"
    assert digest() == digest(cells={}) == digest(cells={"decimal": ".", "trim": False}) == old
    assert digest(cells={"decimal": ","}) != old
    assert contract().cells is PLAIN and contract("series", cells={"trim": True}).cells == CellForm(trim=True)
