"""Profiles of a line: merged over the rest, strictly validated, chosen by name, with a state of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assets.errors import LineError
from assets.line.config import Line, parse_line
from assets.line.profiles import PROFILE_VARIABLE, base_home, choose_profile, chosen_profile, merge
from platform_defs.home import HOME_VARIABLE, find_home


def line_with(profiles: Any) -> Line:
    data = {"reader": "table", "classes": ["a", "b"], "table": {"target": "y", "columns": ["x"]}}
    return parse_line("x", {"data": data, "model": {"family": "mlp", "width": 64}, "profiles": profiles}, "x.yaml")


def test_a_profile_replaces_what_it_names_and_nothing_else() -> None:
    line = line_with({"debug": {"model": "mlp", "training": {"epochs": 1}, "data": {"table": {"columns": ["z", "x"]}}}})
    debug = line.in_profile("debug").config
    assert (debug.training.epochs, line.config.training.epochs) == (1, 20)
    assert debug.model is not None
    assert (debug.model.width, debug.training.batch_size) == (64, 64)
    assert debug.data.table is not None
    assert (debug.data.table.columns, debug.data.table.target) == (("z", "x"), "y")
    assert debug.profiles == {}
    assert line.in_profile("full").config.digest("data", "model") == line.config.digest("data", "model")


@pytest.mark.parametrize(
    ("profiles", "told"),
    [
        ({"debug": {"training": {"epochs": 0}}}, "profiles.debug.training.epochs = 0: Input should be greater"),
        ({"debug": {"surprise": 1}}, "profiles.debug.surprise = 1: Extra inputs are not permitted"),
        ({"debug": {"model": "cnn"}}, "profiles.debug = 'debug': model.family 'cnn' does not do"),
        ({"debug": {"data": {"table": {"target": "x"}}}}, "profiles.debug.data.table"),
        ({"debug": {"data": {"source": "made.up"}}}, "'made.up' is not `my_package.my_module:function`"),
        ({"full": {}}, "`full` is the line as it stands"),
        ({"../x": {}}, "a profile's name has lower-case letters"),
        ({"debug": {"profiles": {}}}, "a profile has no profiles of its own"),
        ({"debug": 3}, "profiles.debug = 3"),
        ({"sound": {}, "debug": {"training": {"epochs": 0}, "budget": {"max_drop": 2}}}, "profiles.debug.budget"),
    ],
)
def test_a_mistake_names_profile_field_and_value(profiles: Any, told: str) -> None:
    with pytest.raises(LineError) as caught:
        line_with(profiles)
    assert told in str(caught.value)


def test_a_line_without_the_profile_says_which_it_has() -> None:
    with pytest.raises(LineError, match="has no profile 'debgu'; it has full, debug"):
        line_with({"debug": {}}).in_profile("debgu")


def test_each_profile_has_a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    monkeypatch.delenv(PROFILE_VARIABLE, raising=False)
    assert (chosen_profile(), find_home()) == ("full", str(tmp_path))
    monkeypatch.setenv(PROFILE_VARIABLE, "full")
    assert find_home() == str(tmp_path)
    choose_profile("debug")
    assert find_home() == str(tmp_path / "profiles" / "debug")
    monkeypatch.setenv(HOME_VARIABLE, find_home())  # as child processes have it
    assert find_home() == str(tmp_path / "profiles" / "debug")
    assert base_home(find_home()) == str(tmp_path)
    for name in ("../x", "a/b", "A"):
        with pytest.raises(LineError, match="lower-case"):
            choose_profile(name)


def test_mappings_are_merged_and_all_else_is_replaced() -> None:
    assert merge({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "d": {"e": 3}}) == {
        "a": {"b": 1, "c": [2]},
        "d": {"e": 3},
    }
