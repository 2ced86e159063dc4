"""Settings of every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One thread for each test process and for all that it starts: two processes of two threads on two cores mostly wait for
# each other, which costs a quarter more of the processors. What a test says of threads it sets itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
    "platform_defs/demo/test_loop.py",
    "platform_defs/local/test_runner.py",
    "platform_defs/test_browser.py",
    "platform_defs/test_lines.py",
    "assets/families/test_check.py",
    "platform_defs/automation/test_daemon.py",
    "platform_defs/components/test_model_line.py",
    "assets/quality/test_gate.py",
    "assets/quality/test_crash.py",
)
"""Files that take a minute or more: begun first, so that no worker waits for the other at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, everything else in its order."""
    places = {str(Path(__file__).parent / name): place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(str(item.path), len(places)))
