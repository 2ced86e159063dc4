"""Settings of every test."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# No deadline: machines are shared, and a slow example is not a wrong one. CI repeats the same examples every time, so a
# failure there is the change's; people's runs look for new ones.
settings.register_profile(
    "edgeloop",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("edgeloop")

LONGEST_FIRST = (
    "test_demo.py",
    "test_runner.py",
    "test_browser.py",
    "test_lines.py",
    "test_families_contract.py",
    "test_daemon.py",
    "test_model_line.py",
    "test_quality_judge.py",
    "test_quality_crash.py",
)
"""Files that take a minute or more: begun first, so that no worker waits for the other at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, everything else in its order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
