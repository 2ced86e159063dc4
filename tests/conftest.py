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
    "assets/compression",
    "platform_defs/local/test_runner.py",
    "platform_defs/test_browser.py",
    "platform_defs/test_lines.py",
    "platform_defs/automation/test_daemon.py",
    "platform_defs/components/test_model_line.py",
    "assets/families",
    "assets/quality/test_gate.py",
    "assets/quality/test_crash.py",
    "assets/fitting/test_processes.py",
    "edge/engine",
)
"""What takes a minute or more: begun first, so that no worker waits for the other at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, everything else in its order."""
    items.sort(key=lambda item: _first(LONGEST_FIRST, item))


def _place(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


def _below(item: pytest.Item, place: str) -> bool:
    return f"{_place(item)}/".startswith(f"{place}/")


def _first(places: tuple[str, ...], item: pytest.Item) -> int:
    """The number of the first of `places` that the test lies in; how many there are where it lies in none."""
    return next((number for number, place in enumerate(places) if _below(item, place)), len(places))
