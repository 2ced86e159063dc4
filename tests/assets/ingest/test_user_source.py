"""A line's own function writes its data set: landed like any other, once, and told in a sentence where it fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assets.errors import LandingError, RejectedError
from assets.ingest.user_source import land_user_source
from assets.line.config import Line, parse_line
from assets.records.line_store import bind
from assets.storage.store import Store


def line_with(source: str | None) -> Line:
    data: dict[str, Any] = {"reader": "table", "classes": ["a", "b"], "table": {"target": "y", "columns": ["x"]}}
    return parse_line("own", {"data": {**data, "source": source}}, "test")


def write(folder: Path) -> None:
    (folder / "rows.csv").write_text("x,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(30)))


def fail(folder: Path) -> None:
    del folder
    raise ZeroDivisionError("by zero,\n of course")


def write_nothing(folder: Path) -> None:
    del folder


def test_what_it_writes_lands_and_the_same_again_is_the_same_batch(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    first, again = (land_user_source(bind(store, line_with(f"{__name__}:write"))) for _ in range(2))
    assert (first.new, again.new, first.files) == (True, False, 1)
    assert first.batch == again.batch


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, "says no `data.source`; name what to land"),
        (f"{__name__}:fail", r"failed \(ZeroDivisionError: by zero, of course\); correct it"),
        (f"{__name__}:write_nothing", "wrote nothing into the folder"),
        (f"{__name__}:absent", "absent"),
        ("not_installed_anywhere:write", "not_installed_anywhere"),
    ],
)
def test_a_failure_is_told_in_a_sentence(tmp_path: Path, source: str | None, told: str) -> None:
    with pytest.raises(RejectedError, match=told) as caught:
        land_user_source(bind(Store(str(tmp_path)), line_with(source)))
    assert source is not None or isinstance(caught.value, LandingError)
