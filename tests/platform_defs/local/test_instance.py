"""Dagster's home belongs to one profile: runs and cursors of another are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from assets.errors import RejectedError
from platform_defs.local.instance import prepare_home


def test_a_profile_has_a_dagster_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))  # as `make` sets it
    monkeypatch.setenv("EDGELOOP_PROFILE", "debug")
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    store = prepare_home()
    assert store.root == str(tmp_path / "profiles" / "debug")
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "profiles" / "debug" / "dagster")
    assert prepare_home().root == store.root  # as a child process finds it
    assert not (tmp_path / "dagster").exists()
    monkeypatch.setenv("EDGELOOP_PROFILE", "full")
    monkeypatch.setenv("EDGELOOP_HOME", str(tmp_path))
    with pytest.raises(RejectedError, match="holds the runs of profile 'debug', and 'full' was chosen"):
        prepare_home()
