"""A user's own functions by name, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from assets.errors import LineError
from assets.line.user_functions import load_user_function


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def _write(name: str, text: str) -> str:
    Path(f"{name}.py").write_text(text)
    sys.modules.pop(name, None)
    return name


def test_a_module_in_the_working_folder_is_found() -> None:
    name = _write("own_one", "def loss(outputs, targets):\n    return 7\n")
    assert load_user_function(f"{name}:loss", "training.loss")(1, 2) == 7


def test_an_installed_module_is_found() -> None:
    assert load_user_function("json:dumps", "training.loss")([1]) == "[1]"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("", "own_two:loss", "training.loss: .*own_two.py has no 'loss'; write the function"),
        ("loss = 3", "own_two:loss", "'loss' of .*own_two.py is int, which cannot be called"),
        ("import not_there_at_all", "own_two:loss", "own_two needs the module 'not_there_at_all'; install it"),
        ("raise ValueError('no luck')", "own_two:loss", r"own_two cannot be imported \(ValueError: no luck\)"),
        ("def loss(", "own_two:loss", "own_two cannot be imported .SyntaxError"),
        ("", "own_three.deeper:loss", "there is no module 'own_three'; install it, or put it into the folder"),
        ("", "own_two", "'own_two' names no function"),
    ],
)
def test_what_is_wrong_is_said(text: str, path: str, reason: str) -> None:
    _write("own_two", text)
    with pytest.raises(LineError, match=reason):
        load_user_function(path, "training.loss")
