"""Ticks of a busy machine: they see what they would see of a quiet one."""

from __future__ import annotations

import pytest

from platform_defs.automation import scanning


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick waits for its scan as long as it takes."""
    monkeypatch.setattr(scanning, "WAIT_SECONDS", 280.0)
