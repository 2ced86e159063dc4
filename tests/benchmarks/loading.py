"""What importing and building the code location's definitions costs, against importing dagster alone."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import Any

from tests.projects import ROOT

RUNS = 5
CODE = {
    "import dagster": "import dagster",
    "build the code location": "from platform_defs.definitions import definitions; definitions().resolve_asset_graph()",
}


def measure() -> list[dict[str, Any]]:
    """Process seconds (user + system) in fresh processes, taken in turns; median, least and most."""
    seconds: dict[str, list[float]] = {what: [] for what in CODE}
    for _ in range(RUNS + 1):
        for what, code in CODE.items():
            script = f"{code}\nimport time; print(time.process_time())"
            done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
            seconds[what].append(float(done.stdout.splitlines()[-1]))
    return [
        {"what": what, "median_s": statistics.median(found[1:]), "least_s": min(found[1:]), "most_s": max(found[1:])}
        for what, found in seconds.items()
    ]
