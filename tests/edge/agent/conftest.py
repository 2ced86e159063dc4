"""A real repository behind a real server, and a device's empty home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.release.repository import ensure_repository
from assets.storage.store import Store
from edge.agent.home import Home
from platform_defs.web.serve import Server, device_app
from tests.edge.agent.toy_releases import LINE, Platform


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    store = Store(str(tmp_path / "cloud"))
    ensure_repository(store, (LINE,))
    with Server(device_app(store)) as server:
        yield Platform(store, server.url)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "device")
