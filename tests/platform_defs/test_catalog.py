"""Lines on disk: found recursively, each read on its own, a broken one named and alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import LineError
from platform_defs.catalog import LINES_FOLDER, LINES_VARIABLE, find_line, list_lines, served_lines

GOOD = (LINES_FOLDER / "breast-cancer" / "defs.yaml").read_text()


def _write(folder: Path, name: str, text: str | bytes) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "defs.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_the_shipped_lines_hold() -> None:
    entries = {entry.name: entry.error for entry in list_lines()}
    assert entries.keys() >= {"digits", "breast-cancer"}
    assert set(entries.values()) == {""}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "says `type:"),
        ("type: [", "not readable as YAML"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        ("type: something.Else\nattributes: {}", "says `type:"),
        (GOOD + "\nsurprise: 1\n", "surprise is not allowed"),
        (GOOD.replace("max_drop: 0.02", "max_drop: 1.7"), "budget.max_drop = 1.7"),
        ("- 1\n- 2", "says `type:"),
        ("!!python/object/apply:os.system ['true']", "not readable as YAML"),
        ("a: &a [*a]", "says `type:"),
        (GOOD + "#" * 1_000_001, "larger than"),
    ],
)
def test_a_broken_line_is_named_and_hides_no_other(tmp_path: Path, text: str | bytes, told: str) -> None:
    _write(tmp_path, "sound", GOOD)
    _write(tmp_path, "nested/broken", text)
    entries = {entry.name: entry for entry in list_lines(tmp_path)}
    assert entries["sound"].line is not None
    assert told in entries["broken"].error
    assert "line 'broken'" in entries["broken"].error
    with pytest.raises(LineError, match="'broken'"):
        find_line("broken", tmp_path)


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "a/same", GOOD)
    _write(tmp_path, "b/same", GOOD)
    errors = [entry.error for entry in list_lines(tmp_path)]
    assert sorted(bool(error) for error in errors) == [False, True]


def test_an_unknown_line_tells_the_known_ones() -> None:
    with pytest.raises(LineError, match="there are: breast-cancer, cats-vs-dogs, cifar10, digits"):
        find_line("digit")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "lines"
    (folder / "x").mkdir(parents=True, exist_ok=True)
    (folder / "x" / "defs.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    (entry,) = list_lines(folder)
    assert entry.line is None
    assert entry.error


def test_a_location_may_serve_some_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [entry.name for entry in served_lines()] == [entry.name for entry in list_lines()]
    monkeypatch.setenv(LINES_VARIABLE, "digits, turbofan")
    assert [entry.name for entry in served_lines()] == ["digits", "turbofan"]
