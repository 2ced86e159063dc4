"""Ten landings while the daemon is killed with -9 again and again: how often each batch was trained on."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from tests.platform_defs.automation.test_daemon import land_and_kill
from tests.projects import make_project

LANDINGS, KILLS = 10, 4
POLICIES: dict[str, dict[str, Any]] = {
    "a run per batch": {"coalesce": False},
    "coalesced, half a minute apart": {"cooldown_minutes": 0.5},
}


def measure() -> list[dict[str, Any]]:
    """Each policy once; `land_and_kill` asserts that every batch is in exactly one successful retrain."""
    rows = []
    for name, retrain in POLICIES.items():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            began = time.monotonic()
            succeeded, every = land_and_kill(make_project(Path(folder) / "project"), retrain, LANDINGS, KILLS)
            rows.append(
                {
                    "policy": name,
                    "landed": LANDINGS,
                    "kills": KILLS,
                    "in_exactly_one": LANDINGS,
                    "retrains": succeeded,
                    "retries": every - succeeded,
                    "seconds": round(time.monotonic() - began, 1),
                }
            )
    return rows
