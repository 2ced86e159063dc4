"""`kill -9` before every change to the file system and at random moments: what is lost or repeated."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

NAMES = {
    "land": "landing",
    "inbox": "picking up a drop",
    "aside": "picking up a drop with something that cannot land",
    "judge": "landing and judging",
}


def measure(step: int = 4, randomly: int = 70) -> list[dict[str, Any]]:
    """Each kind of work, killed before every `step`-th change and `randomly` often; `rows` is the kills that hit."""
    found = []
    for what, name in NAMES.items():
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            command = [
                sys.executable,
                "-m",
                "tests.assets.quality.killing",
                what,
                folder,
                "1",
                str(step),
                str(randomly),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            answer = json.loads(done.stdout.splitlines()[-1])
            found.append(
                {
                    "what": f"kill -9 while {name}",
                    "rows": answer["killed"],
                    "tool": "Edgeloop",
                    "seconds": time.perf_counter() - began,
                    "lost_or_repeated": len(answer["wrong"]),
                }
            )
    return found
